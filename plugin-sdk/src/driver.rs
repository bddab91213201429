//! Drivers provision resources.

use crate::{Fault, Host, Pending, Scope, document};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Provisions one kind of resource.
///
/// A plugin keeps nothing between calls. What it needs to remember goes into
/// its state; what takes long returns [`Progress::Pending`], and the host calls
/// again. How safe a repeat is stands in `plugin.toml`.
pub trait Driver: Sized {
    /// What the workload asks for.
    type Params: DeserializeOwned;
    /// What the platform's definition gives, with references resolved.
    type Inputs: DeserializeOwned;
    /// What the driver remembers of a resource, for itself alone.
    type State: Serialize + DeserializeOwned;

    /// What [`Driver::provision`] would do. Must change nothing: neither does
    /// it generate secrets.
    fn plan(request: &Request<Self>, host: &impl Host) -> Result<Planned, Fault> {
        let _ = host;
        Ok(Planned::new(match request.state {
            None => Action::Create,
            Some(_) => Action::Update,
        }))
    }

    /// Makes it so. Repeating a call with the same idempotency key must not do
    /// it twice. The token is that of the last [`Pending`] answer.
    fn provision(
        request: &Request<Self>,
        token: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<Self::State>, Fault>;

    /// What is really there, in the form of outputs; none when it is gone.
    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let _ = (request, host);
        Err(Fault::unsupported("this driver can't observe"))
    }

    /// Takes it away. Done when it was gone already.
    fn destroy(
        request: &Request<Self>,
        token: Option<&str>,
        host: &impl Host,
    ) -> Result<Removal, Fault>;
}

/// One resource, as a driver sees it.
pub struct Request<D: Driver> {
    /// Names this resource for ever; the same in every call about it.
    pub uid: String,
    /// The resource's type, such as `postgres`.
    pub r#type: String,
    /// The resource's class, `default` if the workload names none.
    pub class: String,
    /// The resource's id.
    pub id: String,
    /// What the workload asks for.
    pub params: D::Params,
    /// What the platform's definition gives.
    pub inputs: D::Inputs,
    /// What the last successful provision returned.
    pub state: Option<D::State>,
    /// The same for every repeat of the same step.
    pub idempotency_key: String,
    /// Where the call belongs.
    pub scope: Scope,
    preview: bool,
}

/// A request before its documents are fitted to the driver's types.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawRequest {
    pub(crate) uid: String,
    pub(crate) r#type: String,
    pub(crate) class: String,
    pub(crate) id: String,
    pub(crate) params: String,
    pub(crate) inputs: String,
    pub(crate) state: Option<String>,
    pub(crate) idempotency_key: String,
    pub(crate) scope: Scope,
}

impl<D: Driver> Request<D> {
    /// Whether anything that is asked for is known only later, when other resources
    /// are there ([`is_known_later`](crate::is_known_later)). In plans only.
    pub fn is_preview(&self) -> bool {
        self.preview
    }

    pub(crate) fn read(raw: RawRequest) -> Result<Self, Fault> {
        let later = document::is_known_later;
        Ok(Self {
            preview: later(&raw.params) || later(&raw.inputs),
            params: document::read("params", &raw.params)?,
            inputs: document::read("inputs", &raw.inputs)?,
            state: raw.state.map(|text| document::read("state", &text)).transpose()?,
            uid: raw.uid,
            r#type: raw.r#type,
            class: raw.class,
            id: raw.id,
            idempotency_key: raw.idempotency_key,
            scope: raw.scope,
        })
    }
}

/// What a provision would do to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Take it away and make it anew.
    Replace,
    /// Take it away.
    Destroy,
}

/// What a provision would do, for people and for a preview of the manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What would happen to the resource.
    pub action: Action,
    /// One line each, for a person.
    pub summary: Vec<String>,
    /// Outputs that are known already.
    pub outputs: Map<String, Value>,
}

impl Planned {
    /// A plan of which no output is known yet.
    pub fn new(action: Action) -> Self {
        Self { action, summary: Vec::new(), outputs: Map::new() }
    }

    /// A plan of what can't be looked at, because something that is asked for is
    /// known only later: that it would be made or changed, and no outputs.
    pub fn later<D: Driver>(request: &Request<D>) -> Self {
        let action = if request.state.is_none() { Action::Create } else { Action::Update };
        Self::new(action).line("what exactly is known when what its inputs refer to is there")
    }

    /// Adds a line for a person.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.summary.push(line.into());
        self
    }

    /// Adds an output that is known already.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.outputs.insert(name.into(), value.into());
        self
    }
}

/// What a resource has become.
#[derive(Debug, Clone, PartialEq)]
pub struct Provisioned<S> {
    /// For the driver alone; kept by the host.
    pub state: S,
    /// What placeholders can refer to. May hold references to secrets.
    pub outputs: Map<String, Value>,
    /// The same, but encrypted by the host at once and never shown.
    pub secret_outputs: Vec<(String, String)>,
    /// Kubernetes objects to apply with the deployment.
    pub manifests: Vec<Value>,
}

impl<S> Provisioned<S> {
    /// A resource without outputs or manifests.
    pub fn new(state: S) -> Self {
        Self { state, outputs: Map::new(), secret_outputs: Vec::new(), manifests: Vec::new() }
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.outputs.insert(name.into(), value.into());
        self
    }

    /// Adds an output that nobody may see.
    #[must_use]
    pub fn secret_output(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secret_outputs.push((name.into(), value.into()));
        self
    }

    /// Adds a Kubernetes object.
    #[must_use]
    pub fn manifest(mut self, manifest: Value) -> Self {
        self.manifests.push(manifest);
        self
    }
}

/// How far a provision got.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<S> {
    /// The resource is there.
    Done(Provisioned<S>),
    /// Call again later.
    Pending(Pending),
}

impl<S> From<Provisioned<S>> for Progress<S> {
    fn from(provisioned: Provisioned<S>) -> Self {
        Self::Done(provisioned)
    }
}

/// How far a removal got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The resource is gone.
    Done,
    /// Call again later.
    Pending(Pending),
}

/// Makes a [`Driver`] the plugin's export.
#[macro_export]
macro_rules! export_driver {
    ($driver:ty) => {
        const _: () = {
            const fn assert_driver<D: $crate::driver::Driver>() {}
            assert_driver::<$driver>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::driver::Exported<$driver>;
            $crate::guest::driver::bindings::__export_driver!(Exported with_types_in $crate::guest::driver::bindings);
        };
    };
}
