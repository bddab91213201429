//! Reads archives, and says all that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use deployd_core::Digest;
use deployd_core::archive::{
    ARCHIVE_BYTES_MAX, ArchiveIndex, CONTENTS_BYTES_MAX, Finding, FindingKind, INDEX_NAME,
    MEMBER_BYTES_MAX, MEMBERS_MAX, Member, SUM_NAME, Verified, check,
};

use crate::tar::{BLOCK, Entry, Part, padded, parts};
use crate::write::sum_line;

/// The most that is told of what is wrong; nobody reads more.
const FINDINGS_MAX: usize = 1_000;

/// How many members are looked for where no header is: one that is damaged now and
/// then, and not all of an archive that somebody made to keep its readers busy.
const LOOKED_FOR_MAX: u32 = 100;

/// The most memory that a compressed member may ask its reader for: 2^23 bytes, what
/// the level that we write with ever needs.
const WINDOW_LOG_MAX: u32 = 23;

/// An archive, as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// What was found: all is well where nothing is.
    pub verified: Verified,
    /// The index, unless it is damaged.
    pub index: Option<ArchiveIndex>,
    /// The bytes of the index, which its digest is of.
    pub index_bytes: Vec<u8>,
    /// The contents that are as they were written, by their digests.
    pub contents: BTreeMap<Digest, Vec<u8>>,
}

/// Reads an archive. Whatever is wrong with it is told, each with its place, and
/// whatever can be read is read.
pub fn read(bytes: &[u8]) -> Archive {
    let mut reading = Reading::default();
    if bytes.len() > ARCHIVE_BYTES_MAX {
        let (found, expected) =
            (format!("{} bytes", bytes.len()), format!("at most {ARCHIVE_BYTES_MAX}"));
        reading.wrong("the archive", FindingKind::TooLarge, found, expected);
        return reading.finish(None, Vec::new());
    }
    let mut files: BTreeMap<String, Entry<'_>> = BTreeMap::new();
    let mut strays = Vec::new();
    for part in parts(bytes) {
        match part {
            Part::File(entry) => {
                if !entry.padded {
                    let expected = "zeros";
                    let found = "other bytes after its content, up to the next block";
                    reading.wrong(&entry.name, FindingKind::Damaged, found, expected);
                }
                if files.len() > MEMBERS_MAX.saturating_add(2) {
                    let expected = format!("at most {MEMBERS_MAX} members");
                    let place = "the archive";
                    reading.wrong(place, FindingKind::TooLarge, "more members", expected);
                    break;
                }
                if files.contains_key(&entry.name) {
                    let found = "a second member of that name";
                    reading.wrong(&entry.name, FindingKind::Additional, found, "one");
                } else {
                    files.insert(entry.name.clone(), entry);
                }
            }
            Part::Stray { at, bytes } => strays.push((at, bytes)),
            Part::End { whole: true } => {}
            Part::End { whole: false } => {
                let expected = "1024 bytes of zeros after the last member";
                reading.wrong("the end", FindingKind::Damaged, "another end", expected);
            }
        }
    }
    let index = reading.index(&mut files, &mut strays);
    match &index {
        Some((index, _)) => reading.members(index, &mut files, &mut strays),
        None => reading.without_index(&files),
    }
    for (at, bytes) in strays {
        let found = format!("{} bytes that belong to no member", bytes.len());
        reading.wrong(&format!("byte {at}"), FindingKind::Damaged, found, "a header of tar");
    }
    let (index, index_bytes) = index.unzip();
    reading.finish(index, index_bytes.unwrap_or_default())
}

#[derive(Default)]
struct Reading {
    findings: Vec<Finding>,
    contents: BTreeMap<Digest, Vec<u8>>,
    unpacked: u64,
    found: u64,
    sound: u64,
    looked_for: u32,
}

impl Reading {
    fn wrong(
        &mut self,
        member: &str,
        kind: FindingKind,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.findings.push(Finding::new(printable(member), kind, found, expected));
    }

    /// The index, verified by its digest. One that is damaged is not believed.
    fn index(
        &mut self,
        files: &mut BTreeMap<String, Entry<'_>>,
        strays: &mut Vec<(usize, &[u8])>,
    ) -> Option<(ArchiveIndex, Vec<u8>)> {
        let sum = files.remove(SUM_NAME);
        let Some(entry) = files.remove(INDEX_NAME) else {
            let hidden = strays.iter().position(|(at, _)| *at == 0);
            let kind = if hidden.is_some() { FindingKind::Damaged } else { FindingKind::Missing };
            self.wrong(INDEX_NAME, kind, "no header of it", "the index, as the first member");
            if let Some(place) = hidden {
                strays.swap_remove(place);
            }
            return None;
        };
        if !self.is_whole(INDEX_NAME, &entry) {
            return None;
        }
        let digest = Digest::of(entry.content);
        match sum {
            Some(sum) if sum.content == sum_line(&digest) => {}
            Some(_) => {
                let found = format!("an index with the digest {digest}");
                let expected = format!("that in {SUM_NAME}: one of both is damaged");
                self.wrong(INDEX_NAME, FindingKind::Damaged, found, expected);
                return None;
            }
            None => {
                self.wrong(SUM_NAME, FindingKind::Missing, "no such member", "the index's digest");
                return None;
            }
        }
        match ArchiveIndex::read(entry.content) {
            Ok(index) => Some((index, entry.content.to_vec())),
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }

    /// The members that the index names, and those that it does not.
    fn members(
        &mut self,
        index: &ArchiveIndex,
        files: &mut BTreeMap<String, Entry<'_>>,
        strays: &mut Vec<(usize, &[u8])>,
    ) {
        let mut seen = BTreeSet::new();
        for member in &index.members {
            let name = member.name();
            if !seen.insert(member.digest) {
                self.wrong(&name, FindingKind::Contradicts, "twice in the index", "once");
                continue;
            }
            let Some(entry) = files.remove(&name) else {
                self.hidden(member, &name, strays);
                continue;
            };
            if entry.size != member.packed {
                let (found, expected) =
                    (format!("{} packed bytes", entry.size), format!("{}", member.packed));
                self.wrong(&name, FindingKind::Damaged, found, expected);
            }
            if self.is_whole(&name, &entry) {
                self.content(&name, member.digest, Some(member.bytes), entry.content);
            }
        }
        for name in files.keys() {
            self.wrong(name, FindingKind::Additional, "a member", "none that is not in the index");
        }
    }

    /// A member that no header leads to: it is missing, or its header is damaged, and
    /// its content is where nothing else is.
    fn hidden(&mut self, member: &Member, name: &str, strays: &mut Vec<(usize, &[u8])>) {
        let packed = usize::try_from(member.packed).unwrap_or(usize::MAX);
        let length = padded(packed).saturating_add(BLOCK);
        let most = member.bytes.min(MEMBER_BYTES_MAX);
        let found = strays.iter().position(|(_, bytes)| {
            if bytes.len() != length || self.looked_for >= LOOKED_FOR_MAX {
                return false;
            }
            self.looked_for = self.looked_for.saturating_add(1);
            let content = bytes.get(BLOCK..).and_then(|rest| rest.get(..packed));
            content
                .and_then(|content| unpack(content, most).ok())
                .is_some_and(|content| Digest::of(&content) == member.digest)
        });
        let Some(place) = found else {
            self.wrong(name, FindingKind::Missing, "no such member", "what the index names");
            return;
        };
        let (_, bytes) = strays.swap_remove(place);
        self.wrong(name, FindingKind::Damaged, "a damaged header", "one; its content is whole");
        if let Some(content) = bytes.get(BLOCK..).and_then(|rest| rest.get(..packed)) {
            self.content(name, member.digest, Some(member.bytes), content);
        }
    }

    /// Members by their names alone, which say their digests.
    fn without_index(&mut self, files: &BTreeMap<String, Entry<'_>>) {
        for (name, entry) in files {
            let Some((_, digest)) = Member::named(name) else {
                let expected = "a name of a member of an archive";
                self.wrong(name, FindingKind::Additional, "a member", expected);
                continue;
            };
            self.found = self.found.saturating_add(1);
            if self.is_whole(name, entry) {
                self.content(name, digest, None, entry.content);
            }
        }
    }

    fn is_whole(&mut self, name: &str, entry: &Entry<'_>) -> bool {
        let there = entry.content.len() as u64;
        if there == entry.size {
            return true;
        }
        let expected = format!("{}: the archive is cut off", entry.size);
        self.wrong(name, FindingKind::Damaged, format!("{there} bytes"), expected);
        false
    }

    /// Unpacks a member, no further than its content may be large, and compares it
    /// with its digest.
    fn content(&mut self, name: &str, digest: Digest, bytes: Option<u64>, packed: &[u8]) {
        let left = CONTENTS_BYTES_MAX.saturating_sub(self.unpacked);
        let allowed = MEMBER_BYTES_MAX.min(left);
        let said = bytes.unwrap_or(allowed);
        let most = said.min(allowed);
        let content = match unpack(packed, most) {
            Ok(content) if said <= allowed => content,
            Ok(_) | Err(Unpack::Longer) => {
                let found = format!("more than {most} bytes of content");
                let expected = match bytes {
                    Some(said) if said <= allowed => {
                        format!("the {said} bytes that the index says")
                    }
                    _ => format!(
                        "at most {MEMBER_BYTES_MAX}, and {CONTENTS_BYTES_MAX} of all members"
                    ),
                };
                return self.wrong(name, FindingKind::TooLarge, found, expected);
            }
            Err(Unpack::Damaged(why)) => {
                let found = format!("what can't be unpacked ({why})");
                let expected = format!("content with the digest {digest}");
                return self.wrong(name, FindingKind::Damaged, found, expected);
            }
        };
        let found = Digest::of(&content);
        if found != digest {
            let found = format!("content with the digest {found}");
            return self.wrong(name, FindingKind::Damaged, found, digest.to_string());
        }
        self.unpacked = self.unpacked.saturating_add(content.len() as u64);
        self.sound = self.sound.saturating_add(1);
        self.contents.insert(digest, content);
    }

    fn finish(mut self, index: Option<ArchiveIndex>, index_bytes: Vec<u8>) -> Archive {
        let mut verified = match &index {
            Some(index) => {
                self.findings.extend(check(index, &self.contents));
                Verified::of(index, Digest::of(&index_bytes))
            }
            None => Verified { members: self.found, ..Verified::unknown() },
        };
        verified.sound = self.sound;
        verified.bytes = self.unpacked;
        self.findings.truncate(FINDINGS_MAX);
        verified.findings = self.findings;
        Archive { verified, index, index_bytes, contents: self.contents }
    }
}

/// Why a member can't be unpacked.
enum Unpack {
    /// It is longer than it may be.
    Longer,
    /// It is no compressed content.
    Damaged(String),
}

/// Unpacks at most so many bytes.
fn unpack(packed: &[u8], most: u64) -> Result<Vec<u8>, Unpack> {
    let damaged = |error: std::io::Error| Unpack::Damaged(error.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let decoder = decoder.single_frame();
    let mut content = Vec::new();
    let mut limited = decoder.take(most.saturating_add(1));
    limited.read_to_end(&mut content).map_err(damaged)?;
    if content.len() as u64 > most {
        return Err(Unpack::Longer);
    }
    // What comes after the frame belongs to nothing.
    let rest = limited.into_inner().finish();
    if !rest.is_empty() {
        return Err(Unpack::Damaged(format!("{} bytes after its content", rest.len())));
    }
    Ok(content)
}

/// A name as it can be shown: whoever made the archive chose it.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
