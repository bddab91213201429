//! The sample's environment type `staging`: a database on a real PostgreSQL with
//! TLS, a name in a real BIND, both by drivers in their sandboxes.

mod killed;
mod life;
mod proxy;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_practice::Practice;
use fixtures::bind::{KEYS, Pair, ZONE};
use postgresql_server::{Options, PASSWORD, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::program::root;

/// The sample's environment of this type.
const ENVIRONMENT: &str = "shop/staging";

/// The namespace that the sample makes for it.
const NAMESPACE: &str = "shop-staging";

/// The name that the sample asks for.
const HOST: &str = "shop-staging.apps.example.com";

/// What the sample has it lead to.
const ADDRESS: &str = "192.0.2.10";

/// Nobody gets in without TLS.
const ACCESS: &str = "hostnossl all all all reject";

/// What the sample's staging needs: the servers, and the secrets to use them.
struct Servers {
    postgresql: Server,
    dns: Pair,
    authority: String,
}

/// How a workload gets to its database.
struct Database {
    user: String,
    password: String,
    name: String,
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

impl Servers {
    fn start(folder: &Path) -> Self {
        let (authority, certificate, key) = certificates();
        let tls = Some((certificate.as_str(), key.as_str()));
        let options = Options { tls, access: ACCESS, ..Options::default() };
        let postgresql = Server::start(&options).unwrap();
        Self { postgresql, dns: Pair::start(&folder.join("dns")).unwrap(), authority }
    }

    /// The secrets that the sample names, and their values.
    fn secrets(&self) -> [(&'static str, &str); 3] {
        [
            ("database-ca", self.authority.as_str()),
            ("database-admin", PASSWORD),
            ("apps-zone-key", KEYS[0].2),
        ]
    }

    /// The sample's documents of staging, with these ports in them, and changed;
    /// as a request to apply them.
    fn documents(&self, [postgresql, dns]: [u16; 2], change: impl Fn(String) -> String) -> Value {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(root().join("daemon/sample/staging")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path)
                .unwrap()
                .replace("port: 5432\n", &format!("port: {postgresql}\n"))
                .replace("port: 53\n", &format!("port: {dns}\n"))
                .replace("db.example.com", "127.0.0.1")
                .replace("ns1.example.com", "127.0.0.1");
            let name = path.file_name().unwrap().to_str().unwrap();
            files.push(json!({"path": name, "text": change(text)}));
        }
        json!({"files": files})
    }

    fn ports(&self) -> [u16; 2] {
        [self.postgresql.port(), self.dns.primary.port]
    }

    /// Databases that are not the server's own.
    fn databases(&self) -> Vec<String> {
        self.lines(
            "select datname from pg_database where datname <> 'postgres' and not datistemplate",
        )
    }

    /// Roles that are not the server's own.
    fn roles(&self) -> Vec<String> {
        self.lines("select rolname from pg_roles where rolname !~ '^(pg_|postgres$)'")
    }

    fn lines(&self, statement: &str) -> Vec<String> {
        let told = self.postgresql.sql("postgres", statement).unwrap();
        told.lines().map(str::to_owned).collect()
    }

    /// What the workload's credentials see of the database.
    fn as_workload(&self, database: &Database, statement: &str) -> std::io::Result<String> {
        let account = (database.user.as_str(), database.password.as_str());
        self.postgresql.sql_as(account, &database.name, statement)
    }

    fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        self.dns.primary.dig(&[name, kind]).unwrap()
    }

    /// All of the zone, but for the number that counts its changes.
    fn zone(&self) -> Vec<String> {
        let all = self.dns.primary.dig(&["AXFR", ZONE]).unwrap();
        all.into_iter().filter(|line| !line.contains("hostmaster")).collect()
    }
}

/// What the backend's container is told in the cluster, where alone it is told.
fn database(practice: &Practice) -> Database {
    let secrets = practice.objects().list("secrets", NAMESPACE);
    let value = secrets.iter().find_map(|secret| secret.pointer("/data/api.DATABASE_URL"));
    let value = value.unwrap_or_else(|| panic!("{secrets:#?}")).as_str().unwrap();
    let url = String::from_utf8(STANDARD.decode(value).unwrap()).unwrap();
    let (account, place) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (user, password) = account.split_once(':').unwrap();
    let (_, name) = place.split_once('/').unwrap();
    Database { user: user.to_owned(), password: password.to_owned(), name: name.to_owned() }
}
