//! What drivers use of WASI 0.2, as far as they use it.

/// Generated from the part of the standard that is used here.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package deployd:sdk;

            world system {
                import wasi:random/random@0.2.0;
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-bytes: func(len: u64) -> list<u8>;
                }
            }
        ",
        world: "deployd:sdk/system",
        generate_all,
    });
}

use bindings::wasi::random::random;

pub(super) fn random(count: usize) -> Vec<u8> {
    random::get_random_bytes(u64::try_from(count).unwrap_or(u64::MAX))
}
