//! Writes archives.

use deployd_core::Digest;
use deployd_core::archive::{
    ARCHIVE_BYTES_MAX, ArchiveIndex, CONTENTS_BYTES_MAX, INDEX_BYTES_MAX, INDEX_NAME,
    MEMBER_BYTES_MAX, MEMBERS_MAX, Member, MemberKind, SUM_NAME,
};

use crate::tar;

/// Archives are written seldom, and kept and sent: worth some effort, and still
/// some ten megabytes a second.
const LEVEL: i32 = 9;

/// Content to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub kind: MemberKind,
    /// Of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why there is no archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It would be larger than is read again.
    #[error("the archive would have {found} {what}, and no more than {most} are read again")]
    TooLarge {
        /// Of what there is too much.
        what: String,
        /// How much there is.
        found: u64,
        /// How much there can be.
        most: u64,
    },
    /// It can't be written.
    #[error("the archive can't be written: {0}")]
    Failed(String),
}

/// Writes an archive: the index's list of members is made from the contents.
pub fn write(mut index: ArchiveIndex, contents: &[Content]) -> Result<Vec<u8>, WriteError> {
    let within = |what: &str, found: u64, most: u64| {
        if found <= most {
            return Ok(());
        }
        Err(WriteError::TooLarge { what: what.to_owned(), found, most })
    };
    within("members", contents.len() as u64, MEMBERS_MAX as u64)?;
    let failed = |why: String| WriteError::Failed(why);
    let mut members = Vec::with_capacity(contents.len());
    index.members.clear();
    let mut bytes = 0u64;
    for Content { kind, digest, bytes: content } in contents {
        let length = content.len() as u64;
        within(&format!("bytes of {kind} {digest}"), length, MEMBER_BYTES_MAX)?;
        bytes = bytes.saturating_add(length);
        let packed = zstd::bulk::compress(content, LEVEL).map_err(|e| failed(e.to_string()))?;
        let (kind, digest) = (*kind, *digest);
        let packed_length = packed.len() as u64;
        index.members.push(Member { kind, digest, bytes: length, packed: packed_length });
        members.push(packed);
    }
    within("bytes of contents", bytes, CONTENTS_BYTES_MAX)?;
    let mut document =
        serde_json::to_vec_pretty(&index).map_err(|error| failed(error.to_string()))?;
    document.push(b'\n');
    within("bytes of its index", document.len() as u64, INDEX_BYTES_MAX as u64)?;
    let sum = sum_line(&Digest::of(&document));
    let mut archive = Vec::new();
    let named = index.members.iter().map(Member::name);
    let files = [(INDEX_NAME.to_owned(), document), (SUM_NAME.to_owned(), sum)];
    for (name, content) in files.into_iter().chain(named.zip(members)) {
        tar::append(&mut archive, &name, &content)
            .ok_or_else(|| failed(format!("{name} has no room in a tar archive")))?;
    }
    tar::finish(&mut archive);
    within("bytes", archive.len() as u64, ARCHIVE_BYTES_MAX as u64)?;
    Ok(archive)
}

/// As `sha256sum -c` reads it.
pub(crate) fn sum_line(digest: &Digest) -> Vec<u8> {
    format!("{}  {INDEX_NAME}\n", digest.hex()).into_bytes()
}
