//! From the first deployment to the end: what is made can be used, stays as it is
//! while nothing changes, is mended, rotated, and taken away.

use deployd_practice::Practice;
use serde_json::{Value, json};

use super::{ADDRESS, ENVIRONMENT, HOST, Servers, database};
use crate::stage::Stage;

struct Staging {
    stage: Stage,
    servers: Servers,
    /// What was deployed to development, and goes on from there.
    set: Value,
}

impl Staging {
    async fn set() -> Self {
        let stage = Stage::set().await;
        let servers = Servers::start(stage.folder());
        for (name, value) in servers.secrets() {
            stage.secret(name, value).await;
        }
        let first = stage.deployed('1').await;
        let set = stage.deployment(&first).await["request"]["set"].clone();
        let staging = Self { stage, servers, set };
        staging.apply(|text| text).await;
        staging
    }

    fn practice(&self) -> &Practice {
        &self.stage.practice
    }

    async fn apply(&self, change: impl Fn(String) -> String) {
        let documents = self.servers.documents(self.servers.ports(), change);
        self.stage.client.post("/v1/documents:apply", &documents).await.ok();
    }

    /// Asks for something that is a deployment, and waits until it has succeeded.
    async fn done(&self, path: &str, request: &Value) {
        let accepted = self.stage.client.post(path, request).await.ok();
        let record = self.stage.ended(accepted["id"].as_str().unwrap()).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
    }

    fn request(&self) -> Value {
        json!({"environment": ENVIRONMENT, "setDigest": self.set})
    }

    async fn deploy(&self) {
        self.done("/v1/deployments", &self.request()).await;
    }

    /// What the drivers would do, by the resource's type.
    async fn planned(&self) -> Vec<(String, String)> {
        let path = "/v1/deployments?dry_run=true";
        let view = self.stage.client.post(path, &self.request()).await.ok();
        let resources = view["plan"]["resources"].as_object().unwrap();
        let mut planned: Vec<_> = resources
            .iter()
            .map(|(uid, resource)| {
                let node = &view["plan"]["graph"]["nodes"][uid];
                let kind = node["key"]["type"].as_str().unwrap_or_else(|| panic!("{node:#}"));
                (kind.to_owned(), resource["action"].as_str().unwrap().to_owned())
            })
            .filter(|(_, action)| action != "none")
            .collect();
        planned.sort();
        planned
    }

    /// What a check finds now.
    async fn drift(&self) -> Vec<Value> {
        let path = format!("/v1/environments/{ENVIRONMENT}/drift");
        let report = self.stage.client.post(&path, &json!({})).await.ok();
        assert!(report["unknown"].is_null(), "{report:#}");
        report["findings"].as_array().cloned().unwrap_or_default()
    }
}

fn of(kind: &str, action: &str) -> (String, String) {
    (kind.to_owned(), action.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_a_name_from_the_first_deployment_to_the_end() {
    let staging = Staging::set().await;
    let servers = &staging.servers;
    let before = servers.zone();
    let planned = staging.planned().await;
    for new in ["dns", "postgres"] {
        assert!(planned.contains(&of(new, "create")), "{planned:?}");
    }
    assert_eq!((servers.databases(), servers.zone()), (Vec::new(), before.clone()));

    // What it gives can be used as it is.
    staging.deploy().await;
    let first = database(staging.practice());
    let by_tls = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(servers.as_workload(&first, by_tls).unwrap(), "t");
    servers.as_workload(&first, "create table orders as select 7 as number").unwrap();
    assert_eq!(servers.dig(HOST, "A"), [ADDRESS]);

    // Again is no change, to either server.
    let serial = servers.dig("apps.example.com", "SOA");
    assert_eq!(staging.planned().await, []);
    staging.deploy().await;
    assert_eq!(servers.dig("apps.example.com", "SOA"), serial);
    let second = database(staging.practice());
    assert_eq!((&second.user, &second.password), (&first.user, &first.password));
    assert_eq!(servers.as_workload(&second, "select number from orders").unwrap(), "7");
    assert_eq!(staging.drift().await, [] as [Value; 0]);

    // Somebody has the name lead elsewhere: found, and mended.
    let elsewhere = format!("update delete {HOST} A\nupdate add {HOST} 60 A 192.0.2.66");
    servers.dns.primary.nsupdate(&elsewhere).unwrap();
    let findings = staging.drift().await;
    assert!(json!(findings).to_string().contains("192.0.2.66"), "{findings:#?}");
    for finding in &findings {
        assert_eq!(finding["subject"]["of"]["name"], "dns#frontend.site", "{findings:#?}");
    }
    staging.done(&format!("/v1/environments/{ENVIRONMENT}/drift/heal"), &json!({})).await;
    assert_eq!(servers.dig(HOST, "A"), [ADDRESS]);
    assert_eq!(staging.drift().await, [] as [Value; 0]);

    // Another generation of passwords: the old one is worth nothing.
    let rotated = |text: String| {
        text.replace("on_destroy: rename", "on_destroy: rename\n    password_generation: 2")
    };
    staging.apply(rotated).await;
    assert_eq!(staging.planned().await, [of("postgres", "update")]);
    staging.deploy().await;
    let third = database(staging.practice());
    assert_eq!((&third.user, &third.name), (&first.user, &first.name));
    assert_eq!(servers.as_workload(&third, "select number from orders").unwrap(), "7");
    assert_ne!(third.password, first.password);
    let refused = servers.as_workload(&first, "select 1").unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");

    // The end: the name is gone; what was in the database is not.
    staging.done(&format!("/v1/environments/{ENVIRONMENT}/delete"), &json!({})).await;
    assert_eq!(servers.zone(), before);
    servers.as_workload(&third, "select 1").unwrap_err();
    let databases = servers.databases();
    let [kept] = databases.as_slice() else { panic!("{databases:?}") };
    assert_ne!(*kept, first.name);
    // Nobody can connect to it until somebody wants it back.
    let back = format!("alter database \"{kept}\" allow_connections true");
    servers.postgresql.sql("postgres", &back).unwrap();
    assert_eq!(servers.postgresql.sql(kept, "select number from orders").unwrap(), "7");
    let gone = staging.stage.client.get(&format!("/v1/environments/{ENVIRONMENT}")).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    let history = staging.stage.client.get("/v1/deployments").await.ok();
    let there = history["deployments"].as_array().unwrap().iter();
    assert_eq!(there.filter(|one| one["environment"] == ENVIRONMENT).count(), 5, "{history:#}");
}
