//! Exit codes: what scripts can tell outcomes by. The help documents them.

use deployd_core::deployment::Outcome;

/// Done.
pub const OK: u8 = 0;
/// What was asked failed.
pub const FAILED: u8 = 1;
/// The command line is wrong; clap uses the same.
pub const USAGE: u8 = 2;
/// The daemon can't be reached, or does not answer in time.
pub const UNREACHABLE: u8 = 3;
/// No token, a wrong one, or one that may not do this.
pub const UNAUTHORISED: u8 = 4;
/// There is no such thing.
pub const NOT_FOUND: u8 = 5;
/// The input is invalid.
pub const INVALID: u8 = 6;
/// It conflicts with what is.
pub const CONFLICT: u8 = 7;
/// The daemon failed, or answered what can't be understood.
pub const DAEMON: u8 = 8;
/// What is there differs from what was deployed, or what was compared differs.
pub const DIFFERS: u8 = 15;
/// Nothing was found to differ, and not everything could be compared.
pub const NOT_ALL_COMPARED: u8 = 16;
/// A rehearsal did not end as it was expected.
pub const UNMET: u8 = 17;
/// A calendar was asked, and it is closed.
pub const CLOSED: u8 = 18;
/// Policies refuse what is planned, or do not find what their tests expect.
pub const REFUSED: u8 = 19;
/// Interrupted from the keyboard: 128 and SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a deployment that was watched to its end.
pub fn of_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Succeeded => OK,
        Outcome::Failed => 10,
        Outcome::RolledBack => 11,
        Outcome::Cancelled => 12,
        Outcome::Superseded => 13,
        Outcome::NeedsOperator => 14,
    }
}
