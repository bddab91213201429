//! The plugins that come with the daemon, as `cargo xtask plugins` builds them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{
    Call, CallLog, DriverRequest, Drivers, Notifiers, PluginRef, Progress, RenderInput, Strategies,
    StrategyContext, Templaters,
};
use deployd_host::{Manifest, Registration};
use serde_json::{Value, json};
use wasmparser::component_types::ComponentEntityType;

use crate::secrets::request;
use crate::support::{Stage, repository, scope};

struct Shipped {
    manifest: Manifest,
    text: String,
    component: Vec<u8>,
}

/// All of them, from the folder that DEPLOYD_PLUGINS names, or target/plugins.
fn shipped() -> Vec<Shipped> {
    let folder = std::env::var_os("DEPLOYD_PLUGINS")
        .map_or_else(|| repository().join("target/plugins"), PathBuf::from);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            let text = std::fs::read_to_string(path.with_extension("toml")).unwrap();
            let manifest = Manifest::parse(&path.display().to_string(), &text).unwrap();
            found.push(Shipped { manifest, text, component: std::fs::read(&path).unwrap() });
        }
    }
    assert!(!found.is_empty(), "no plugins in {}: run `cargo xtask plugins`", folder.display());
    found
}

fn grant() -> Grant {
    Grant {
        secrets: [("kubeconfig".to_owned(), "prod-cluster".to_owned())].into(),
        generate_secrets: true,
        pods: true,
        ..Grant::default()
    }
}

async fn load(stage: &Stage, id: &str) -> PluginRef {
    load_with(stage, id, &grant()).await
}

/// The same, with what the operator grants.
pub async fn load_with(stage: &Stage, id: &str, grant: &Grant) -> PluginRef {
    let all = shipped();
    let one = all.iter().find(|one| one.manifest.id == id);
    let one = one.unwrap_or_else(|| panic!("no plugin {id}: run `cargo xtask plugins`"));
    let registration = Registration {
        name: id,
        kind: one.manifest.kind,
        component: one.component.as_slice().into(),
        manifest: &one.text,
        digest: None,
        grant,
        config: None,
    };
    stage.host.register(registration).await.unwrap().plugin
}

/// What comes with the daemon is called here, one by one.
#[test]
fn each_has_a_test() {
    for one in shipped() {
        let loaded = format!("(&stage, \"{}\"", one.manifest.id);
        let tests = [
            include_str!("shipped.rs"),
            include_str!("checks.rs"),
            include_str!("cloudflare.rs"),
            include_str!("dns.rs"),
            include_str!("notifiers.rs"),
            include_str!("object_store.rs"),
            include_str!("policies.rs"),
            include_str!("receivers.rs"),
        ];
        assert!(tests.iter().any(|test| test.contains(&loaded)), "no call of {}", one.manifest.id);
    }
}

/// The functions of the host's interfaces that a component imports, by interface.
fn imported(component: &[u8]) -> BTreeMap<String, Vec<String>> {
    let features = wasmparser::WasmFeatures::default();
    let types = wasmparser::Validator::new_with_features(features).validate_all(component).unwrap();
    let types = types.as_ref();
    let mut found = BTreeMap::new();
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        let wasmparser::Payload::ComponentImportSection(imports) = payload.unwrap() else {
            continue;
        };
        for import in imports {
            let name = import.unwrap().name.name;
            let item = types.component_item_for_import(name);
            let Some(ComponentEntityType::Instance(instance)) = item.map(|item| item.ty) else {
                continue;
            };
            let functions = types[instance].exports.keys().cloned().collect();
            // Imports of a component's parts have names of their own.
            found.insert(name.to_owned(), functions);
        }
    }
    found
}

/// What is imported and not asked for is refused at each use, whatever is granted.
#[test]
fn each_asks_for_what_it_imports() {
    let mut reveals = Vec::new();
    for one in shipped() {
        let (id, asks) = (&one.manifest.id, &one.manifest.asks);
        let imported = imported(&one.component);
        let uses = |interface: &str, function: &str| {
            let of = |(name, functions): (&String, &Vec<String>)| {
                name.starts_with(interface) && functions.iter().any(|one| one.ends_with(function))
            };
            imported.iter().any(of)
        };
        let secrets = "deployd:host/secrets@";
        assert_eq!(uses(secrets, "secret.open"), !asks.secrets.is_empty(), "{id}: asks.secrets");
        assert_eq!(uses(secrets, "generate"), asks.generate_secrets, "{id}: generate_secrets");
        assert_eq!(uses(secrets, "secret.reveal"), asks.reveal_secrets, "{id}: reveal_secrets");
        let out = uses("deployd:host/net@", "connection.connect")
            || uses("wasi:http/outgoing-handler@", "handle");
        assert_eq!(out, !asks.hosts.is_empty(), "{id}: asks.hosts");
        if asks.reveal_secrets {
            reveals.push(one.manifest.id);
        }
    }
    // The look itself is looked at.
    reveals.sort();
    assert_eq!(reveals, ["callback", "dns-rfc2136", "k8s-cluster", "object-store", "postgres"]);
}

#[tokio::test]
async fn each_can_be_loaded_and_asks_for_little() {
    let stage = Stage::new();
    for one in shipped() {
        let id = one.manifest.id.clone();
        load(&stage, &id).await;
    }
    for info in stage.host.loaded() {
        // Drivers and checks speak HTTP by the standard, and measure how long that takes;
        // nobody has more of it.
        let standard = info.imports.iter().filter(|name| name.starts_with("wasi:"));
        let connected = matches!(info.kind, PluginKind::Driver | PluginKind::Check);
        let fine = |name: &String| {
            let mut parts =
                ["wasi:clocks/monotonic-clock@", "wasi:http/", "wasi:io/", "wasi:random/"].iter();
            connected && parts.any(|of| name.starts_with(of))
        };
        assert!(standard.clone().all(fine), "{info:?}");
        assert_eq!(info.repeat.is_some(), info.kind == PluginKind::Driver);
        eprintln!("{}: {} KiB, compiled in {:?}", info.id, info.bytes / 1024, info.compiled_in);
    }
    // After a restart, all of them are read from the cache.
    let Stage { host, state, .. } = stage;
    drop(host);
    let stage = Stage::in_folder(state, std::time::Duration::from_secs(60));
    for one in shipped() {
        load(&stage, &one.manifest.id).await;
    }
    for info in stage.host.loaded() {
        assert!(info.from_cache, "{} was compiled again", info.id);
        eprintln!("{}: read in {:?}", info.id, info.compiled_in);
    }
}

fn workload() -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "web"},
        "containers": {"web": {"image": "registry.example/web@sha256:ab", "variables": {"A": "1"}}},
        "service": {"ports": {"http": {"port": 80, "targetPort": 8080}}},
    })
}

#[tokio::test]
async fn score_k8s_renders_the_same_bytes_each_time() {
    let stage = Stage::new();
    let plugin = load(&stage, "score-k8s").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    // About 4 KiB: what a small application has.
    let workloads: Vec<_> = (0..12)
        .map(|number| {
            let mut workload = workload();
            workload["metadata"]["name"] = json!(format!("web-{number:02}"));
            workload
        })
        .collect();
    let input = RenderInput {
        workloads,
        values: json!({}),
        baseline: String::new(),
        config: json!({}),
        target: json!({"namespace": "shop"}),
    };
    let once = stage.host.render(call, &input).await.unwrap();
    assert!(once.iter().any(|manifest| manifest["kind"] == "Deployment"));
    let started = Instant::now();
    for _ in 0..20 {
        let again = stage.host.render(call, &input).await.unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), serde_json::to_vec(&once).unwrap());
    }
    let bytes: usize = input.workloads.iter().map(|document| document.to_string().len()).sum();
    eprintln!("render of {bytes} bytes: {:?} a call", started.elapsed() / 20);
    let status = &stage.host.status()[0];
    eprintln!("p50 {:?}, p95 {:?}, {:?}", status.p50, status.p95, status.counts);
}

/// A rollout's first decision and the one after it: a track is applied, and waited
/// for.
async fn decides(stage: &Stage, plugin: &PluginRef, config: Value, track: &str) {
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin, scope: &scope, log: &log };
    let traffic = json!({"way": "http-route", "weights": null, "headers": true, "mirror": true});
    let workloads = json!([{"name": "web", "replicas": 1, "after": [], "current": "dep-1",
        "changed": true, "tracks": true, "traffic": traffic}]);
    let context = StrategyContext { config, workloads };
    let first = stage.host.start(call, &context).await.unwrap();
    assert_eq!((&first.action["do"], &first.action["track"]), (&json!("apply"), &json!(track)));
    let done = json!({"outcome": "done"});
    let second = stage.host.next(call, &context, &first.state, &done).await.unwrap();
    assert_eq!(second.action["do"], "await-ready");
}

#[tokio::test]
async fn strategies_decide() {
    let stage = Stage::new();
    let rolling = load(&stage, "rolling").await;
    decides(&stage, &rolling, json!({}), "stable").await;
    let blue_green = load(&stage, "blue-green").await;
    decides(&stage, &blue_green, json!({}), "preview").await;
    let in_batches = load(&stage, "rolling-blue-green").await;
    decides(&stage, &in_batches, json!({}), "preview").await;
    let canary = load(&stage, "canary").await;
    let steps = json!({"steps": [{"weight": 10}, {"pause": "10m"}]});
    decides(&stage, &canary, steps, "canary").await;
}

#[tokio::test]
async fn webhook_formats() {
    let stage = Stage::new();
    let plugin = load(&stage, "webhook").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let event = json!({
        "id": "e1", "type": "deployment.finished", "time": "2026-10-01T00:00:00Z",
        "application": "shop", "environment": "staging", "data": {},
    });
    let config = json!({"url": "https://hooks.example/1"});
    let requests = stage.host.format(call, &event, &config).await.unwrap();
    assert_eq!(requests[0].url, "https://hooks.example/1");
}

#[tokio::test]
async fn template_provisions_with_a_generated_secret() {
    let stage = Stage::new();
    let plugin = load(&stage, "template").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let inputs = json!({
        "secrets": {"password": {"length": 24}},
        "outputs": {"host": "redis-{{ short }}", "password": "{{ secrets.password }}"},
    });
    let request = DriverRequest { inputs, ..request() };
    stage.host.plan(call, &request).await.unwrap();
    assert_eq!(stage.vault.value("uid-1", "password"), None, "a plan changes nothing");
    let Progress::Done(first) = stage.host.provision(call, &request, None).await.unwrap() else {
        panic!("nothing to wait for")
    };
    assert_eq!(first.outputs["password"], "\u{27e6}secret:uid-1/password\u{27e7}");
    assert_eq!(stage.vault.value("uid-1", "password").unwrap().len(), 24);
}

#[tokio::test]
async fn what_a_driver_would_make_is_foreseen_without_an_effect_if_it_reaches_nobody() {
    let stage = Stage::new();
    let plugin = load(&stage, "template").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let inputs = json!({
        "secrets": {"password": {"length": 24}},
        "outputs": {"password": "{{ secrets.password }}"},
        "manifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}],
    });
    let asked = DriverRequest { inputs, ..request() };
    let foreseen = stage.host.foresee(call, &asked).await.unwrap().unwrap();
    assert_eq!(stage.vault.value("uid-1", "password"), None, "nothing is generated");
    let Progress::Done(made) = stage.host.provision(call, &asked, None).await.unwrap() else {
        panic!("nothing to wait for")
    };
    assert_eq!(foreseen, made, "it is what is made then");
    assert_eq!(foreseen.manifests.len(), 1);
}

/// What stands in a plan for an output that is not there yet.
const LATER: &str = "(known after provisioning: resources.other.output)";

/// Inputs of each driver; what can only be chosen among some words is left out.
fn inputs_of_drivers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "postgres",
            json!({
                "host": "db", "port": "5432", "admin_user": "a", "admin_password": "kubeconfig",
                "maintenance_database": "m", "server_name": "s", "name": "n", "username": "u",
                "owner": "o", "extensions": ["e"], "allowed_extensions": ["e"],
                "options": {"encoding": "UTF8", "locale": "C", "template": "t", "tablespace": "s"},
                "installation": "eu",
            }),
        ),
        (
            "dns-rfc2136",
            json!({
                "server": "ns", "zone": "example.com", "name": "a.example.com",
                "key": {"name": "k", "secret": "kubeconfig"}, "records": {"TXT": "t"},
                "authoritative_servers": [{"server": "ns"}], "installation": "eu",
            }),
        ),
        (
            "dns-cloudflare",
            json!({
                "zone": "example.com", "name": "a.example.com", "api": "https://api.example",
                "records": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "TXT": ["t"]},
                "installation": "eu",
            }),
        ),
        (
            "dns-cloudflare",
            json!({"zone_id": "0", "name": "a.example.com", "records": {"CNAME": "b.example"}}),
        ),
        (
            "object-store",
            json!({
                "endpoint": "https://s3.example", "region": "r", "bucket": "bucket",
                "admin": {"access_key_id": "A", "secret_key_secret": "kubeconfig"},
                "credentials": {"mode": "iam", "endpoint": "https://iam.example", "region": "r",
                    "rotation": "1", "actions": ["s3:GetObjectVersion"]},
                "installation": "eu",
            }),
        ),
        (
            "object-store",
            json!({
                "endpoint": "https://s3.example",
                "admin": {"access_key_id": "A", "secret_key_secret": "kubeconfig"},
                "credentials":
                    {"mode": "given", "access_key_id": "A", "secret_key_secret": "kubeconfig"},
            }),
        ),
        ("k8s-cluster", json!({"name": "n", "kubeconfig_secret": "kubeconfig"})),
        (
            "k8s-cluster",
            json!({"server": "https://k", "ca_data": "Q0E=", "token_secret": "kubeconfig"}),
        ),
        (
            "k8s-cluster",
            json!({"server": "https://k", "service_account": {"namespace": "n", "name": "a",
                "credential_secret": "kubeconfig", "audiences": ["a"]}}),
        ),
        (
            "k8s-cluster",
            json!({"server": "https://k", "token_endpoint": {"url": "https://login.example",
                "form": {"scope": "s"}, "secret_form": {"client_secret": "kubeconfig"}}}),
        ),
        (
            "k8s-namespace",
            json!({"name": "n", "labels": {"a": "b"}, "annotations": {"a": "b"},
                "quota": {"pods": "4"}}),
        ),
        ("template", json!({"values": {"a": "b"}, "outputs": {"url": "{{ values.a }}"}})),
    ]
}

/// The places of all texts in a document.
fn texts(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(place.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, &format!("{place}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != "mode") {
                texts(field, &format!("{place}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// A first deployment, whose inputs refer to what is still to be made.
#[tokio::test]
async fn each_driver_plans_what_refers_to_what_is_not_there_yet() {
    let stage = Stage::new();
    stage.vault.set("operator", "prod-cluster", "apiVersion: v1");
    let (scope, log) = (scope(), CallLog::default());
    for (id, inputs) in inputs_of_drivers() {
        let plugin = load(&stage, id).await;
        let call = Call { plugin: &plugin, scope: &scope, log: &log };
        let schema = |inputs: &Value| stage.host.check_config(&plugin, inputs).unwrap();
        assert_eq!(schema(&inputs), [], "{id}");
        let mut places = Vec::new();
        texts(&inputs, "", &mut places);
        for place in places {
            let mut inputs = inputs.clone();
            let text = inputs.pointer_mut(&place).unwrap();
            *text = json!(format!("{LATER}{}", if place == "/zone" { "" } else { "/x" }));
            assert_eq!(schema(&inputs), [], "{id} {place}");
            let mut reference = inputs.clone();
            *reference.pointer_mut(&place).unwrap() = json!("${resources.other.output}");
            assert_eq!(schema(&reference), [], "{id} {place}");
            let request = DriverRequest { inputs, ..request() };
            match stage.host.plan(call, &request).await {
                Ok(_) => {}
                // Its server is known, and asked for the rest.
                Err(fault) if id == "dns-rfc2136" && place == "/records/TXT" => {
                    assert_eq!(fault.code, "plugin-denied", "{fault}");
                }
                Err(fault) => panic!("{id} {place}: {fault}"),
            }
        }
    }
}

#[tokio::test]
async fn k8s_namespace_and_k8s_cluster_provision() {
    let stage = Stage::new();
    stage.vault.set("operator", "prod-cluster", "apiVersion: v1");
    let (scope, log) = (scope(), CallLog::default());
    let namespace = load(&stage, "k8s-namespace").await;
    let call = Call { plugin: &namespace, scope: &scope, log: &log };
    let named = DriverRequest { inputs: json!({"name": "shop-staging"}), ..request() };
    let Progress::Done(done) = stage.host.provision(call, &named, None).await.unwrap() else {
        panic!("nothing to wait for")
    };
    assert_eq!(done.manifests[0]["kind"], "Namespace");
    let cluster = load(&stage, "k8s-cluster").await;
    let call = Call { plugin: &cluster, scope: &scope, log: &log };
    let inputs = json!({"kubeconfig_secret": "kubeconfig"});
    let request = DriverRequest { inputs, ..request() };
    let Progress::Done(done) = stage.host.provision(call, &request, None).await.unwrap() else {
        panic!("nothing to wait for")
    };
    assert_eq!(done.outputs["kubeconfig"], "\u{27e6}secret:operator/prod-cluster\u{27e7}");
}

/// What it does with a real server is in `postgres.rs`.
#[tokio::test]
async fn postgres_plans_nothing_without_a_grant() {
    let stage = Stage::new();
    let plugin = load(&stage, "postgres").await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let inputs = json!({"host": "db.internal", "admin_password": "admin"});
    let request = DriverRequest { inputs, ..request() };
    let fault = stage.host.plan(call, &request).await.unwrap_err();
    assert_eq!(fault.code, "plugin-denied");
    assert!(fault.message.contains("no secret \"admin\" is granted"), "{fault}");
    // The secret is granted, and no host.
    stage.vault.set("operator", "db-admin", "s3cr3t-of-the-admin");
    let grant = Grant {
        secrets: [("admin".to_owned(), "db-admin".to_owned())].into(),
        reveal: vec!["admin".to_owned()],
        ..Grant::default()
    };
    let plugin = load_with(&stage, "postgres", &grant).await;
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let fault = stage.host.plan(call, &request).await.unwrap_err();
    assert_eq!(fault.code, "plugin-denied");
    assert!(fault.message.contains("db.internal:5432 is not granted"), "{fault}");
}
