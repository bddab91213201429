//! Which plugins there are: shipped in the binary, or uploaded and kept in the
//! store.

use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::config::{EffectLevel, Grant, PluginSpec};
use deployd_core::ports::{
    Batch, Index, Object, PluginCatalog, PluginInfo, PluginRef, Put, Store, StoreError,
};
use deployd_core::{Digest, Fault, Name};
use deployd_host::{LoadError, LoadedInfo, Manifest, PluginHost, Registration};

/// Digest of a component -> its manifest.
const MANIFESTS: Index = Index("plugin-manifests");

/// A plugin in the binary.
pub(crate) struct Shipped {
    pub(crate) id: &'static str,
    pub(crate) component: &'static [u8],
    pub(crate) manifest: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// Plugins that are in the binary.
pub(crate) fn shipped() -> &'static [Shipped] {
    SHIPPED
}

/// Loads plugins into the host.
pub(crate) struct Catalog {
    host: Arc<PluginHost>,
    store: Arc<dyn Store>,
}

impl Catalog {
    /// A catalogue of the binary's plugins and the store's.
    pub(crate) fn new(host: Arc<PluginHost>, store: Arc<dyn Store>) -> Self {
        Self { host, store }
    }

    /// A component and its manifest: of this binary, or of the store.
    async fn component(&self, spec: &PluginSpec) -> Result<(Arc<[u8]>, String), Fault> {
        let invalid = |message: String| Fault::invalid("plugin-source", message);
        if let Some(id) = &spec.source.shipped {
            let found = shipped().iter().find(|shipped| shipped.id == id).ok_or_else(|| {
                let ids: Vec<&str> = shipped().iter().map(|shipped| shipped.id).collect();
                let there = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
                invalid(format!(
                    "spec.source.shipped: found {id:?}; shipped with this binary are: {there}"
                ))
            })?;
            let digest = Digest::of(found.component);
            if spec.digest.is_none_or(|wanted| wanted == digest) {
                // Kept, so that what was deployed with it can be repeated when
                // another binary ships another version.
                self.keep(found.component.to_vec(), found.manifest.to_owned()).await?;
                return Ok((found.component.into(), found.manifest.to_owned()));
            }
        }
        let digest = spec.digest.ok_or_else(|| {
            invalid("spec.digest: an uploaded plugin is found by its digest".to_owned())
        })?;
        let manifest = self.store.get(MANIFESTS, digest.as_bytes()).await.map_err(unavailable)?;
        let component = self.store.object(digest).await.map_err(unavailable)?;
        match (component, manifest) {
            (Some(component), Some(manifest)) => {
                Ok((component.into(), String::from_utf8_lossy(&manifest).into_owned()))
            }
            _ => Err(invalid(format!(
                "spec.digest: no component {digest} was uploaded; `deployd plugin push` does it"
            ))),
        }
    }

    /// Keeps a component by its digest, and its manifest; does nothing when they
    /// are there.
    async fn keep(&self, component: Vec<u8>, manifest: String) -> Result<(), Fault> {
        let object = Object::new(component);
        let known = self.store.get(MANIFESTS, object.digest.as_bytes()).await;
        if known.map_err(unavailable)?.as_deref() == Some(manifest.as_bytes()) {
            return Ok(());
        }
        let put = Put {
            index: MANIFESTS,
            key: object.digest.as_bytes().to_vec(),
            value: Some(manifest.into_bytes()),
        };
        let batch = Batch { puts: vec![put], objects: vec![object], ..Batch::default() };
        self.store.append(batch).await.map_err(unavailable)?;
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that `map_err` takes it")]
fn unavailable(error: StoreError) -> Fault {
    Fault::transient("store", error.to_string())
}

#[async_trait]
impl PluginCatalog for Catalog {
    async fn load(&self, name: &Name, spec: &PluginSpec) -> Result<PluginInfo, Fault> {
        let (component, manifest) = self.component(spec).await?;
        let registration = Registration {
            name: name.as_str(),
            kind: spec.kind,
            component,
            manifest: &manifest,
            digest: spec.digest,
            grant: &spec.grant,
            config: (!spec.config.is_empty()).then_some(&spec.config),
        };
        let info =
            Box::pin(self.host.register(registration)).await.map_err(|error| not_loaded(&error))?;
        Ok(of(info))
    }

    async fn upload(&self, component: Vec<u8>, manifest: String) -> Result<PluginInfo, Fault> {
        let invalid = |message: String| Fault::invalid("plugin-not-loaded", message);
        let parsed = Manifest::parse("plugin.toml", &manifest)
            .map_err(|error| invalid(error.to_string()))?;
        let object = Object::new(component.clone());
        // Loaded once to see whether it can be, with nothing granted, and
        // under a name that no document can have.
        let grant = Grant {
            secrets: parsed.asks.secrets.iter().map(|name| (name.clone(), name.clone())).collect(),
            pods: parsed.asks.pods,
            generate_secrets: parsed.asks.generate_secrets,
            ..Grant::default()
        };
        let trial = format!("{} (trial)", parsed.id);
        let registration = Registration {
            name: &trial,
            kind: parsed.kind,
            component: component.into(),
            manifest: &manifest,
            digest: Some(object.digest),
            grant: &grant,
            config: None,
        };
        let info =
            Box::pin(self.host.register(registration)).await.map_err(|error| not_loaded(&error))?;
        self.host.unload(&info.plugin);
        self.keep(object.bytes, manifest).await?;
        let mut info = of(info);
        info.plugin.name = parsed.id;
        Ok(info)
    }

    async fn manifest(&self, component: Digest) -> Result<Option<String>, Fault> {
        let kept = self.store.get(MANIFESTS, component.as_bytes()).await.map_err(unavailable)?;
        Ok(kept.map(|manifest| String::from_utf8_lossy(&manifest).into_owned()))
    }

    fn unload(&self, plugin: &PluginRef) {
        self.host.unload(plugin);
    }

    fn has(&self, plugin: &PluginRef) -> bool {
        self.host.info(plugin).is_some()
    }
}

/// Whose fault it is that a plugin is not loaded decides whether asking again helps.
fn not_loaded(error: &LoadError) -> Fault {
    match error {
        LoadError::Compiler(_) => Fault::transient("plugin-not-loaded", error.to_string()),
        _ => Fault::invalid("plugin-not-loaded", error.to_string()),
    }
}

fn of(info: LoadedInfo) -> PluginInfo {
    PluginInfo {
        plugin: info.plugin,
        version: info.version,
        kind: info.kind,
        effect: info.repeat.unwrap_or(EffectLevel::Idempotent),
    }
}
