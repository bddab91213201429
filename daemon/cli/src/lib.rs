//! The client half of the binary.
