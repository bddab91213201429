//! The API of a cluster, as far as it is needed.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// An API server, and a token that it lets in.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    url: String,
    token: String,
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; the one that it would have, of a kind without.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Id {
    /// Of an object; `namespace` where it names none.
    pub fn of(object: &Value, namespace: &str) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        Self {
            api_version: text("/apiVersion").expect("an apiVersion").to_owned(),
            kind: text("/kind").expect("a kind").to_owned(),
            namespace: text("/metadata/namespace").unwrap_or(namespace).to_owned(),
            name: text("/metadata/name").expect("a name").to_owned(),
        }
    }

    /// The group; empty for Kubernetes' core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The version within the group.
    pub fn version(&self) -> &str {
        self.api_version.rsplit_once('/').map_or(&self.api_version, |(_, version)| version)
    }
}

impl Api {
    /// The server at `http://host:port`.
    pub fn new(url: &str, token: &str) -> Self {
        // Fails when it was done before. All requests are plain, but the client wants to
        // know what it would encrypt with.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build().unwrap();
        Self { http, url: url.to_owned(), token: token.to_owned() }
    }

    /// The object as it is.
    pub async fn get(&self, id: &Id) -> Option<Value> {
        let path = self.path(id).await?;
        let (status, body) = self.ask(Method::GET, &path, None).await;
        match status {
            StatusCode::NOT_FOUND => None,
            status if status.is_success() => Some(body),
            status => panic!("{path}: {status} {body}"),
        }
    }

    /// Applies on the server's side, and takes over what others have.
    ///
    /// # Errors
    ///
    /// What the server says when it refuses.
    pub async fn apply(
        &self,
        manager: &str,
        object: &Value,
        namespace: &str,
    ) -> Result<(), String> {
        let id = Id::of(object, namespace);
        let Some(path) = self.path(&id).await else {
            return Err(format!("no matches for kind \"{}\" in \"{}\"", id.kind, id.api_version));
        };
        let path = format!("{path}?fieldManager={manager}&force=true");
        let patch = ("application/apply-patch+yaml", object);
        let (status, body) = self.ask(Method::PATCH, &path, Some(patch)).await;
        match status.is_success() {
            true => Ok(()),
            false => Err(body["message"].as_str().unwrap_or("refused").to_owned()),
        }
    }

    /// Whether the kind of an object is known.
    pub(crate) async fn serves(&self, object: &Value) -> bool {
        self.path(&Id::of(object, "default")).await.is_some()
    }

    /// Merges what is given into an object, or into its status where it has one apart.
    pub(crate) async fn merge(&self, id: &Id, subresource: &str, patch: &Value) {
        let path = format!("{}{subresource}", self.path(id).await.expect("a known kind"));
        let patch = ("application/merge-patch+json", patch);
        let (status, body) = self.ask(Method::PATCH, &path, Some(patch)).await;
        assert!(status.is_success(), "{path}: {status} {body}");
    }

    /// Takes an object away; one that is gone is none.
    pub async fn delete(&self, id: &Id) {
        let Some(path) = self.path(id).await else { return };
        let (status, body) = self.ask(Method::DELETE, &path, None).await;
        let is_gone = status.is_success() || status == StatusCode::NOT_FOUND;
        assert!(is_gone, "{path}: {status} {body}");
    }

    /// Where an object is; none where its kind is not known.
    async fn path(&self, id: &Id) -> Option<String> {
        let root = match id.group() {
            "" => format!("/api/{}", id.api_version),
            _ => format!("/apis/{}", id.api_version),
        };
        let (status, served) = self.ask(Method::GET, &root, None).await;
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        let is_it = |it: &&Value| {
            it["kind"] == *id.kind && it["name"].as_str().is_some_and(|name| !name.contains('/'))
        };
        let resource = served["resources"].as_array()?.iter().find(is_it)?;
        let plural = resource["name"].as_str()?;
        Some(match resource["namespaced"] == json!(true) {
            true => format!("{root}/namespaces/{}/{plural}/{}", id.namespace, id.name),
            false => format!("{root}/{plural}/{}", id.name),
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let mut request = request.bearer_auth(&self.token);
        if let Some((media, body)) = body {
            request = request.header("content-type", media).body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
