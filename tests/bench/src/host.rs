//! The daemon's own host of plugins, with everything on that it always has on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use deployd_core::config::Grant;
use deployd_core::ports::{PluginRef, Scope};
use deployd_host::{Backoff, HostOptions, Manifest, PluginHost, Registration};

use crate::surroundings::{NoAudit, NoVault};

/// A plugin as it lies in a folder.
pub struct Shipped {
    manifest: Manifest,
    manifest_text: String,
    component: Arc<[u8]>,
}

/// All `<id>.wasm` of a folder, with the `<id>.toml` beside them.
///
/// # Errors
///
/// When the folder, a component or a manifest can't be read.
pub fn read_all(folder: &Path) -> anyhow::Result<BTreeMap<String, Shipped>> {
    let mut shipped = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let manifest_text = fs::read_to_string(path.with_extension("toml"))?;
        let manifest = Manifest::parse(&path.display().to_string(), &manifest_text)?;
        let component = fs::read(&path)?.into();
        shipped.insert(manifest.id.clone(), Shipped { manifest, manifest_text, component });
    }
    Ok(shipped)
}

/// A host that keeps compiled plugins below this folder.
///
/// # Errors
///
/// When it can't be made.
pub fn new_host(state: &Path) -> anyhow::Result<Arc<PluginHost>> {
    let (first, longest) = (Duration::from_secs(1), Duration::from_secs(1));
    Ok(Arc::new(PluginHost::new(HostOptions {
        state_dir: state.to_owned(),
        vault: Arc::new(NoVault),
        audit: Arc::new(NoAudit),
        egress: None,
        backoff: Backoff { first, longest },
        compiler: None,
    })?))
}

/// Loads a plugin; what it is called by from now on.
///
/// # Errors
///
/// When the host refuses it.
pub async fn register(host: &PluginHost, id: &str, one: &Shipped) -> anyhow::Result<PluginRef> {
    let grant = Grant { generate_secrets: one.manifest.asks.generate_secrets, ..Grant::default() };
    register_with(host, id, one, &grant).await
}

/// The same, with what the operator grants.
///
/// # Errors
///
/// When the host refuses it.
pub async fn register_with(
    host: &PluginHost,
    id: &str,
    one: &Shipped,
    grant: &Grant,
) -> anyhow::Result<PluginRef> {
    let registration = Registration {
        name: id,
        kind: one.manifest.kind,
        component: Arc::clone(&one.component),
        manifest: &one.manifest_text,
        digest: None,
        grant,
        config: None,
    };
    let loaded = host.register(registration).await.with_context(|| format!("plugin {id}"))?;
    Ok(loaded.plugin)
}

/// Where calls belong.
pub fn scope() -> Scope {
    Scope {
        application: "shop".into(),
        environment: "production".into(),
        environment_type: "production".into(),
        deployment: "01jd4g9x2c7h8k9m0n1p2q3r4s".into(),
    }
}
