//! Answers of name servers, to the driver `dns-rfc2136`: whatever one sends, it is
//! read within its limits or refused, and none is taken for genuine that the key
//! has not signed.
#![no_main]

use std::collections::BTreeSet;

use dns_rfc2136::message::{Change, HEADER, Prerequisite, RECORDS_MAX, query, read, update};
use dns_rfc2136::tsig::{Key, Verdict};
use domain::base::{Name, Rtype};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_800_000_000;

fuzz_target!(|bytes: &[u8]| {
    let key = Key::sha256("deployd", b"a key of the fuzzer").expect("a name");
    let name: Name<Vec<u8>> = Name::vec_from_str("shop.apps.example.com").expect("a name");
    // The two that decide whose the answer is come from the input too, so that
    // all the rest is reached.
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let asked = query(id, &name, Rtype::A).expect("it fits");
    let changed = update(id, &name, &[], &[]).expect("it fits");
    for request in [asked, changed] {
        for answer in [bytes.to_vec(), after_question(&request, bytes)] {
            if let Ok(read) = read(&request, &answer) {
                assert!(read.records.len() <= RECORDS_MAX);
                for record in &read.records {
                    assert!(record.name.len() <= 255);
                    again(&record.name, record.rtype, &record.data);
                }
            }
            let mac = [0; 32];
            let verdict = key.verify(&answer, &mac, NOW);
            assert_ne!(verdict, Ok(Verdict::Genuine), "nobody has signed it");
            // What is signed once more has one signature too many, or one.
            let mut signed = answer.clone();
            if key.sign(&mut signed, NOW).is_ok() && signed.len() > HEADER {
                let _ = key.verify(&signed, &mac, NOW);
                let _ = read_signed(&request, &signed);
            }
        }
    }
});

/// The input as what stands after the question.
fn after_question(request: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut answer = request.to_vec();
    if let (Some(flags), Some(given)) = (answer.get_mut(2..4), bytes.get(2..4)) {
        flags[0] |= 0x80 | (given[0] & 0x05);
        flags[1] = given[1] & 0x0f;
    }
    if let (Some(counts), Some(given)) = (answer.get_mut(6..HEADER), bytes.get(6..HEADER)) {
        counts.copy_from_slice(given);
    }
    answer.extend(bytes.get(HEADER..).unwrap_or_default());
    answer
}

/// What was read can be sent as it is.
fn again(name: &Name<Vec<u8>>, rtype: Rtype, data: &[u8]) {
    let set = BTreeSet::from([data.to_vec()]);
    let exactly = [Prerequisite::Exactly(name.clone(), rtype, set)];
    let removed = [Change::Remove(name.clone(), rtype, data.to_vec())];
    // It may not fit, which is told.
    let _ = update(1, name, &exactly, &removed);
}

fn read_signed(request: &[u8], signed: &[u8]) -> bool {
    read(request, signed).is_ok()
}
