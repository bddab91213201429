//! The host from outside: good plugins, and those that misbehave on purpose.

mod hostile;
mod support;
