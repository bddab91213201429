//! A running engine behind the interface, and a client that holds every answer
//! against the OpenAPI document.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use deployd_core::Actor;
use deployd_core::views::TokenScope;
use deployd_engine::{Caller, Engine, Ports};
use deployd_store::MemoryStore;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::fakes;
use crate::{Api, Options};

pub(super) const SCOPES: [TokenScope; 5] =
    [TokenScope::Bound, TokenScope::Read, TokenScope::Ci, TokenScope::Deploy, TokenScope::Admin];

/// What a platform team applies, in one file.
pub(super) const PLATFORM: &str = r#"
{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: driver}, spec: {kind: driver, source: {shipped: driver}}}
---
{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: templater}, spec: {kind: templater, source: {shipped: templater}}}
---
{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: rolling}, spec: {kind: strategy, source: {shipped: rolling}}}
---
{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: webhook}, spec: {kind: notifier, source: {shipped: webhook}}}
---
{apiVersion: deployd.dev/v1, kind: ResourceDefinition, metadata: {name: k8s-cluster}, spec: {type: k8s-cluster, driver: driver}}
---
{apiVersion: deployd.dev/v1, kind: ResourceDefinition, metadata: {name: k8s-namespace}, spec: {type: k8s-namespace, driver: driver}}
---
{apiVersion: deployd.dev/v1, kind: ResourceDefinition, metadata: {name: dns}, spec: {type: dns, driver: driver}}
---
{apiVersion: deployd.dev/v1, kind: EnvironmentType, metadata: {name: development}, spec: {templater: {plugin: templater}, strategy: {plugin: rolling}}}
---
{apiVersion: deployd.dev/v1, kind: Subscription, metadata: {name: ci}, spec: {notifier: webhook, events: ["deployment.*"], config: {url: "https://receiver.test/hook"}}}
"#;

/// An application of one workload.
pub(super) const SHOP: &str = r#"
apiVersion: deployd.dev/v1
kind: Application
metadata: {name: shop}
spec:
  workloads: [frontend]
  artifacts: [{repository: registry.test/shop/frontend, workload: frontend}]
  flow: [{environment: development, automatic: {ref: refs/heads/main}}]
---
apiVersion: deployd.dev/v1
kind: Environment
metadata: {name: development}
spec: {application: shop, type: development}
---
apiVersion: score.dev/v1b1
metadata: {name: frontend}
containers: {web: {image: ., variables: {HOST: "${resources.site.host}"}}}
resources: {site: {type: dns}}
"#;

/// A hook and its receiver.
pub(super) const HOOK: &str = r#"
{apiVersion: deployd.dev/v1, kind: Plugin, metadata: {name: lists}, spec: {kind: receiver, source: {shipped: lists}}}
---
{apiVersion: deployd.dev/v1, kind: Hook, metadata: {name: registry}, spec: {receiver: {plugin: lists}, verify: {scheme: gitlab, secrets: [hook]}}}
"#;

pub(super) struct Stage {
    pub(super) api: Api,
    pub(super) router: Router,
    pub(super) store: MemoryStore,
    ports: Ports,
    sent: fakes::Sent,
    tokens: BTreeMap<TokenScope, String>,
    document: Value,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a status, and a problem of a kind where it is none of success.
    #[track_caller]
    pub(super) fn is(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if !self.status.is_success() {
            assert_eq!(self.header("content-type"), "application/problem+json");
            let problem = self.json();
            assert_eq!(problem["code"], code, "{problem}");
            assert_eq!(problem["status"], status);
            assert_eq!(problem["type"], format!("https://deployd.dev/problems/{code}"));
            let instance = format!("urn:deployd:request:{}", self.header("x-request-id"));
            assert_eq!(problem["instance"], instance);
        }
        self
    }

    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self
    }
}

/// A request, as a test writes it.
pub(super) struct Ask<'a> {
    stage: &'a Stage,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Stage {
    /// With nothing configured.
    pub(super) async fn empty() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let store = MemoryStore::new();
        let sent = fakes::Sent::default();
        let ports = fakes::ports(store.clone(), sent.clone());
        let engine = Engine::new(ports.clone());
        engine.start().await.unwrap();
        let caller = Caller::new(Actor("test".into()));
        let mut tokens = BTreeMap::new();
        for scope in SCOPES {
            let name = scope.as_str().parse().unwrap();
            let token = engine.create_token(&caller, &name, scope).await.unwrap();
            tokens.insert(scope, token.secret);
        }
        let api = Api::new(engine, options);
        let router = crate::router(api.clone());
        let document = api.shared().openapi.clone();
        Self { api, router, store, ports, sent, tokens, document }
    }

    /// Requests are answered by another process from now on, as after a restart.
    pub(super) fn restart(&mut self) {
        self.api = Api::new(Engine::new(self.ports.clone()), Options::default());
        self.router = crate::router(self.api.clone());
    }

    /// With the shop applied.
    pub(super) async fn shop() -> Self {
        let stage = Self::empty().await;
        stage.apply(&[("platform.yaml", PLATFORM), ("shop.yaml", SHOP)]).await.is(200, "");
        stage
    }

    pub(super) async fn apply(&self, files: &[(&str, &str)]) -> Got {
        let files: Vec<Value> =
            files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect();
        self.post("/v1/documents:apply").json(&json!({"files": files})).send().await
    }

    pub(super) fn token(&self, scope: TokenScope) -> &str {
        &self.tokens[&scope]
    }

    pub(super) fn document(&self) -> &Value {
        &self.document
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let (path, headers, body) = (path.to_owned(), HeaderMap::new(), Vec::new());
        Ask { stage: self, method, path, headers, body }
    }

    pub(super) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path).scope(TokenScope::Admin)
    }

    pub(super) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path).scope(TokenScope::Admin)
    }

    /// Deploys the shop with one image, and waits for the end.
    pub(super) async fn deployed(&self) -> String {
        let digest = deployd_core::Digest::of(b"image");
        let artifact = json!({
            "repository": "registry.test/shop/frontend", "digest": digest, "ref": "refs/heads/main",
        });
        let announced = self.post("/v1/artifacts").json(&artifact).send().await.is(200, "").json();
        let id = announced["routes"][0]["deployment"].as_str().unwrap().to_owned();
        // The stream ends with the deployment.
        self.get(&format!("/v1/deployments/{id}/events")).send().await.is(200, "");
        id
    }

    /// Deploys the shop twice, and waits for the end. Gives the first.
    pub(super) async fn deployed_twice(&self) -> String {
        let first = self.deployed().await;
        let patched = json!({"workloads": {"update": {"frontend": [
            {"op": "add", "path": "/containers/web/image", "value": "r/f:2"},
        ]}}});
        let request = json!({"environment": "shop/development", "delta": patched});
        let made = self.post("/v1/deployments").json(&request).send().await.ok().json();
        self.ended(&made).await;
        first
    }

    /// Deploys the shop twice, goes back, and waits for the end.
    pub(super) async fn went_back(&self) {
        self.deployed_twice().await;
        let path = "/v1/environments/shop/development/rollback";
        let made = self.post(path).json(&json!({})).send().await.is(202, "").json();
        self.ended(&made).await;
    }

    async fn ended(&self, made: &Value) {
        let made = format!("/v1/deployments/{}", made["id"].as_str().unwrap());
        while !self.get(&made).send().await.text.contains("\"outcome\"") {}
    }

    /// A delivery to a hook whose secret is `s3cret`; its receiver takes lists.
    pub(super) async fn hooked(&self) -> String {
        self.apply(&[("hook.yaml", HOOK)]).await.is(200, "");
        let secret = self.ask(Method::PUT, "/v1/secrets/hook").scope(TokenScope::Admin);
        secret.body("s3cret").send().await.is(204, "");
        let got = self.delivered("s3cret", &json!([])).await.is(202, "").json();
        got["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn delivered(&self, token: &str, body: &Value) -> Got {
        let ask = self.ask(Method::POST, "/v1/hooks/registry");
        ask.header("x-gitlab-token", token).json(body).send().await
    }

    /// A deployment that does not end: its strategy never comes to an end.
    pub(super) async fn waiting(&self) -> String {
        self.stays("endless").await
    }

    /// A deployment that has failed, by its image's name.
    pub(super) async fn failed(&self) -> String {
        let id = self.stays("fails").await;
        self.get(&format!("/v1/deployments/{id}/events")).send().await.is(200, "");
        let digest = deployd_core::Digest::of(b"stays");
        format!("registry.test/shop/frontend@{digest}")
    }

    /// A deployment that waits for the approval of anybody, and its plan.
    pub(super) async fn asks(&self) -> (String, String) {
        let asks = "plugin: rolling}, approvals: [{name: release, count: 2, exclude: []}]}";
        let platform = PLATFORM.replace("plugin: rolling}}", asks);
        let told = r#"events: ["approval.*"], approver: ana"#;
        let platform = platform.replace(r#"events: ["deployment.*"]"#, told);
        self.apply(&[("platform.yaml", &platform)]).await.is(200, "");
        let digest = deployd_core::Digest::of(b"asks");
        let artifact = json!({
            "repository": "registry.test/shop/frontend", "digest": digest, "ref": "refs/heads/main",
        });
        let announced = self.post("/v1/artifacts").json(&artifact).send().await.is(200, "").json();
        let id = announced["routes"][0]["deployment"].as_str().unwrap().to_owned();
        loop {
            let waiting = self.get("/v1/approvals").send().await.is(200, "").json();
            if let Some(plan) = waiting[0]["plan"].as_str() {
                return (id, plan.to_owned());
            }
        }
    }

    /// The link by which Ana approves what waits.
    pub(super) async fn link(&self) -> String {
        self.api.engine().reached_at("https://deployd.test".to_owned());
        self.asks().await;
        loop {
            self.get("/v1/approvals").send().await.is(200, "");
            let sent = self.sent.lock().unwrap().clone();
            let events = sent.iter().filter_map(|body| serde_json::from_slice::<Value>(body).ok());
            let mut links = events.filter_map(|event| event["link"].as_str().map(str::to_owned));
            if let Some(link) = links.find(|link| link.contains("/approve#")) {
                return link.split_once('#').unwrap().1.to_owned();
            }
        }
    }

    /// A deployment whose strategy is configured: `endless`, `pauses` or `fails`.
    pub(super) async fn stays(&self, how: &str) -> String {
        let config = format!("plugin: rolling, config: {{{how}: true}}}}");
        let platform = PLATFORM.replace("plugin: rolling}", &config);
        self.apply(&[("platform.yaml", &platform)]).await.is(200, "");
        let digest = deployd_core::Digest::of(b"stays");
        let artifact = json!({
            "repository": "registry.test/shop/frontend", "digest": digest, "ref": "refs/heads/main",
        });
        let announced = self.post("/v1/artifacts").json(&artifact).send().await.is(200, "").json();
        announced["routes"][0]["deployment"].as_str().unwrap().to_owned()
    }

    /// Holds an answer against the document.
    fn check(&self, method: &Method, path: &str, got: &Got) {
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        // Literal segments first, as the router does.
        let found = paths.get_key_value(path).or_else(|| {
            paths.iter().find(|(template, _)| {
                let (a, b) = (template.split('/'), path.split('/'));
                template.split('/').count() == path.split('/').count()
                    && a.zip(b).all(|(a, b)| a.starts_with('{') || a == b)
            })
        });
        let Some((_, operations)) = found else {
            assert_eq!(got.status, 404, "not in the document: {path}");
            return;
        };
        let verb =
            if method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
        let Some(operation) = operations.get(&verb) else {
            assert_eq!(got.status, 405, "not in the document: {method} {path}");
            return;
        };
        let responses = &operation["responses"];
        let documented = responses
            .get(got.status.as_str())
            .unwrap_or_else(|| panic!("{method} {path}: {} is not documented", got.status));
        let response = if got.status.is_success() {
            documented
        } else {
            &self.document["components"]["responses"]["Problem"]
        };
        let essence = got.header("content-type").split(';').next().unwrap();
        let Some(content) = response.get("content") else {
            assert_eq!(got.text, "", "{method} {path}");
            return;
        };
        let schema = content
            .get(essence)
            .unwrap_or_else(|| panic!("{method} {path}: {essence:?} is not documented"));
        if essence.ends_with("json") && method != Method::HEAD {
            self.validate(&schema["schema"], &got.json());
        }
    }

    /// Holds a value against a schema of the document.
    pub(super) fn validate(&self, schema: &Value, value: &Value) {
        let mut root = json!({"components": self.document["components"]});
        match schema {
            Value::Object(schema) => root.as_object_mut().unwrap().extend(schema.clone()),
            _ => return,
        }
        let validator = jsonschema::draft202012::new(&root).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }
}

impl Ask<'_> {
    pub(super) fn scope(self, scope: TokenScope) -> Self {
        let value = format!("Bearer {}", self.stage.token(scope));
        self.header("authorization", &value)
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) async fn send(self) -> Got {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers;
        let response = self.stage.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        // An archive is no text, and nobody reads it here.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let got = Got { status: parts.status, headers: parts.headers, text };
        self.stage.check(&self.method, &self.path, &got);
        got
    }
}
