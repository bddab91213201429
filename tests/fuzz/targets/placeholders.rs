//! Placeholders in Score files.
#![no_main]

use deployd_core::score::{Segment, expand, parse, references};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let segments = parse(text);
    let placeholders = segments.iter().filter(|one| matches!(one, Segment::Placeholder(_))).count();
    assert_eq!(references(text).len(), placeholders);
    for pair in segments.windows(2) {
        let both = matches!(pair, [Segment::Text(_), Segment::Text(_)]);
        assert!(!both, "one text in two parts");
    }
    for reference in references(text) {
        let _ = reference.root();
    }
    // What is put in is not looked at again, whatever it looks like.
    let put = "${metadata.name}";
    let expanded = expand(text, &|_| Ok(Value::String(put.to_owned())));
    if let Ok(expanded) = expanded {
        assert!(expanded.matches(put).count() >= placeholders);
        if !text.contains('$') {
            assert_eq!(expanded, text);
        }
    }
});
