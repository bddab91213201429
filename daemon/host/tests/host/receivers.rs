//! Receivers as components: each of the shipped ones reads a real delivery.

use deployd_core::Fault;
use deployd_core::ports::{Call, CallLog, Delivery, Receivers as _};
use serde_json::{Value, json};

use crate::shipped::load_with;
use crate::support::{Stage, scope};

/// A body out of a plugin's own tests.
macro_rules! body {
    ($path:literal) => {
        include_str!(concat!("../../../../plugins/", $path))
    };
}

async fn told(
    stage: &Stage,
    receiver: &str,
    header: (&str, &str),
    body: &str,
    config: Value,
) -> Result<Vec<Value>, Fault> {
    let plugin = load_with(stage, receiver, &deployd_core::config::Grant::default()).await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let headers = vec![(header.0.to_owned(), header.1.to_owned())];
    let delivery = Delivery { headers, body: body.as_bytes().to_vec() };
    stage.host.decode(call, &delivery, &config).await
}

#[tokio::test]
async fn forges_and_registries_tell_of_images() {
    let stage = Stage::new();
    let none = ("content-type", "application/json");
    let image = json!([{"repository": "registry.example.com/web", "tag": "${short-commit}"}]);
    let artifactory = json!({"registry": "registry.example.com"});
    let pushed = body!("registry/tests/distribution-push.json");
    let package = body!("github/tests/package-tagged.json");
    let pipeline = body!("gitlab/tests/pipeline-branch.json");
    let created = body!("gitea/tests/package-created.json");
    let harbor = body!("harbor/tests/default-tagged.json");
    let hub = body!("docker-hub/tests/push.json");
    let quay = body!("quay/tests/push.json");
    let jfrog = body!("artifactory/tests/pushed.json");
    let event = body!("cloudevents/tests/structured.json");
    let structured = ("content-type", "application/cloudevents+json");
    let github = ("x-github-event", "package");
    let gitlab = ("x-gitlab-event", "Pipeline Hook");
    let gitea = ("x-gitea-event", "package");
    let config = || json!({});
    for said in [
        told(&stage, "registry", none, pushed, config()).await,
        told(&stage, "github", github, package, config()).await,
        told(&stage, "gitlab", gitlab, pipeline, json!({"images": image})).await,
        told(&stage, "gitea", gitea, created, config()).await,
        told(&stage, "harbor", none, harbor, config()).await,
        told(&stage, "docker-hub", none, hub, config()).await,
        told(&stage, "quay", none, quay, config()).await,
        told(&stage, "artifactory", none, jfrog, artifactory).await,
        told(&stage, "cloudevents", structured, event, config()).await,
    ] {
        let said = said.unwrap();
        assert!(!said.is_empty());
        for one in said {
            assert_eq!(one["kind"], "artifact");
            assert!(one["repository"].as_str().is_some_and(|name| name.contains('/')), "{one}");
            assert!(one["digest"].is_string() || one["tag"].is_string(), "{one}");
        }
    }
}

#[tokio::test]
async fn what_is_of_no_interest_and_what_is_no_delivery() {
    let stage = Stage::new();
    let ping = told(&stage, "github", ("x-github-event", "ping"), "{}", json!({})).await;
    assert_eq!(ping.unwrap(), Vec::<Value>::new());
    let package = ("x-github-event", "package");
    let fault = told(&stage, "github", package, r#"{"action": 7}"#, json!({})).await.unwrap_err();
    assert!(fault.to_string().contains("/body/action"), "{fault}");
    let fault = told(&stage, "github", package, "{}", json!({"unheard": 1})).await.unwrap_err();
    assert!(fault.to_string().contains("unheard"), "{fault}");
}
