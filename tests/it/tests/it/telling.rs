//! Others are told of deployments: in chat, by mail, at GitHub, by events.

use std::collections::BTreeSet;

use fixtures::aiosmtpd::{Aiosmtpd, Security, USER};
use serde_json::{Value, json};

use crate::sample::{self, document};
use crate::services::{Asked, Services};
use crate::stage::{Stage, begun};
use crate::wait::until;

/// The commit that the images of the sample are built from here.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Waits until no message is pending; gives all of them.
async fn all_told(stage: &Stage) -> Vec<Value> {
    until("no message is pending", || async {
        let all: Value = stage.client.get("/v1/notifications?limit=500").await.ok();
        let all = all.as_array().unwrap().clone();
        all.iter().all(|message| message["status"] != "pending").then_some(all)
    })
    .await
}

async fn apply(stage: &Stage, documents: &[Value]) {
    stage.client.post("/v1/documents:apply", &sample::request(documents)).await.ok();
}

fn plugin(name: &str) -> Value {
    document("Plugin", name, json!({"kind": "notifier", "source": {"shipped": name}}))
}

fn subscription(name: &str, spec: Value) -> Value {
    document("Subscription", name, spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_where_the_subscription_says_with_the_secret_of_that_host() {
    let stage = Stage::set().await;
    let services = Services::start().await;
    stage.secret("hook-token", "s3cr3t-of-the-hook").await;
    let to = |path: &str, hosts: Value| {
        json!({"notifier": "webhook", "events": ["deployment.queued"], "hosts": hosts,
            "config": {"url": services.url(path)}})
    };
    let elsewhere = json!({"host": "127.0.0.1", "port": 9, "scheme": "http"});
    let documents = [
        subscription("allowed", to("/allowed", json!([services.host("hook-token")]))),
        subscription("elsewhere", to("/elsewhere", json!([elsewhere]))),
    ];
    apply(&stage, &documents).await;
    let id = stage.deployed('1').await;
    all_told(&stage).await;
    let asked = services.asked("/");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].path, "/allowed");
    assert_eq!(asked[0].authorization, "Bearer s3cr3t-of-the-hook");

    let about: Value = stage.client.get(&format!("/v1/notifications?deployment={id}")).await.ok();
    let of = |name: &str| {
        about.as_array().unwrap().iter().find(|message| message["subscription"] == name).unwrap()
    };
    assert_eq!(of("allowed")["status"], "delivered");
    assert_eq!(of("elsewhere")["status"], "dead");
    assert_eq!(of("elsewhere")["attempts"][0]["fault"]["code"], "host-not-granted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_told_in_chat_by_mail_at_github_and_by_events() {
    let stage = Stage::set().await;
    let services = Services::start().await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (stage.folder().join("mail.pem"), stage.folder().join("mail-key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut mails = Aiosmtpd::start(&certificate, &key, Security::StartTls).unwrap();

    let workflow = services.url("/teams?sig=s3cr3t-of-the-workflow");
    for (name, value) in [
        ("slack-bot", "xoxb-of-the-bot"),
        ("github-token", "ghp-of-the-bot"),
        ("teams-workflow", workflow.as_str()),
        ("mail", USER.1),
    ] {
        stage.secret(name, value).await;
    }
    let all = json!(["deployment.*"]);
    let end = json!(["deployment.succeeded"]);
    let github = json!({"repository": "acme/shop", "api": services.url("/github")});
    let mail = json!({"url": format!("smtp://localhost:{}", mails.port),
        "from": "deployd@example.com", "to": ["shop@example.com"]});
    let mail_host = json!({"host": "localhost", "port": mails.port, "scheme": "smtp",
        "privateAddress": true, "ca": {"pem": made.cert.pem()},
        "credential": {"secret": "mail", "form": "basic", "user": USER.0}});
    let documents = [
        plugin("slack"),
        plugin("teams"),
        plugin("email"),
        plugin("cdevents"),
        plugin("github-deployments"),
        subscription(
            "chat",
            json!({"notifier": "slack", "events": all, "hosts": [services.host("slack-bot")],
                "config": {"channel": "C1", "url": services.url("/slack")}}),
        ),
        subscription(
            "cards",
            json!({"notifier": "teams", "events": end, "urlSecret": "teams-workflow",
                "privateAddress": true}),
        ),
        subscription(
            "mails",
            json!({"notifier": "email", "events": end, "hosts": [mail_host], "config": mail}),
        ),
        subscription(
            "events",
            json!({"notifier": "cdevents", "events": all, "privateAddress": true,
                "config": {"url": services.url("/events")}}),
        ),
        subscription(
            "github",
            json!({"notifier": "github-deployments", "events": all, "config": github,
                "hosts": [services.host("github-token")]}),
        ),
    ];
    apply(&stage, &documents).await;

    let images: Vec<Value> = ["frontend", "backend"]
        .map(|workload| {
            let mut image = sample::image(workload, '1');
            image["commit"] = json!(COMMIT);
            image
        })
        .into();
    let id = begun(&stage.client.post("/v1/artifacts", &json!(images)).await);
    assert_eq!(stage.ended(&id).await["outcome"], "succeeded");
    let messages = all_told(&stage).await;
    let faults: Vec<&Value> =
        messages.iter().filter(|message| message["status"] != "delivered").collect();
    assert!(faults.is_empty(), "{faults:#?}");

    let chat = services.asked("/slack/");
    assert!(chat.iter().all(|asked| asked.authorization == "Bearer xoxb-of-the-bot"));
    let (replies, changes): (Vec<_>, Vec<_>) =
        chat.iter().skip(1).partition(|asked| asked.path.ends_with("postMessage"));
    assert_eq!((chat[0].body.get("thread_ts"), replies.len(), changes.len()), (None, 3, 3));
    assert!(replies.iter().all(|reply| reply.body["thread_ts"] == changes[0].body["ts"]));
    let text = |asked: &Asked| asked.body["text"].as_str().unwrap().to_owned();
    assert!(text(changes[2]).ends_with("deployment 1 has succeeded"), "{changes:#?}");

    let github = services.asked("/github/repos/acme/shop/deployments");
    assert_eq!(github[0].body["ref"], COMMIT);
    let states: Vec<&Value> = github.iter().skip(1).map(|asked| &asked.body["state"]).collect();
    assert_eq!(states, ["queued", "in_progress", "in_progress", "success"]);
    assert!(github.iter().skip(1).all(|asked| asked.path.ends_with("/deployments/7/statuses")));

    let types: BTreeSet<String> = services
        .asked("/events")
        .iter()
        .map(|asked| {
            assert_eq!(asked.content_type, "application/cloudevents+json");
            asked.body["type"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected =
        ["pipelinerun.finished", "pipelinerun.queued", "pipelinerun.started", "service.deployed"];
    let expected = expected.map(|name| format!("dev.cdevents.{name}.0.3.0"));
    assert_eq!(types, BTreeSet::from(expected));

    let cards = services.asked("/teams");
    assert_eq!((cards.len(), &cards[0].body["type"]), (1, &json!("message")));
    assert!(!json!(messages).to_string().contains("s3cr3t-of-the-workflow"), "it is in a record");
    let taken = tokio::task::spawn_blocking(move || mails.mail().unwrap()).await.unwrap();
    let taken: Value = serde_json::from_str(&taken).unwrap();
    assert_eq!((&taken["tls"], &taken["to"]), (&json!(true), &json!(["shop@example.com"])));
    assert!(taken["mail"].as_str().unwrap().contains("deployment 1 has succeeded"), "{taken}");
}
