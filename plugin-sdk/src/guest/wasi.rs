//! What drivers and checks use of WASI 0.2, as far as they use it.

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

use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::random::random;
use std::time::Duration;

pub(super) fn elapsed() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}

pub(super) fn random(count: usize) -> Vec<u8> {
    random::get_random_bytes(u64::try_from(count).unwrap_or(u64::MAX))
}
