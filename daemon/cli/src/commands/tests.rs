mod calendar;
mod named;
mod notifications;
mod policies;
mod repeating;
mod rollout;
mod secrets;

use clap::Parser as _;
use deployd_core::deployment::Outcome;
use deployd_core::{Digest, Fault, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::args::{Cli, Command, Format};
use crate::testing::{
    Answer, Buffer, Daemon, at_work, ended, event, id, log, record, step, update,
};

pub(super) struct Ran {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs a command line against a daemon, as a script would.
pub(super) async fn ran(daemon: &Daemon, arguments: &[&str], input: &str) -> Ran {
    let mut all = vec!["deployd"];
    // A token of the developer's own must not be sent to anybody.
    for (name, value) in [("--server", daemon.url.as_str()), ("--token-file", "/dev/null")] {
        if !arguments.contains(&name) {
            all.extend([name, value]);
        }
    }
    all.extend(arguments);
    let cli = Cli::try_parse_from(all).unwrap();
    let Command::Client(command) = cli.command else { panic!("{arguments:?}") };
    let (out, err) = (Buffer::default(), Buffer::default());
    let now = Timestamp(1_060_000);
    let mut output =
        Output::to(Box::new(out.clone()), Box::new(err.clone()), cli.globals.output, now);
    output.quiet = cli.globals.quiet;
    let mut input = input.as_bytes();
    let context =
        Context { globals: &cli.globals, output: &mut output, input: &mut input, typed: false };
    let code = run_with(context, command).await;
    Ran { code, out: out.text(), err: err.text() }
}

async fn nobody() -> Daemon {
    Daemon::new([]).await
}

fn stream_to(outcome: Outcome) -> Answer {
    let text = event("0.end", &update(Some(ended(record(), outcome)), &[]));
    Answer::new(200, text)
}

#[tokio::test]
async fn the_outcome_is_the_exit_code() {
    for (outcome, expected) in [
        (Outcome::Succeeded, 0),
        (Outcome::Failed, 10),
        (Outcome::RolledBack, 11),
        (Outcome::Cancelled, 12),
        (Outcome::Superseded, 13),
        (Outcome::NeedsOperator, 14),
    ] {
        let daemon = Daemon::new([stream_to(outcome)]).await;
        let ran = ran(&daemon, &["watch", &id().0], "").await;
        assert_eq!(ran.code, expected, "{outcome:?}");
        assert!(ran.out.contains("shop/development #3"), "{}", ran.out);
    }
}

#[tokio::test]
async fn documents_are_alone_on_standard_output() {
    let answers = || [Answer::json(202, &record()), stream_to(Outcome::Failed)];
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["deploy", "shop/development", "-o", "json"], "").await;
    assert_eq!(done.code, 10);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(document["outcome"], "failed");
    assert!(done.err.contains("failed after"), "{}", done.err);

    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["deploy", "shop/development", "-o", "json", "-q"], "").await;
    assert_eq!((done.code, done.err.as_str()), (10, ""));

    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["deploy", "shop/development", "--no-watch", "-q"], "").await;
    assert_eq!((done.code, done.out.trim()), (0, id().0.as_str()));
    assert_eq!(daemon.lines(), ["POST /v1/deployments"]);
}

#[tokio::test]
async fn what_is_selected_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let set = directory.path().join("set.yaml");
    let text = "application: shop\nworkloads:\n  web:\n    apiVersion: score.dev/v1b1\n    metadata: {name: web}\n    containers: {nginx: {image: 'r/web:1'}}\n";
    std::fs::write(&set, text).unwrap();
    let digest = Digest::of(b"x").to_string();
    let environment = json!({
        "id": "shop/development", "environmentType": "dev", "state": {"accepted": 0},
        "images": [["web/nginx", "r/web:1"]],
    });
    let of_image =
        json!([{"op": "replace", "path": "/containers/nginx/image", "value": "r/web:2"}]);
    for (arguments, input, pointer, expected) in [
        (vec!["--set", set.to_str().unwrap()], "", "/set/application", json!("shop")),
        (vec!["--set", "-"], text, "/set/workloads/web/metadata/name", json!("web")),
        (vec!["--set", &digest], "", "/setDigest", json!(digest)),
        (
            vec!["--delta", "-"],
            r#"{"workloads":{"remove":["web"]}}"#,
            "/delta/workloads/remove/0",
            json!("web"),
        ),
        (vec!["--image", "web/nginx=r/web:2"], "", "/delta/workloads/update/web", of_image.clone()),
        (vec!["--image", "web=r/web:2"], "", "/delta/workloads/update/web", of_image),
        (vec!["-m", "why"], "", "/comment", json!("why")),
        (vec!["--expect-plan", &digest], "", "/expectedPlan", json!(digest)),
        (vec![], "", "/environment", json!("shop/development")),
    ] {
        let looked_up = arguments.contains(&"web=r/web:2");
        let first = looked_up.then(|| Answer::json(200, &environment));
        let daemon = Daemon::new(first.into_iter().chain([Answer::json(202, &record())])).await;
        let line: Vec<&str> =
            ["deploy", "shop/development", "--no-watch"].into_iter().chain(arguments).collect();
        let ran = ran(&daemon, &line, input).await;
        assert_eq!(ran.code, 0, "{line:?}: {}", ran.err);
        let body = daemon.seen().last().unwrap().json();
        assert_eq!(body.pointer(pointer), Some(&expected), "{line:?}: {body}");
    }
}

#[tokio::test]
async fn inputs_that_are_wrong_reach_no_daemon() {
    let daemon = nobody().await;
    for (arguments, input, code) in [
        (vec!["deploy", "a/b", "--set", "sha256:12"], "", 2),
        (vec!["deploy", "a/b", "--set", "/nonexistent"], "", 2),
        (vec!["deploy", "a/b", "--delta", "-"], "{nope", 6),
        (vec!["deploy", "a/b", "--delta", "-"], "unknown: 1", 6),
        (vec!["secret", "set", "key"], "", 6),
        (vec!["secret", "set", "key"], "\n", 6),
        (vec!["apply", "-f", "/nonexistent"], "", 1),
        (vec!["whoami", "--server", "nonsense"], "", 2),
        (vec!["whoami", "--token-file", "/nonexistent"], "", 1),
    ] {
        let ran = ran(&daemon, &arguments, input).await;
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    assert!(daemon.lines().is_empty(), "{:?}", daemon.lines());
}

#[tokio::test]
async fn validation_needs_no_daemon_and_shows_everything() {
    let daemon = nobody().await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("deep/er")).unwrap();
    std::fs::create_dir_all(directory.path().join(".git")).unwrap();
    let file = directory.path().join("deep/er/a.yml");
    std::fs::write(&file, "apiVersion: deployd.dev/v1\nkind: Nonsense\n").unwrap();
    std::fs::write(directory.path().join("notes.txt"), "no document").unwrap();
    std::fs::write(directory.path().join(".git/x.yaml"), "nope: nope").unwrap();
    let path = directory.path().to_str().unwrap();

    let wrong = ran(&daemon, &["validate", "-f", path], "").await;
    assert_eq!(wrong.code, 6);
    assert!(wrong.out.contains(&format!("{}:2:", file.display())), "{}", wrong.out);
    assert!(!wrong.out.contains(".git"));

    let wrong = ran(&daemon, &["validate", "-f", path, "-o", "json"], "").await;
    let document: Value = serde_json::from_str(&wrong.out).unwrap();
    assert_eq!((wrong.code, &document["valid"], &document["files"]), (6, &json!(false), &json!(1)));
    assert_eq!(document["errors"][0]["line"], 2);

    let stdin = ran(&daemon, &["validate", "-f", "-"], "kind: [").await;
    assert!(stdin.code == 6 && stdin.out.contains("<stdin>:"), "{}", stdin.out);
    let empty = tempfile::tempdir().unwrap();
    let nothing = ran(&daemon, &["validate", "-f", empty.path().to_str().unwrap()], "").await;
    assert_eq!(nothing.code, 6);
    assert!(daemon.lines().is_empty());
}

const TYPE: &str = "apiVersion: deployd.dev/v1\nkind: EnvironmentType\nmetadata: {name: dev}\nspec:\n  templater: {plugin: score, baselineFile: baseline.yaml}\n  strategy: {plugin: rolling}\n";

#[tokio::test]
async fn applied_documents_take_their_files_along() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("type.yaml"), TYPE).unwrap();
    std::fs::write(directory.path().join("baseline.yaml"), "{{ no document }}").unwrap();
    let applied = json!({"dryRun": true, "documents": [
        {"key": {"kind": "EnvironmentType", "name": "dev"}, "change": "created", "version": 1},
    ]});
    let daemon = Daemon::new([Answer::json(200, &applied)]).await;
    let path = directory.path().to_str().unwrap();
    let ran = ran(&daemon, &["apply", "-f", path, "--dry-run"], "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out, "+ EnvironmentType dev created (version 1)\n");
    assert_eq!(ran.err, "dry run, nothing was stored: 1 created, 0 changed, 0 unchanged\n");
    let body = daemon.seen()[0].json();
    assert_eq!(body["dryRun"], true);
    assert_eq!(body["files"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["beside"][0]["path"], format!("{path}/baseline.yaml"));
    assert_eq!(body["beside"][0]["content"], "e3sgbm8gZG9jdW1lbnQgfX0=");
}

#[tokio::test]
async fn what_the_daemon_finds_wrong_is_shown_in_its_place() {
    let problem = json!({
        "title": "Documents have errors", "status": 422, "code": "invalid-documents",
        "detail": "1 thing is wrong.",
        "errors": [{"file": "<stdin>", "line": 2, "column": 7, "message": "<stdin>:2:7: kind: wrong"}],
    });
    let daemon = Daemon::new([Answer::json(422, &problem)]).await;
    let ran = ran(&daemon, &["apply", "-f", "-"], "a: b\nkind: X\n").await;
    assert_eq!(ran.code, 6);
    assert_eq!(
        ran.err,
        "<stdin>:2:7: kind: wrong\nerror: Documents have errors; nothing was applied\n"
    );
}

#[tokio::test]
async fn errors_say_what_helps() {
    for (status, expected) in [(401, "DEPLOYD_TOKEN"), (403, "whoami"), (500, "urn:x")] {
        let body = json!({"title": "T", "status": status, "instance": "urn:x"});
        let daemon = Daemon::new([Answer::json(status, &body)]).await;
        let ran = ran(&daemon, &["environments"], "").await;
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
}

#[tokio::test]
async fn tables_for_people() {
    let mut first = ended(record(), Outcome::Succeeded);
    first.request.comment = Some("a comment".into());
    let page = json!({"deployments": [first, record()], "next": "2"});
    let daemon = Daemon::new([Answer::json(200, &page)]).await;
    let history = ran(&daemon, &["history"], "").await;
    let lines: Vec<&str> = history.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", history.out);
    assert!(lines[1].contains("succeeded") && lines[1].ends_with("a comment"), "{}", lines[1]);
    assert!(lines[2].contains("queued") && lines[2].contains("1 min ago"), "{}", lines[2]);
    assert_eq!(history.err, "older ones: --cursor 2\n");

    let kind = deployd_core::deployment::StepKind::Plan;
    let status = deployd_core::deployment::StepStatus::Failed;
    let mut failed = ended(at_work(vec![step("plan", kind, &[], status)]), Outcome::Failed);
    failed.fault = Some(Fault::permanent("no-plan", "it can't be"));
    let daemon = Daemon::new([Answer::json(200, &failed)]).await;
    let shown = ran(&daemon, &["show", &id().0], "").await;
    for expected in ["shop/development #3  failed", "plan  ", "no-plan: it can't be", "1.5s"] {
        assert!(shown.out.contains(expected), "{expected}: {}", shown.out);
    }
}

#[tokio::test]
async fn nothing_is_taken_away_that_nobody_has_said_yes_to() {
    let digest = deployd_core::Digest::of(b"plan");
    let plan = json!({
        "digest": digest,
        "plan": {
            "version": 1, "environment": "shop/development", "environmentType": "development",
            "set": digest, "workloads": [], "graph": {"nodes": {}, "names": {}}, "resources": {},
            "values": {}, "takeOverFields": false, "teardown": true,
            "unused": [{
                "uid": "a", "key": {"type": "postgres", "class": "default", "id": "backend.db"},
                "whenUnused": "destroy",
            }],
        },
        "preview": {"manifests": {"namespace": "", "objects": []}, "changes": []},
    });
    let delete = ["env", "delete", "shop/development", "--no-watch"];
    // A script is not asked.
    let daemon = Daemon::new([Answer::json(200, &plan)]).await;
    let script = ran(&daemon, &delete, "y\n").await;
    assert_eq!(script.code, 6, "{}", script.err);
    assert!(script.out.contains("postgres#backend.db") && script.err.contains("--yes"));
    // Nobody is asked about a plan that has not been shown.
    let daemon = nobody().await;
    let arguments = [&["deployd", "--server", &daemon.url, "-o", "json"][..], &delete].concat();
    let cli = Cli::try_parse_from(arguments).unwrap();
    let Command::Client(command) = cli.command else { panic!() };
    let (out, err) = (Buffer::default(), Buffer::default());
    let mut output =
        Output::to(Box::new(out.clone()), Box::new(err.clone()), Format::Json, Timestamp(0));
    let mut input: &[u8] = b"y\n";
    let context =
        Context { globals: &cli.globals, output: &mut output, input: &mut input, typed: true };
    assert_eq!(run_with(context, command).await, 6, "{}", err.text());
    assert!(out.text().is_empty() && daemon.seen().is_empty(), "{}", out.text());
    assert!(err.text().contains("--yes") && err.text().contains("--dry-run"), "{}", err.text());
    let daemon = Daemon::new([Answer::json(202, &record())]).await;
    let yes = ran(&daemon, &[&delete[..], &["--yes", "--keep", "postgres"]].concat(), "").await;
    assert_eq!(yes.code, 0, "{}", yes.err);
    assert_eq!(daemon.seen()[0].json(), json!({"keep": ["postgres"]}));
    // A person is.
    for (typed, asked, code) in [("n\n", 1, 1), ("", 1, 1), ("y\n", 2, 0), ("Yes\n", 2, 0)] {
        let answers = [Answer::json(200, &plan), Answer::json(202, &record())];
        let daemon = Daemon::new(answers).await;
        let arguments = [&["deployd", "--server", &daemon.url][..], &delete].concat();
        let cli = Cli::try_parse_from(arguments).unwrap();
        let Command::Client(command) = cli.command else { panic!() };
        let out = Buffer::default();
        let mut output = Output::to(
            Box::new(out.clone()),
            Box::new(Buffer::default()),
            Format::Human,
            Timestamp(0),
        );
        let mut input = typed.as_bytes();
        let context =
            Context { globals: &cli.globals, output: &mut output, input: &mut input, typed: true };
        assert_eq!(run_with(context, command).await, code, "{typed:?}: {}", out.text());
        assert_eq!(daemon.seen().len(), asked, "{typed:?}");
        if asked == 2 {
            let expected = json!({"expectedPlan": digest});
            assert_eq!(daemon.seen()[1].json(), expected, "what was shown is what is done");
        }
    }
}

#[tokio::test]
async fn what_is_made_anew_by_a_redeployment_is_confirmed() {
    let daemon = Daemon::new([Answer::json(202, &record()), Answer::json(202, &record())]).await;
    let again = ["redeploy", &id().0, "--no-watch"];
    assert_eq!(ran(&daemon, &again, "").await.code, 0);
    assert_eq!(daemon.seen()[0].json(), json!({"environment": null, "redeploy": id()}));
    let confirmed = [&again[..], &["--confirm-replace"]].concat();
    assert_eq!(ran(&daemon, &confirmed, "").await.code, 0);
    assert_eq!(daemon.seen()[1].json()["confirmReplace"], true);
}

/// An environment in which this runs, and the drift of that was found last.
fn drifted(deployed: &str, of: &str) -> Value {
    let digest = Digest::of(b"");
    json!({
        "id": "shop/development", "environmentType": "development", "images": [],
        "state": {
            "accepted": 1, "queue": [], "resources": {},
            "deployed": {
                "deployment": deployed, "set": digest, "plan": digest, "manifests": digest,
                "at": Timestamp(0),
            },
            "drift": {"deployment": of, "report": digest, "findings": 2, "at": Timestamp(0)},
        },
    })
}

#[tokio::test]
async fn drift_is_shown_of_what_runs_and_why_it_is_not_healed() {
    let report = json!({
        "environment": "shop/development", "deployment": "new", "at": Timestamp(0),
        "summary": {
            "resources": 1, "objects": 1, "drifted": 1, "unsupported": 0, "unknown": 0,
            "findings": 2,
        },
        "notHealed": "a driver would make a resource anew",
    });
    let answers = [Answer::json(200, &drifted("new", "new")), Answer::json(200, &report)];
    let daemon = Daemon::new(answers).await;
    let shown = ran(&daemon, &["env", "shop/development"], "").await;
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("2 findings"), "{}", shown.out);
    assert!(shown.out.contains("not healed: a driver would make"), "{}", shown.out);
    let daemon = Daemon::new([Answer::json(200, &report)]).await;
    let last = ran(&daemon, &["drift", "shop/development", "--last"], "").await;
    assert!(last.out.contains("not healed: a driver would make"), "{}{}", last.out, last.err);
    // What was found before something else was deployed says nothing.
    let daemon = Daemon::new([Answer::json(200, &drifted("new", "old"))]).await;
    let shown = ran(&daemon, &["env", "shop/development"], "").await;
    assert_eq!((shown.code, shown.out.contains("findings")), (0, false), "{}", shown.out);
}

#[tokio::test]
async fn logs_are_read_to_their_end() {
    let page: Vec<_> = (1..=500).map(|sequence| log(sequence, "line")).collect();
    let answers = || [Answer::json(200, &page), Answer::json(200, &[log(501, "last")])];
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["logs", &id().0], "").await;
    assert_eq!((done.code, done.out.lines().count()), (0, 501));
    assert!(daemon.lines()[1].ends_with("logs?after=500&limit=500"), "{:?}", daemon.lines());
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["logs", &id().0, "-o", "json"], "").await;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&done.out).unwrap().len(), 501);

    let end = update(Some(ended(record(), Outcome::Failed)), &[log(1, "one"), log(2, "two")]);
    let daemon = Daemon::new([Answer::new(200, event("2.end", &end))]).await;
    let done = ran(&daemon, &["logs", &id().0, "-f", "-o", "json", "--after", "1"], "").await;
    assert_eq!((done.code, done.out.lines().count()), (0, 1), "{}", done.out);
    assert!(done.out.contains("two"));
}

#[tokio::test]
async fn manifests_are_for_kubectl() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let manifests =
        json!({"namespace": "ns", "objects": [{"owner": "environment", "object": object}]});
    let daemon = Daemon::new((0..3).map(|_| Answer::json(200, &manifests))).await;
    let yaml = ran(&daemon, &["manifests", &id().0], "").await;
    assert!(yaml.out.starts_with("---\napiVersion: v1\n"), "{}", yaml.out);
    let list = ran(&daemon, &["manifests", &id().0, "-o", "json"], "").await;
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]), (&json!("List"), &object));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("new");
    ran(&daemon, &["manifests", &id().0, "--out", out.to_str().unwrap()], "").await;
    assert!(out.join("001-configmap-a.yaml").is_file());
}

#[tokio::test]
async fn a_token_is_shown_once_and_alone() {
    let new = json!({
        "name": "ci", "scope": "ci", "createdBy": "root", "created": "2026-01-01T00:00:00.000Z",
        "secret": "dpl_x",
    });
    let daemon = Daemon::new([Answer::json(201, &new)]).await;
    let ran = ran(&daemon, &["token", "create", "ci", "--scope", "ci"], "").await;
    assert_eq!(ran.out, "dpl_x\n");
    assert!(!ran.err.contains("dpl_x"));
    assert_eq!(daemon.seen()[0].json(), json!({"name": "ci", "scope": "ci"}));
}

#[tokio::test]
async fn the_journal_tells_who_has_seen_which_secret() {
    let event = |position: u64, kind: &str, body: Value| {
        json!({
            "position": position, "stream": "access", "version": position,
            "previous": format!("sha256:{}", "0".repeat(64)),
            "hash": format!("sha256:{}", "0".repeat(64)),
            "at": "2026-01-01T00:00:00Z", "actor": "deployd", "kind": kind, "body": body,
        })
    };
    let revealed = json!({
        "type": "secret-revealed", "plugin": {"name": "dns", "digest": "sha256:1"},
        "resource": "8f2c", "name": "token", "secret": {"owner": "operator", "name": "dns-token"},
    });
    let page = json!([
        event(1, "token-created", json!({"type": "token-created", "name": "ci"})),
        event(2, "secret-revealed", revealed),
    ]);
    let line = ["journal", "list", "--kind", "secret-revealed"];
    let daemon = Daemon::new([Answer::json(200, &page)]).await;
    let ran = ran(&daemon, &line, "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for part in ["secret-revealed", "plugin=dns", "resource=8f2c", "secret=operator/dns-token"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains("token-created"), "{}", ran.out);
}

#[tokio::test]
async fn journals_are_verified_here_and_there() {
    let daemon = nobody().await;
    for (input, code) in [("", 1), ("nonsense\n", 1)] {
        let ran = ran(&daemon, &["journal", "verify", "--offline", "-"], input).await;
        assert_eq!(ran.code, code, "{}", ran.out);
    }
    for (damaged, code) in [(json!([]), 0), (json!(["sha256:1"]), 1)] {
        let report =
            json!({"streams": 1, "events": 2, "objects": 3, "broken": [], "damaged": damaged});
        let daemon = Daemon::new([Answer::json(200, &report)]).await;
        let ran = ran(&daemon, &["journal", "verify"], "").await;
        assert_eq!(ran.code, code, "{}", ran.out);
        assert!(ran.out.contains("2 events in 1 stream, 3 objects"), "{}", ran.out);
    }
}

#[tokio::test]
async fn deployd_describes_itself() {
    let daemon = nobody().await;
    let schema = ran(&daemon, &["schema", "all"], "").await;
    assert!(serde_json::from_str::<Value>(&schema.out).unwrap()["$defs"].is_object());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completions = ran(&daemon, &["completions", shell], "").await;
        assert!(completions.out.contains("redeploy"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let manual = ran(&daemon, &["manual", directory.path().to_str().unwrap()], "").await;
    assert_eq!(manual.code, 0, "{}", manual.err);
    for page in ["deployd.1", "deployd-deploy.1", "deployd-journal-verify.1"] {
        assert!(directory.path().join(page).is_file(), "{page}");
    }
    assert!(daemon.lines().is_empty());
}

#[test]
fn whoever_reads_no_more_is_told_nothing() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let err = Buffer::default();
    let mut output = Output::to(Box::new(Gone), Box::new(err.clone()), Format::Human, Timestamp(0));
    let error = output.line("x").unwrap_err();
    tell(&mut output, &error);
    assert_eq!((error.exit_code(), err.text().as_str()), (0, ""));
}

#[tokio::test]
async fn a_deployment_is_looked_into() {
    let mut failed = ended(record(), Outcome::Failed);
    failed.fault = Some(Fault::invalid("unresolved-placeholder", "there is no port"));
    let view = json!({
        "record": failed,
        "changed": {"from": id(), "set": {}, "resources": {"postgres#backend.db": "create"}},
        "timeline": [
            {"step": "provision:0123456789abcdef", "resource": "postgres#backend.db",
             "afterMs": 0, "tookMs": 500, "attempts": 1, "status": "succeeded"},
            {"step": "render", "afterMs": 500, "tookMs": 1_500, "attempts": 2, "status": "failed",
             "plugin": {"name": "score-k8s", "digest": Digest::of(b"score")},
             "fault": Fault::invalid("unresolved-placeholder", "there is no ${resources.db.port}")},
        ],
        "logs": [{"sequence": 7, "at": Timestamp(1_000), "step": "render", "level": "info", "message": "rendering\u{1b}[2J"}],
        "linesLeftOut": 6,
        "failures": [{"object": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "reason": "crash-loop", "message": "web ends", "containers": ["web-1/main: waiting"],
            "events": ["Pod web-1: BackOff: again"], "logs": [{"pod": "web-1", "container": "main", "lines": ["no database"]}]}],
        "then": {"at": Timestamp(900_000), "containers": ["web-0/main: running, 0 restarts"]},
        "advice": "Compare its name with the outputs.",
    });
    let daemon = Daemon::new([Answer::json(200, &view), Answer::json(200, &view)]).await;
    let shown = ran(&daemon, &["debug", &id().0, "--lines", "1"], "").await;
    assert_eq!(shown.code, 0, "{}", shown.err);
    for text in [
        "resource postgres#backend.db: create",
        "score-k8s",
        "2 attempts",
        "▇",
        "no database",
        "web-0/main: running",
        "(6 lines left out)",
        "render (score-k8s)",
        "crash-loop: web ends",
        "Compare its name with the outputs.",
    ] {
        assert!(shown.out.contains(text), "{text}\n{}", shown.out);
    }
    assert!(!shown.out.contains('\u{1b}'), "what others have written moves no cursor");
    let whole = ran(&daemon, &["debug", &id().0, "-o", "json"], "").await;
    let document: Value = serde_json::from_str(&whole.out).unwrap();
    assert_eq!(document["timeline"][1]["plugin"]["name"], "score-k8s");
}
