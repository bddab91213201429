//! The page, in a browser.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::sample::{self, document, request};
use crate::services::Services;
use crate::stage::{ENVIRONMENT, Stage};
use crate::wait::until;

/// It would be seen if it were ever more than text.
const MARKUP: &str = "<img src=x onerror=\"document.title='struck'\"><b>bold</b>";

/// What is to be seen of a deployment that is watched.
const SEEN: &str = "
const text = (one) => one.textContent;
const place = document.querySelector('#rollout');
const told = {};
for (const name of place.querySelectorAll('dt')) told[text(name)] = text(name.nextElementSibling);
return {
  title: document.title,
  message: text(document.querySelector('#message')),
  heading: text(document.querySelector('#live-title')),
  state: text(document.querySelector('#live-state')),
  shown: place.checkVisibility(),
  told,
  tracks: [...place.querySelectorAll('table:first-of-type tbody tr')].map((row) => {
    const [workload, track, version, pods] = [...row.querySelectorAll('td')].map(text);
    return [workload, track, version, pods, row.querySelector('progress').value];
  }),
  text: text(place),
  all: text(document.body),
  made: document.querySelectorAll('img, b, iframe, #live a').length,
  opened: window.opened,
};
";

impl Browser {
    /// Waits until what is seen is such.
    async fn sees(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || async {
            let seen = self.ask(SEEN).await;
            assert_ne!(seen["title"], "struck", "markup of somebody else is run: {seen:#}");
            assert_eq!(seen["made"], 0, "markup of somebody else is shown: {seen:#}");
            is(&seen).then_some(seen)
        })
        .await
    }

    /// Gives the page its token, and looks at the newest deployment.
    async fn looks_at_the_newest(&self, stage: &Stage) {
        self.open(&stage.daemon.base()).await;
        let token = std::fs::read_to_string(stage.daemon.data().join("admin-token")).unwrap();
        self.write("#token", token.trim()).await;
        self.click("#access button[type=submit]").await;
        until("deployments are listed", || async {
            let listed = "return document.querySelectorAll('#deployments button').length";
            (self.ask(listed).await.as_u64() > Some(0)).then_some(())
        })
        .await;
        self.click("#deployments button").await;
    }

    /// Nothing but the daemon was asked for anything, and nobody has complained.
    async fn was_quiet(&self, stage: &Stage) {
        let requested = self.requested().await;
        let own = format!("{}/", stage.daemon.base());
        assert!(requested.contains(&format!("{own}rollout.js")), "{requested:#?}");
        assert!(requested.iter().all(|url| url.starts_with(&own)), "{requested:#?}");
        let console = self.console().await;
        assert!(console.is_empty(), "{console:#?}");
    }
}

/// Both workloads, with these pods of theirs.
fn tracks(stable: &str, canary: &str) -> Value {
    let of = |workload: &str| {
        [
            json!([workload, "stable", "current", stable, 50]),
            json!(["", "canary", "new", canary, 50]),
        ]
    };
    json!([of("backend"), of("frontend")].concat())
}

async fn steer(stage: &Stage, id: &str, how: &str, body: Value) {
    stage.client.post(&format!("/v1/deployments/{id}/{how}"), &body).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_watched_in_a_browser() {
    let stage = Stage::set().await;
    let first = stage.deployed('1').await;
    stage.client.post("/v1/documents:apply", &sample::waiting_canary(MARKUP)).await.ok();
    let id = stage.announce('2').await;
    let browser = Browser::start().await;
    browser.looks_at_the_newest(&stage).await;
    browser.ask("window.opened = 'once'").await;

    let seen = browser
        .sees("the canary waits for a person", |seen| seen["told"]["Waits"] == "for a person")
        .await;
    assert_eq!(seen["heading"], format!("{ENVIRONMENT}, deployment 2"), "{seen:#}");
    assert!(seen["told"]["Now"].as_str().unwrap().contains(MARKUP), "{seen:#}");
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains(&format!("deployd promote {ENVIRONMENT}")), "{seen:#}");
    let ready = |seen: &Value| seen["tracks"] == tracks("1/1", "1/1");
    browser.sees("all pods are ready", ready).await;

    // What a person says is text, too.
    steer(&stage, &id, "pause", json!({"reason": MARKUP})).await;
    browser.sees("it is paused", |seen| seen["told"]["Paused"] == MARKUP).await;
    steer(&stage, &id, "resume", json!({})).await;
    browser.sees("it goes on", |seen| seen["told"]["Paused"].is_null()).await;

    // The page goes on without the cluster, and says what is not known then.
    stage.practice.faults().go_away();
    let seen = browser
        .sees("ready pods are not known", |seen| seen["tracks"] == tracks("?/1", "?/1"))
        .await;
    assert!(seen["text"].as_str().unwrap().contains("not known how many pods"), "{seen:#}");
    stage.practice.faults().come_back();
    browser.sees("ready pods are known again", ready).await;

    steer(&stage, &id, "promote", json!({"reason": MARKUP})).await;
    let seen = browser.sees("it has succeeded", |seen| seen["state"] == "succeeded").await;
    assert_eq!(seen["shown"], false, "there is no rollout any more: {seen:#}");
    assert_eq!(seen["opened"], "once", "without a reload");
    assert_eq!(seen["message"], "", "{seen:#}");
    assert!(seen["all"].as_str().unwrap().contains(MARKUP), "the log has it: {seen:#}");

    // Messages link to a deployment.
    browser.open(&format!("{}/#deployment={first}", stage.daemon.base())).await;
    let heading = format!("{ENVIRONMENT}, deployment 1");
    browser.sees("the first one is shown", |seen| seen["heading"] == heading).await;
    browser.was_quiet(&stage).await;
}

/// Looks at what a link approves.
const LOOKED: &str = "
const text = (one) => document.querySelector(one).textContent;
return {
  title: document.title,
  message: text('#message'),
  heading: text('#title'),
  who: text('#who'),
  facts: text('#facts'),
  changes: text('#changes'),
  made: document.querySelectorAll('img, b, iframe').length,
  decides: document.querySelector('#decide').checkVisibility(),
};
";

impl Browser {
    async fn looks(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || async {
            let seen = self.ask(LOOKED).await;
            assert_ne!(seen["title"], "struck", "markup of somebody else is run: {seen:#}");
            assert_eq!(seen["made"], 0, "markup of somebody else is shown: {seen:#}");
            is(&seen).then_some(seen)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_link_sees_what_it_approves_and_approves_once() {
    let stage = Stage::set().await;
    let services = Services::start().await;
    stage.deployed('1').await;
    let of_type = json!({
        "templater": {"plugin": "score-k8s"},
        "strategy": {"plugin": "rolling"},
        "values": {"domain": "apps.localhost"},
        "approvals": [{"name": "release", "people": ["ana"]}],
    });
    let to_ana = json!({"notifier": "teams", "events": ["approval.requested"], "approver": "ana",
        "hosts": [{"host": "127.0.0.1", "port": services.port, "scheme": "http",
            "privateAddress": true}],
        "config": {"url": services.url("/teams")}});
    let documents = [
        document("Plugin", "teams", json!({"kind": "notifier", "source": {"shipped": "teams"}})),
        document("Subscription", "ana", to_ana),
        document("EnvironmentType", "development", of_type),
    ];
    stage.client.post("/v1/documents:apply", &request(&documents)).await.ok();
    let changed = json!({"workloads": {"update": {"frontend": [
        {"op": "add", "path": "/containers/web/variables/GREETING", "value": MARKUP},
    ]}}});
    let ask = json!({"environment": ENVIRONMENT, "delta": changed, "comment": MARKUP});
    let record = stage.client.post("/v1/deployments", &ask).await.ok();
    let id = record["id"].as_str().unwrap();
    let link = until("Ana is told", || async {
        let card = services.asked("/teams").pop()?.body.to_string();
        let from = card.find("http://127.0.0.1").filter(|_| card.contains("/approve#"))?;
        card[from..].split('"').next().map(str::to_owned)
    })
    .await;

    let browser = Browser::start().await;
    browser.open(&link).await;
    let seen = browser.looks("it is shown", |seen| seen["decides"] == true).await;
    assert_eq!(seen["heading"], format!("{ENVIRONMENT} #2"), "{seen:#}");
    assert_eq!(seen["who"], "You approve as ana.", "{seen:#}");
    assert!(seen["facts"].as_str().unwrap().contains(MARKUP), "{seen:#}");
    assert!(seen["changes"].as_str().unwrap().contains("frontend"), "{seen:#}");
    // By looking, nothing is approved.
    assert_eq!(stage.deployment(id).await["phase"], "waiting");
    browser.click("#decide button[value=approve]").await;
    browser.looks("it is approved", |seen| seen["message"] == "Approved.").await;
    let record = stage.ended(id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(record["work"]["approvals"]["given"][0]["byLink"], true, "{record:#}");

    browser.open("about:blank").await;
    browser.open(&link).await;
    let spent = |seen: &Value| seen["message"].as_str().unwrap().contains("counts once");
    let seen = browser.looks("it is spent", spent).await;
    assert_eq!(seen["decides"], false, "{seen:#}");
}
