//! The contracts in `wit/` as Rust types: one file per contract and track. What
//! comes from a guest is checked here, on its way to the core's own types.

pub(crate) mod check_v0_1;
pub(crate) mod driver_v0_1;
pub(crate) mod host_v0_1;
pub(crate) mod notifier_v0_1;
pub(crate) mod notifier_v0_2;
pub(crate) mod policy_v0_1;
mod pure;
pub(crate) mod receiver_v0_1;
pub(crate) mod strategy_v0_1;
pub(crate) mod templater_v0_1;
