//! Days of a month, as the clocks of a time zone have them.

use jiff::civil::Date;

use super::clock::{instant, local, plus_days, zone};
use super::spans::Span;
use crate::Timestamp;

/// A month of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    first: Date,
}

/// A day, and when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// 1 to 31.
    pub number: i8,
    /// From Monday, 0.
    pub weekday: i8,
    /// From its midnight to the next; 23 or 25 hours where clocks are changed.
    pub span: Span,
}

impl Month {
    /// The month in which a time is; none when there is no such zone.
    pub fn of(zone_name: &str, at: Timestamp) -> Option<Self> {
        Some(Self { first: local(&zone(zone_name)?, at).date().first_of_month() })
    }

    /// From a text like `2026-12`; none when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        let first = Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?;
        (1970..=2200).contains(&first.year()).then_some(Self { first })
    }

    /// `December 2026`.
    pub fn title(self) -> String {
        self.first.strftime("%B %Y").to_string()
    }

    /// Its days; none when there is no such zone.
    pub fn days(self, zone_name: &str) -> Option<Vec<Day>> {
        let zone = zone(zone_name)?;
        let midnight = |day: Date| instant(&zone, day.to_datetime(jiff::civil::Time::midnight()));
        let day = |offset: i8| {
            let date = plus_days(self.first, i64::from(offset));
            Day {
                number: date.day(),
                weekday: date.weekday().to_monday_zero_offset(),
                span: Span { from: midnight(date), to: midnight(plus_days(date, 1)) },
            }
        };
        Some((0..self.first.days_in_month()).map(day).collect())
    }
}

/// What the clocks of a time zone show at a time, to the minute: `2026-12-04 12:00`;
/// in UTC, and saying so, where there is no such zone.
pub fn local_text(zone_name: &str, at: Timestamp) -> String {
    match zone(zone_name) {
        Some(zone) => local(&zone, at).strftime("%Y-%m-%d %H:%M").to_string(),
        None => at.to_string(),
    }
}
