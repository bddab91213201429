//! The sample's environment type `staging`: a database on a real PostgreSQL, a
//! name in a real BIND, both through plugins, from the first deployment to the end.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixtures::bind::{KEYS, Pair, ZONE};
use postgresql_server::{Options, PASSWORD, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::program::root;
use crate::stage::{Stage, begun};
use crate::wait::until;

const ENVIRONMENT: &str = "shop/staging";
const NAMESPACE: &str = "shop-staging";
/// Of the sample.
const HOST: &str = "shop-staging.apps.example.com";

/// The sample's staging, on servers of its own.
struct Staging {
    stage: Stage,
    postgresql: Server,
    dns: Pair,
}

/// An authority, and a certificate for 127.0.0.1 that it has signed, with its key.
fn certificates() -> (String, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let signed = params.signed_by(&key, &issuer).unwrap();
    (authority.pem(), signed.pem(), key.serialize_pem())
}

impl Staging {
    async fn set() -> Self {
        let (authority, certificate, key) = certificates();
        let options = Options { tls: Some((&certificate, &key)), ..Options::default() };
        let postgresql = Server::start(&options).unwrap();
        let stage = Stage::set().await;
        let dns = Pair::start(&stage.folder().join("dns")).unwrap();
        let staging = Self { stage, postgresql, dns };
        staging.stage.secret("database-ca", &authority).await;
        staging.stage.secret("database-admin", PASSWORD).await;
        staging.stage.secret("apps-zone-key", KEYS[0].2).await;
        staging.apply(|_, text| text).await;
        staging
    }

    /// Applies the sample's documents of staging, with the addresses of our
    /// servers in them, and changed.
    async fn apply(&self, change: impl Fn(&str, String) -> String) {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(root().join("daemon/sample/staging")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = change(&name, self.adapted(&path));
            files.push(json!({"path": name, "text": text}));
        }
        self.stage.client.post("/v1/documents:apply", &json!({"files": files})).await.ok();
    }

    fn adapted(&self, file: &Path) -> String {
        let port = |port: u16| format!("port: {port}\n");
        std::fs::read_to_string(file)
            .unwrap()
            .replace("port: 5432\n", &port(self.postgresql.port()))
            .replace("port: 53\n", &port(self.dns.primary.port))
            .replace("db.example.com", "127.0.0.1")
            .replace("ns1.example.com", "127.0.0.1")
    }

    /// Brings what was deployed to development here; gives the deployment's record.
    async fn promoted(&self, from: &str) -> Value {
        let set = self.stage.deployment(from).await["request"]["set"].clone();
        let request = json!({"environment": ENVIRONMENT, "setDigest": set});
        let accepted = self.stage.client.post("/v1/deployments", &request).await.ok();
        let record = self.stage.ended(accepted["id"].as_str().unwrap()).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
        record
    }

    /// How the backend's container gets to its database.
    fn database_url(&self) -> String {
        let secrets = self.stage.practice.objects().list("secrets", Some(NAMESPACE));
        let value = secrets.iter().find_map(|secret| secret.pointer("/data/DATABASE_URL"));
        let value = value.unwrap_or_else(|| panic!("{secrets:#?}")).as_str().unwrap();
        String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
    }
}

/// `postgres://USER:PASSWORD@HOST:PORT/NAME`, in parts.
fn parts(url: &str) -> (String, String, String) {
    let rest = url.strip_prefix("postgres://").unwrap();
    let (account, place) = rest.split_once('@').unwrap();
    let (user, password) = account.split_once(':').unwrap();
    let (_, name) = place.split_once('/').unwrap();
    (user.to_owned(), password.to_owned(), name.to_owned())
}
