//! One daemon and two clusters.

use deployd_practice::{Practice, PracticeOptions};
use serde_json::{Value, json};

use crate::stage::{NAMESPACE, Stage};

/// Where the second cluster is for: an environment's type and its region choose it.
const PRODUCTION: &str = "
apiVersion: deployd.dev/v1
kind: EnvironmentType
metadata: { name: production }
spec:
  templater: { plugin: score-k8s }
  strategy: { plugin: rolling, config: { deadline_ms: 180000, on_failure: roll-back } }
  values: { domain: apps.localhost }
---
apiVersion: deployd.dev/v1
kind: Environment
metadata: { name: live }
spec:
  application: shop
  type: production
  values: { region: eu-west }
---
apiVersion: deployd.dev/v1
kind: Environment
metadata: { name: far }
spec:
  application: shop
  type: production
  values: { region: us-east }
---
apiVersion: deployd.dev/v1
kind: ResourceDefinition
metadata: { name: cluster-production-eu }
spec:
  type: k8s-cluster
  driver: k8s-cluster
  criteria: [{ environmentType: production, values: { region: eu-* } }]
  inputs: { name: production-eu, kubeconfig_secret: production }
---
apiVersion: deployd.dev/v1
kind: Plugin
metadata: { name: k8s-cluster }
spec:
  kind: driver
  source: { shipped: k8s-cluster }
  grant:
    secrets: { demo-cluster: demo-cluster, production: production }
";

/// A practice cluster with an account that deploys.
struct Production {
    practice: Practice,
    http: reqwest::Client,
}

impl Production {
    async fn start() -> Self {
        let practice = Practice::start(PracticeOptions::new()).await.unwrap();
        let production = Self { practice, http: reqwest::Client::new() };
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "deployer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "deployer"}],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        production.post(bindings, &binding).await;
        production
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.practice.url());
        let request = self.http.post(url).bearer_auth(self.practice.token());
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A kubeconfig with a token of the account, which is made anew: tokens of the
    /// one before are worth nothing.
    async fn kubeconfig(&self) -> String {
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        let url = format!("{}{accounts}/deployer", self.practice.url());
        let gone = self.http.delete(url).bearer_auth(self.practice.token()).send().await.unwrap();
        assert!(gone.status().is_success() || gone.status() == 404);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "deployer"}});
        self.post(accounts, &account).await;
        let wish = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 600}});
        let token = self.post(&format!("{accounts}/deployer/token"), &wish).await;
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": self.practice.url()}}],
            "users": [{"name": "u", "user": {"token": token["status"]["token"]}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        })
        .to_string()
    }

    fn has(&self, namespace: &str) -> bool {
        self.practice.objects().get("deployments.apps", namespace, "frontend").is_some()
    }
}

/// Deploys to another environment what ran in the first.
async fn deploy(stage: &Stage, set: &Value, environment: &str) -> Value {
    let request = json!({"environment": environment, "setDigest": set});
    let accepted = stage.client.post("/v1/deployments", &request).await.ok();
    stage.ended(accepted["id"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn type_and_region_choose_the_cluster_and_its_token_is_rotated() {
    let stage = Stage::set().await;
    let production = Production::start().await;
    stage.secret("production", &production.kubeconfig().await).await;
    let files = json!({"files": [{"path": "production.yaml", "text": PRODUCTION}]});
    stage.client.post("/v1/documents:apply", &files).await.ok();
    let has = |namespace: &str| {
        stage.practice.objects().get("deployments.apps", namespace, "frontend").is_some()
    };

    let first = stage.deployed('1').await;
    let set = stage.deployment(&first).await["request"]["set"].clone();
    assert!(has(NAMESPACE) && !production.has(NAMESPACE));
    let record = deploy(&stage, &set, "shop/live").await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(production.has("shop-live") && !has("shop-live"));
    let record = deploy(&stage, &set, "shop/far").await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(has("shop-far") && !production.has("shop-far"), "another region, and no cluster there");

    // Another token, and the one before is worth nothing: told apart from all else.
    let rotated = production.kubeconfig().await;
    let record = deploy(&stage, &set, "shop/live").await;
    assert_eq!(record["fault"]["code"], "cluster-unauthorized", "{record:#}");
    assert_eq!(record["fault"]["class"], "denied", "{record:#}");
    let message = record["fault"]["message"].as_str().unwrap();
    assert!(message.contains("cluster production-eu"), "{message}");
    stage.secret("production", &rotated).await;
    let record = deploy(&stage, &set, "shop/live").await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
}
