//! When the clocks show what a rule asks for.

use jiff::civil::{Date, DateTime, Weekday};

use super::clock::plus_days;
use super::rule::{Frequency, Rule, Until};

/// A rule and where it begins, with what the rule leaves to its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    start: DateTime,
    rule: Rule,
    /// Times of a day, in order.
    times: Vec<jiff::civil::Time>,
}

/// How long a rule may leave out: a leap day comes within it, but for the one of 1900
/// or 2100.
const LOOKED_AT_DAYS: i64 = 4 * 366;

/// Some days that belong together: a day, a week, a month or a year.
struct Period {
    first: Date,
    days: i64,
}

impl Series {
    /// What the rule does not say is as at the beginning (RFC 5545, 3.3.10).
    pub(super) fn new(start: DateTime, mut rule: Rule) -> Self {
        let no_day = rule.weeks.is_empty()
            && rule.year_days.is_empty()
            && rule.month_days.is_empty()
            && rule.weekdays.is_empty();
        if no_day {
            match rule.frequency {
                Frequency::Yearly => {
                    if rule.months.is_empty() {
                        rule.months.push(i16::from(start.month()));
                    }
                    rule.month_days.push(i16::from(start.day()));
                }
                Frequency::Monthly => rule.month_days.push(i16::from(start.day())),
                Frequency::Weekly => rule.weekdays.push((0, start.weekday())),
                Frequency::Daily => {}
            }
        }
        let or = |list: &[i16], other: i8| {
            if list.is_empty() { vec![i16::from(other)] } else { list.to_vec() }
        };
        let minutes = or(&rule.minutes, start.minute());
        let time = |hour: i16, minute: i16| {
            jiff::civil::Time::new(hour.try_into().ok()?, minute.try_into().ok()?, 0, 0).ok()
        };
        let times = or(&rule.hours, start.hour())
            .into_iter()
            .flat_map(|hour| minutes.iter().filter_map(move |minute| time(hour, *minute)))
            .collect();
        Self { start, rule, times }
    }

    /// The instant after which it does not begin any more, where that is one.
    pub(super) fn until_utc(&self) -> Option<jiff::Timestamp> {
        match self.rule.until {
            Some(Until::Utc(at)) => Some(at),
            _ => None,
        }
    }

    /// Whether it does not begin in [`LOOKED_AT_DAYS`]: nobody has meant that.
    pub(super) fn never(&self) -> bool {
        let to = plus_days(self.start.date(), LOOKED_AT_DAYS).to_datetime(self.start.time());
        self.between(self.start, to).is_empty()
    }

    /// When it begins, from a local time until another, in order.
    pub(super) fn between(&self, from: DateTime, to: DateTime) -> Vec<DateTime> {
        let mut found = Vec::new();
        let mut left = self.rule.count;
        // What is counted is counted from the beginning.
        let first = if left.is_some() { 0 } else { self.period_of(from.date()) };
        for index in first.. {
            let period = self.period(index);
            if period.first.to_datetime(jiff::civil::Time::midnight()) >= to {
                break;
            }
            for at in self.within(&period) {
                if at < self.start {
                    continue;
                }
                let over = match self.rule.until {
                    Some(Until::Day(day)) => at.date() > day,
                    Some(Until::Local(last)) => at > last,
                    Some(Until::Utc(_)) | None => false,
                };
                if over || at >= to || left == Some(0) {
                    return found;
                }
                left = left.map(|left| left.saturating_sub(1));
                if at >= from {
                    found.push(at);
                }
            }
        }
        found
    }

    /// The beginning of the period in which the rule begins.
    fn base(&self) -> Date {
        let start = self.start.date();
        match self.rule.frequency {
            Frequency::Daily => start,
            Frequency::Weekly => week_of(start, self.rule.week_start),
            Frequency::Monthly => start.first_of_month(),
            Frequency::Yearly => start.first_of_year(),
        }
    }

    /// The last period that begins no later than a day; the first if there is none.
    fn period_of(&self, day: Date) -> i64 {
        let base = self.base();
        let units = match self.rule.frequency {
            Frequency::Daily => days_from(base, day),
            Frequency::Weekly => days_from(base, day).div_euclid(7),
            Frequency::Monthly => months(day) - months(base),
            Frequency::Yearly => i64::from(day.year()) - i64::from(base.year()),
        };
        units.div_euclid(i64::from(self.rule.interval)).max(0)
    }

    fn period(&self, index: i64) -> Period {
        let base = self.base();
        let by = index.saturating_mul(i64::from(self.rule.interval));
        match self.rule.frequency {
            Frequency::Daily => Period { first: plus_days(base, by), days: 1 },
            Frequency::Weekly => Period { first: plus_days(base, by.saturating_mul(7)), days: 7 },
            Frequency::Monthly => {
                let month = months(base).saturating_add(by);
                let year = i16::try_from(month.div_euclid(12)).unwrap_or(i16::MAX);
                let month = i8::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
                let first = Date::new(year, month, 1).unwrap_or(Date::MAX);
                Period { first, days: i64::from(first.days_in_month()) }
            }
            Frequency::Yearly => {
                let year = i64::from(base.year()).saturating_add(by);
                let year = i16::try_from(year).unwrap_or(i16::MAX);
                let first = Date::new(year, 1, 1).unwrap_or(Date::MAX);
                Period { first, days: i64::from(first.days_in_year()) }
            }
        }
    }

    /// When it begins within a period, in order.
    fn within(&self, period: &Period) -> Vec<DateTime> {
        let days = (0..period.days).map(|offset| plus_days(period.first, offset));
        let all: Vec<DateTime> = days
            .filter(|day| self.fits(*day))
            .flat_map(|day| self.times.iter().map(move |time| day.to_datetime(*time)))
            .collect();
        if self.rule.positions.is_empty() {
            return all;
        }
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let chosen = |place: usize| {
            let from_front = i64::try_from(place).unwrap_or(i64::MAX).saturating_add(1);
            self.rule.positions.iter().any(|position| {
                let position = i64::from(*position);
                position == from_front || position == from_front - count - 1
            })
        };
        all.into_iter().enumerate().filter(|(place, _)| chosen(*place)).map(|(_, at)| at).collect()
    }

    /// Whether a day is one that the rule asks for.
    fn fits(&self, day: Date) -> bool {
        let rule = &self.rule;
        let of_month = (i16::from(day.day()), i16::from(day.days_in_month()));
        let of_year = (day.day_of_year(), day.days_in_year());
        (rule.months.is_empty() || rule.months.contains(&i16::from(day.month())))
            && listed(&rule.month_days, of_month)
            && listed(&rule.year_days, of_year)
            && (rule.weeks.is_empty() || listed(&rule.weeks, week_number(day, rule.week_start)))
            && (rule.weekdays.is_empty()
                || rule.weekdays.iter().any(|wanted| self.is_weekday(day, *wanted)))
    }

    fn is_weekday(&self, day: Date, (nth, weekday): (i16, Weekday)) -> bool {
        if day.weekday() != weekday || nth == 0 {
            return day.weekday() == weekday;
        }
        let of_month = self.rule.frequency == Frequency::Monthly || !self.rule.months.is_empty();
        let (place, count) = match of_month {
            true => (i16::from(day.day()), i16::from(day.days_in_month())),
            false => (day.day_of_year(), day.days_in_year()),
        };
        match nth > 0 {
            true => (place - 1) / 7 + 1 == nth,
            false => (count - place) / 7 + 1 == -nth,
        }
    }
}

/// Whether a place from 1 on is in a list, counted from the front or from the end.
fn listed(list: &[i16], (place, count): (i16, i16)) -> bool {
    list.is_empty() || list.contains(&place) || list.contains(&(place - count - 1))
}

/// The number of a day's week in the year that has most of it, and how many weeks
/// that year has.
fn week_number(day: Date, week_start: Weekday) -> (i16, i16) {
    // The year that has the fourth day of a week has most of its days.
    let fourth = plus_days(week_of(day, week_start), 3);
    let number = (fourth.day_of_year() - 1) / 7 + 1;
    let last = plus_days(week_of(fourth.last_of_year(), week_start), 3);
    let last = if last.year() == fourth.year() { last } else { plus_days(last, -7) };
    (number, (last.day_of_year() - 1) / 7 + 1)
}

/// The first day of a day's week.
fn week_of(day: Date, week_start: Weekday) -> Date {
    plus_days(day, -i64::from(week_start.until(day.weekday())))
}

fn days_from(from: Date, to: Date) -> i64 {
    from.until(to).map(|span| i64::from(span.get_days())).unwrap_or(0)
}

/// Months since the year 0.
fn months(day: Date) -> i64 {
    i64::from(day.year()) * 12 + i64::from(day.month()) - 1
}
