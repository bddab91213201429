use super::*;
use crate::config::CheckChoice;
use proptest::prelude::*;
use serde_json::json;

fn timing(fields: &serde_json::Value) -> CheckTiming {
    let mut choice = json!({"plugin": "http", "intervalMs": 1000});
    for (name, value) in fields.as_object().unwrap() {
        choice[name] = value.clone();
    }
    serde_json::from_value::<CheckChoice>(choice).unwrap().timing()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn verdict() -> Verdict {
    let measurements = vec![Measurement { name: "rate".into(), value: 0.5, unit: "%".into() }];
    Verdict { message: "half a per cent".into(), measurements }
}

fn passed() -> Result<CheckOutcome, Fault> {
    Ok(CheckOutcome::Passed(verdict()))
}

fn failed() -> Result<CheckOutcome, Fault> {
    Ok(CheckOutcome::Failed(verdict()))
}

fn inconclusive() -> Result<CheckOutcome, Fault> {
    Ok(CheckOutcome::Inconclusive(verdict()))
}

fn away() -> Result<CheckOutcome, Fault> {
    Err(Fault::transient("plugin-unavailable", "nobody there"))
}

fn pending() -> Result<CheckOutcome, Fault> {
    let (token, message) = ("t".to_owned(), "the suite runs".to_owned());
    Ok(CheckOutcome::Pending { token, poll_after_ms: 5_000, message })
}

/// Measures whenever something is due, until the run is over.
fn run(
    checking: &mut Checking,
    mut measure: impl FnMut(&Name, u32) -> Result<CheckOutcome, Fault>,
) -> (Standing, Timestamp) {
    let mut now = checking.started();
    for _ in 0..100_000 {
        let due: Vec<Name> = checking.due(now).into_iter().cloned().collect();
        for name in &due {
            let number = checking.checks()[name].measured;
            let came = measure(name, number);
            checking.measured(name, came, now);
        }
        match checking.standing(now) {
            Standing::Running { due } => now = due.max(now.plus_ms(1)),
            over => return (over, now),
        }
    }
    panic!("the run does not end: {checking:?}");
}

fn one(fields: &serde_json::Value) -> Checking {
    Checking::new([(name("errors"), timing(fields))], 0, Timestamp(1_000_000))
}

#[test]
fn one_pass_is_enough_unless_more_are_asked_for() {
    let mut checking = one(&json!({}));
    assert_eq!(run(&mut checking, |_, _| passed()), (Standing::Passed, Timestamp(1_000_000)));
    let mut checking = one(&json!({"count": 4, "initialDelayMs": 500}));
    assert_eq!(run(&mut checking, |_, _| passed()), (Standing::Passed, Timestamp(1_003_500)));
    let report = &checking.reports()[0];
    assert_eq!((report.verdict, &*report.message), (CheckResult::Passed, "half a per cent"));
    assert_eq!(report.measurements, verdict().measurements);
}

#[test]
fn a_failure_more_than_the_limit_fails_and_one_less_breaks_the_row() {
    let mut checking = one(&json!({}));
    assert_eq!(run(&mut checking, |_, _| failed()).0, Standing::Failed);
    let fields = json!({"count": 3, "failureLimit": 1});
    let mut checking = one(&fields);
    let with = |failures: &'static [u32]| {
        move |_: &Name, number| if failures.contains(&number) { failed() } else { passed() }
    };
    let (standing, at) = run(&mut checking, with(&[2]));
    assert_eq!((standing, at), (Standing::Passed, Timestamp(1_005_000)), "two, a failure, three");
    assert_eq!(run(&mut one(&fields), with(&[0, 2])).0, Standing::Failed);
}

#[test]
fn no_data_is_never_a_pass() {
    let mut checking = one(&json!({}));
    assert_eq!(run(&mut checking, |_, _| inconclusive()).0, Standing::Inconclusive);
    let mut checking = one(&json!({"inconclusiveLimit": 2}));
    let two = |_: &Name, number| if number < 2 { inconclusive() } else { passed() };
    assert_eq!(run(&mut checking, two).0, Standing::Passed);
    assert_eq!(checking.checks()[&name("errors")].inconclusives, 2);
    let three = |_: &Name, number| if number < 3 { inconclusive() } else { passed() };
    assert_eq!(run(&mut one(&json!({"inconclusiveLimit": 2})), three).0, Standing::Inconclusive);
}

#[test]
fn a_server_that_is_away_is_borne_for_a_time() {
    let mut tries = 0;
    let mut checking = one(&json!({"count": 2}));
    let (standing, at) = run(&mut checking, |_, _| {
        tries += 1;
        if (2..=5).contains(&tries) { away() } else { passed() }
    });
    assert_eq!((standing, at), (Standing::Passed, Timestamp(1_005_000)));
    let mut checking = one(&json!({"count": 2}));
    assert_eq!(run(&mut checking, |_, _| away()), (Standing::Inconclusive, Timestamp(1_004_000)));
    assert_eq!(checking.checks()[&name("errors")].measured, 0, "nothing was measured");
    let later = || Err(Fault::transient("x", "x").with_retry_after_ms(Some(30_000)));
    let mut checking = one(&json!({}));
    checking.measured(&name("errors"), later(), Timestamp(1_000_000));
    assert_eq!(checking.due(Timestamp(1_029_999)), Vec::<&Name>::new());
    assert_eq!(checking.due(Timestamp(1_030_000)).len(), 1);
}

#[test]
fn who_stands_in_line_has_measured_nothing_wrong() {
    let busy = || Err(Fault::transient("plugin-busy", "all places are taken"));
    let mut tries = 0;
    let (standing, _) = run(&mut one(&json!({"errorLimit": 0})), |_, _| {
        tries += 1;
        if tries < 20 { busy() } else { passed() }
    });
    assert_eq!((standing, tries), (Standing::Passed, 20));
    // Not without end.
    let mut checking = one(&json!({"errorLimit": 0}));
    let (standing, at) = run(&mut checking, |_, _| busy());
    assert_eq!(standing, Standing::Inconclusive);
    assert!((600_000..700_000).contains(&at.ms_since(Timestamp(1_000_000))), "{at}");
}

#[test]
fn what_trying_again_can_not_help_is_not_tried_again() {
    for fault in [Fault::invalid("x", "x"), Fault::denied("x", "x"), Fault::permanent("x", "x")] {
        let (standing, at) = run(&mut one(&json!({})), |_, _| Err(fault.clone()));
        assert_eq!((standing, at), (Standing::Inconclusive, Timestamp(1_000_000)));
    }
    let (_, at) = run(&mut one(&json!({})), |_, _| Err(Fault::bug("plugin-trapped", "x")));
    assert_eq!(at, Timestamp(1_004_000), "a plugin may be better after its quarantine");
}

#[test]
fn the_first_to_fail_decides_also_over_an_inconclusive_one() {
    let checks = ["errors", "latency"].map(|check| (name(check), timing(&json!({"count": 10}))));
    let mut checking = Checking::new(checks.clone(), 0, Timestamp(0));
    let by_name =
        |name: &Name, _| if name.as_str() == "errors" { inconclusive() } else { failed() };
    assert_eq!(run(&mut checking, by_name), (Standing::Failed, Timestamp(0)));
    assert_eq!(checking.due(Timestamp(5_000)), Vec::<&Name>::new());
    let mut checking = Checking::new(checks, 0, Timestamp(0));
    let late = |name: &Name, number| {
        if name.as_str() == "latency" && number == 4 { failed() } else { passed() }
    };
    assert_eq!(run(&mut checking, late), (Standing::Failed, Timestamp(4_000)));
    let verdicts: Vec<CheckResult> = checking.reports().iter().map(|r| r.verdict).collect();
    assert_eq!(verdicts, [CheckResult::Running, CheckResult::Failed]);
}

#[test]
fn a_run_goes_on_for_as_long_as_it_was_asked_to() {
    let checks = || [(name("errors"), timing(&json!({"count": 2})))];
    let mut measured = 0;
    let mut checking = Checking::new(checks(), 10_500, Timestamp(0));
    let (standing, at) = run(&mut checking, |_, number| {
        measured = number + 1;
        passed()
    });
    assert_eq!((standing, at, measured), (Standing::Passed, Timestamp(10_500), 11));
    let mut checking = Checking::new(checks(), 60_000, Timestamp(0));
    let (standing, at) =
        run(&mut checking, |_, number| if number == 30 { failed() } else { passed() });
    assert_eq!((standing, at), (Standing::Failed, Timestamp(30_000)), "after its two passes");
    let mut checking = Checking::new([], 1_000, Timestamp(0));
    assert_eq!(run(&mut checking, |_, _| passed()), (Standing::Passed, Timestamp(1_000)));
}

#[test]
fn what_is_measured_once_is_left_alone_when_it_has_passed() {
    let checks =
        [(name("errors"), timing(&json!({}))), (name("suite"), timing(&json!({"once": true})))];
    let mut checking = Checking::new(checks, 5_000, Timestamp(0));
    assert_eq!(run(&mut checking, |_, _| passed()).0, Standing::Passed);
    let measured = |check: &str| checking.checks()[&name(check)].measured;
    assert_eq!((measured("suite"), measured("errors")), (1, 5));
}

#[test]
fn what_is_pending_is_asked_for_with_its_token() {
    let mut checking = one(&json!({}));
    let suite = name("errors");
    checking.measured(&suite, pending(), Timestamp(1_000_000));
    assert_eq!(checking.checks()[&suite].token(), Some("t"));
    assert_eq!(checking.reports()[0].message, "the suite runs");
    assert_eq!(
        checking.standing(Timestamp(1_000_000)),
        Standing::Running { due: Timestamp(1_005_000) }
    );
    checking.measured(&suite, away(), Timestamp(1_005_000));
    assert_eq!(checking.checks()[&suite].token(), Some("t"), "it is still under way");
    checking.measured(&suite, passed(), Timestamp(1_006_000));
    assert_eq!(checking.checks()[&suite].token(), None);
    assert_eq!(checking.standing(Timestamp(1_006_000)), Standing::Passed);
    let (standing, at) = run(&mut one(&json!({})), |_, _| pending());
    assert_eq!(standing, Standing::Inconclusive, "it is not waited for for ever");
    assert!(at.0 >= PENDING_MS_MAX && at.0 <= 1_000_000 + PENDING_MS_MAX + 5_000);
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut checking =
        Checking::new([(name("errors"), timing(&json!({})))], 3_000, Timestamp(9_000_000));
    checking.measured(&name("errors"), passed(), Timestamp(9_001_000));
    assert_eq!(checking.due(Timestamp(5_000_000)).len(), 1, "it is not waited for for hours");
    checking.measured(&name("errors"), passed(), Timestamp(5_000_000));
    assert_eq!(checking.left_ms(Timestamp(5_000_000)), 2_000);
    assert_eq!(checking.standing(Timestamp(5_002_000)), Standing::Passed);
}

#[test]
fn what_is_kept_is_bounded_and_survives_a_record() {
    let mut checking = one(&json!({"count": 100, "failureLimit": 100}));
    let huge = Verdict {
        message: "é".repeat(10_000),
        measurements: vec![
            Measurement {
                name: "n".repeat(500),
                value: f64::NAN,
                unit: "u".repeat(500)
            };
            200
        ],
    };
    for step in 0..100 {
        let came = Ok(CheckOutcome::Failed(huge.clone()));
        checking.measured(&name("errors"), came, Timestamp(1_000_000 + step * 1000));
    }
    let record = serde_json::to_string(&checking).unwrap();
    assert!(record.len() < 40_000, "{}", record.len());
    assert_eq!(serde_json::from_str::<Checking>(&record).unwrap(), checking);
    let check = &checking.checks()[&name("errors")];
    assert_eq!((check.tail.len(), check.failures), (TAIL_MAX, 100));
}

proptest! {
    /// Whatever comes of measuring, a run ends, as its counts say, and a record
    /// of it goes on as it would have.
    #[test]
    fn every_run_ends_as_its_limits_say(
        limits in (1u32..6, 0u32..4, 0u32..4, 0u32..4),
        outcomes in proptest::collection::vec(0u8..4, 1..40),
        for_ms in 0u64..20_000,
    ) {
        let (count, failure, inconclusives, error) = limits;
        let fields = json!({
            "count": count, "failureLimit": failure, "inconclusiveLimit": inconclusives,
            "errorLimit": error,
        });
        let mut checking =
            Checking::new([(name("errors"), timing(&fields))], for_ms, Timestamp(0));
        let mut at = 0;
        let mut measure = |_: &Name, _| {
            at += 1;
            match outcomes[at % outcomes.len()] {
                0 => passed(),
                1 => failed(),
                2 => inconclusive(),
                _ => away(),
            }
        };
        // Errors that others interrupt have no end of their own.
        prop_assume!(outcomes.iter().any(|outcome| *outcome < 3));
        let (standing, end) = run(&mut checking, &mut measure);
        let check = &checking.checks()[&name("errors")];
        match standing {
            Standing::Passed => {
                prop_assert!(check.passes >= count && end.0 >= for_ms);
                prop_assert!(check.failures <= failure && check.inconclusives <= inconclusives);
            }
            Standing::Failed => prop_assert_eq!(check.failures, failure + 1),
            Standing::Inconclusive => {
                prop_assert!(check.inconclusives > inconclusives || check.errors > error);
            }
            Standing::Running { .. } => prop_assert!(false),
        }
        let record: Checking =
            serde_json::from_value(serde_json::to_value(&checking).unwrap()).unwrap();
        prop_assert_eq!(record, checking);
    }
}
