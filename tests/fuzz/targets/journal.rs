//! Events of a journal, as an export has them, a line each: what is no event is
//! refused; what is one is the same after it was written and read again; and a
//! chain of them holds until anything in it is changed (I9).
#![no_main]

use deployd_core::Digest;
use deployd_core::journal::{
    EventRecord, Head, NewEvent, StreamId, Version, chain, genesis, verify_chain,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut events: Vec<NewEvent> = Vec::new();
    for line in text.lines() {
        if let Ok(record) = serde_json::from_str::<EventRecord>(line) {
            let written = serde_json::to_string(&record).expect("a record is JSON");
            let again: EventRecord = serde_json::from_str(&written).expect("what we wrote");
            assert_eq!(again, record);
            let head = Head { version: Version(0), hash: record.previous };
            let _ = verify_chain(&record.stream, head, std::slice::from_ref(&record));
            events.push(record.event);
        } else if let Ok(event) = serde_json::from_str::<NewEvent>(line) {
            events.push(event);
        }
    }

    let stream = StreamId("fuzz".to_owned());
    let start = Head { version: Version(0), hash: genesis(&stream) };
    let mut previous = start.hash;
    let mut records = Vec::new();
    for (event, version) in events.into_iter().zip(1..) {
        let hash = chain(&stream, Version(version), previous, &event).expect("an event is JSON");
        let (stream, version) = (stream.clone(), Version(version));
        records.push(EventRecord { stream, version, event, previous, hash });
        previous = hash;
    }
    let head = verify_chain(&stream, start, &records).expect("our own chain");
    assert_eq!(head.hash, previous);
    for changed in 0..records.len() {
        let mut records = records.clone();
        let record = records.get_mut(changed).expect("it is there");
        record.event.kind.push('!');
        assert!(verify_chain(&stream, start, &records).is_err(), "a change was not seen");
        let record = records.get_mut(changed).expect("it is there");
        record.previous = Digest::of(b"another");
        assert!(verify_chain(&stream, start, &records).is_err(), "a change was not seen");
    }
});
