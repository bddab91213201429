use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use sha1_checked::{Digest as _, Sha1};

use super::{Keep, Object, Writer, read};
use crate::id::{Kind, ObjectId};

const ALL: Keep = Keep { blobs: true, bytes_max: 1_000_000 };

/// A pack that is made by hand.
struct Hand {
    bytes: Vec<u8>,
    count: u32,
}

impl Hand {
    fn new() -> Self {
        Self { bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(), count: 0 }
    }

    /// Adds an entry that says to have this size; gives where it stands.
    fn entry(&mut self, kind: u8, size: usize, base: &[u8], content: &[u8]) -> usize {
        let at = self.bytes.len();
        self.count += 1;
        let mut rest = size >> 4;
        let mut byte = kind << 4 | u8::try_from(size & 0x0f).unwrap();
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = u8::try_from(rest & 0x7f).unwrap();
            rest >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend_from_slice(base);
        let mut encoder = ZlibEncoder::new(&mut self.bytes, Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap();
        at
    }

    fn whole(&mut self, kind: u8, content: &[u8]) -> usize {
        self.entry(kind, content.len(), &[], content)
    }

    /// Adds a delta of what stands so far back.
    fn offset_delta(&mut self, base: usize, delta: &[u8]) -> usize {
        let mut back = self.bytes.len() - base;
        let mut digits = vec![u8::try_from(back & 0x7f).unwrap()];
        back >>= 7;
        while back > 0 {
            back -= 1;
            digits.push(u8::try_from(back & 0x7f).unwrap() | 0x80);
            back >>= 7;
        }
        digits.reverse();
        self.entry(6, delta.len(), &digits, delta)
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&self.count.to_be_bytes());
        sealed(self.bytes)
    }
}

fn sealed(mut pack: Vec<u8>) -> Vec<u8> {
    let trailer = Sha1::digest(&pack);
    pack.extend_from_slice(&trailer);
    pack
}

fn id(kind: Kind, content: &[u8]) -> ObjectId {
    ObjectId::of(kind, content).unwrap()
}

/// One byte more than the base, which is short.
fn appended(base: &[u8], byte: u8) -> Vec<u8> {
    let length = u8::try_from(base.len()).unwrap();
    vec![length, length + 1, 0x90, length, 1, byte]
}

fn contents(objects: &[Object]) -> Vec<&[u8]> {
    objects.iter().map(|object| &*object.content).collect()
}

#[test]
fn what_is_written_is_read() {
    let mut writer = Writer::new();
    let long = vec![7; 100_000];
    for (kind, content) in
        [(Kind::Blob, &b"a"[..]), (Kind::Tree, b""), (Kind::Blob, &long), (Kind::Blob, b"a")]
    {
        writer.add(id(kind, content), kind, content).unwrap();
    }
    let pack = writer.finish();
    let objects = read(&pack, ALL).unwrap();
    assert_eq!(contents(&objects), [&b"a"[..], b"", &long]);
    assert!(objects.iter().all(|object| object.id == id(object.kind, &object.content)));
    let trees = read(&pack, Keep { blobs: false, ..ALL }).unwrap();
    assert_eq!(contents(&trees), [b""]);
}

#[test]
fn deltas_are_applied_wherever_their_base_stands() {
    let mut hand = Hand::new();
    let base = id(Kind::Commit, b"base");
    // Before its base; and one of it, by its place.
    let early = hand.entry(7, 6, base.as_bytes(), &appended(b"base", b'1'));
    hand.offset_delta(early, &appended(b"base1", b'2'));
    let at = hand.whole(1, b"base");
    hand.offset_delta(at, &appended(b"base", b'3'));
    hand.entry(7, 6, base.as_bytes(), &appended(b"base", b'4'));
    let objects = read(&hand.finish(), ALL).unwrap();
    let mut found = contents(&objects);
    found.sort_unstable();
    assert_eq!(found, [&b"base"[..], b"base1", b"base12", b"base3", b"base4"]);
    assert!(objects.iter().all(|object| object.kind == Kind::Commit));
}

#[test]
fn a_delta_of_what_is_not_there_is_refused() {
    let mut hand = Hand::new();
    hand.entry(7, 6, id(Kind::Blob, b"elsewhere").as_bytes(), &appended(b"base", b'1'));
    assert_eq!(read(&hand.finish(), ALL).unwrap_err().code, "git-invalid");
    let mut hand = Hand::new();
    hand.entry(6, 6, &[100], &appended(b"base", b'1'));
    assert!(read(&hand.finish(), ALL).is_err());
    let mut hand = Hand::new();
    let own = hand.bytes.len();
    hand.offset_delta(own, &appended(b"base", b'1'));
    assert!(read(&hand.finish(), ALL).is_err());
}

#[test]
fn chains_of_deltas_end_somewhere() {
    let chain = |depth: usize| {
        let mut hand = Hand::new();
        let mut base = hand.whole(3, b"base");
        for _ in 0..depth {
            // The same four bytes, again and again.
            base = hand.offset_delta(base, &[4, 4, 0x90, 4]);
        }
        read(&hand.finish(), ALL)
    };
    assert_eq!(chain(4_095).unwrap().len(), 4_096);
    assert_eq!(chain(4_096).unwrap_err().code, "git-too-large");
}

#[test]
fn deltas_that_grow_are_stopped() {
    let mut hand = Hand::new();
    let base = hand.whole(2, &[0; 200]);
    // 200 bytes become 20,000, become 2,000,000.
    let copies = |from: usize, count: usize| {
        let mut delta = Vec::new();
        for mut size in [from, from * count] {
            while size > 0x7f {
                delta.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
                size >>= 7;
            }
            delta.push(u8::try_from(size).unwrap());
        }
        let [low, high, ..] = from.to_le_bytes();
        delta.extend([0xb0, low, high].repeat(count));
        delta
    };
    let larger = hand.offset_delta(base, &copies(200, 100));
    hand.offset_delta(larger, &copies(20_000, 100));
    assert_eq!(read(&hand.finish(), ALL).unwrap_err().code, "git-too-large");
}

#[test]
fn what_decompresses_to_more_than_it_says_is_refused() {
    for said in [0, 10, 100, 999_999] {
        let mut hand = Hand::new();
        hand.entry(2, said, &[], &vec![0; 500_000]);
        assert!(read(&hand.finish(), ALL).is_err(), "{said}");
        let mut hand = Hand::new();
        hand.entry(3, said, &[], &vec![0; 500_000]);
        assert!(read(&hand.finish(), Keep { blobs: false, ..ALL }).is_err(), "{said}");
    }
    // Together, too.
    let mut hand = Hand::new();
    for number in 0..3 {
        hand.whole(2, &vec![number; 400_000]);
    }
    assert_eq!(read(&hand.finish(), ALL).unwrap_err().code, "git-too-large");
}

proptest! {
    #[test]
    fn whatever_a_pack_is_it_is_read_or_refused(body: Vec<u8>, count in 0_u32..20) {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend(count.to_be_bytes());
        pack.extend(&body);
        let _ = read(&pack, ALL);
        let _ = read(&sealed(pack), ALL);
        let _ = read(&body, ALL);
    }

    #[test]
    fn a_damaged_pack_is_read_or_refused_within_limits(
        at in any::<prop::sample::Index>(), damage: u8, blobs: bool,
    ) {
        let mut hand = Hand::new();
        let base = hand.whole(2, b"some content that is long enough for a delta of it");
        let next = hand.offset_delta(base, &[50, 60, 0x90, 50, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        hand.offset_delta(next, &[60, 60, 0x90, 60]);
        hand.whole(3, b"a file");
        let mut pack = hand.finish();
        pack.truncate(pack.len() - 20);
        let at = at.index(pack.len());
        pack[at] = damage;
        if let Ok(objects) = read(&sealed(pack), Keep { blobs, bytes_max: 500 }) {
            prop_assert!(contents(&objects).concat().len() <= 500);
        }
    }
}
