//! Kubernetes objects, to see that contenders render the same.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Objects by kind and name.
pub(crate) struct Objects(BTreeMap<String, Value>);

impl Objects {
    /// These.
    pub(crate) fn of(objects: Vec<Value>) -> Self {
        let name = |object: &Value| {
            let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            format!("{} {}", kind.unwrap_or_default(), name.unwrap_or_default())
        };
        Self(objects.into_iter().map(|object| (name(&object), object)).collect())
    }

    /// Those in a stream of YAML documents.
    pub(crate) fn read(yaml: &str) -> anyhow::Result<Self> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(yaml).context("reading what a peer has rendered")?;
        Ok(Self::of(documents.into_iter().filter(|document| !document.is_null()).collect()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Whether a peer has rendered what we have: who does less has an easy win.
pub(crate) fn same(ours: &Objects, theirs: &Objects) -> anyhow::Result<()> {
    let names = |objects: &Objects| objects.0.keys().cloned().collect::<Vec<_>>();
    ensure!(names(ours) == names(theirs), "{:?} and not {:?}", names(theirs), names(ours));
    for (name, object) in &ours.0 {
        let other = theirs.0.get(name);
        ensure!(
            Some(object) == other,
            "{name}: {} and not {object}",
            other.unwrap_or(&Value::Null)
        );
    }
    Ok(())
}
