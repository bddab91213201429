//! Answers of S3-compatible servers, to the driver `object-store`: whatever one
//! sends, it is read within its limits or is a fault that can be shown.
#![no_main]

// The file itself: the rest of the plugin is for its sandbox.
#[path = "../../../plugins/object-store/src/answer.rs"]
#[allow(dead_code)]
mod answer;

use answer::{children, document, is, read, text_of};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::http::Response;
use deployd_plugin_sdk::testing::FakeHost;
use libfuzzer_sys::fuzz_target;

/// More than any fault says, whatever the server's own words are.
const FAULT_BYTES_MAX: usize = 4_096;

fuzz_target!(|bytes: &[u8]| {
    let Some((status, body)) = bytes.split_first_chunk() else { return };
    let status = u16::from_be_bytes(*status) % 600;
    let said = String::from_utf8_lossy(body.get(..40).unwrap_or(body)).into_owned();
    let headers = ["date", "retry-after", "x-amz-bucket-region"];
    let headers = headers.map(|name| (name.to_owned(), said.clone())).to_vec();
    let response = Response { status, headers, body: body.to_vec() };
    let fault = match read(&FakeHost::new(), response.clone()) {
        Ok(answer) => answer.done("asking the server").err(),
        Err(fault) => Some(fault),
    };
    fault.iter().for_each(can_be_shown);
    let found = document(&response, "reading the answer", |root| {
        let all = root.descendants().filter(|node| is(node, "Contents"));
        Some(
            all.flat_map(|node| text_of(&node, "Key").map(str::len)).sum::<usize>()
                + children(root, "Key").count(),
        )
    });
    match found {
        Ok(length) => assert!(length <= body.len() * 2, "more than was sent"),
        Err(fault) => can_be_shown(&fault),
    }
});

fn can_be_shown(fault: &Fault) {
    let text = fault.to_string();
    assert!(text.len() <= FAULT_BYTES_MAX, "{} bytes", text.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
