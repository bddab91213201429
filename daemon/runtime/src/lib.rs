//! Settings, wiring, signals, shutdown: the only crate that knows all the others.
