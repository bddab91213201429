//! One version's way from its repository to production, as a forge, a suite of tests
//! and people see it: over HTTP alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::callbacks::Suite;
use crate::client::{Answer, Client};
use crate::pulling::Pulling;
use crate::sample::{document, request};
use crate::services::Services;
use crate::stage::{SIGNING_SECRET, Stage};
use crate::wait::until;

/// What GitHub signs deliveries with here.
const FORGE_SECRET: &str = "s3cr3t-of-the-forge";

/// A delivery of GitHub, of another image.
const DELIVERY: &str = include_str!("../../../../plugins/github/tests/package-tagged.json");

/// The digest of that image.
const DELIVERED: &str = "sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b0f5b3c1e2d4a69788796a5b4";

/// Seconds of a day.
const DAY: i64 = 86_400;

/// By which way deployments come to staging.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Pushed,
    Pulled,
}

struct Story {
    stage: Stage,
    _pulling: Option<Pulling>,
    services: Services,
    suite: Suite,
    ana: Client,
    bob: Client,
    cem: Client,
}

fn strategy(name: &str, config: &Value) -> Value {
    json!({
        "templater": {"plugin": "score-k8s"},
        "strategy": {"plugin": name, "config": config},
        "values": {"domain": "apps.localhost"},
    })
}

fn plugin(kind: &str, name: &str) -> Value {
    document("Plugin", name, json!({"kind": kind, "source": {"shipped": name}}))
}

/// Production's type: a canary, and two of the group that looks after it.
fn production(approvals: Value, region: &str) -> Value {
    let steps = json!([{"weight": 50}, {"checks": ["pods"]}]);
    let mut of_type = strategy("canary", &json!({"steps": steps}));
    of_type["values"]["region"] = json!(region);
    of_type["approvals"] = approvals;
    of_type["checks"] = json!({"pods": {"plugin": "kubernetes", "intervalMs": 100, "count": 2,
        "config": {"ready_percent": 100}}});
    document("EnvironmentType", "production", of_type)
}

impl Story {
    /// A shop of three stages, in all of which a first version runs. Staging is pushed to,
    /// or Argo CD pulls it from a repository.
    async fn begin(target: Target) -> Self {
        let stage = Stage::set().await;
        let (services, suite) = (Services::start().await, Suite::start().await);
        for (name, value) in [("forge", FORGE_SECRET), ("bot", "token-of-the-bot")] {
            stage.secret(name, value).await;
        }
        let suite_host = json!({"host": "127.0.0.1", "port": suite.port, "scheme": "http",
            "privateAddress": true});
        let mut staging = strategy("rolling", &json!({"after": ["end-to-end"]}));
        staging["checks"] = json!({"end-to-end": {"plugin": "callback", "once": true, "config": {
            "url": format!("http://127.0.0.1:{}/run", suite.port), "secret": "suite",
            "poll_ms": 100,
        }}});
        let mut pulling = None;
        if target == Target::Pulled {
            let mut begun = Pulling::begin(&stage).await;
            begun.by_argo_cd(&stage, "staging").await;
            staging["target"] = json!("git");
            staging["git"] = begun.spec();
            pulling = Some(begun);
        }
        let of = |name: &str| {
            document("Environment", name, json!({"application": "shop", "type": name}))
        };
        let repository = |workload: &str| json!({"repository": format!("ghcr.io/acme/{workload}"), "workload": workload});
        let documents = [
            plugin("receiver", "github"),
            plugin("strategy", "canary"),
            document(
                "Plugin",
                "kubernetes",
                json!({"kind": "check",
                "source": {"shipped": "kubernetes"}, "grant": {"pods": true}}),
            ),
            document(
                "Plugin",
                "callback",
                json!({"kind": "check",
                "source": {"shipped": "callback"}, "grant": {"hosts": [suite_host],
                "secrets": {"suite": "ci-webhook"}, "reveal": ["suite"]}}),
            ),
            document(
                "Hook",
                "forge",
                json!({"receiver": {"plugin": "github"},
                "verify": {"scheme": "github", "secrets": ["forge"]}}),
            ),
            document("Group", "sre", json!({"members": ["ana", "bob", "cem"]})),
            document(
                "Application",
                "shop",
                json!({
                    "workloads": ["frontend", "backend"],
                    "artifacts": [repository("frontend"), repository("backend")],
                    "flow": [
                        {"environment": "development", "automatic": {"tag": "1.*"}},
                        {"environment": "staging", "after": [{"environment": "development"}],
                            "promotion": "automatic"},
                        {"environment": "production", "after": [{"environment": "staging"}]},
                    ],
                }),
            ),
            document("EnvironmentType", "staging", staging),
            production(json!([]), "north"),
            of("staging"),
            of("production"),
        ];
        stage.client.post("/v1/documents:apply", &request(&documents)).await.ok();
        let person = async |name: &str| {
            let token = json!({"name": name, "scope": "deploy"});
            let made = stage.client.post("/v1/tokens", &token).await.ok();
            stage.client.with_token(made["secret"].as_str().unwrap())
        };
        let (ana, bob, cem) = (person("ana").await, person("bob").await, person("cem").await);
        let story = Self { stage, _pulling: pulling, services, suite, ana, bob, cem };
        // Nothing goes anywhere before both are known.
        story.version(&["backend", "frontend"], '1').await;
        story.staged(1, "passed").await;
        let first = story.promoted().await;
        assert_eq!(story.stage.ended(&first).await["outcome"], "succeeded");
        story
    }

    /// GitHub tells of the images of a version. Of more than one, the first could be
    /// deployed before the next is known, and tested.
    async fn version(&self, workloads: &[&str], digit: char) {
        for workload in workloads {
            let digest = format!("sha256:{}", digit.to_string().repeat(64));
            let body = DELIVERY
                .replace(DELIVERED, &digest)
                .replace("ghcr.io/Example-Org/hello-world:", &format!("ghcr.io/acme/{workload}:"))
                .replace("1.4.0", &format!("1.{digit}.0"));
            let mut mac = Hmac::<Sha256>::new_from_slice(FORGE_SECRET.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            let signature: String =
                mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let request = self.stage.client.request(Method::POST, "/v1/hooks/forge");
            let request = request
                .header("content-type", "application/json")
                .header("x-github-event", "package")
                .header("x-hub-signature-256", format!("sha256={signature}"))
                .body(body);
            Client::send(request).await.ok();
        }
    }

    /// The suite is asked for the so manieth time, and answers; gives what has become of
    /// staging.
    async fn staged(&self, times: usize, verdict: &str) -> Value {
        let asked = self.suite.asked(times).await;
        assert_eq!(asked["environment"], "staging");
        assert_eq!(self.suite.answer(&asked, verdict, SIGNING_SECRET).await, 204);
        self.stage.ended(asked["deployment"].as_str().unwrap()).await
    }

    /// Ana brings what runs in staging to production.
    async fn promoted(&self) -> String {
        let ask = json!({"environment": "shop/production", "promote": "staging"});
        let record = self.ana.post("/v1/deployments", &ask).await.ok();
        record["id"].as_str().unwrap().to_owned()
    }

    /// What waits for approvals, once it does, for a plan that is not this one.
    async fn asked(&self, id: &str, other_than: &str) -> Value {
        until("people are asked", || async {
            let view = self.bob.get(&format!("/v1/deployments/{id}/approval")).await;
            let view = (view.status == 200).then(|| view.json())?;
            (view["plan"] != other_than).then_some(view)
        })
        .await
    }

    async fn approves(&self, who: &Client, id: &str, plan: &Value) -> Answer {
        let says = json!({"plan": plan, "decision": "approve", "reason": "seen in staging"});
        who.post(&format!("/v1/deployments/{id}/approval"), &says).await
    }

    /// The same, which may come while the plan is made once more.
    async fn agrees(&self, who: &Client, id: &str, plan: &Value) {
        let answer = until("the plan is there", || async {
            let answer = self.approves(who, id, plan).await;
            (answer.status != 409).then_some(answer)
        });
        answer.await.ok();
    }

    async fn apply(&self, documents: &[Value]) {
        self.stage.client.post("/v1/documents:apply", &request(documents)).await.ok();
    }

    fn image(&self, environment: &str) -> String {
        let namespace = format!("shop-{environment}");
        let found = self.stage.practice.objects().get("deployments.apps", &namespace, "frontend");
        let image = found.unwrap().pointer("/spec/template/spec/containers/0/image").cloned();
        image.unwrap().as_str().unwrap().to_owned()
    }

    async fn why(&self, image: &str) -> String {
        let path = format!("/v1/environments/shop/production/why?subject={image}");
        self.stage.client.get(&path).await.ok()["because"].to_string()
    }
}

/// A freeze from and until so many seconds from now, to the minute.
fn frozen(from: i64, to: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let text = |seconds: i64| {
        let at = jiff::Timestamp::from_second(i64::try_from(now).unwrap() + seconds).unwrap();
        at.to_string().get(..16).unwrap().to_owned()
    };
    let freeze = json!({"name": "audit", "from": text(from), "to": text(to),
        "reason": "the auditors are here"});
    let selector = json!({"environmentTypes": ["production"]});
    let spec = json!({"timeZone": "UTC", "selector": selector, "freezes": [freeze]});
    document("Calendar", "audit", spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_package_of_github_to_production_by_a_suite_two_people_and_a_canary() {
    to_production(Story::begin(Target::Pushed).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_where_argo_cd_pulls_staging() {
    to_production(Story::begin(Target::Pulled).await).await;
}

async fn to_production(story: Story) {
    let Story { stage, services, .. } = &story;
    let all = json!(["deployment.*", "approval.*"]);
    let url = |path: &str| services.url(path);
    let hosts = json!([services.host("bot")]);
    let told = |name: &str, config: Value| {
        document(
            "Subscription",
            name,
            json!({"notifier": name, "events": all,
            "environment": "production", "hosts": hosts, "config": config}),
        )
    };
    let two = json!([{"name": "release", "count": 2, "groups": ["sre"]}]);
    story
        .apply(&[
            plugin("notifier", "slack"),
            plugin("notifier", "teams"),
            plugin("notifier", "cdevents"),
            plugin("notifier", "github-deployments"),
            told("slack", json!({"channel": "C1", "url": url("/slack")})),
            told("teams", json!({"url": url("/teams")})),
            told("cdevents", json!({"url": url("/events")})),
            told("github-deployments", json!({"repository": "acme/shop", "api": url("/github")})),
            production(two.clone(), "north"),
            frozen(-2 * DAY, -DAY),
        ])
        .await;

    // A forge tells of it, and a suite of tests lets it pass.
    story.version(&["frontend"], '2').await;
    assert_eq!(story.staged(2, "passed").await["outcome"], "succeeded");
    assert!(story.image("staging").ends_with(&"2".repeat(64)));
    assert!(story.image("production").ends_with(&"1".repeat(64)));

    // Two people agree, neither of whom has asked for it.
    let id = story.promoted().await;
    let view = story.asked(&id, "").await;
    let plan = &view["plan"];
    assert_eq!(view["gates"][0]["missing"], 2, "{view:#}");
    let own = story.approves(&story.ana, &id, plan).await;
    assert_eq!(own.status, 403, "{}", own.text);
    assert!(own.text.contains("ana has asked for it"), "{}", own.text);
    // Meanwhile a freeze is announced. It makes no other plan of it, and keeps it.
    story.apply(&[frozen(-3_600, DAY)]).await;
    story.agrees(&story.bob, &id, plan).await;
    story.agrees(&story.cem, &id, plan).await;
    until("the freeze keeps it", || async {
        let deferred = stage.deployment(&id).await["work"]["deferred"].to_string();
        deferred.contains("the auditors are here").then_some(())
    })
    .await;
    assert!(story.image("production").ends_with(&"1".repeat(64)));
    // It is over sooner than was thought, and nobody has to agree again.
    story.apply(&[frozen(-3_600, 75)]).await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(story.image("production").ends_with(&"2".repeat(64)));
    let steps = record["work"]["steps"].to_string();
    assert!(steps.contains("run-checks") && steps.contains("canary"), "{steps}");

    // Everybody has been told.
    until("nothing is left to be told", || async {
        let pending: Value = stage.client.get("/v1/notifications?status=pending").await.ok();
        pending.as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let texts = |below: &str| -> Vec<String> {
        services.asked(below).iter().map(|asked| asked.body.to_string()).collect()
    };
    let chat = texts("/slack/").join("\n");
    for said in ["waits for approval", "was approved", "has succeeded"] {
        assert!(chat.contains(said), "{said}: {chat}");
    }
    assert!(texts("/teams").last().unwrap().contains("has succeeded"));
    assert!(texts("/events").iter().any(|body| body.contains("service.upgraded")));
    assert!(texts("/github").last().unwrap().contains("\"success\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_not_agreed_to_or_is_something_else_gets_nowhere() {
    gets_nowhere(Story::begin(Target::Pushed).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_gets_nowhere_where_argo_cd_pulls_staging() {
    gets_nowhere(Story::begin(Target::Pulled).await).await;
}

async fn gets_nowhere(story: Story) {
    let Story { stage, .. } = &story;
    let two = |expires: &str| json!([{"name": "release", "count": 2, "groups": ["sre"], "expires": expires}]);
    story.apply(&[production(two("8h"), "north")]).await;

    // A suite that fails: staging goes back, and production does not hear of it.
    story.version(&["frontend"], '2').await;
    let failed = story.staged(2, "failed").await;
    assert_eq!(failed["outcome"], "rolled-back", "{failed:#}");
    assert!(story.image("staging").ends_with(&"1".repeat(64)));
    let why = story.why(&"2".repeat(12)).await;
    assert!(why.contains("staging"), "{why}");

    // A plan that changes while people look at it is asked for again.
    story.version(&["frontend"], '3').await;
    assert_eq!(story.staged(3, "passed").await["outcome"], "succeeded");
    let id = story.promoted().await;
    let first = story.asked(&id, "").await["plan"].clone();
    story.approves(&story.bob, &id, &first).await.ok();
    story.apply(&[production(two("1m"), "south")]).await;
    let second = story.asked(&id, first.as_str().unwrap()).await;
    assert_eq!(second["gates"][0]["missing"], 2, "{second:#}");
    assert!(second["changed"]["patch"].to_string().contains("south"), "{second:#}");
    let late = story.approves(&story.cem, &id, &first).await;
    assert_eq!(late.status, 409, "{}", late.text);
    story.approves(&story.cem, &id, &second["plan"]).await.ok();

    // Whose token was revoked agrees to nothing any more.
    let revoke = stage.client.request(Method::DELETE, "/v1/tokens/bob");
    assert_eq!(Client::send(revoke).await.status, 204);
    let revoked = story.approves(&story.bob, &id, &second["plan"]).await;
    assert_eq!(revoked.status, 401, "{}", revoked.text);

    // And what not enough have agreed to in time is over.
    let record = tokio::time::timeout(Duration::from_secs(300), stage.ended(&id)).await.unwrap();
    assert_eq!(record["outcome"], "cancelled", "{record:#}");
    assert_eq!(record["fault"]["code"], "approval-expired", "{record:#}");
    assert!(story.image("production").ends_with(&"1".repeat(64)));
}
