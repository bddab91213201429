//! Rules, compared with another implementation, and those that are refused.

use jiff::civil::DateTime;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::occurrences::Series;
use super::super::rule::Rule;

/// The first occurrences, by ours and by the crate `rrule`, which steps from the
/// beginning. Both in UTC, whose clocks are never changed.
fn both(start: &str, rule: &str, until: &str) -> (Vec<String>, Vec<String>) {
    let begin: DateTime = start.parse().unwrap();
    let end: DateTime = until.parse().unwrap();
    let series = Series::new(begin, Rule::parse(rule).unwrap());
    let ours = series.between(begin, end);
    let text = format!("DTSTART:{}Z\nRRULE:{rule}", begin.strftime("%Y%m%dT%H%M%S"));
    let set: rrule::RRuleSet = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    let theirs = set.into_iter().map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string());
    let theirs: Vec<String> = theirs.take_while(|at| *at < end.to_string()).collect();
    (ours.iter().map(ToString::to_string).collect(), theirs)
}

#[test]
fn rules_of_rfc_5545_fire_as_it_says() {
    // 3.8.5.3, those that begin at most daily; with the days that it lists.
    let table: &[(&str, &str, &[&str])] = &[
        ("1997-09-02T09:00", "FREQ=DAILY;COUNT=3", &["09-02", "09-03", "09-04"]),
        ("1997-09-02T09:00", "FREQ=DAILY;INTERVAL=10;COUNT=3", &["09-02", "09-12", "09-22"]),
        (
            "1997-09-02T09:00",
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU;COUNT=3",
            &["09-02", "09-16", "09-30"],
        ),
        (
            "1997-09-02T09:00",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;WKST=SU;BYDAY=TU,TH",
            &["09-02", "09-04", "09-16", "09-18"],
        ),
        ("1997-09-05T09:00", "FREQ=MONTHLY;COUNT=2;BYDAY=1FR", &["09-05", "10-03"]),
        ("1997-09-22T09:00", "FREQ=MONTHLY;COUNT=3;BYDAY=-2MO", &["09-22", "10-20", "11-17"]),
        ("1997-09-28T09:00", "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=3", &["09-28", "10-29", "11-28"]),
        ("1997-05-12T09:00", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=1", &["05-12"]),
        (
            "1997-09-04T09:00",
            "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
            &["09-04", "10-07", "11-06"],
        ),
        (
            "1997-09-29T09:00",
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=3",
            &["09-29", "10-30", "11-27"],
        ),
        (
            "1997-08-05T09:00",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            &["08-05", "08-10", "08-19", "08-24"],
        ),
        (
            "1997-08-05T09:00",
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            &["08-05", "08-17", "08-19", "08-31"],
        ),
    ];
    for (start, rule, days) in table {
        let series = Series::new(start.parse().unwrap(), Rule::parse(rule).unwrap());
        let end = "1999-01-01T00:00".parse().unwrap();
        let found = series.between(start.parse().unwrap(), end);
        let found: Vec<String> = found.iter().map(|at| at.strftime("%m-%d").to_string()).collect();
        assert_eq!(found, *days, "{rule}");
    }
}

#[test]
fn a_rule_ends_with_its_last_day() {
    let ends = |until: &str| {
        let rule = Rule::parse(&format!("FREQ=DAILY;UNTIL={until}")).unwrap();
        let series = Series::new("2026-12-01T17:00".parse().unwrap(), rule);
        let end = "2027-01-01T00:00".parse().unwrap();
        series.between("2026-12-01T00:00".parse().unwrap(), end).len()
    };
    assert_eq!(ends("20261203"), 3);
    assert_eq!(ends("20261203T170000"), 3);
    assert_eq!(ends("20261203T165900"), 2);
}

#[test]
fn what_is_no_rule_or_is_never_meant_is_refused_by_its_part() {
    for (rule, found, expected) in [
        ("", "\"\"", "parts like"),
        ("WEEKLY", "\"WEEKLY\"", "parts like"),
        ("BYDAY=FR", "\"BYDAY=FR\"", "FREQ=DAILY"),
        ("FREQ=SECONDLY", "\"FREQ=SECONDLY\"", "BYHOUR"),
        ("FREQ=FORTNIGHTLY", "\"FREQ=FORTNIGHTLY\"", "DAILY, WEEKLY"),
        ("FREQ=DAILY;FREQ=DAILY", "\"FREQ=DAILY\"", "FREQ once"),
        ("FREQ=DAILY;INTERVAL=0", "\"INTERVAL=0\"", "1 to 1000"),
        ("FREQ=DAILY;INTERVAL=99999999999", "\"INTERVAL=99999999999\"", "1 to 1000"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20261231", "\"COUNT and UNTIL\"", "at most one"),
        ("FREQ=DAILY;UNTIL=tomorrow", "\"UNTIL=TOMORROW\"", "20261231"),
        ("FREQ=DAILY;UNTIL=20261331", "\"UNTIL=20261331\"", "20261231"),
        ("FREQ=WEEKLY;BYDAY=1FR", "\"a numbered day in BYDAY\"", "MONTHLY or YEARLY"),
        ("FREQ=WEEKLY;BYDAY=FRI", "\"BYDAY=FRI\"", "MO, 1MO"),
        ("FREQ=WEEKLY;BYDAY=é", "\"BYDAY=é\"", "MO, 1MO"),
        ("FREQ=MONTHLY;BYDAY=6MO", "\"BYDAY\"", "1 to 5"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "\"BYMONTHDAY=32\"", "from 1 to 31"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "\"BYMONTHDAY=0\"", "from 1 to 31"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "\"BYWEEKNO\"", "YEARLY"),
        ("FREQ=DAILY;BYSECOND=1", "\"BYSECOND=1\"", "minutes"),
        ("FREQ=DAILY;BYEASTER=0", "\"BYEASTER=0\"", "parts of RFC 5545"),
        ("FREQ=DAILY;BYSETPOS=1", "\"BYSETPOS\"", "another BY"),
        (
            "FREQ=DAILY;BYHOUR=0,6,12;BYMINUTE=0,5,10,15,20,25,30,35,40",
            "\"BYHOUR and BYMINUTE\"",
            "24",
        ),
    ] {
        let wrong = Rule::parse(rule).unwrap_err();
        assert_eq!(wrong.found, found, "{rule}");
        assert!(wrong.expected.contains(expected), "{rule}: {}", wrong.expected);
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &[T],
    most: usize,
) -> impl Strategy<Value = Vec<T>> + use<T> {
    subsequence(of.to_vec(), 0..=most)
}

fn part<T: ToString>(name: &str, values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    if values.is_empty() { String::new() } else { format!(";{name}={}", values.join(",")) }
}

/// Rules in which no part contradicts another.
pub(super) fn rule() -> impl Strategy<Value = String> {
    let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let nth = ["1MO", "2TU", "-1FR", "-2SU", "5WE", "3TH"];
    let frequency = select(vec!["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]);
    let by = (
        some(&[1, 2, 3, 10, 12], 2),
        some(&[1, 2, 15, 29, 31, -1, -7], 2),
        some(&days, 3),
        some(&nth, 2),
        some(&[1, 52, 53, -1, 20], 2),
        some(&[1, 60, 366, -1, 100], 2),
        (some(&[0, 2, 9, 23], 2), some(&[0, 30, 59], 2)),
        some(&[1, 2, -1], 1),
    );
    (frequency, 1..5_u32, select(days.to_vec()), 0..3_u32, by).prop_map(
        |(frequency, interval, week_start, kind, by)| {
            let (months, month_days, days, nth, weeks, year_days, (hours, minutes), positions) = by;
            let mut text = format!("FREQ={frequency};INTERVAL={interval};WKST={week_start}");
            text += &part("BYMONTH", &months);
            match (frequency, kind) {
                ("MONTHLY", 0) | ("YEARLY", 0) => text += &part("BYDAY", &nth),
                ("YEARLY", 1) => text += &part("BYYEARDAY", &year_days),
                ("YEARLY", 2) if interval == 1 => {
                    text += &part("BYWEEKNO", &weeks);
                    text += &part("BYDAY", &days);
                }
                _ => text += &part("BYDAY", &days),
            }
            if frequency != "WEEKLY" && kind != 1 {
                text += &part("BYMONTHDAY", &month_days);
            }
            text += &part("BYHOUR", &hours);
            text += &part("BYMINUTE", &minutes);
            // Of a week in which a rule begins, implementations differ in what counts.
            let is_by = text.contains("BYMONTH") || text.contains("BYDAY");
            if frequency != "WEEKLY" && is_by {
                text += &part("BYSETPOS", &positions);
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rules_fire_as_with_another_implementation(
        rule in rule(),
        (year, month, day) in (1995..2030_i16, 1..=12_i8, 1..=28_i8),
        (hour, minute) in (0..24_i8, 0..60_i8),
    ) {
        let start = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00");
        let end = format!("{}-{month:02}-{day:02}T00:00:00", year + 2);
        let (ours, theirs) = both(&start, &rule, &end);
        prop_assert_eq!(ours, theirs, "{} from {}", rule, start);
    }

    /// What is looked up in the middle is what comes there when all is looked at.
    #[test]
    fn a_part_of_a_series_is_that_part_of_all_of_it(
        rule in rule(),
        from in 0..3_000_i64,
        days in 1..400_i64,
        count in proptest::option::of(1..500_u32),
    ) {
        let rule = count.map_or_else(|| rule.clone(), |count| format!("{rule};COUNT={count}"));
        let start: DateTime = "2020-02-29T10:30".parse().unwrap();
        let series = Series::new(start, Rule::parse(&rule).unwrap());
        let later = |days: i64| start.checked_add(jiff::Span::new().days(days)).unwrap();
        let (from, to) = (later(from), later(from + days));
        let all = series.between(start, to);
        let part: Vec<DateTime> = all.into_iter().filter(|at| *at >= from).collect();
        prop_assert_eq!(series.between(from, to), part);
    }

    #[test]
    fn any_text_is_a_rule_or_refused(text in "[A-Z0-9=;,:T+-]{0,60}", parts in "(FREQ=(DAILY|YEARLY))(;(BYDAY|UNTIL|BYMONTH|COUNT|WKST)=[0-9A-Z,-]{0,9}){0,3}") {
        for text in [text, parts] {
            if let Ok(rule) = Rule::parse(&text) {
                let start = "2026-01-01T00:00".parse().unwrap();
                let series = Series::new(start, rule);
                let end = "2027-01-01T00:00".parse().unwrap();
                prop_assert!(series.between(start, end).len() <= 366 * 24);
            }
        }
    }
}
