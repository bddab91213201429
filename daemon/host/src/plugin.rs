//! A loaded plugin: one version, as one name in the configuration has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::{EffectLevel, HostGrant, PluginKind};
use deployd_core::policy::Violation;
use deployd_core::ports::{
    CheckOutcome, CheckRequest, Decision, Delivery, DriverPlan, DriverRequest, NotifierRequest,
    PluginRef, Progress, Provisioned, Removal, RenderInput, StrategyContext, Telling, TellingStep,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config_schema::ConfigSchema;
use crate::health::Health;
use crate::lanes::Pace;
use crate::limits::Limits;
use crate::session::Session;
use crate::stats::{PluginStatus, Stats};

/// What calls of a plugin need, and what is known of it.
pub(crate) struct Plugin {
    pub(crate) reference: PluginRef,
    pub(crate) kind: PluginKind,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    pub(crate) schema: Option<ConfigSchema>,
    pub(crate) info: LoadedInfo,
    pub(crate) calls: Arc<Semaphore>,
    pub(crate) pace: Pace,
    pub(crate) health: Health,
    pub(crate) stats: Stats,
    pub(crate) exports: Exports,
}

/// What a plugin asks for and is granted, both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    pub(crate) generate_secrets: bool,
    /// Its names, and the operator's secrets behind them.
    pub(crate) secrets: Arc<BTreeMap<String, String>>,
    pub(crate) reveal: Arc<BTreeSet<String>>,
    /// Where it may connect to.
    pub(crate) hosts: Arc<[HostGrant]>,
}

/// What is known of a loaded plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedInfo {
    /// How calls name it.
    pub plugin: PluginRef,
    /// Its id, from its manifest.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One sentence about it.
    pub description: String,
    /// Its kind.
    pub kind: PluginKind,
    /// The contract that it was built for: `deployd:driver@0.1.0`.
    pub contract: String,
    /// How safe it is to repeat what it does; drivers only.
    pub repeat: Option<EffectLevel>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Names of secrets that it may place, in order.
    pub secrets: Vec<String>,
    /// Those whose values it may read.
    pub reveal: Vec<String>,
    /// Whether it may have secrets generated.
    pub generate_secrets: bool,
    /// The limits of its calls.
    pub limits: Limits,
    /// Bytes of its component.
    pub bytes: usize,
    /// How long compiling took, or reading what was compiled before.
    pub compiled_in: Duration,
    /// Whether it had been compiled before.
    pub from_cache: bool,
}

impl Plugin {
    pub(crate) fn status(&self) -> PluginStatus {
        let health = self.health.view();
        let (counts, p50, p95) = self.stats.view();
        PluginStatus {
            plugin: self.reference.clone(),
            id: self.info.id.clone(),
            version: self.info.version.clone(),
            kind: self.kind,
            counts,
            strikes: health.strikes,
            last_strike: health.reason,
            quarantined_until: health.quarantined_until,
            p50,
            p95,
        }
    }
}

/// A component by kind. Which track of the kind's contract it was built for is
/// behind the trait, and only the loader knows.
pub(crate) enum Exports {
    Driver(Box<dyn DriverExports>),
    Templater(Box<dyn TemplaterExports>),
    Strategy(Box<dyn StrategyExports>),
    Notifier(Box<dyn NotifierExports>),
    Receiver(Box<dyn ReceiverExports>),
    Check(Box<dyn CheckExports>),
    Policy(Box<dyn PolicyExports>),
}

impl Exports {
    pub(crate) async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        match self {
            Self::Driver(exports) => exports.try_instance(session).await,
            Self::Templater(exports) => exports.try_instance(session).await,
            Self::Strategy(exports) => exports.try_instance(session).await,
            Self::Notifier(exports) => exports.try_instance(session).await,
            Self::Receiver(exports) => exports.try_instance(session).await,
            Self::Check(exports) => exports.try_instance(session).await,
            Self::Policy(exports) => exports.try_instance(session).await,
        }
    }
}

/// A driver of any track.
#[async_trait]
pub(crate) trait DriverExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn plan(
        &self,
        session: Session<'_>,
        request: &DriverRequest,
    ) -> Result<DriverPlan, Fault>;

    async fn provision(
        &self,
        session: Session<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault>;

    async fn observe(
        &self,
        session: Session<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault>;

    async fn destroy(
        &self,
        session: Session<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault>;
}

/// A templater of any track.
#[async_trait]
pub(crate) trait TemplaterExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn render(&self, session: Session<'_>, input: &RenderInput) -> Result<Vec<Value>, Fault>;
}

/// A strategy of any track.
#[async_trait]
pub(crate) trait StrategyExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn start(
        &self,
        session: Session<'_>,
        context: &StrategyContext,
    ) -> Result<Decision, Fault>;

    async fn next(
        &self,
        session: Session<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault>;
}

/// A notifier of any track: one that reads no answers is asked to format, and one
/// that reads them to tell. The other function is a fault of ours.
#[async_trait]
pub(crate) trait NotifierExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    fn reads_answers(&self) -> bool;

    async fn format(
        &self,
        session: Session<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault>;

    async fn tell(&self, session: Session<'_>, telling: &Telling<'_>)
    -> Result<TellingStep, Fault>;
}

/// The fault of a call of a function that this track of the contract does not have.
pub(crate) fn no_function(session: &Session<'_>) -> Fault {
    let (plugin, function) = (&session.plugin.reference.name, session.function);
    Fault::bug("no-such-function", format!("{plugin} was built for a contract without {function}"))
}

/// A receiver of any track.
#[async_trait]
pub(crate) trait ReceiverExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn decode(
        &self,
        session: Session<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault>;
}

/// A check of any track.
#[async_trait]
pub(crate) trait CheckExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn run(
        &self,
        session: Session<'_>,
        request: &CheckRequest,
    ) -> Result<CheckOutcome, Fault>;
}

/// A policy of any track.
#[async_trait]
pub(crate) trait PolicyExports: Send + Sync {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault>;

    async fn evaluate(
        &self,
        session: Session<'_>,
        input: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault>;
}
