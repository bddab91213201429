//! Plugins, one trait per kind, as the engine sees them. The host implements
//! them with WebAssembly components.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;
use crate::policy::Violation;
use crate::{Digest, Fault};

/// The code of the fault when a call was not begun, because other calls had taken
/// all places for as long as it may wait for one.
pub const PLUGIN_BUSY: &str = "plugin-busy";

/// One version of a plugin: what a plan pins.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct PluginRef {
    /// The name of its `Plugin` document.
    pub name: String,
    /// Of the component's bytes.
    pub digest: Digest,
}

/// Where a call belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// Its type.
    pub environment_type: String,
    /// The deployment; empty for a preview.
    pub deployment: String,
}

/// How grave a line of a log is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For those who look for a mistake.
    Debug,
    /// What was done.
    Info,
    /// Worth a look.
    Warn,
    /// It did not work.
    Error,
}

/// A line that a plugin, or the engine on its behalf, has logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// The lines of one call, in order. Limits are the host's.
#[derive(Debug, Default)]
pub struct CallLog(Mutex<Vec<LogLine>>);

impl CallLog {
    /// Adds a line.
    pub fn line(&self, level: LogLevel, message: impl Into<String>) {
        let mut lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.push(LogLine { level, message: message.into() });
    }

    /// Takes what is there.
    pub fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// What every call of a plugin needs: which plugin, where it belongs, where
/// its log goes.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The plugin, by digest: what was planned is what runs.
    pub plugin: &'a PluginRef,
    /// Where the call belongs.
    pub scope: &'a Scope,
    /// Takes its lines, also when the call fails.
    pub log: &'a CallLog,
}

/// What a driver is asked about one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverRequest {
    /// Names the resource for ever.
    pub uid: String,
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its class.
    pub class: String,
    /// Its id.
    pub id: String,
    /// What the workload asks for.
    pub params: Value,
    /// What the definition gives, references resolved.
    pub inputs: Value,
    /// What the last provision returned.
    pub state: Option<Value>,
    /// The same for every repeat of the same step.
    pub idempotency_key: String,
}

/// What provisioning would do to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriverAction {
    /// Nothing.
    None,
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Make a new one for an old one.
    Replace,
    /// Take it away.
    Destroy,
}

/// A driver's preview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverPlan {
    /// What would be done.
    pub action: DriverAction,
    /// Lines for a person.
    pub summary: Vec<String>,
    /// Outputs that are known already; an object.
    pub outputs: Value,
}

/// A provisioned resource. Secret outputs are in the vault already, and
/// `outputs` holds references to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provisioned {
    /// For the driver alone.
    pub state: Value,
    /// What placeholders refer to; an object.
    pub outputs: Value,
    /// Kubernetes objects that belong to it.
    pub manifests: Vec<Value>,
}

/// What a call that may take long returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<T> {
    /// The result.
    Done(T),
    /// Ask again with the token.
    Pending {
        /// To be handed back.
        token: String,
        /// When.
        poll_after_ms: u64,
        /// For a person.
        message: String,
    },
}

/// What came of taking a resource away.
pub type Removal = Progress<()>;

/// Drivers.
#[async_trait]
pub trait Drivers: Send + Sync + 'static {
    /// What provision would do. Changes nothing.
    async fn plan(&self, call: Call<'_>, request: &DriverRequest) -> Result<DriverPlan, Fault>;

    /// Makes the resource as asked.
    async fn provision(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault>;

    /// What provision would return, of a driver that can do nothing outside: one that may
    /// connect to nobody. Changes nothing, and generates no secret: a reference to one may
    /// be to what is not there yet. None of other drivers, and while it would take longer
    /// than one call.
    async fn foresee(
        &self,
        _call: Call<'_>,
        _request: &DriverRequest,
    ) -> Result<Option<Provisioned>, Fault> {
        Ok(None)
    }

    /// What is there, in the form of outputs.
    async fn observe(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault>;

    /// Takes the resource away.
    async fn destroy(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault>;
}

/// What a templater renders from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderInput {
    /// Score documents, placeholders replaced, in name order.
    pub workloads: Vec<Value>,
    /// The environment's values.
    pub values: Value,
    /// The platform's baseline template; empty for the templater's own.
    pub baseline: String,
    /// The templater's configuration.
    pub config: Value,
    /// Where it will be applied.
    pub target: Value,
}

/// Templaters.
#[async_trait]
pub trait Templaters: Send + Sync + 'static {
    /// Kubernetes objects, in the order in which they should be applied.
    async fn render(&self, call: Call<'_>, input: &RenderInput) -> Result<Vec<Value>, Fault>;
}

/// What a strategy decides upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyContext {
    /// The strategy's configuration.
    pub config: Value,
    /// Workloads in dependency order.
    pub workloads: Value,
}

/// What a strategy decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Kept, and handed back with the next observation.
    pub state: Value,
    /// What to do: see `wit/strategy.wit`.
    pub action: Value,
    /// 0 to 100.
    pub progress: u8,
    /// For the timeline.
    pub message: String,
}

/// Strategies.
#[async_trait]
pub trait Strategies: Send + Sync + 'static {
    /// The first decision.
    async fn start(&self, call: Call<'_>, context: &StrategyContext) -> Result<Decision, Fault>;

    /// The decision after an observation.
    async fn next(
        &self,
        call: Call<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault>;
}

/// A request that a notifier wants sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifierRequest {
    /// POST, mostly.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers, in order.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// What the plugin says belongs together.
    pub thread: Option<String>,
}

/// What a notifier that reads answers is asked.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// What happened.
    pub event: &'a Value,
    /// The notifier's configuration.
    pub config: &'a Value,
    /// What the last step of the thread returned.
    pub memory: Option<&'a Value>,
    /// What came back of its request; none at the beginning of an attempt.
    pub answer: Option<&'a Answer>,
}

/// What such a notifier wants next.
#[derive(Debug, Clone, PartialEq)]
pub struct TellingStep {
    /// To be sent; none when all is told.
    pub send: Option<NotifierRequest>,
    /// To be kept, and handed back with the next step of the thread.
    pub memory: Option<Value>,
}

/// Notifiers.
#[async_trait]
pub trait Notifiers: Send + Sync + 'static {
    /// Turns an event into requests; none when it is of no interest.
    async fn format(
        &self,
        call: Call<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault>;

    /// Whether a notifier that is loaded reads answers: then it is asked by
    /// [`tell`](Self::tell) and not by [`format`](Self::format), and the messages
    /// about one deployment are told in order.
    fn reads_answers(&self, _plugin: &PluginRef) -> bool {
        false
    }

    /// The next step of telling an event.
    async fn tell(&self, call: Call<'_>, _: &Telling<'_>) -> Result<TellingStep, Fault> {
        let message = format!("{} reads no answers", call.plugin.name);
        Err(Fault::bug("no-such-function", message))
    }
}

/// An inbound request, as a receiver is given it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Names in lower case, and values; none that carry credentials.
    pub headers: Vec<(String, String)>,
    /// The body, as it was signed.
    pub body: Vec<u8>,
}

/// Receivers.
#[async_trait]
pub trait Receivers: Send + Sync + 'static {
    /// What a delivery tells, as documents; none when it is of no interest.
    async fn decode(
        &self,
        call: Call<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault>;
}

/// Policies.
#[async_trait]
pub trait Policies: Send + Sync + 'static {
    /// What is wrong with a deployment; nothing, if all is right.
    async fn evaluate(
        &self,
        call: Call<'_>,
        input: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault>;
}
