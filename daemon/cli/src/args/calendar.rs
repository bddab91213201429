//! Arguments of commands about calendars and schedules.

use std::str::FromStr;

use clap::{Args, Subcommand};
use deployd_core::calendar::{Month, zone_is_known};
use deployd_core::deployment::Schedule;
use deployd_core::subject::{Moment, ago_of};
use deployd_core::{EnvironmentId, Name, SlotId, Timestamp};

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
#[derive(Debug, Clone, Default, Args)]
pub struct Scheduling {
    /// Begin not before then: 2026-12-01T06:00 (UTC), 2026-12-01T06:00+01:00, or 12h from now. It
    /// is not followed, unless --watch is given
    #[arg(long, value_name = "TIME")]
    pub at: Option<Upcoming>,
    /// Do not begin any more from then on: it ends as cancelled
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Upcoming>,
    /// Begin in this slot, which `deployd calendar slot request` has asked for, and not after it. It
    /// is not followed, unless --watch is given
    #[arg(long, value_name = "ID")]
    pub slot: Option<SlotId>,
}

impl Scheduling {
    /// As of now.
    pub fn schedule(&self, now: Timestamp) -> Schedule {
        let at = |time: Option<Upcoming>| time.map(|time| time.at(now));
        Schedule { not_before: at(self.at), expires: at(self.expires), slot: self.slot.clone() }
    }

    /// Whether it begins another day.
    pub fn is_later(&self) -> bool {
        self.at.is_some() || self.slot.is_some()
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
    /// Print what is closed, asked for, planned and done as iCalendar, for other programs
    Feed(CalendarFeedArgs),
    /// Ask for a time in an environment, and grant it to others
    #[command(subcommand)]
    Slot(SlotCommand),
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

/// Times in environments that somebody asks for, and somebody else grants.
#[derive(Debug, Clone, Subcommand)]
pub enum SlotCommand {
    /// Ask for a slot
    Request(SlotRequestArgs),
    /// Grant a slot to who has asked for it
    Grant(SlotAnswerArgs),
    /// Refuse a slot
    Refuse(SlotRefuseArgs),
    /// Take a slot back: your own, or one that you may grant
    Withdraw(SlotAnswerArgs),
    /// List slots
    List(SlotListArgs),
}

/// Ask for a slot.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
While it lasts, and once somebody else has granted it, it is open for what you deploy with --slot,
whatever calendars say, and closed for all other deployments there. Going back is exempt.

Examples:
  deployd calendar slot request shop/production --from 2026-12-24T06:00+01:00 --for 2h -m 'new prices'
  deployd calendar slot request shop/production --from 12h --for 30min -m 'the database moves'")]
pub struct SlotRequestArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// From when: 2026-12-01T06:00 (UTC), 2026-12-01T06:00+01:00, or 12h from now
    #[arg(long, value_name = "TIME")]
    pub from: Upcoming,
    /// How long: 30min, 2h, 3d at most
    #[arg(long = "for", value_name = "DURATION", value_parser = lasting)]
    pub lasts_ms: u64,
    /// What for: who grants it reads it, and everybody whose deployment waits meanwhile
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: String,
}

/// Grant a slot, or take it back.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Nobody grants their own. What waits for a slot that is taken back ends as cancelled.

Examples:
  deployd calendar slot grant 01m8296wc283v7p0evd1pt9hka
  deployd calendar slot withdraw 01m8296wc283v7p0evd1pt9hka -m 'the prices are not ready'")]
pub struct SlotAnswerArgs {
    /// The slot
    #[arg(value_name = "ID")]
    pub id: SlotId,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Refuse a slot.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What waits for it ends as cancelled.

Examples:
  deployd calendar slot refuse 01m8296wc283v7p0evd1pt9hka -m 'the auditors are here'")]
pub struct SlotRefuseArgs {
    /// The slot
    #[arg(value_name = "ID")]
    pub id: SlotId,
    /// Why, for who has asked for it
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: String,
}

/// List slots.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd calendar slot list
  deployd calendar slot list --environment shop/production --all
  deployd calendar slot list --application shop -o json")]
pub struct SlotListArgs {
    /// Only of this environment, as application/environment
    #[arg(long, short = 'e', value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// Only of this application
    #[arg(long, value_name = "APP")]
    pub application: Option<Name>,
    /// Also those that are over, were refused, or withdrawn
    #[arg(long)]
    pub all: bool,
}

fn lasting(text: &str) -> Result<u64, String> {
    ago_of(text).ok_or_else(|| "expected how long, like 30min, 2h or 1d".to_owned())
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
