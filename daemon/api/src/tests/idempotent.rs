//! I2: the same key and content give the same answer, and nothing is done twice.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use deployd_core::approval::{BreakGlassRequest, DelegateRequest};
use deployd_core::ports::{IdempotencyKey, Store as _, StoreError};
use deployd_core::{Actor, DeploymentId, Digest};
use deployd_engine::Caller;
use http::Method;
use serde_json::{Value, json};

use super::fakes::{Scratch, elsewhere};
use super::stage::{Got, Stage};
use crate::idempotency::{IDEMPOTENCY_KEY, idempotency};
use crate::operation::{Operation, Repeats};
use crate::routes::operations;

/// A write as somebody asks for it.
struct Write {
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
    /// Another body, which would be as good.
    other: Vec<u8>,
    /// The event that it leaves in the journal, where it leaves one.
    event: &'static str,
    status: u16,
}

impl Write {
    fn json(path: impl Into<String>, body: &Value, other: &Value) -> Self {
        Self {
            path: path.into(),
            content_type: "application/json",
            body: body.to_string().into(),
            other: other.to_string().into(),
            event: "",
            status: 200,
        }
    }

    fn bare(path: impl Into<String>) -> Self {
        let none = Vec::new();
        Self { body: none, other: b"x".to_vec(), ..Self::json(path, &json!(0), &json!(0)) }
    }

    fn leaves(self, status: u16, event: &'static str) -> Self {
        Self { status, event, ..self }
    }

    async fn send(&self, stage: &Stage, operation: &Operation, body: &[u8]) -> Got {
        let method: Method = operation.verb.as_str().parse().unwrap();
        let ask = stage.ask(method, &self.path).scope(deployd_core::views::TokenScope::Admin);
        let ask = ask.header("content-type", self.content_type).body(body);
        ask.header("idempotency-key", "one").send().await
    }
}

/// An example of each write, for which there is all that it needs.
async fn example(stage: &Stage, operation: &Operation, scratch: &Scratch) -> Write {
    let deployment = |verb: &str, id: &str| format!("/v1/deployments/{id}/{verb}");
    match operation.id {
        "applyDocuments" => {
            let kind = |name: &str| {
                let text = format!(
                    "{{apiVersion: deployd.dev/v1, kind: EnvironmentType, metadata: {{name: {name}}}, \
                     spec: {{templater: {{plugin: templater}}, strategy: {{plugin: rolling}}}}}}"
                );
                json!({"files": [{"path": "type.yaml", "text": text}]})
            };
            Write::json(operation.path, &kind("testing"), &kind("staging"))
                .leaves(200, "document-applied")
        }
        "announceArtifacts" => {
            let artifact = |content: &[u8]| {
                let digest = Digest::of(content);
                json!({"repository": "registry.test/shop/frontend", "digest": digest})
            };
            Write::json(operation.path, &artifact(b"1"), &artifact(b"2"))
                .leaves(200, "artifacts-announced")
        }
        "attachSbom" => {
            let bill = |name: &str| {
                let components = json!([{"type": "library", "name": name, "version": "1.0"}]);
                json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
            };
            let image = Digest::of(b"1");
            let path = operation.path.replace("{digest}", &image.to_string());
            Write::json(path, &bill("a"), &bill("b")).leaves(200, "sbom-attached")
        }
        "attachAttestation" => {
            let image = Digest::of(b"1");
            let of =
                |says: &str| json!({"signer": "ci", "about": [image], "type": "t", "says": says});
            let path = operation.path.replace("{digest}", &image.to_string());
            Write::json(path, &of("a"), &of("b")).leaves(200, "attestation-attached")
        }
        "attachResult" => {
            let of = |passed: bool| json!({"kind": "tests", "name": "unit", "at": "2026-11-01T00:00:00Z", "passed": passed});
            let path = operation.path.replace("{digest}", &Digest::of(b"1").to_string());
            Write::json(path, &of(true), &of(false)).leaves(200, "result-attached")
        }
        "attachReference" => {
            let of = |url: &str| json!({"kind": "result", "url": url, "digest": Digest::of(&elsewhere(url))});
            let path = operation.path.replace("{digest}", &Digest::of(b"1").to_string());
            Write::json(path, &of("https://ci.test/1"), &of("https://ci.test/2"))
                .leaves(200, "result-attached")
        }
        "deploy" => {
            stage.deployed().await;
            let request =
                |comment: &str| json!({"environment": "shop/development", "comment": comment});
            Write::json(operation.path, &request("a"), &request("b"))
                .leaves(202, "deployment-queued")
        }
        "patchSet" => {
            stage.deployed().await;
            let request = |image: &str| {
                let operation =
                    json!({"op": "add", "path": "/containers/web/image", "value": image});
                let delta = json!({"workloads": {"update": {"frontend": [operation]}}});
                json!({"from": "shop/development", "delta": delta})
            };
            Write::json(operation.path, &request("r/f:1"), &request("r/f:2"))
                .leaves(201, "set-made")
        }
        "mergeSets" => {
            stage.deployed().await;
            let request = |onto: &str| json!({"base": "shop/development", "theirs": "shop/development", "onto": onto});
            let requests = (request("shop/development"), request("shop/development#1"));
            Write::json(operation.path, &requests.0, &requests.1).leaves(201, "")
        }
        "createDraft" => {
            stage.deployed().await;
            let draft = |title: &str| json!({"environment": "shop/development", "title": title});
            Write::json(operation.path, &draft("a"), &draft("b")).leaves(201, "draft-created")
        }
        "editDraft" | "dropDraft" | "deployDraft" => {
            stage.deployed().await;
            let draft = json!({"environment": "shop/development"});
            let made = stage.post("/v1/drafts").json(&draft).send().await.is(201, "").json();
            let path = format!("/v1/drafts/{}", made["id"].as_str().unwrap());
            match operation.id {
                "dropDraft" => Write::bare(path).leaves(200, "draft-dropped"),
                "editDraft" => {
                    let edit = |delta: Value| json!({"version": 1, "delta": delta});
                    Write::json(path, &edit(json!({})), &edit(json!({"resources": {}})))
                        .leaves(200, "draft-edited")
                }
                _ => Write::json(format!("{path}/deploy"), &json!({"version": 1}), &json!({}))
                    .leaves(202, "draft-deployed"),
            }
        }
        "rollback" => {
            let first = stage.deployed_twice().await;
            let path = "/v1/environments/shop/development/rollback";
            Write::json(path, &json!({"comment": "a"}), &json!({"to": first}))
                .leaves(202, "deployment-queued")
        }
        "releaseEnvironment" => {
            stage.went_back().await;
            let path = "/v1/environments/shop/development/release";
            Write::json(path, &json!({"reason": "a"}), &json!({})).leaves(200, "hold-released")
        }
        "rehearse" => {
            stage.deployed().await;
            let slow = json!({"scenario": {"new": {"latencyMs": 900}}});
            Write::json("/v1/environments/shop/development/rehearse", &json!({}), &slow)
        }
        "importDeployment" => {
            let elsewhere = Stage::shop().await;
            let id = elsewhere.deployed().await.parse().unwrap();
            let engine = elsewhere.api.engine();
            let body = engine.export(&id, true).await.unwrap().archive;
            let other = engine.export(&id, false).await.unwrap().archive;
            let write = Write::bare(operation.path).leaves(200, "deployment-imported");
            Write { body, other, content_type: "application/x-tar", ..write }
        }
        "cloneEnvironment" => {
            stage.deployed().await;
            let path = "/v1/environments/shop/development/clone";
            Write::json(path, &json!({"name": "copy"}), &json!({"name": "other"}))
                .leaves(202, "deployment-queued")
        }
        "cancelDeployment" => {
            let path = deployment("cancel", &stage.waiting().await);
            Write::json(path, &json!({"reason": "a"}), &json!({})).leaves(202, "")
        }
        "resumeDeployment" => {
            let path = deployment("resume", &stage.stays("pauses").await);
            let environment = "/v1/environments/shop/development";
            while !stage.get(environment).send().await.text.contains("\"pending\"") {}
            Write::json(path, &json!({"reason": "a"}), &json!({})).leaves(202, "resume-requested")
        }
        "retryDeployment" | "promoteDeployment" => {
            let (what, event) = match operation.id {
                "retryDeployment" => ("retry", "retry-requested"),
                _ => ("promote", "promote-requested"),
            };
            let path = deployment(what, &stage.stays("pauses").await);
            let environment = "/v1/environments/shop/development";
            while !stage.get(environment).send().await.text.contains("\"pending\"") {}
            Write::json(path, &json!({"reason": "a"}), &json!({})).leaves(202, event)
        }
        "liftQuarantine" => {
            let image = stage.failed().await;
            let path = "/v1/environments/shop/development/quarantine/lift";
            Write::json(path, &json!({"image": image}), &json!({"image": "other"}))
                .leaves(200, "quarantine-lifted")
        }
        "stopLine" => Write::json(operation.path, &json!({"reason": "a"}), &json!({"reason": "b"}))
            .leaves(200, "line-stopped"),
        "resumeLine" => {
            let stop = json!({"reason": "a"});
            stage.post("/v1/calendar/stop").json(&stop).send().await.is(200, "");
            Write::json(operation.path, &json!({"reason": "a"}), &json!({}))
                .leaves(200, "line-resumed")
        }
        "requestSlot" | "grantSlot" | "refuseSlot" | "withdrawSlot" => {
            let from = stage.api.engine().now().plus_ms(86_400_000);
            let slot = |reason: &str| {
                json!({"environment": "shop/development", "from": from,
                    "to": from.plus_ms(3_600_000), "reason": reason})
            };
            let (verb, event) = match operation.id {
                "grantSlot" => ("grant", "slot-granted"),
                "refuseSlot" => ("refuse", "slot-refused"),
                "withdrawSlot" => ("withdraw", "slot-withdrawn"),
                _ => {
                    return Write::json(operation.path, &slot("a"), &slot("b"))
                        .leaves(201, "slot-requested");
                }
            };
            let ana = Caller::new(Actor("ana".into()));
            let wanted = serde_json::from_value(slot("a")).unwrap();
            let id = stage.api.engine().request_slot(&ana, wanted).await.unwrap().id;
            let path = format!("/v1/calendar/slots/{id}/{verb}");
            Write::json(path, &json!({"reason": "a"}), &json!({"reason": "b"})).leaves(200, event)
        }
        "pauseDeployment" => {
            let path = deployment("pause", &stage.stays("pauses").await);
            Write::json(path, &json!({"reason": "a"}), &json!({})).leaves(202, "pause-requested")
        }
        "deleteEnvironment" => {
            stage.deployed().await;
            let path = "/v1/environments/shop/development/delete";
            Write::json(path, &json!({"comment": "a"}), &json!({})).leaves(202, "deployment-queued")
        }
        "decideApproval" | "breakGlass" => {
            let (id, plan) = stage.asks().await;
            let says = |reason: &str| match operation.id {
                "breakGlass" => json!({"plan": plan, "reason": reason}),
                _ => json!({"plan": plan, "reason": reason, "decision": "approve"}),
            };
            let event =
                if operation.id == "breakGlass" { "glass-broken" } else { "approval-given" };
            let verb = if operation.id == "breakGlass" { "break-glass" } else { "approval" };
            Write::json(deployment(verb, &id), &says("a"), &says("b")).leaves(202, event)
        }
        "reviewDeployment" => {
            let (id, plan) = stage.asks().await;
            let ana = Caller::new(Actor("ana".into()));
            let request = BreakGlassRequest { plan: plan.parse().unwrap(), reason: "a".into() };
            stage.api.engine().break_glass(&ana, &DeploymentId(id.clone()), request).await.unwrap();
            let found = |text: &str| json!({"finding": text});
            Write::json(deployment("review", &id), &found("a"), &found("b"))
                .leaves(200, "deployment-reviewed")
        }
        "undelegateApprovals" => {
            let admin = Caller::new(Actor("admin".into()));
            let until = stage.api.engine().now().plus_ms(86_400_000);
            let (bob, request) = (Actor("bob".into()), DelegateRequest { until });
            stage.api.engine().delegate(&admin, &bob, request).await.unwrap();
            Write::bare("/v1/delegations/bob").leaves(204, "approvals-undelegated")
        }
        "lookAtApprovalLink" | "useApprovalLink" => {
            let link = stage.link().await;
            let says = |reason: &str| match operation.id {
                "useApprovalLink" => json!({"link": link, "decision": "approve", "reason": reason}),
                _ => json!({"link": format!("{link}{reason}")}),
            };
            let write = Write::json(operation.path, &says(""), &says("b"));
            match operation.id {
                "useApprovalLink" => write.leaves(202, "approval-given"),
                _ => write,
            }
        }
        "delegateApprovals" => {
            let until =
                |days: u64| json!({"until": stage.api.engine().now().plus_ms(days * 86_400_000)});
            Write::json("/v1/delegations/bob", &until(1), &until(2))
                .leaves(200, "approvals-delegated")
        }
        "removeDocument" => {
            Write::bare("/v1/documents/Subscription/ci").leaves(200, "document-removed")
        }
        "redeliverNotification" => {
            stage.deployed().await;
            loop {
                let all = stage.get("/v1/notifications?status=delivered").send().await.json();
                if let Some(id) = all[0]["id"].as_str() {
                    let path = format!("/v1/notifications/{id}/redeliver");
                    return Write::bare(path).leaves(202, "message-redelivered");
                }
            }
        }
        "replayDelivery" => {
            let id = stage.hooked().await;
            let path = format!("/v1/hooks/registry/deliveries/{id}");
            while !stage.get(&path).send().await.text.contains("\"read\"") {}
            Write::bare(format!("{path}/replay")).leaves(202, "delivery-replayed")
        }
        "setSecret" => {
            let write = Write::bare("/v1/secrets/kubeconfig").leaves(204, "secret-set");
            Write { body: b"hunter2".to_vec(), other: b"hunter3".to_vec(), ..write }
        }
        "linkSecret" => {
            let link = |from: &str| json!({"from": from});
            let path = "/v1/secrets/kubeconfig/link";
            Write::json(path, &link("file:/a"), &link("file:/b")).leaves(200, "secret-linked")
        }
        "rotateSecretKey" => Write::bare(operation.path).leaves(200, "secret-key-rotated"),
        "uploadPlugin" => {
            let upload =
                |name: &str| json!({"manifest": name, "component": STANDARD.encode(b"\0asm")});
            Write::json(operation.path, &upload("a"), &upload("b")).leaves(201, "plugin-uploaded")
        }
        "createToken" => {
            let token = |name: &str| json!({"name": name, "scope": "ci"});
            Write::json(operation.path, &token("a"), &token("b")).leaves(201, "token-created")
        }
        "revokeToken" => Write::bare("/v1/tokens/read").leaves(204, "token-revoked"),
        "exchangeToken" => {
            let issuer = "{apiVersion: deployd.dev/v1, kind: Issuer, metadata: {name: forge}, \
                          spec: {issuer: 'https://forge.test', audience: us}}";
            stage.apply(&[("issuer.yaml", issuer)]).await.is(200, "");
            let token = |id: &str| {
                let claims = json!({
                    "iss": "https://forge.test", "aud": "us", "sub": "shop", "jti": id,
                    "exp": 4_000_000_000_u64,
                });
                json!({"token": format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()))})
            };
            Write::json(operation.path, &token("a"), &token("b")).leaves(201, "session-began")
        }
        "endSession" => Write::bare(operation.path).leaves(204, ""),
        "verifyJournal" => Write::bare(operation.path),
        "backup" => {
            let to = |name: &str| json!({"path": scratch.join(name)});
            Write::json(operation.path, &to("a"), &to("b"))
        }
        "checkDrift" => {
            stage.deployed().await;
            Write::bare("/v1/environments/shop/development/drift")
        }
        "healDrift" => {
            stage.deployed().await;
            Write::bare("/v1/environments/shop/development/drift/heal")
                .leaves(202, "deployment-queued")
        }
        other => panic!("{other} writes, and has no example here"),
    }
}

/// How often an event is in the journal.
async fn count(stage: &Stage, event: &str) -> usize {
    let all = stage.get("/v1/journal?limit=500").send().await.is(200, "").json();
    all.as_array().unwrap().iter().filter(|entry| entry["kind"] == event).count()
}

fn answer(got: &Got) -> (u16, &str, &str, &str) {
    (got.status.as_u16(), &got.text, got.header("location"), got.header("content-type"))
}

#[tokio::test]
async fn i2_every_write_is_done_once_per_key_and_answered_alike() {
    let document = crate::openapi();
    let takes_key = |operation: &&Operation| {
        let verb = operation.verb.as_str().to_lowercase();
        let parameters = &document["paths"][operation.path][&verb]["parameters"];
        let key = json!({"$ref": "#/components/parameters/IdempotencyKey"});
        parameters.as_array().is_some_and(|all| all.contains(&key))
    };
    let declared: Vec<Operation> =
        operations(false).finish().1.values().flatten().copied().collect();
    // Webhooks and deliveries say themselves what is a repeat.
    let writes: Vec<&Operation> =
        declared.iter().filter(|o| o.verb.writes() && o.repeats == Repeats::Key).collect();
    let documented: BTreeSet<&str> = declared.iter().filter(takes_key).map(|o| o.id).collect();
    assert_eq!(documented, writes.iter().map(|o| o.id).collect());

    for operation in writes {
        let mut stage = Stage::shop().await;
        let scratch = Scratch::new(operation.id);
        let write = example(&stage, operation, &scratch).await;
        let before = count(&stage, write.event).await;
        // Two at once: the second waits for the first.
        let (first, second) = tokio::join!(
            write.send(&stage, operation, &write.body),
            write.send(&stage, operation, &write.body),
        );
        let first = first.is(write.status, "");
        assert_eq!(answer(&second), answer(&first), "{}", operation.id);
        stage.restart();
        let third = write.send(&stage, operation, &write.body).await;
        assert_eq!(answer(&third), answer(&first), "{}", operation.id);
        let other = write.send(&stage, operation, &write.other).await;
        other.is(422, "idempotency-key-reuse");
        let more = usize::from(!write.event.is_empty());
        assert_eq!(count(&stage, write.event).await, before + more, "{}", operation.id);
        if operation.id == "backup" {
            assert!(!scratch.join("b").exists());
        }
    }
}

/// What the store answers for a key, asked with the plain digest of a request.
async fn recorded(
    stage: &Stage,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let headers = [(IDEMPOTENCY_KEY, "one".parse().unwrap())].into_iter().collect();
    let plain = idempotency(&headers, &Actor("admin".into()), method, path, body);
    let plain = plain.unwrap().unwrap();
    let key = IdempotencyKey(format!("admin\0{}", plain.key.0));
    stage.store.accepted(key, plain.digest).await
}

#[tokio::test]
async fn i16_what_is_kept_for_repeats_gives_no_secret_away() {
    let stage = Stage::empty().await;
    let ask = stage.ask(Method::PUT, "/v1/secrets/pin").header("idempotency-key", "one");
    ask.scope(deployd_core::views::TokenScope::Admin).body("1234").send().await.is(204, "");
    // A short value could be found by its digest, if that were the plain one.
    let found = recorded(&stage, &Method::PUT, "/v1/secrets/pin", b"1234").await;
    assert!(matches!(found, Err(StoreError::KeyReuse)), "{found:?}");

    let stage = Stage::empty().await;
    let new = json!({"name": "robot", "scope": "ci"});
    let ask = stage.post("/v1/tokens").header("idempotency-key", "one").json(&new);
    let made = ask.send().await.is(201, "").json();
    let body = new.to_string();
    let kept = recorded(&stage, &Method::POST, "/v1/tokens", body.as_bytes()).await;
    let kept = String::from_utf8(kept.unwrap().unwrap()).unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert!(kept.contains("robot") && !kept.contains("dpl_"), "{kept}");
    assert!(!kept.contains(&secret[4..68]), "{kept}");
}
