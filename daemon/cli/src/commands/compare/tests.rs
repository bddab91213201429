use std::collections::BTreeMap;
use std::path::Path;

use deployd_core::compare::{Comparison, Content, Resolved, Side, Wanted, compare};
use deployd_core::graph::Uid;
use deployd_core::plan::{Manifest, Manifests, ObjectOwner};
use deployd_core::secret::SecretRef;
use deployd_core::set::{Delta, DeploymentSet};
use deployd_core::{DeploymentId, Digest, Timestamp};
use serde_json::{Value, json};

use crate::commands::tests::ran;
use crate::testing::{Answer, Daemon};

/// A deployment of a shop: its configuration file has many lines, of which some
/// differ from version to version.
fn content(version: u64) -> Content {
    let lines: Vec<String> = (1..=12)
        .map(|line| match line {
            3 => format!("workers = {version}"),
            _ => format!("line{line} = {line}"),
        })
        .collect();
    let mut set: DeploymentSet = serde_json::from_value(json!({
        "application": "shop",
        "workloads": {"backend": {
            "apiVersion": "score.dev/v1b1",
            "metadata": {"name": "backend"},
            "containers": {"main": {
                "image": format!("registry.test/shop/backend:{version}"),
                "variables": {"LEVEL": "info", "MODE": if version == 1 { "" } else { "fast" }},
                "files": {"/etc/shop.conf": {"content": lines.join("\n") + "\n"}},
            }},
        }},
    }))
    .unwrap();
    if version == 1 {
        let cache = json!({"type": "redis", "params": {"size": "1Gi"}});
        set.resources.insert("cache".into(), serde_json::from_value(cache).unwrap());
    } else {
        let mut jobs = set.workloads["backend"].clone();
        jobs.metadata.name = "jobs".into();
        set.workloads.insert("jobs".into(), jobs);
    }
    let uid = Uid("0123456789abcdef".into());
    let secret = SecretRef { owner: uid.0.clone(), name: "password".into() };
    let plan = serde_json::from_value(json!({
        "version": 1, "environment": "shop/production", "environmentType": "production",
        "set": set.digest().unwrap(), "workloads": [], "graph": {"names": {}, "nodes": {
            uid.0.clone(): {
                "key": {"type": "postgres", "class": "default", "id": "backend.db"},
                "usedBy": ["backend"], "params": {}, "definition": "postgres",
                "definitionDigest": Digest::of(b"definition"), "driver": "postgres",
                "inputs": {"size": format!("{version}Gi")}, "after": [], "whenUnused": "keep",
            },
        }},
        "resources": {uid.0.clone(): {
            "driver": {"name": "postgres", "digest": Digest::of(b"driver")},
            "effect": "idempotent", "action": "update",
        }},
        "values": {"replicas": {"backend": version}}, "takeOverFields": false,
    }))
    .unwrap();
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "backend", "labels": {"deployd.dev/environment": "production"}},
        "spec": {"replicas": version, "template": {"spec": {"containers": [
            {"name": "main", "image": format!("registry.test/shop/backend:{version}")},
        ]}}},
    });
    let objects = vec![Manifest { owner: ObjectOwner::Environment, object }];
    let fingerprint = Digest::of(&version.to_be_bytes());
    let outputs = json!({"host": "db.test", "password": secret.to_string()});
    let resolved = Resolved {
        plan,
        outputs: BTreeMap::from([(uid, outputs)]),
        fingerprints: BTreeMap::from([(secret, fingerprint)]),
        manifests: Ok(Manifests {
            namespace: "shop-production".into(),
            objects,
            ..Manifests::default()
        }),
    };
    Content { set, resolved: Ok(resolved) }
}

fn comparison(a: u64, b: u64) -> Comparison {
    let side = |version: u64| {
        let content = content(version);
        let side = Side {
            subject: format!("shop/production#{version}").parse().unwrap(),
            set: content.set.digest().unwrap(),
            deployment: Some(DeploymentId(format!("01jd2k9x7h8f6v3q5w1n4m0zt{version}"))),
            environment: Some("shop/production".parse().unwrap()),
            number: Some(version),
            ended: Some(Timestamp(version * 60_000)),
            imported: None,
        };
        (side, content)
    };
    let ((side_a, a), (side_b, b)) = (side(a), side(b));
    let wanted = Wanted { part: None, documents: true };
    compare((side_a, &a), (side_b, &b), wanted).unwrap()
}

const LINE: [&str; 3] = ["diff", "shop/production#1", "shop/production#2"];

/// Compares with a file of `tests/fixtures/comparisons`; `UPDATE_FIXTURES=1`
/// writes it anew: read the difference before it is kept.
#[track_caller]
fn golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/comparisons");
    let path = folder.join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{}", path.display());
}

#[tokio::test]
async fn differences_are_readable() {
    let daemon = Daemon::new([Answer::json(200, &comparison(1, 2))]).await;
    let done = ran(&daemon, &LINE, "").await;
    golden("human.txt", &done.out);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let asked = "GET /v1/comparison?a=shop%2Fproduction%231&b=shop%2Fproduction%232";
    assert_eq!(daemon.lines(), [asked]);

    let daemon = Daemon::new([Answer::json(200, &comparison(1, 2))]).await;
    let line = [&LINE[..], &["--unified", "--exit-code"]].concat();
    let done = ran(&daemon, &line, "").await;
    golden("unified.diff", &done.out);
    assert_eq!(done.code, 15);
    assert_eq!(daemon.lines(), [format!("{asked}&documents=true")]);

    let daemon = Daemon::new([Answer::json(200, &comparison(1, 2))]).await;
    let done = ran(&daemon, &[&LINE[..], &["--delta"]].concat(), "").await;
    golden("delta.yaml", &done.out);
    // What was printed is what `deployd patch` reads.
    let delta: Delta = serde_saphyr::from_str(&done.out).unwrap();
    let patched = deployd_core::set::patch(&content(1).set, &delta).unwrap();
    assert_eq!(patched, content(2).set);
}

#[tokio::test]
async fn equal_sides_say_so() {
    let daemon = Daemon::new([Answer::json(200, &comparison(1, 1))]).await;
    let done = ran(&daemon, &[&LINE[..], &["--exit-code"]].concat(), "").await;
    golden("equal.txt", &done.out);
    assert_eq!(done.code, 0);
    let mut partial = comparison(1, 1);
    partial.parts[3].missing = Some("shop/production#1 rendered nothing".into());
    let daemon = Daemon::new([Answer::json(200, &partial)]).await;
    let done = ran(&daemon, &[&LINE[..], &["--exit-code"]].concat(), "").await;
    assert_eq!(done.code, 16);
    assert!(done.out.contains("not compared: shop/production#1 rendered nothing"), "{}", done.out);
}

#[tokio::test]
async fn i16_no_hash_of_a_secret_is_printed() {
    for format in ["human", "json", "yaml"] {
        let daemon = Daemon::new([Answer::json(200, &comparison(1, 2))]).await;
        let done = ran(&daemon, &[&LINE[..], &["-o", format]].concat(), "").await;
        for version in [1u64, 2] {
            let fingerprint = Digest::of(&version.to_be_bytes());
            assert!(!done.out.contains(&fingerprint.short()), "{format}");
        }
        assert!(done.out.contains("postgres#backend.db/password"), "{format}: {}", done.out);
    }
}

#[tokio::test]
async fn environments_may_be_named_in_short() {
    let environment = |id: &str| json!({"id": id, "environmentType": "t", "state": {"accepted": 0}, "images": []});
    let all = json!([
        environment("shop/staging"),
        environment("shop/production"),
        environment("blog/production")
    ]);
    let answers = [Answer::json(200, &all), Answer::json(200, &comparison(1, 1))];
    let daemon = Daemon::new(answers).await;
    let done = ran(&daemon, &["env", "diff", "staging", "blog/production"], "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(daemon.lines()[1], "GET /v1/comparison?a=shop%2Fstaging&b=blog%2Fproduction");
    for (name, said) in [
        ("production", "several applications: shop/production, blog/production"),
        ("test", "there is no environment \"test\""),
    ] {
        let daemon = Daemon::new([Answer::json(200, &all)]).await;
        let done = ran(&daemon, &["env", "diff", name, "shop/staging"], "").await;
        assert_eq!(done.code, 2);
        assert!(done.err.contains(said), "{}", done.err);
    }
}

#[tokio::test]
async fn sets_are_made_and_listed() {
    let digest = Digest::of(b"set");
    let known = json!({
        "digest": digest, "application": "shop", "at": "1970-01-01T00:16:40.000Z", "actor": "ada",
        "from": Digest::of(b"base"), "runsIn": ["shop/staging"], "deployedIn": ["shop/staging"],
    });
    let daemon = Daemon::new([Answer::json(201, &known)]).await;
    let line = ["patch", "shop/production", "--delta", "-"];
    let done = ran(&daemon, &line, "workloads: {remove: [jobs]}").await;
    assert_eq!((done.code, done.out.trim()), (0, digest.to_string().as_str()));
    assert!(done.err.contains("deployd plan shop/production --set sha256:"), "{}", done.err);
    let body = daemon.seen()[0].json();
    assert_eq!(body["delta"]["workloads"]["remove"], json!(["jobs"]));

    let merged = json!({"set": known, "delta": {}, "conflicts": [{"path": "/workloads/web"}]});
    let daemon = Daemon::new([Answer::json(201, &merged)]).await;
    let line = ["patch", "shop/staging#7", "shop/staging", "--onto", "shop/production", "--theirs"];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    let expected = json!({
        "base": "shop/staging#7", "theirs": "shop/staging", "onto": "shop/production",
        "prefer": "theirs",
    });
    assert_eq!(daemon.seen()[0].json(), expected);
    assert!(done.err.contains("1 field changed on both sides"), "{}", done.err);

    let problem = json!({
        "title": "Both sides have changed the same", "status": 409, "code": "unmerged",
        "detail": "Both sides have changed the same field.",
        "errors": [{"field": "/workloads/web/containers/main/image", "message": "it was \"1\"; here it is \"2\"; the change makes it \"3\""}],
    });
    let daemon = Daemon::new([Answer::json(409, &problem)]).await;
    let done = ran(&daemon, &line[..5], "").await;
    assert_eq!(done.code, 7);
    assert!(
        done.err.contains("/workloads/web/containers/main/image: it was \"1\""),
        "{}",
        done.err
    );

    let page = json!({"sets": [known], "next": "5-ab"});
    let daemon = Daemon::new([Answer::json(200, &page)]).await;
    let done = ran(&daemon, &["set", "list", "shop"], "").await;
    assert!(done.out.contains(&format!("sha256:{}", digest.short())), "{}", done.out);
    assert!(done.err.contains("--cursor 5-ab"), "{}", done.err);
    let side = json!({"subject": "shop/production", "set": digest});
    let set: Value = serde_json::to_value(content(1).set).unwrap();
    let daemon = Daemon::new([Answer::json(200, &side), Answer::json(200, &set)]).await;
    let done = ran(&daemon, &["set", "show", "shop/production"], "").await;
    assert!(done.out.contains("application: shop"), "{}", done.out);
    // A set's short name is enough to deploy it.
    let daemon = Daemon::new([Answer::json(200, &side), Answer::json(418, &json!({}))]).await;
    let line = ["plan", "shop/production", "--set", "sha256:0a1b2c"];
    ran(&daemon, &line, "").await;
    assert_eq!(daemon.seen()[1].json()["setDigest"], json!(digest));
}
