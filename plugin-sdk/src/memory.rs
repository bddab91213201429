//! The memory of a call.

/// Does away with a value that is needed no more.
///
/// Natively it is dropped. In the sandbox it is left as it is: all memory of a
/// call goes at once when the call ends, and to take a large value apart just
/// before that is time for nothing.
pub fn discard<T>(value: T) {
    if cfg!(target_family = "wasm") {
        std::mem::forget(value);
    }
}
