//! Recurrence rules of RFC 5545, as they are written.

use jiff::Timestamp as Instant;
use jiff::civil::{Date, DateTime, Weekday};

/// The most that a rule skips: every thousandth day.
const INTERVAL_MAX: u32 = 1_000;

/// The most often that a rule with `COUNT` comes: daily for some years. It is
/// counted from its beginning each time.
const COUNT_MAX: u32 = 2_000;

/// The most often that a window begins in a day.
const TIMES_MAX: usize = 24;

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found}, expected {expected}")]
pub(super) struct WrongRule {
    pub(super) found: String,
    pub(super) expected: String,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// When a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// With the end of this day.
    Day(Date),
    /// With this local time.
    Local(DateTime),
    /// With this time.
    Utc(Instant),
}

/// A rule; lists are sorted, and empty when they are not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) frequency: Frequency,
    pub(super) interval: u32,
    pub(super) count: Option<u32>,
    pub(super) until: Option<Until>,
    pub(super) months: Vec<i16>,
    pub(super) weeks: Vec<i16>,
    pub(super) year_days: Vec<i16>,
    pub(super) month_days: Vec<i16>,
    /// Which of its kind in the month or year, or every one of them, 0.
    pub(super) weekdays: Vec<(i16, Weekday)>,
    pub(super) hours: Vec<i16>,
    pub(super) minutes: Vec<i16>,
    pub(super) positions: Vec<i16>,
    pub(super) week_start: Weekday,
}

impl Rule {
    /// Reads a rule, with or without `RRULE:` before it.
    pub(super) fn parse(text: &str) -> Result<Self, WrongRule> {
        let upper = text.trim().to_ascii_uppercase();
        let parts = upper.strip_prefix("RRULE:").unwrap_or(&upper);
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            until: None,
            months: Vec::new(),
            weeks: Vec::new(),
            year_days: Vec::new(),
            month_days: Vec::new(),
            weekdays: Vec::new(),
            hours: Vec::new(),
            minutes: Vec::new(),
            positions: Vec::new(),
            week_start: Weekday::Monday,
        };
        let mut seen: Vec<&str> = Vec::new();
        for part in parts.split(';') {
            let Some((name, value)) = part.split_once('=') else {
                return wrong(part, "parts like FREQ=WEEKLY, separated by \";\"");
            };
            if seen.contains(&name) {
                return wrong(part, &format!("{name} once"));
            }
            seen.push(name);
            rule.part(name, value)?;
        }
        if !seen.contains(&"FREQ") {
            return wrong(text, "FREQ=DAILY, WEEKLY, MONTHLY or YEARLY among its parts");
        }
        rule.fits()?;
        Ok(rule)
    }

    fn part(&mut self, name: &str, value: &str) -> Result<(), WrongRule> {
        match name {
            "FREQ" => self.frequency = frequency(value)?,
            "INTERVAL" => self.interval = number(name, value, INTERVAL_MAX)?,
            "COUNT" => self.count = Some(number(name, value, COUNT_MAX)?),
            "UNTIL" => self.until = Some(until(value)?),
            "BYMONTH" => self.months = numbers(name, value, 1, 12, false)?,
            "BYWEEKNO" => self.weeks = numbers(name, value, 1, 53, true)?,
            "BYYEARDAY" => self.year_days = numbers(name, value, 1, 366, true)?,
            "BYMONTHDAY" => self.month_days = numbers(name, value, 1, 31, true)?,
            "BYDAY" => {
                self.weekdays = value.split(',').map(day).collect::<Result<_, _>>()?;
            }
            "BYHOUR" => self.hours = numbers(name, value, 0, 23, false)?,
            "BYMINUTE" => self.minutes = numbers(name, value, 0, 59, false)?,
            "BYSETPOS" => self.positions = numbers(name, value, 1, 366, true)?,
            "WKST" => {
                self.week_start = weekday(value)
                    .map_or_else(|| wrong(&format!("WKST={value}"), "one of MO to SU"), Ok)?;
            }
            "BYSECOND" => {
                return wrong(&format!("BYSECOND={value}"), "no seconds: windows begin at minutes");
            }
            _ => {
                return wrong(
                    &format!("{name}={value}"),
                    "parts of RFC 5545: FREQ, INTERVAL, COUNT, UNTIL, BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE, BYSETPOS, WKST",
                );
            }
        }
        Ok(())
    }

    /// Whether its parts can stand together.
    fn fits(&self) -> Result<(), WrongRule> {
        use Frequency::{Daily, Monthly, Weekly, Yearly};
        let nth = self.weekdays.iter().any(|(nth, _)| *nth != 0);
        if self.count.is_some() && self.until.is_some() {
            return wrong("COUNT and UNTIL", "at most one of them");
        }
        if nth && matches!(self.frequency, Daily | Weekly) {
            return wrong("a numbered day in BYDAY", "one only with FREQ=MONTHLY or YEARLY");
        }
        if nth && !self.weeks.is_empty() {
            return wrong("a numbered day in BYDAY, and BYWEEKNO", "at most one of them");
        }
        if !self.weeks.is_empty() && self.frequency != Yearly {
            return wrong("BYWEEKNO", "it only with FREQ=YEARLY");
        }
        if !self.year_days.is_empty() && self.frequency != Yearly {
            return wrong("BYYEARDAY", "it only with FREQ=YEARLY");
        }
        if !self.month_days.is_empty() && self.frequency == Weekly {
            return wrong("BYMONTHDAY", "it with every FREQ but WEEKLY");
        }
        let is_by = [&self.months, &self.weeks, &self.year_days, &self.month_days, &self.hours]
            .iter()
            .any(|list| !list.is_empty())
            || !self.minutes.is_empty()
            || !self.weekdays.is_empty();
        if !self.positions.is_empty() && !is_by {
            return wrong("BYSETPOS", "another BY part beside it, to count among");
        }
        if self.hours.len().max(1) * self.minutes.len().max(1) > TIMES_MAX {
            return wrong(
                "BYHOUR and BYMINUTE",
                &format!("at most {TIMES_MAX} beginnings a day; let a window last longer instead"),
            );
        }
        let ordinal_max = if self.frequency == Monthly || !self.months.is_empty() { 5 } else { 53 };
        if self.weekdays.iter().any(|(nth, _)| nth.abs() > ordinal_max) {
            return wrong("BYDAY", &format!("numbers from 1 to {ordinal_max}"));
        }
        Ok(())
    }
}

fn wrong<T>(found: &str, expected: &str) -> Result<T, WrongRule> {
    Err(WrongRule { found: format!("{found:?}"), expected: expected.to_owned() })
}

fn frequency(value: &str) -> Result<Frequency, WrongRule> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "HOURLY" | "MINUTELY" | "SECONDLY" => wrong(
            &format!("FREQ={value}"),
            "DAILY at most; BYHOUR=9,13 has a window begin several times a day",
        ),
        _ => wrong(&format!("FREQ={value}"), "DAILY, WEEKLY, MONTHLY or YEARLY"),
    }
}

fn number(name: &str, value: &str, most: u32) -> Result<u32, WrongRule> {
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) && !value.starts_with('+') => Ok(number),
        _ => wrong(&format!("{name}={value}"), &format!("a number from 1 to {most}")),
    }
}

/// A list of numbers, sorted, none twice.
fn numbers(
    name: &str,
    value: &str,
    least: i16,
    most: i16,
    from_the_end: bool,
) -> Result<Vec<i16>, WrongRule> {
    let mut found = Vec::new();
    for text in value.split(',') {
        let fits = |number: &i16| {
            (least..=most).contains(number)
                || (from_the_end && (least..=most).contains(&number.saturating_neg()))
        };
        let Some(number) = text.parse().ok().filter(fits) else {
            let end = if from_the_end {
                format!(", or -{most} to -{least} from the end")
            } else {
                String::new()
            };
            return wrong(
                &format!("{name}={value}"),
                &format!("numbers from {least} to {most}{end}"),
            );
        };
        found.push(number);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

/// `FR`, `1FR`, `-1FR`.
fn day(text: &str) -> Result<(i16, Weekday), WrongRule> {
    let found = text.len().checked_sub(2).and_then(|at| text.split_at_checked(at));
    let read = found.and_then(|(nth, name)| {
        let nth = if nth.is_empty() { Some(0) } else { nth.parse().ok().filter(|n| *n != 0) };
        Some((nth?, weekday(name)?))
    });
    read.map_or_else(|| wrong(&format!("BYDAY={text}"), "days like MO, 1MO or -1FR"), Ok)
}

fn until(value: &str) -> Result<Until, WrongRule> {
    let utc = value.strip_suffix('Z');
    let read = match utc {
        Some(local) => DateTime::strptime("%Y%m%dT%H%M%S", local)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|time| Until::Utc(time.timestamp())),
        None if value.contains('T') => DateTime::strptime("%Y%m%dT%H%M%S", value).map(Until::Local),
        None => Date::strptime("%Y%m%d", value).map(Until::Day),
    };
    read.or_else(|_| {
        wrong(
            &format!("UNTIL={value}"),
            "a day or a time: 20261231, 20261231T170000, 20261231T160000Z",
        )
    })
}
