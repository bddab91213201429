//! Messages as bytes: ours are what the RFC says, theirs may be anything.

use crate::hostname::parse;
use crate::message::{Change, Prerequisite, RECORDS_MAX, query, read, update};
use crate::tsig::Key;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use proptest::prelude::*;
use std::collections::BTreeSet;

const ID: u16 = 0x1234;

/// A question for `a.b A`, as bytes.
fn asked() -> Vec<u8> {
    query(ID, &parse("", "a.b").unwrap(), Rtype::A).unwrap()
}

/// An answer to it with these records.
fn answer(records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = asked();
    bytes[2] = 0x84;
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    records.iter().for_each(|record| bytes.extend(*record));
    bytes
}

/// A record whose name is the question's, by a pointer.
const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x0a";

#[test]
fn a_query_is_what_rfc_1035_says() {
    assert_eq!(asked(), b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x01a\x01b\0\0\x01\0\x01");
}

#[test]
fn an_update_is_what_rfc_2136_says() {
    let name = parse("", "a.b").unwrap();
    let bytes = update(
        ID,
        &parse("", "b").unwrap(),
        &[
            Prerequisite::NameNotInUse(name.clone()),
            Prerequisite::Absent(name.clone(), Rtype::CNAME),
            Prerequisite::Exactly(name.clone(), Rtype::A, BTreeSet::from([vec![192, 0, 2, 1]])),
        ],
        &[
            Change::RemoveAll(name.clone(), Rtype::AAAA),
            Change::Remove(name.clone(), Rtype::TXT, vec![1, b'x']),
            Change::Add(name, Rtype::A, 60, vec![192, 0, 2, 2]),
        ],
    );
    let mut expected: Vec<u8> = b"\x12\x34\x28\0\0\x01\0\x03\0\x03\0\0\x01b\0\0\x06\0\x01".into();
    let name = b"\x01a\x01b\0";
    for rest in [
        b"\0\xff\0\xfe\0\0\0\0\0\0".as_slice(),
        b"\0\x05\0\xfe\0\0\0\0\0\0",
        b"\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01",
        b"\0\x1c\0\xff\0\0\0\0\0\0",
        b"\0\x10\0\xfe\0\0\0\0\0\x02\x01x",
        b"\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x02",
    ] {
        expected.extend(name);
        expected.extend(rest);
    }
    assert_eq!(bytes.unwrap(), expected);
}

#[test]
fn an_answer_is_read() {
    let read = read(&asked(), &answer(&[ADDRESS])).unwrap();
    assert_eq!((read.rcode, read.authoritative), (Rcode::NOERROR, true));
    let record = &read.records[0];
    assert_eq!((record.name.to_string(), record.ttl), ("a.b".to_owned(), 60));
    assert_eq!((record.rtype, record.data.as_slice()), (Rtype::A, [192, 0, 2, 10].as_slice()));
}

#[test]
fn an_alias_is_whole_and_in_lower_case() {
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01X\xc0\x0e";
    let read = read(&asked(), &answer(&[alias])).unwrap();
    assert_eq!(read.records[0].data, b"\x01x\x01b\0");
}

#[test]
fn what_is_no_answer_to_the_request_is_refused() {
    let good = answer(&[ADDRESS]);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        read(&asked(), &bytes).unwrap_err().to_string()
    };
    assert_eq!(changed(0, 0x13), "it is for another request");
    assert_eq!(changed(2, 0x04), "it is no answer");
    assert_eq!(changed(2, 0xac), "it is no answer");
    assert!(changed(2, 0x86).contains("cut"));
    assert_eq!(changed(13, b'z'), "it is for another question");
    // The number of records says one more, and one less, than there are.
    assert_eq!(changed(7, 2), "a record in it is garbled");
    assert_eq!(changed(7, 0), "there is something after its end");
    for end in 0..good.len() {
        read(&asked(), &good[..end]).unwrap_err();
    }
}

#[test]
fn pointers_lead_nowhere_else_than_back() {
    let rest = &ADDRESS[2..];
    let with_name = |name: &[u8]| {
        let record = [name, rest].concat();
        read(&asked(), &answer(&[&record]))
    };
    let at = u8::try_from(asked().len()).unwrap();
    with_name(&[0xc0, 0x0c]).unwrap();
    // To itself, forward, into the middle of nothing, two that point at each other.
    for name in [[0xc0, at], [0xc0, at + 2], [0xff, 0xff]] {
        with_name(&name).unwrap_err();
    }
    with_name(&[1, b'a', 0xc0, at]).unwrap_err();
    with_name(&[0xc0, at + 2, 0xc0, at]).unwrap_err();
    // A reserved kind of label.
    with_name(&[0x80, 0x0c]).unwrap_err();
}

#[test]
fn a_name_made_longer_by_pointers_stays_within_255_bytes() {
    // Each record's name is a label and the one before: the 130th is too long.
    let mut bytes = asked();
    let mut before = 12;
    for _ in 0..130_u16 {
        let here = u16::try_from(bytes.len()).unwrap();
        bytes.extend([1, b'x']);
        bytes.extend((0xc000_u16 | before).to_be_bytes());
        bytes.extend(&ADDRESS[2..]);
        before = here;
    }
    bytes[2] = 0x84;
    bytes[6..8].copy_from_slice(&130_u16.to_be_bytes());
    assert_eq!(read(&asked(), &bytes).unwrap_err().to_string(), "a record in it is garbled");
}

#[test]
fn an_answer_has_so_many_records_and_no_more() {
    let many = vec![ADDRESS; RECORDS_MAX];
    assert_eq!(read(&asked(), &answer(&many)).unwrap().records.len(), RECORDS_MAX);
    let more = vec![ADDRESS; RECORDS_MAX + 1];
    assert!(read(&asked(), &answer(&more)).unwrap_err().to_string().contains("more records"));
}

proptest! {
    #[test]
    fn bytes_of_strangers_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = read(&asked(), &bytes);
        let key = Key::sha256("deployd", b"some bytes").unwrap();
        let _ = key.verify(&bytes, &[0; 32], 1_800_000_000);
    }

    #[test]
    fn so_are_answers_with_changed_bytes(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let key = Key::sha256("deployd", b"some bytes").unwrap();
        let mut bytes = answer(&[ADDRESS, ADDRESS]);
        key.sign(&mut bytes, 1_800_000_000).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = read(&asked(), &bytes);
        let _ = key.verify(&bytes, &[0; 32], 1_800_000_000);
    }
}
