//! Plugins: a name, and a version in the configuration.

use async_trait::async_trait;
use deployd_core::config::{EffectLevel, PluginSpec};
use deployd_core::ports::{Batch, Call, Object, PluginCatalog, PluginInfo, PluginRef, Store as _};
use deployd_core::{Digest, Fault, Name};

use super::Instance;

#[async_trait]
impl PluginCatalog for Instance {
    async fn load(&self, name: &Name, spec: &PluginSpec) -> Result<PluginInfo, Fault> {
        self.look("load a plugin", async { Ok::<(), Fault>(()) }).await?;
        if spec.source.shipped.as_deref() == Some("broken") {
            return Err(Fault::invalid("not-a-component", "it is no component"));
        }
        let text = |key: &str| spec.config.get(key).and_then(|value| value.as_str());
        let version = text("version").unwrap_or("1");
        let plugin = PluginRef {
            name: name.to_string(),
            digest: Digest::of(format!("{name} {version}").as_bytes()),
        };
        let version_text = format!("{name} {version}");
        self.world.components.lock().unwrap().insert(plugin.digest);
        if self.world.store.object(plugin.digest).await.unwrap().is_none() {
            let objects = vec![Object::new(version_text.into_bytes())];
            self.world.store.append(Batch { objects, ..Batch::default() }).await.unwrap();
        }
        self.loaded.lock().unwrap().insert(plugin.clone());
        Ok(PluginInfo {
            plugin,
            version: version.to_owned(),
            kind: spec.kind,
            effect: match text("effect") {
                Some("unsafe") => EffectLevel::Unsafe,
                _ => EffectLevel::Keyed,
            },
        })
    }

    async fn upload(&self, component: Vec<u8>, manifest: String) -> Result<PluginInfo, Fault> {
        self.life.alive().await;
        if manifest.contains("broken") {
            return Err(Fault::invalid("not-a-component", "it is no component"));
        }
        self.world.components.lock().unwrap().insert(Digest::of(&component));
        Ok(PluginInfo {
            plugin: PluginRef { name: "uploaded".to_owned(), digest: Digest::of(&component) },
            version: "1".to_owned(),
            kind: deployd_core::config::PluginKind::Driver,
            effect: EffectLevel::Keyed,
        })
    }

    async fn manifest(&self, component: Digest) -> Result<Option<String>, Fault> {
        let known = self.world.components.lock().unwrap().contains(&component);
        Ok(known.then(|| "id = \"fake\"".to_owned()))
    }

    fn unload(&self, plugin: &PluginRef) {
        self.loaded.lock().unwrap().remove(plugin);
    }

    fn has(&self, plugin: &PluginRef) -> bool {
        self.loaded.lock().unwrap().contains(plugin)
    }
}

impl Instance {
    /// What the host says when a version that was not loaded is called.
    pub fn called(&self, call: Call<'_>) -> Result<(), Fault> {
        if self.has(call.plugin) {
            return Ok(());
        }
        Err(Fault::permanent("plugin-not-loaded", format!("{} is not loaded", call.plugin.name)))
    }
}
