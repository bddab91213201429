//! Where a secret could be: everything that the daemon has stored, answered,
//! logged and sent.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::Forms;
use crate::client::Client;
use crate::program::{Build, ended};
use crate::stage::{ENVIRONMENT, Stage};

/// A package in a bill of materials.
const PACKAGE: &str = "left-pad";

/// Names of places, and what is there.
#[derive(Default)]
pub(super) struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.push((name.into(), content.into()));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Places that have one of these forms in them.
    pub(super) fn with(&self, forms: &Forms) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, content)| forms.are_in(content)).map(|(name, _)| name.as_str())
    }

    /// All files below a folder. Keys of secrets are no place where they must
    /// not be.
    pub(super) fn files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.files(&path),
                false if path.extension().is_some_and(|extension| extension == "key") => {}
                false => self.add(path.display().to_string(), std::fs::read(&path).unwrap()),
            }
        }
    }

    /// All records of a store, without compression and checksums in between.
    pub(super) fn store(&mut self, file: &Path) {
        let records = deployd_store::records_of(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for (table, record) in records {
            self.add(format!("a record of {table} in {name}"), record);
        }
    }

    /// What the daemon answers to everything that can be read: each path of its
    /// own document, with all that can stand in it.
    pub(super) async fn answers(&mut self, client: &Client) {
        let document = client.get("/openapi.json").await.ok();
        let known = Known::of(client).await;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let Some(get) = operations.get("get") else { continue };
            let query = known.query(path, get["parameters"].as_array().unwrap_or(&Vec::new()));
            for filled in known.fill(path) {
                let path = format!("{filled}{query}");
                let answer = client.get(&path).await;
                // What waits for no approval says so.
                let expected = if path.ends_with("/approval") { 409 } else { 200 };
                assert_eq!(answer.status, expected, "{path}: {answer:?}");
                if path.starts_with("/v1/archive?") {
                    self.archive(client, &path).await;
                }
                self.add(path, answer.text);
            }
        }
        let plan =
            client.post("/v1/deployments?dry_run=true", &json!({"environment": ENVIRONMENT})).await;
        assert_eq!(plan.status, 200, "{plan:?}");
        self.add("the plan of a dry run", plan.text);
        for path in known.fill("/v1/deployments/{id}/manifests") {
            let yaml = client.request(Method::GET, &path).header("accept", "application/yaml");
            let yaml = Client::send(yaml).await;
            assert!(yaml.text.contains("kind: Secret"), "{yaml:?}");
            self.add("manifests as YAML", yaml.text);
        }
        // What is refused says why.
        for (path, body) in [("/v1/secrets/x/link", json!({"from": "env:NONE"}))] {
            let request = client.request(Method::PUT, path).json(&body);
            self.add(path, Client::send(request).await.text);
        }
    }

    /// What is in an archive, each member unpacked.
    async fn archive(&mut self, client: &Client, path: &str) {
        let sent = client.request(Method::GET, path).send().await.unwrap();
        let archive = deployd_archive::read(&sent.bytes().await.unwrap());
        assert!(archive.verified.is_sound(), "{:#?}", archive.verified.findings);
        let name = |digest| archive.index.as_ref().unwrap().name_of(digest);
        for (digest, content) in &archive.contents {
            self.add(format!("{} in {path}", name(*digest)), content.clone());
        }
    }

    /// What commands print, for people and for programs.
    pub(super) async fn commands(&mut self, stage: &Stage, deployments: [&str; 2]) {
        let mut lines: Vec<Vec<&str>> = [
            "environments",
            "history",
            "documents",
            "notifications list",
            "hooks list registry",
            "secret list",
            "secret keys",
            "plugin list",
            "token list",
            "whoami",
            "journal list",
            "journal verify",
            "journal export",
            "openapi",
        ]
        .map(|line| line.split(' ').collect())
        .into();
        for id in deployments {
            lines.extend(["show", "logs", "manifests"].map(|command| vec![command, id]));
        }
        lines.extend(["environment", "resources", "plan"].map(|name| vec![name, ENVIRONMENT]));
        let token = stage.daemon.data().join("admin-token");
        for line in lines {
            for format in ["human", "json"] {
                let mut command = Build::Plain.command();
                command.args(&line).args(["-o", format, "--server", &stage.daemon.base()]);
                let said = ended({
                    command.arg("--token-file").arg(&token);
                    command
                })
                .await;
                assert_eq!(said.code, Some(0), "{line:?}: {} {}", said.out, said.err);
                self.add(format!("`deployd {}` ({format})", line.join(" ")), said.out + &said.err);
            }
        }
    }
}

/// What can stand in paths: parts of them, and what to put in their place.
struct Known(BTreeMap<&'static str, Vec<String>>);

impl Known {
    async fn of(client: &Client) -> Self {
        let list = async |path: &str| -> Vec<Value> {
            client.get(path).await.ok().as_array().unwrap().clone()
        };
        let texts = |values: &[Value], pointer: &str| -> Vec<String> {
            let text = |value: &Value| value.pointer(pointer)?.as_str().map(str::to_owned);
            let mut found: Vec<String> = values.iter().filter_map(text).collect();
            found.sort();
            found.dedup();
            found
        };
        let deployments = client.get("/v1/deployments?limit=500").await.ok();
        let deployments = match deployments.as_array() {
            Some(all) => all.clone(),
            None => deployments["deployments"].as_array().unwrap().clone(),
        };
        let mut records = Vec::new();
        for id in texts(&deployments, "/id") {
            records.push(client.get(&format!("/v1/deployments/{id}")).await.ok());
        }
        // What nobody has made yet.
        let image_digest = format!("sha256:{}", "1".repeat(64));
        let bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.6",
            "components": [{"type": "library", "name": PACKAGE, "version": "1.0"}]});
        let path = format!("/v1/artifacts/{image_digest}/sbom");
        Client::send(client.request(Method::PUT, &path).json(&bill)).await.ok();
        let draft = client.post("/v1/drafts", &json!({"environment": ENVIRONMENT})).await.ok();
        let draft = draft["id"].as_str().unwrap().to_owned();
        let ahead = |hours| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
        let slot = json!({"environment": ENVIRONMENT, "from": ahead(1), "to": ahead(2),
            "reason": "the database moves"});
        let slot = client.post("/v1/calendar/slots", &slot).await.ok();
        let slot = slot["id"].as_str().unwrap().to_owned();
        let deliveries = list("/v1/hooks/registry/deliveries?limit=500").await;
        let notifications = list("/v1/notifications?limit=500").await;
        let documents = list("/v1/documents").await;
        let of = |document: &Value| {
            let key = &document["key"];
            let part = |name: &str| key[name].as_str().map(str::to_owned);
            let parts = [part("kind"), part("application"), part("name")];
            parts.into_iter().flatten().collect::<Vec<_>>().join("/")
        };
        let (short, long): (Vec<String>, Vec<String>) =
            documents.iter().map(of).partition(|path| path.matches('/').count() == 1);
        let kinds = client.get("/v1/schemas").await.ok();
        let kinds = match kinds.as_array() {
            Some(all) => all.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect(),
            None => kinds.as_object().unwrap().keys().cloned().collect(),
        };
        let below = |folder: &str, names: Vec<String>| -> Vec<String> {
            names.into_iter().map(|name| format!("{folder}/{name}")).collect()
        };
        Self(BTreeMap::from([
            ("deployments/{id}", below("deployments", texts(&deployments, "/id"))),
            ("notifications/{id}", below("notifications", texts(&notifications, "/id"))),
            ("{application}/{environment}", vec![ENVIRONMENT.to_owned()]),
            ("{application}/flow", vec!["shop/flow".to_owned()]),
            ("{kind}/{application}/{name}", long),
            ("{kind}/{name}", short),
            ("schemas/{kind}", below("schemas", kinds)),
            ("sets/{digest}", below("sets", texts(&records, "/request/set"))),
            ("artifacts/{digest}", below("artifacts", vec![image_digest])),
            ("{at}", texts(&records, "/ended")),
            ("drafts/{id}", below("drafts", vec![draft])),
            ("slots/{id}", below("slots", vec![slot])),
            ("deliveries/{id}", below("deliveries", texts(&deliveries, "/id"))),
            ("hooks/{hook}", vec!["hooks/registry".to_owned()]),
        ]))
    }

    /// What is asked of a path beside what stands in it: whatever it cannot do
    /// without, and as much as there is.
    fn query(&self, path: &str, parameters: &[Value]) -> String {
        let deployments = &self.0["deployments/{id}"];
        let id = |place: usize| deployments[place].replace("deployments/", "");
        let mut query = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let value = match name {
                "limit" | "lines" => parameter["schema"]["maximum"].to_string(),
                "documents" => "true".to_owned(),
                _ if parameter["required"] != true => continue,
                "action" => "deploy".to_owned(),
                "a" | "of" => id(0),
                "b" => id(deployments.len() - 1),
                "application" => "shop".to_owned(),
                "stream" => format!("environment/{ENVIRONMENT}"),
                "at" => self.0["{at}"][0].clone(),
                "before" => ENVIRONMENT.to_owned(),
                "subject" => "1".repeat(64),
                "image" => format!("registry.example.com/shop/frontend@sha256:{}", "1".repeat(64)),
                "name" if path.ends_with("/packages") => PACKAGE.to_owned(),
                "name" => ENVIRONMENT.to_owned(),
                _ => panic!("{path}: say what {name} can be"),
            };
            query.push(format!("{name}={value}"));
        }
        if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
    }

    /// A path with everything that can stand in it; nothing may be left out.
    fn fill(&self, path: &str) -> Vec<String> {
        let mut filled = vec![path.to_owned()];
        for (placeholder, values) in &self.0 {
            if !path.contains(placeholder) {
                continue;
            }
            filled = filled
                .iter()
                .flat_map(|path| values.iter().map(|value| path.replace(placeholder, value)))
                .collect();
        }
        for path in &filled {
            assert!(!path.contains('{'), "{path}: say what can stand there");
        }
        assert!(!filled.is_empty(), "nothing stands in {path}");
        filled
    }
}
