//! Where links lead: over the network, to servers that are real, and to some
//! that misbehave.

mod kv;
mod openbao;
mod stage;
