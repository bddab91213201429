//! `kubectl kustomize`: a base of finished manifests, and an overlay that says
//! what an environment differs in: namespace, images, replicas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::helm::{output, times};

pub(crate) struct Kustomize {
    kubectl: PathBuf,
    overlay: PathBuf,
}

impl Kustomize {
    /// Writes base and overlay.
    pub(crate) fn prepare(
        kubectl: &Path,
        folder: &Path,
        manifests: &str,
        application: &Value,
    ) -> anyhow::Result<Self> {
        let (base, overlay) = (folder.join("base"), folder.join("overlay"));
        fs::create_dir_all(&base)?;
        fs::create_dir_all(&overlay)?;
        let (mut text, mut images) = (manifests.to_owned(), Vec::new());
        for image in images_of(application) {
            let (name, digest) = image.split_once('@').context("an image without a digest")?;
            // The base has a placeholder, as a team would write it.
            text = text.replace(image, name);
            images.push(json!({"name": name, "digest": digest}));
        }
        let text = text.replace("namespace: shop-production\n", "namespace: default\n");
        fs::write(base.join("manifests.yaml"), text)?;
        write(&base, &json!({"resources": ["manifests.yaml"]}))?;
        let replicas = application.pointer("/values/replicas").and_then(Value::as_object);
        let replicas = replicas.context("no replicas")?.iter();
        let replicas: Vec<Value> =
            replicas.map(|(name, count)| json!({"name": name, "count": count})).collect();
        let kustomization = json!({
            "resources": ["../base"],
            "namespace": "shop-production",
            "images": images,
            "replicas": replicas,
        });
        write(&overlay, &kustomization)?;
        Ok(Self { kubectl: kubectl.to_owned(), overlay })
    }

    pub(crate) fn render(&self) -> anyhow::Result<String> {
        output(Command::new(&self.kubectl).arg("kustomize").arg(&self.overlay))
    }

    pub(crate) fn renders(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        times(count, || self.render())
    }
}

fn write(folder: &Path, kustomization: &Value) -> anyhow::Result<()> {
    Ok(fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?)
}

fn images_of(application: &Value) -> Vec<&str> {
    let workloads = application.get("workloads").and_then(Value::as_array);
    let containers = workloads.into_iter().flatten().filter_map(|one| one.get("containers"));
    let containers = containers.filter_map(Value::as_object).flat_map(|one| one.values());
    containers.filter_map(|one| one.get("image")).filter_map(Value::as_str).collect()
}
