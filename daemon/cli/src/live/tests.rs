use deployd_core::Fault;
use deployd_core::deployment::{Action, Outcome, Rollout, StepKind, StepStatus};
use deployd_core::graph::Uid;
use deployd_core::plan::{Gate, GateCondition};
use indicatif::ProgressDrawTarget;
use serde_json::json;

use super::*;
use crate::error::CliError;
use crate::output::{Glyphs, Paint, Tone};
use crate::testing::{
    Answer, Buffer, Daemon, at_work, ended, event, id, log, options, record, step, update,
};

fn provision(name: &str) -> StepKind {
    StepKind::Provision { uid: Uid(name.into()), name: name.into() }
}

fn texts(news: News) -> Vec<String> {
    news.lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn every_change_is_told_once() {
    let mut view = View::default();
    let queued = update(Some(record()), &[]);
    let first = texts(view.apply(queued.clone()));
    assert_eq!(
        first,
        ["shop/development #3 (01jd2k9x7h8f6v3q5w1n4m0zta) by ci", "waits for its turn"]
    );
    assert!(texts(view.apply(queued)).is_empty());

    use StepStatus::*;
    let with = |status: StepStatus| {
        let mut failed = step("provision:db", provision("postgres#db"), &[], status);
        if matches!(failed.status, Retrying { .. } | Failed) {
            failed.fault = Some(Fault::transient("x", "no connection"));
        }
        failed.message = Some("being made".into());
        at_work(vec![failed])
    };
    let at = deployd_core::Timestamp(0);
    for (status, expected) in [
        (Waiting, None),
        (Running, Some("… provision postgres#db")),
        (Pending { token: "t".into(), poll_at: at }, Some("… provision postgres#db: being made")),
        (Retrying { at }, Some("! provision postgres#db: no connection; it is tried again")),
        (Failed, Some("✗ provision postgres#db (1.5s): no connection")),
        (Succeeded, Some("✓ provision postgres#db (1.5s)")),
    ] {
        let found = texts(view.apply(update(Some(with(status.clone())), &[])));
        assert_eq!(found.first().map(String::as_str), expected, "{status:?}");
        let again = texts(view.apply(update(Some(with(status)), &[])));
        assert!(again.is_empty(), "{again:?}");
    }
}

#[test]
fn gates_rollouts_pauses_and_cancels_are_told() {
    let mut view = View::default();
    let mut record = at_work(vec![]);
    view.apply(update(Some(record.clone()), &[]));
    let work = record.work.as_mut().unwrap();
    let condition = GateCondition::Signal;
    work.gates.push(Gate { id: "g".into(), message: "an approval".into(), condition });
    assert_eq!(texts(view.apply(update(Some(record.clone()), &[]))), ["waits: an approval"]);

    let work = record.work.as_mut().unwrap();
    work.gates.clear();
    let message = "look at it".to_owned();
    let action = Action::Pause { message };
    work.steps.push(step("rollout:1", StepKind::Rollout { action }, &[], StepStatus::Running));
    work.rollout =
        Some(Rollout { round: 1, state: json!({}), progress: 50, message: "half".into() });
    work.cancel = Some("wrong image".into());
    assert_eq!(
        texts(view.apply(update(Some(record.clone()), &[]))),
        [
            "! paused: look at it; `deployd resume` has it go on",
            "rollout 50 %: half",
            "is being cancelled: wrong image",
        ]
    );
    assert!(texts(view.apply(update(Some(record), &[]))).is_empty());
}

#[test]
fn lines_of_the_log_come_once_and_cannot_touch_the_terminal() {
    let mut view = View::default();
    let wild = log(2, "two\u{1b}[2J\nlines");
    let news = view.apply(update(None, &[log(1, "one"), wild.clone()]));
    let tones: Vec<Tone> = news.lines.iter().map(|line| line.tone).collect();
    assert_eq!(tones, [Tone::Dim, Tone::Dim]);
    assert_eq!(texts(news), ["  plan | one", "  plan | two\u{fffd}[2J ⏎ lines"]);
    let news = view.apply(update(None, &[log(1, "one"), wild, log(3, "three")]));
    assert_eq!(news.logs, [log(3, "three")]);
}

#[test]
fn summaries_say_how_and_why() {
    for (outcome, expected) in [
        (Outcome::Succeeded, "✓ shop/development #3 succeeded after 12s"),
        (Outcome::Failed, "✗ shop/development #3 failed after 12s"),
        (
            Outcome::RolledBack,
            "✗ shop/development #3 was rolled back: what ran before runs again after 12s",
        ),
        (Outcome::Cancelled, "! shop/development #3 was cancelled after 12s"),
        (Outcome::Superseded, "! shop/development #3 was superseded by a newer one after 12s"),
        (Outcome::NeedsOperator, "✗ shop/development #3 needs an operator after 12s"),
    ] {
        let mut view = View::default();
        assert!(view.summary().is_empty());
        view.apply(update(Some(ended(record(), outcome)), &[]));
        assert_eq!(view.summary()[0].text, expected);
    }
    let mut failed = ended(record(), Outcome::Failed);
    let fault = Fault::permanent("image-pull-failed", "there is no such image");
    failed.fault = Some(fault.with_detail(json!({"logs": vec!["line"; 100]})));
    let mut view = View::default();
    view.apply(update(Some(failed), &[]));
    let summary: Vec<String> = view.summary().into_iter().map(|line| line.text).collect();
    assert_eq!(summary[1], "  image-pull-failed: there is no such image");
    assert!(summary.len() < 50, "{summary:?}");
    assert!(summary.last().unwrap().contains("-o json"));
}

#[test]
fn the_screen_is_a_tree_with_a_bar() {
    use StepStatus::*;
    let action = Action::AwaitReady {
        track: "stable".into(),
        workloads: vec!["web".into()],
        deadline_ms: 1,
    };
    let mut record = at_work(vec![
        step("plan", StepKind::Plan, &[], Succeeded),
        step("provision:ns", provision("k8s-namespace#environment"), &["plan"], Succeeded),
        step("provision:db", provision("postgres#db"), &["provision:ns"], Running),
        step("provision:dns", provision("dns#web"), &["provision:db", "provision:ns"], Waiting),
        step("decide:1", StepKind::Decide { observation: None }, &[], Succeeded),
        step("rollout:1", StepKind::Rollout { action }, &[], Running),
    ]);
    let mut view = View::default();
    view.apply(update(Some(record.clone()), &[log(1, "hello")]));
    let lines: Vec<String> = view
        .screen(Glyphs::of(None), Paint::new(false))
        .iter()
        .map(|row| super::bars::row_text(row, Paint::new(false)))
        .collect();
    assert_eq!(
        lines,
        [
            "shop/development #3 (01jd2k9x7h8f6v3q5w1n4m0zta) by ci",
            "  ✓ plan 1.5s",
            "  ✓ provision k8s-namespace#environment 1.5s",
            "    … provision postgres#db",
            "      · provision dns#web",
            "  … rollout ░░░░░░░░░░░░░░░░░░░░░░░░ 0 % wait until web is ready",
            "    plan | hello",
        ]
    );
    let work = record.work.as_mut().unwrap();
    work.rollout =
        Some(Rollout { round: 2, state: json!({}), progress: 50, message: "web is up".into() });
    work.steps.last_mut().unwrap().status = Failed;
    work.steps.last_mut().unwrap().fault = Some(Fault::permanent("x", "it crashes"));
    view.apply(update(Some(record.clone()), &[]));
    let screen = view.screen(Glyphs::of(None), Paint::new(false));
    let bar = screen.iter().find(|row| row.kind == RowKind::Bar(50)).unwrap();
    assert_eq!((bar.mark, bar.note.as_str()), (Mark::Bad, "it crashes"));
    // The log leaves the screen with the end.
    view.apply(update(Some(ended(record, Outcome::Failed)), &[]));
    assert!(
        view.screen(Glyphs::of(None), Paint::new(false)).iter().all(|row| row.kind != RowKind::Log)
    );
}

#[test]
fn rows_come_and_go_without_trouble() {
    let mut bars = Bars::on(ProgressDrawTarget::hidden(), Paint::new(true));
    let mut view = View::default();
    let done = step("plan", StepKind::Plan, &[], StepStatus::Succeeded);
    let busy = step("provision:db", provision("postgres#db"), &[], StepStatus::Running);
    for record in [record(), at_work(vec![done.clone()]), at_work(vec![done, busy])] {
        let news = view.apply(update(Some(record), &[log(1, "one")]));
        bars.update(&view, &news).unwrap();
    }
    bars.note("a note").unwrap();
}

fn stream(events: &[String]) -> Answer {
    Answer::new(200, events.concat()).header("content-type", "text/event-stream")
}

#[tokio::test]
async fn a_deployment_is_followed_to_its_end() {
    let end = ended(at_work(vec![]), Outcome::RolledBack);
    let daemon = Daemon::new([stream(&[
        event("0", &update(Some(record()), &[])),
        ": nothing happens\n\n".to_owned(),
        event("2", &update(Some(at_work(vec![])), &[log(1, "one"), log(2, "two")])),
        event("2.end", &update(Some(end.clone()), &[])),
    ])])
    .await;
    let mut shown = Buffer::default();
    let mut lines = Lines::new(&mut shown, Paint::new(false));
    let found = follow_with(&daemon.client(), &id(), &mut lines).await.unwrap();
    assert_eq!(found, end);
    assert_eq!(daemon.lines(), [format!("GET /v1/deployments/{}/events", id())]);
    let text = shown.text();
    assert!(text.contains("  plan | two\n"), "{text}");
    assert!(text.ends_with("runs again after 12s\n"), "{text}");
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_where_it_was_lost() {
    let end = ended(record(), Outcome::Succeeded);
    let first = [event("1", &update(Some(record()), &[log(1, "one")]))];
    let daemon = Daemon::new([
        stream(&first).breaks(),
        Answer::new(503, "{}"),
        // It closes in the middle of an event.
        stream(&[event("2", &update(None, &[log(1, "one"), log(2, "two")])), "event: up".into()]),
        stream(&[event("2.end", &update(Some(end.clone()), &[log(2, "two")]))]),
    ])
    .await;
    let mut shown = Buffer::default();
    let mut lines = Lines::new(&mut shown, Paint::new(false));
    assert_eq!(follow_with(&daemon.client(), &id(), &mut lines).await.unwrap(), end);
    let resumed: Vec<Option<String>> = daemon
        .seen()
        .iter()
        .map(|seen| seen.header("last-event-id").map(ToOwned::to_owned))
        .collect();
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(resumed, [None, some("1"), some("1"), some("2")]);
    let text = shown.text();
    assert_eq!(text.matches("| one").count(), 1, "{text}");
    assert_eq!(text.matches("| two").count(), 1, "{text}");
    assert_eq!(text.matches("trying again").count(), 2, "{text}");
}

#[tokio::test]
async fn a_stream_that_is_over_leads_to_the_record() {
    let end = ended(record(), Outcome::Succeeded);
    let daemon = Daemon::new([Answer::new(204, ""), Answer::json(200, &end)]).await;
    assert_eq!(follow_with(&daemon.client(), &id(), &mut Silent).await.unwrap(), end);
}

#[tokio::test]
async fn following_gives_up_at_last() {
    let missing = Answer::json(404, &json!({"title": "There is no such thing"}));
    let daemon = Daemon::new([missing]).await;
    let error = follow_with(&daemon.client(), &id(), &mut Silent).await.unwrap_err();
    assert_eq!((error.exit_code(), daemon.lines().len()), (5, 1), "{error}");

    let daemon = Daemon::new((0..9).map(|_| Answer::new(200, ""))).await;
    let error = follow_with(&daemon.client(), &id(), &mut Silent).await.unwrap_err();
    assert!(matches!(error, CliError::Unreachable { .. }), "{error}");
    assert_eq!(daemon.lines().len(), 3);

    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let client = crate::Client::new(options(&closed)).unwrap();
    let error = follow_with(&client, &id(), &mut Silent).await.unwrap_err();
    assert_eq!(error.exit_code(), crate::exit::UNREACHABLE);
}
