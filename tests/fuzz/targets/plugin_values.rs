//! Values that come from plugins: whatever one returns, it is taken within its
//! limits or refused, and what is taken holds no secret and refers to none that
//! the call did not know.
#![no_main]

// The files themselves: their crate has a runtime for Wasm, which would be
// instrumented too.
#[path = "../../../daemon/host/src/document.rs"]
#[allow(dead_code)]
mod document;
#[path = "../../../daemon/host/src/limits.rs"]
#[allow(dead_code)]
mod limits;
/// What a call takes of a processor, which nobody asks for here.
mod lanes {
    pub(crate) fn thread_cpu() -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
#[path = "../../../daemon/host/src/record.rs"]
#[allow(dead_code)]
mod record;

use deployd_core::secret::{SecretRef, references};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Long enough to be looked for.
const SECRET: &str = "canary-7d1f-0a";

fuzz_target!(|text: &str| {
    let record = record::CallRecord::default();
    record.keep_secret(SECRET.as_bytes());
    let own = SecretRef { owner: "own".to_owned(), name: "password".to_owned() };
    let mut known = document::Known { owner: Some("own".to_owned()), ..Default::default() };
    known.text("\u{27e6}secret:operator/granted\u{27e7}");
    let known = known;
    let may = |found: &SecretRef| found.owner == own.owner || known.secrets.contains(found);

    let mut reader = document::Reader::new(&record, &known);
    if let Ok(document) = reader.document("the document", text) {
        assert!(references(&document).iter().all(may), "a foreign secret in {document}");
        assert!(!strings(&document).iter().any(|text| text.contains(SECRET)), "{document}");
        let written = serde_json::to_string(&document).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Value>(&written).ok(), Some(document));
    }
    let mut reader = document::Reader::new(&record, &known);
    if let Ok(text) = reader.text("the text", text.to_owned()) {
        assert!(!text.contains(SECRET), "{text}");
    }
    let mut reader = document::Reader::new(&record, &known);
    if let Ok(message) = reader.message("the message", text.to_owned()) {
        assert!(!message.contains(SECRET), "{message}");
    }
    let mut reader = document::Reader::new(&record, &known);
    let _ = reader.bytes("the bytes", text.as_bytes().to_vec());
});

/// Every text in a document, keys too.
fn strings(document: &Value) -> Vec<&str> {
    match document {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                let mut all = strings(value);
                all.push(key);
                all
            })
            .collect(),
        _ => Vec::new(),
    }
}
