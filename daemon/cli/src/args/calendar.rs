//! Arguments of commands about calendars and schedules.

use std::str::FromStr;

use clap::{Args, Subcommand};
use deployd_core::calendar::{Month, zone_is_known};
use deployd_core::deployment::Schedule;
use deployd_core::subject::{Moment, ago_of};
use deployd_core::{EnvironmentId, Timestamp};

/// A point in time, or how long until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upcoming {
    /// A point in time.
    At(Timestamp),
    /// In so many milliseconds.
    In(u64),
}

impl Upcoming {
    /// The point, as of now.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(ms) => now.plus_ms(ms),
        }
    }
}

impl FromStr for Upcoming {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (ago_of(text), text.parse::<Moment>()) {
            (Some(ms), _) => Ok(Self::In(ms)),
            (None, Ok(Moment(at))) => Ok(Self::At(at)),
            (None, Err(error)) => Err(format!("{error}; or 30min, 12h, 7d or 4w from now")),
        }
    }
}

/// When something is to begin.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Scheduling {
    /// Begin not before then: 2026-12-01T06:00 (UTC), 2026-12-01T06:00+01:00, or 12h from now. It
    /// is not followed, unless --watch is given
    #[arg(long, value_name = "TIME")]
    pub at: Option<Upcoming>,
    /// Do not begin any more from then on: it ends as cancelled
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Upcoming>,
}

impl Scheduling {
    /// As of now.
    pub fn schedule(self, now: Timestamp) -> Schedule {
        let at = |time: Option<Upcoming>| time.map(|time| time.at(now));
        Schedule { not_before: at(self.at), expires: at(self.expires) }
    }
}

/// What is closed, planned and done, as a month.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  deployd calendar
  deployd calendar --environment shop/production --month 2026-12
  deployd calendar check shop/production --at 2026-12-24T18:00
  deployd calendar stop -m 'payments are down'"
)]
pub struct CalendarArgs {
    /// Only of this environment, as application/environment
    #[arg(long, short = 'e', value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// The month: 2026-12 [default: this one]
    #[arg(long, value_name = "MONTH", value_parser = month)]
    pub month: Option<Month>,
    /// The time zone, by its IANA name [default: that of the first calendar]
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    pub time_zone: Option<String>,
    /// Or else another question.
    #[command(subcommand)]
    pub command: Option<CalendarCommand>,
}

/// A question about calendars, or the switch that stops the line.
#[derive(Debug, Clone, Subcommand)]
pub enum CalendarCommand {
    /// Say whether something may begin in an environment, until when, and why not
    Check(CalendarCheckArgs),
    /// Stop the line: nothing begins anywhere, until it goes on
    Stop(CalendarStopArgs),
    /// Have the line go on
    Resume(CalendarResumeArgs),
    /// Print what is closed, planned and done as iCalendar, for other programs
    Feed(CalendarFeedArgs),
}

/// Whether something may begin.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: 0 it is open, 18 it is closed.

Examples:
  deployd calendar check shop/production
  deployd calendar check shop/production --at 2026-12-24T18:00+01:00
  deployd calendar check shop/production && deployd deploy shop/production")]
pub struct CalendarCheckArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// When: 2026-12-01T06:00 (UTC), or 12h from now [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<Upcoming>,
    /// For going back to what ran before, and for healing drift
    #[arg(long)]
    pub rollback: bool,
}

/// Stop the line.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What has begun goes on; `deployd pause` and `deployd cancel` are for that. Who wants to go back can,
unless --rollbacks is given.

Examples:
  deployd calendar stop -m 'payments are down'
  deployd calendar stop -m 'the database is being moved' --rollbacks")]
pub struct CalendarStopArgs {
    /// Why: everybody whose deployment waits reads it
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: String,
    /// Have those wait as well who go back to what ran before, and what heals drift
    #[arg(long)]
    pub rollbacks: bool,
}

/// Have the line go on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd calendar resume
  deployd calendar resume -m 'payments are back'")]
pub struct CalendarResumeArgs {
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// The feed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The last month and the next quarter. The daemon has it at /v1/calendar.ics.

Examples:
  deployd calendar feed > deployments.ics
  deployd calendar feed --environment shop/production")]
pub struct CalendarFeedArgs {
    /// Only of this environment, as application/environment
    #[arg(long, short = 'e', value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
}

fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "expected a year and a month, like 2026-12".to_owned())
}

fn time_zone(text: &str) -> Result<String, String> {
    match zone_is_known(text) {
        true => Ok(text.to_owned()),
        false => Err("expected the IANA name of a time zone, like Europe/Berlin or UTC".to_owned()),
    }
}
