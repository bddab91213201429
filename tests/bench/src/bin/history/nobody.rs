//! An engine over a store, with nobody behind its other ports: questions about the
//! past ask only the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bench::surroundings::NoVault;
use deployd_core::attestation::Statement;
use deployd_core::config::{IssuerSpec, PluginSpec, SignedBy};
use deployd_core::policy::Violation;
use deployd_core::ports::{
    Answer, Applier, ApplyRequest, Attestations, Call, CallLog, CheckOutcome, CheckRequest, Checks,
    Clock, Cluster, Decision, Delivery, DriverPlan, DriverRequest, Drivers, Issuers, LogLines,
    NoGit, NotifierRequest, Notifiers, ObjectRef, ObservedWorkload, Outgoing, PluginCatalog,
    PluginInfo, PluginRef, Policies, Progress, Provisioned, Random, Readiness, Receivers,
    References, Registries, RegistryAccess, Rehearsals, Rehearsed, Removal, RenderInput, Sender,
    SensitiveObjects, Snapshot, Staged, Store, Strategies, StrategyContext, Target, Templaters,
    VaultAdmin, VaultError, WorkloadFault,
};
use deployd_core::secret::{KeyReport, Link, SecretRef};
use deployd_core::{Digest, Fault, Name, Timestamp};
use deployd_engine::{Engine, Ports};
use serde_json::Value;

/// Nobody.
#[derive(Clone, Copy)]
struct Nobody;

fn nobody<T>() -> Result<T, Fault> {
    Err(Fault::bug("nobody", "nobody is asked for anything while the past is looked at"))
}

/// An engine that can be asked, and has nobody to work with.
pub(crate) fn engine(store: Arc<dyn Store>) -> Engine {
    let nobody = Arc::new(Nobody);
    Engine::new(Ports {
        store,
        vault: Arc::new(NoVault),
        vault_admin: nobody.clone(),
        catalog: nobody.clone(),
        drivers: nobody.clone(),
        templaters: nobody.clone(),
        strategies: nobody.clone(),
        checks: nobody.clone(),
        notifiers: nobody.clone(),
        policies: nobody.clone(),
        receivers: nobody.clone(),
        issuers: nobody.clone(),
        attestations: nobody.clone(),
        registries: nobody.clone(),
        references: nobody.clone(),
        repositories: Arc::new(NoGit),
        forges: Arc::new(NoGit),
        cluster: nobody.clone(),
        sender: nobody.clone(),
        clock: nobody.clone(),
        random: nobody.clone(),
        rehearsals: nobody,
    })
}

impl Clock for Nobody {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or_default())
    }
}

#[async_trait]
impl Policies for Nobody {
    async fn evaluate(&self, _: Call<'_>, _: &Value, _: &Value) -> Result<Vec<Violation>, Fault> {
        nobody()
    }
}

#[async_trait]
impl Rehearsals for Nobody {
    async fn rehearse(&self, _: Staged) -> Result<Rehearsed, Fault> {
        nobody()
    }
}

impl Random for Nobody {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn no_key<T>() -> Result<T, VaultError> {
    Err(VaultError::Key("there is no vault".to_owned()))
}

#[async_trait]
impl VaultAdmin for Nobody {
    async fn link(&self, _: &SecretRef, _: &Link) -> Result<(), VaultError> {
        no_key()
    }

    async fn links(&self, _: &str) -> Result<Vec<(String, Option<Link>)>, VaultError> {
        Ok(Vec::new())
    }

    async fn fingerprints(
        &self,
        _: &str,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError> {
        Ok(BTreeMap::new())
    }

    async fn keys(&self) -> Result<KeyReport, VaultError> {
        no_key()
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        no_key()
    }
}

#[async_trait]
impl PluginCatalog for Nobody {
    async fn load(&self, _: &Name, _: &PluginSpec) -> Result<PluginInfo, Fault> {
        nobody()
    }

    async fn upload(&self, _: Vec<u8>, _: String) -> Result<PluginInfo, Fault> {
        nobody()
    }

    async fn manifest(&self, _: deployd_core::Digest) -> Result<Option<String>, Fault> {
        nobody()
    }

    fn unload(&self, _: &PluginRef) {}

    fn has(&self, _: &PluginRef) -> bool {
        false
    }
}

#[async_trait]
impl Drivers for Nobody {
    async fn plan(&self, _: Call<'_>, _: &DriverRequest) -> Result<DriverPlan, Fault> {
        nobody()
    }

    async fn provision(
        &self,
        _: Call<'_>,
        _: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        nobody()
    }

    async fn observe(&self, _: Call<'_>, _: &DriverRequest) -> Result<Option<Value>, Fault> {
        nobody()
    }

    async fn destroy(
        &self,
        _: Call<'_>,
        _: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Removal, Fault> {
        nobody()
    }
}

#[async_trait]
impl Templaters for Nobody {
    async fn render(&self, _: Call<'_>, _: &RenderInput) -> Result<Vec<Value>, Fault> {
        nobody()
    }
}

#[async_trait]
impl Strategies for Nobody {
    async fn start(&self, _: Call<'_>, _: &StrategyContext) -> Result<Decision, Fault> {
        nobody()
    }

    async fn next(
        &self,
        _: Call<'_>,
        _: &StrategyContext,
        _: &Value,
        _: &Value,
    ) -> Result<Decision, Fault> {
        nobody()
    }
}

#[async_trait]
impl Receivers for Nobody {
    async fn decode(&self, _: Call<'_>, _: &Delivery, _: &Value) -> Result<Vec<Value>, Fault> {
        nobody()
    }
}

#[async_trait]
impl Issuers for Nobody {
    async fn claims(&self, _: &IssuerSpec, _: &str) -> Result<Value, Fault> {
        nobody()
    }
}

impl Attestations for Nobody {
    fn read(&self, _: &[u8]) -> Result<Statement, String> {
        Err("no attestation is read".to_owned())
    }

    fn signer(&self, _: &[u8], _: Digest, _: &SignedBy) -> Result<String, String> {
        Err("no attestation is verified".to_owned())
    }
}

#[async_trait]
impl References for Nobody {
    async fn fetch(&self, _: &str, _: usize) -> Result<Vec<u8>, Fault> {
        nobody()
    }
}

#[async_trait]
impl Registries for Nobody {
    async fn digest(&self, _: &str, _: &str, _: &RegistryAccess) -> Result<Digest, Fault> {
        nobody()
    }
}

#[async_trait]
impl Notifiers for Nobody {
    async fn format(
        &self,
        _: Call<'_>,
        _: &Value,
        _: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        nobody()
    }
}

#[async_trait]
impl Sender for Nobody {
    async fn send(&self, _: Outgoing) -> Result<Answer, Fault> {
        nobody()
    }
}

#[async_trait]
impl Cluster for Nobody {
    async fn apply(&self, _: &ApplyRequest, _: &CallLog) -> Result<Vec<ObjectRef>, Fault> {
        nobody()
    }

    async fn await_ready(
        &self,
        _: &Target,
        _: &[ObjectRef],
        _: u64,
        _: &CallLog,
    ) -> Result<Readiness, Fault> {
        nobody()
    }

    async fn await_failure(
        &self,
        _: &Target,
        _: &[ObjectRef],
        _: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        nobody()
    }

    async fn prune(
        &self,
        _: &Target,
        _: &[ObjectRef],
        _: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        nobody()
    }

    async fn compare(
        &self,
        _: &Target,
        _: &SensitiveObjects,
        _: Applier,
        _: &CallLog,
    ) -> Result<Vec<deployd_core::drift::ObjectCheck>, Fault> {
        nobody()
    }

    async fn version(&self, _: &Target) -> Result<String, Fault> {
        nobody()
    }

    async fn logs(&self, _: &Target, _: &ObjectRef, _: usize) -> Result<Vec<LogLines>, Fault> {
        nobody()
    }

    async fn observe(
        &self,
        _: &Target,
        _: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        nobody()
    }

    async fn read(&self, _: &Target, _: &[ObjectRef]) -> Result<Vec<Option<Value>>, Fault> {
        nobody()
    }

    async fn snapshot(&self, _: &Target, _: &[ObjectRef]) -> Result<Snapshot, Fault> {
        nobody()
    }
}

#[async_trait]
impl Checks for Nobody {
    async fn run(&self, _: Call<'_>, _: &CheckRequest) -> Result<CheckOutcome, Fault> {
        nobody()
    }
}
