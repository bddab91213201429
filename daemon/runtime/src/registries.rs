//! Asks registries what a tag means: `HEAD /v2/NAME/manifests/TAG` of the OCI
//! Distribution Specification 1.1, with tokens as Distribution gives them
//! ("Token Authentication Specification").

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::HostGrant;
use deployd_core::ports::{
    Access, Egress, EgressLimits, Exchange, Exchanged, Registries, RegistryAccess,
};
use deployd_core::secret::SecretValue;
use deployd_core::{Digest, Fault};
use http_auth::ChallengeRef;
use reqwest::Url;
use serde::Deserialize;

use crate::sender::{Logged, fault};

/// Forms of manifests: an image, or an index of images for several platforms, whose
/// digest is then what the tag means.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What the registry of `docker.io` is really called.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Bytes of an answer: a token, or a manifest of a registry that does not say its
/// digest. The specification has registries take 4 MiB.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Registries, through the one way out.
pub(crate) struct EgressRegistries {
    /// The way out.
    pub(crate) egress: Arc<dyn Egress>,
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: String,
    name: String,
}

impl Place {
    /// A repository's registry and its name there, as container tools read it: without
    /// a host it is Docker Hub's, and without a slash one of its own images.
    fn of(repository: &str) -> Option<Self> {
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, name) = match repository.split_once('/') {
            Some((host, name)) if is_host(host) => (host, name),
            _ => (DOCKER_HUB.0, repository),
        };
        let name = match (host == DOCKER_HUB.0, name.contains('/')) {
            (true, false) => format!("library/{name}"),
            _ => name.to_owned(),
        };
        let host = if host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { host };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let is_fine = !name.is_empty() && !name.split('/').any(str::is_empty);
        (is_fine && name.chars().all(fits)).then(|| Self { host: host.to_owned(), name })
    }
}

#[async_trait]
impl Registries for EgressRegistries {
    async fn digest(
        &self,
        repository: &str,
        tag: &str,
        access: &RegistryAccess,
    ) -> Result<Digest, Fault> {
        let image = format!("{repository}:{tag}");
        let invalid = || Fault::invalid("image-invalid", format!("{image} is no name of an image"));
        let place = Place::of(repository).ok_or_else(invalid)?;
        let is_tag = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if tag.is_empty() || !tag.chars().all(is_tag) {
            return Err(invalid());
        }
        let scheme = if access.plain_http { "http" } else { "https" };
        let Place { host, name } = &place;
        let url = format!("{scheme}://{host}/v2/{name}/manifests/{tag}");
        let url = Url::parse(&url).map_err(|_| invalid())?;
        let mut authorization = None;
        let mut answer = self.ask("HEAD", &url, authorization.clone(), access).await?;
        if answer.status == 401 {
            authorization = self.authorization(&answer, &place, access).await?;
            answer = self.ask("HEAD", &url, authorization.clone(), access).await?;
        }
        judge(&image, &answer)?;
        if let Some(digest) = header(&answer, "docker-content-digest") {
            return digest.parse().map_err(|_| {
                let message = format!("the registry says that {image} is {digest:?}");
                Fault::transient("registry-strange", message)
            });
        }
        // Registries ought to say it, and some do not: it is the manifest's.
        let answer = self.ask("GET", &url, authorization, access).await?;
        judge(&image, &answer)?;
        Ok(Digest::of(&answer.body))
    }
}

impl EgressRegistries {
    async fn ask(
        &self,
        method: &str,
        url: &Url,
        authorization: Option<String>,
        access: &RegistryAccess,
    ) -> Result<Exchanged, Fault> {
        let grant = HostGrant {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            scheme: url.scheme().to_owned(),
            private_address: access.private_address,
            ..HostGrant::default()
        };
        let access = Access {
            grants: Arc::new([grant]),
            limits: EgressLimits { body_bytes: BODY_MAX, ..EgressLimits::default() },
            uses: Arc::new(Logged),
        };
        let mut headers = vec![("accept".to_owned(), MANIFESTS.to_owned())];
        headers.extend(authorization.map(|value| ("authorization".to_owned(), value)));
        let exchange =
            Exchange { method: method.to_owned(), url: url.to_string(), headers, body: Vec::new() };
        self.egress
            .exchange(&access, exchange)
            .await
            .map_err(|error| fault(error, "hook's registry"))
    }

    /// What a registry wants to see that answered 401.
    async fn authorization(
        &self,
        refused: &Exchanged,
        place: &Place,
        access: &RegistryAccess,
    ) -> Result<Option<String>, Fault> {
        let denied = |message: String| Fault::denied("registry-refused", message);
        let host = &place.host;
        let asked = header(refused, "www-authenticate").unwrap_or_default();
        let challenges = http_auth::parser::ChallengeParser::new(asked);
        let challenges: Vec<ChallengeRef<'_>> = challenges.filter_map(Result::ok).collect();
        let of =
            |scheme: &str| challenges.iter().find(|one| one.scheme.eq_ignore_ascii_case(scheme));
        let basic = access.credentials.as_ref().map(basic);
        let Some(bearer) = of("Bearer") else {
            let needs =
                format!("{host} wants user and password: give the hook's registry a secret");
            return match (of("Basic"), basic) {
                (Some(_), Some(basic)) => Ok(Some(basic)),
                (Some(_), None) => Err(denied(needs)),
                (None, _) => Err(denied(format!("{host} answers 401 and asks for nothing known"))),
            };
        };
        let of = |name: &str| {
            let found = bearer.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = of("realm").unwrap_or_default();
        let mut url = Url::parse(&realm)
            .map_err(|_| denied(format!("{host} has its tokens at {realm:?}, which is no URL")))?;
        // The password goes there.
        if url.scheme() != "https" && !access.plain_http {
            return Err(denied(format!("{host} has its tokens at {realm:?}, without TLS")));
        }
        let scope = format!("repository:{}:pull", place.name);
        if let Some(service) = of("service") {
            url.query_pairs_mut().append_pair("service", &service);
        }
        url.query_pairs_mut().append_pair("scope", &scope);
        let answer = self.ask("GET", &url, basic, access).await?;
        match answer.status {
            200 => {}
            401 | 403 => {
                return Err(denied(format!("{host} gives no token to pull {}", place.name)));
            }
            status => {
                let message = format!("{host} answers {status} when it is asked for a token");
                return Err(Fault::transient("registry-away", message));
            }
        }
        let token: Token = serde_json::from_slice(&answer.body).map_err(|_| {
            Fault::transient("registry-strange", format!("{host} answers with no token"))
        })?;
        let token = token.token.or(token.access_token).unwrap_or_default();
        Ok(Some(format!("Bearer {token}")))
    }
}

/// As registries give it: one of both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn basic(credentials: &SecretValue) -> String {
    format!("Basic {}", STANDARD.encode(credentials.expose().trim_ascii_end()))
}

fn header<'a>(answer: &'a Exchanged, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// What a status means. Who tells of a push may be quicker than the registry.
fn judge(image: &str, answer: &Exchanged) -> Result<(), Fault> {
    let seconds = || header(answer, "retry-after")?.parse::<u64>().ok();
    match answer.status {
        200 => Ok(()),
        404 => Err(Fault::transient("tag-unknown", format!("the registry has no {image} (404)"))),
        401 | 403 => {
            let message = format!(
                "the registry answers {} for {image}: the hook's registry needs a secret that may pull it",
                answer.status
            );
            Err(Fault::denied("registry-refused", message))
        }
        status => {
            let message = format!("the registry answers {status} for {image}");
            let after = seconds().map(|seconds| seconds.saturating_mul(1_000));
            Err(Fault::transient("registry-away", message).with_retry_after_ms(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::extract::{Path, Query, State};
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::get;
    use deployd_egress::{Broker, System};
    use serde_json::json;

    use super::*;
    use crate::secrets::NoSecrets;

    const USER: &str = "Basic Y2k6aHVudGVyMg==";

    /// A registry that wants a token, which it gives to who has a password.
    #[derive(Clone)]
    struct Registry {
        port: u16,
        says_digest: bool,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Registry {
        async fn start(says_digest: bool) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let this = Self { port, says_digest, asked: Arc::default() };
            let router = axum::Router::new()
                .route("/v2/{*rest}", get(manifest))
                .route("/token", get(token))
                .with_state(this.clone());
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            this
        }

        async fn digest(&self, name: &str, tag: &str, user: &str) -> Result<Digest, Fault> {
            let egress = Arc::new(Broker::new(Arc::new(System), Arc::new(NoSecrets)));
            let credentials =
                (!user.is_empty()).then(|| SecretValue::new(format!("{user}\n").into_bytes()));
            let access = RegistryAccess { credentials, private_address: true, plain_http: true };
            let repository = format!("127.0.0.1:{}/{name}", self.port);
            EgressRegistries { egress }.digest(&repository, tag, &access).await
        }
    }

    async fn manifest(
        State(registry): State<Registry>,
        Path(rest): Path<String>,
        headers: HeaderMap,
    ) -> Response {
        registry.asked.lock().unwrap().push(rest.clone());
        if headers.get("authorization").is_none_or(|value| value != "Bearer t0ken") {
            let realm = format!("http://127.0.0.1:{}/token", registry.port);
            let challenge = format!(
                r#"Bearer realm="{realm}",service="registry.example",scope="repository:x:pull""#
            );
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
        }
        assert!(headers["accept"].to_str().unwrap().contains("image.index.v1+json"));
        match rest.as_str() {
            "shop/web/manifests/1.4" if registry.says_digest => {
                [("docker-content-digest", Digest::of(b"index").to_string())].into_response()
            }
            "shop/web/manifests/1.4" => "index".into_response(),
            "shop/web/manifests/busy" => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    async fn token(Query(query): Query<Vec<(String, String)>>, headers: HeaderMap) -> Response {
        let asked: Vec<(&str, &str)> =
            query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(asked, [("service", "registry.example"), ("scope", "repository:shop/web:pull")]);
        match headers.get("authorization") {
            Some(user) if user == USER => json!({"token": "t0ken"}).to_string().into_response(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    }

    #[tokio::test]
    async fn a_tag_is_looked_up_with_a_token() {
        for says_digest in [true, false] {
            let registry = Registry::start(says_digest).await;
            let digest = registry.digest("shop/web", "1.4", "ci:hunter2").await.unwrap();
            assert_eq!(digest, Digest::of(b"index"));
        }
    }

    #[tokio::test]
    async fn what_a_registry_refuses_is_told_without_the_password() {
        let registry = Registry::start(true).await;
        for (tag, user, code, transient) in [
            ("1.4", "", "registry-refused", false),
            ("1.4", "ci:wrong", "registry-refused", false),
            ("2.0", "ci:hunter2", "tag-unknown", true),
            ("busy", "ci:hunter2", "registry-away", true),
        ] {
            let fault = registry.digest("shop/web", tag, user).await.unwrap_err();
            assert_eq!((fault.code.as_str(), fault.is_transient()), (code, transient), "{fault}");
            assert!(!fault.message.contains("hunter2") && !fault.message.contains("wrong"));
            if tag == "busy" {
                assert_eq!(fault.retry_after_ms, Some(7_000));
            }
        }
        for (name, tag) in
            [("Shop/web", "1"), ("shop//web", "1"), ("shop/web", "a/../b"), ("", "1")]
        {
            let fault = registry.digest(name, tag, "").await.unwrap_err();
            assert_eq!(fault.code, "image-invalid", "{name}:{tag}");
        }
    }

    #[tokio::test]
    async fn a_registry_at_a_private_address_is_asked_where_the_hook_says_so() {
        let registry = Registry::start(true).await;
        let egress = Arc::new(Broker::new(Arc::new(System), Arc::new(NoSecrets)));
        let access = RegistryAccess { plain_http: true, ..RegistryAccess::default() };
        let repository = format!("127.0.0.1:{}/shop/web", registry.port);
        let asked = EgressRegistries { egress }.digest(&repository, "1.4", &access).await;
        assert_eq!(asked.unwrap_err().code, "address-not-allowed");
        assert!(registry.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn repositories_are_read_as_container_tools_do() {
        for (repository, host, name) in [
            ("registry.example.com/shop/web", "registry.example.com", "shop/web"),
            ("localhost:5000/web", "localhost:5000", "web"),
            ("localhost/web", "localhost", "web"),
            ("docker.io/example/web", "registry-1.docker.io", "example/web"),
            ("docker.io/nginx", "registry-1.docker.io", "library/nginx"),
            ("example/web", "registry-1.docker.io", "example/web"),
            ("nginx", "registry-1.docker.io", "library/nginx"),
        ] {
            let expected = Place { host: host.to_owned(), name: name.to_owned() };
            assert_eq!(Place::of(repository), Some(expected), "{repository}");
        }
    }
}
