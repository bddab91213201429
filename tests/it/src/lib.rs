//! Black-box tests: see `tests/`.
