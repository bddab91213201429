//! A slot from the command line: asked for, granted by another, and deployed in.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::program::{Build, Said, ended};
use crate::sample::{document, request};
use crate::stage::{ENVIRONMENT, Stage};
use crate::wait::until;

/// Somebody with a token.
struct Person<'s> {
    stage: &'s Stage,
    token: String,
}

impl<'s> Person<'s> {
    async fn new(stage: &'s Stage, name: &str) -> Self {
        let token = json!({"name": name, "scope": "deploy"});
        let made = stage.client.post("/v1/tokens", &token).await.ok();
        let file = stage.folder().join(name);
        std::fs::write(&file, made["secret"].as_str().unwrap()).unwrap();
        Self { stage, token: file.display().to_string() }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Build::Plain.command();
        command
            .args(arguments)
            .env("DEPLOYD_SERVER", self.stage.daemon.base())
            .env("DEPLOYD_TOKEN_FILE", &self.token);
        ended(command).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["-o", "json"]].concat()).await;
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Why a deployment does not begin, once that is what is known.
    async fn waits(&self, id: &str, why: &str) {
        until(why, || async {
            self.json(&["show", id]).await["deferred"].to_string().contains(why).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_freeze_one_deploys_in_a_slot_that_another_has_granted() {
    let stage = Stage::set().await;
    stage.deployed('1').await;
    let freeze = json!({"name": "audit", "from": "2020-01-01T00:00", "to": "2199-01-01T00:00"});
    let calendar = document("Calendar", "audit", json!({"timeZone": "UTC", "freezes": [freeze]}));
    stage.client.post("/v1/documents:apply", &request(&[calendar])).await.ok();
    let (ana, bob) = (Person::new(&stage, "ana").await, Person::new(&stage, "bob").await);

    // It begins soon, and is asked for and granted before or after that.
    let from = (Timestamp::now() + SignedDuration::from_secs(5)).to_string();
    let wants = ["calendar", "slot", "request", ENVIRONMENT, "--from", &from, "--for", "2h"];
    let slot = ana.json(&[&wants[..], &["-m", "new prices"]].concat()).await;
    let slot = slot["id"].as_str().unwrap();
    let own = ana.json(&["deploy", ENVIRONMENT, "--slot", slot]).await;
    let own = own["id"].as_str().unwrap();
    ana.waits(own, "was not granted yet").await;
    let grant = ["calendar", "slot", "grant", slot];
    let refused = ana.run(&grant).await;
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("somebody else has to answer"), "{refused:?}");
    assert_eq!(bob.json(&grant).await["state"], "granted");
    let record = stage.ended(own).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");

    // Bob would have to wait for the end of it, but for the freeze.
    let other = bob.json(&["deploy", ENVIRONMENT, "--no-watch"]).await;
    bob.waits(other["id"].as_str().unwrap(), "freeze").await;
    let check = bob.run(&["calendar", "check", ENVIRONMENT]).await;
    assert_eq!(check.code, Some(18), "{check:?}");
    let kept = format!("slot {slot} is kept for ana: new prices");
    assert!(check.out.contains(&kept), "{check:?}");
    let theirs = bob.run(&["deploy", ENVIRONMENT, "--slot", slot]).await;
    assert!(theirs.err.contains("was asked for by ana, and is theirs"), "{theirs:?}");
    let listed = bob.run(&["calendar", "slot", "list"]).await;
    assert!(listed.out.contains("granted"), "{listed:?}");
    let audit = stage.client.get("/v1/audit?environment=shop/development").await.ok().to_string();
    for act in ["slot requested", "slot granted"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
}
