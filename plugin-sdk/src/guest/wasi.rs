//! What drivers use of WASI 0.2, as far as they use it.

mod http;

pub(super) use http::exchange;

/// Generated from the part of the standard that is used here.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "src/guest/wasi.wit",
        world: "deployd:sdk/system",
        generate_all,
    });
}

use bindings::wasi::random::random;

pub(super) fn random(count: usize) -> Vec<u8> {
    random::get_random_bytes(u64::try_from(count).unwrap_or(u64::MAX))
}
