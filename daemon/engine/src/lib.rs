//! Drives the state machine: effects, retries, recovery, outbox.
