//! Archives, as somebody may send them: whatever the bytes are, reading them ends,
//! takes no more memory than it may, and gives no content that is not what its name
//! says. An archive that was sound and was changed is found out, or has the same
//! contents.
#![no_main]

use std::sync::LazyLock;

use deployd_archive::{Archive, Content, read, write};
use deployd_core::Digest;
use deployd_core::archive::{ArchiveIndex, FORMAT, Made, MemberKind};
use libfuzzer_sys::fuzz_target;

fn sample() -> Vec<u8> {
    let contents: Vec<Content> = [&b"\0asm"[..], b"id = \"x\"", &[7; 1_000]]
        .into_iter()
        .map(|bytes| Content {
            kind: MemberKind::Plugin,
            digest: Digest::of(bytes),
            bytes: bytes.to_vec(),
        })
        .collect();
    let made = Made {
        deployd: "0.1.0".to_owned(),
        installation: Digest::of(b"here"),
        at: deployd_core::Timestamp(0),
    };
    let index = ArchiveIndex {
        format: FORMAT,
        made,
        deployments: Vec::new(),
        plugins: Vec::new(),
        members: Vec::new(),
        absent: Vec::new(),
    };
    write(index, &contents).expect("a small archive")
}

static SOUND: LazyLock<(Vec<u8>, Archive)> = LazyLock::new(|| {
    let bytes = sample();
    let archive = read(&bytes);
    (bytes, archive)
});

fuzz_target!(|bytes: &[u8]| {
    let found = read(bytes);
    for (digest, content) in &found.contents {
        assert_eq!(Digest::of(content), *digest);
    }
    // The same bytes as changes of an archive: a place and what is there then.
    let (whole, sound) = &*SOUND;
    let mut changed = whole.clone();
    for change in bytes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[place] ^= change[2];
    }
    let found = read(&changed);
    // It has no deployment, and that alone is wrong with it.
    if found.verified.findings == sound.verified.findings {
        assert_eq!(found.contents, sound.contents);
    }
});
