//! Templaters render workloads into Kubernetes objects.

use crate::{Fault, Log, Scope, document};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Renders the workloads of an environment. Pure: the same input gives the
/// same bytes.
pub trait Templater: Sized {
    /// The templater's configuration, from its Plugin document.
    type Config: DeserializeOwned;

    /// Kubernetes objects, in the order in which they should be applied.
    fn render(input: &Input<Self::Config>, log: &impl Log) -> Result<Vec<Value>, Fault>;
}

/// All that rendering depends on.
pub struct Input<C> {
    /// Score documents in name order, placeholders already replaced. Strings
    /// may hold references to secrets (see [`crate::secret`]), which may stand
    /// only in the `stringData` of a Secret of the output.
    pub workloads: Vec<Value>,
    /// The environment's own values.
    pub values: Value,
    /// The platform's baseline template, unless the templater's own is wanted.
    pub baseline: Option<String>,
    /// The templater's configuration.
    pub config: C,
    /// Where the call belongs.
    pub scope: Scope,
    /// Where it will be applied.
    pub target: Target,
}

/// Where manifests will be applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Target {
    /// The namespace of the environment.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// An input before its documents are fitted to the templater's types.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawInput {
    pub(crate) workloads: Vec<String>,
    pub(crate) values: String,
    pub(crate) baseline: String,
    pub(crate) config: String,
    pub(crate) scope: Scope,
    pub(crate) target: String,
}

impl<C: DeserializeOwned> Input<C> {
    pub(crate) fn read(raw: RawInput) -> Result<Self, Fault> {
        let workloads = raw
            .workloads
            .iter()
            .enumerate()
            .map(|(index, text)| document::read(&format!("workloads/{index}"), text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            workloads,
            values: document::read("values", &raw.values)?,
            baseline: Some(raw.baseline).filter(|text| !text.trim().is_empty()),
            config: document::read("config", &raw.config)?,
            scope: raw.scope,
            target: document::read("target", &raw.target)?,
        })
    }
}

/// Makes a [`Templater`] the plugin's export.
#[macro_export]
macro_rules! export_templater {
    ($templater:ty) => {
        const _: () = {
            const fn assert_templater<T: $crate::templater::Templater>() {}
            assert_templater::<$templater>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::templater::Exported<$templater>;
            $crate::guest::templater::bindings::__export_templater!(Exported with_types_in $crate::guest::templater::bindings);
        };
    };
}
