//! What a rehearsal's engine has around it: plain data, and nobody who is told
//! anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use deployd_core::attestation::Statement;
use deployd_core::config::{EffectLevel, IssuerSpec, PluginSpec, SignedBy};
use deployd_core::policy::Violation;
use deployd_core::ports::{
    Answer, Attestations, Call, Clock, Delivery, DriverAction, DriverPlan, DriverRequest, Drivers,
    Issuers, NotifierRequest, Notifiers, Outgoing, PluginCatalog, PluginInfo, PluginRef, Policies,
    Progress, Provisioned, Random, Receivers, Recipe, References, Registries, RegistryAccess,
    Rehearsals, Rehearsed, Removal, RenderInput, Sender, Staged, Templaters, Vault, VaultAdmin,
    VaultError,
};
use deployd_core::secret::{KeyReport, Link, SecretRef, SecretValue};
use deployd_core::{Digest, Fault, Name, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::objects::Prepared;

/// When a rehearsal begins by its own clock: 2027-01-15. The same each time, so that
/// nothing depends on the day.
const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

/// All ports that need no more than what is rehearsed.
pub(super) struct Outside {
    began: Instant,
    chance: AtomicU64,
    /// What is rendered before the rehearsal, and in it.
    pub(super) before: Option<Prepared>,
    pub(super) new: Prepared,
    pub(super) is_new: AtomicBool,
}

impl Outside {
    pub(super) fn of(new: Prepared, before: Option<Prepared>) -> Self {
        let is_new = AtomicBool::new(before.is_none());
        Self { began: Instant::now(), chance: AtomicU64::default(), before, new, is_new }
    }

    fn prepared(&self) -> &Prepared {
        match &self.before {
            Some(before) if !self.is_new.load(Ordering::Relaxed) => before,
            _ => &self.new,
        }
    }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        BEGINNING.plus_ms(passed)
    }
}

impl Random for Outside {
    /// SplitMix64, the same each time: nothing that is made of it leaves the
    /// rehearsal.
    fn fill(&self, buffer: &mut [u8]) {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for bytes in buffer.chunks_mut(8) {
            let state = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            for (byte, random) in bytes.iter_mut().zip((mixed ^ (mixed >> 31)).to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

#[async_trait]
impl PluginCatalog for Outside {
    async fn load(&self, name: &Name, spec: &PluginSpec) -> Result<PluginInfo, Fault> {
        let plugin =
            PluginRef { name: name.to_string(), digest: Digest::of(name.as_str().as_bytes()) };
        let (version, effect) = ("1".to_owned(), EffectLevel::Keyed);
        Ok(PluginInfo { plugin, version, kind: spec.kind, effect })
    }

    async fn upload(&self, _: Vec<u8>, _: String) -> Result<PluginInfo, Fault> {
        Err(none("nothing is uploaded"))
    }

    async fn manifest(&self, _: Digest) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    fn unload(&self, _: &PluginRef) {}

    fn has(&self, _: &PluginRef) -> bool {
        true
    }
}

#[async_trait]
impl Templaters for Outside {
    async fn render(&self, _: Call<'_>, _: &RenderInput) -> Result<Vec<Value>, Fault> {
        Ok(self.prepared().objects.clone())
    }
}

impl Outside {
    /// Where everything is. Whatever the access says, it leads to the practice
    /// cluster.
    fn outputs(&self, request: &DriverRequest) -> Value {
        match request.resource_type.as_str() {
            "k8s-cluster" => json!({"name": "practice", "mode": "in-cluster"}),
            "k8s-namespace" => json!({"name": self.prepared().namespace}),
            _ => json!({}),
        }
    }
}

#[async_trait]
impl Drivers for Outside {
    async fn plan(&self, _: Call<'_>, request: &DriverRequest) -> Result<DriverPlan, Fault> {
        let action = match request.state {
            Some(_) => DriverAction::Update,
            None => DriverAction::Create,
        };
        Ok(DriverPlan { action, summary: Vec::new(), outputs: self.outputs(request) })
    }

    async fn provision(
        &self,
        _: Call<'_>,
        request: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        let outputs = self.outputs(request);
        Ok(Progress::Done(Provisioned { state: json!({}), outputs, manifests: Vec::new() }))
    }

    async fn observe(&self, _: Call<'_>, request: &DriverRequest) -> Result<Option<Value>, Fault> {
        Ok(Some(self.outputs(request)))
    }

    async fn destroy(
        &self,
        _: Call<'_>,
        _: &DriverRequest,
        _: Option<&str>,
    ) -> Result<Removal, Fault> {
        Ok(Progress::Done(()))
    }
}

/// Every secret is there, and none is known.
#[async_trait]
impl Vault for Outside {
    async fn generate(&self, _: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Ok(())
    }

    async fn put(&self, _: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        Ok(())
    }

    async fn get(&self, _: &SecretRef) -> Result<SecretValue, VaultError> {
        Ok(SecretValue::new(b"rehearsed".to_vec()))
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(true)
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}

#[async_trait]
impl VaultAdmin for Outside {
    async fn link(&self, _: &SecretRef, _: &Link) -> Result<(), VaultError> {
        Ok(())
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
        Err(VaultError::Key("a rehearsal has no keys".to_owned()))
    }

    async fn rotate_key(&self) -> Result<KeyReport, VaultError> {
        self.keys().await
    }
}

#[async_trait]
impl Policies for Outside {
    async fn evaluate(&self, _: Call<'_>, _: &Value, _: &Value) -> Result<Vec<Violation>, Fault> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Receivers for Outside {
    async fn decode(&self, _: Call<'_>, _: &Delivery, _: &Value) -> Result<Vec<Value>, Fault> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Issuers for Outside {
    async fn claims(&self, _: &IssuerSpec, _: &str) -> Result<Value, Fault> {
        Err(none("no issuer is asked"))
    }
}

impl Attestations for Outside {
    fn read(&self, _: &[u8]) -> Result<Statement, String> {
        Err("no attestation is read".to_owned())
    }

    fn signer(&self, _: &[u8], _: Digest, _: &SignedBy) -> Result<String, String> {
        Err("no attestation is verified".to_owned())
    }
}

#[async_trait]
impl References for Outside {
    async fn fetch(&self, _: &str, _: usize) -> Result<Vec<u8>, Fault> {
        Err(none("nothing is fetched"))
    }
}

#[async_trait]
impl Registries for Outside {
    async fn digest(&self, _: &str, _: &str, _: &RegistryAccess) -> Result<Digest, Fault> {
        Err(none("no registry is asked"))
    }
}

#[async_trait]
impl Notifiers for Outside {
    async fn format(
        &self,
        _: Call<'_>,
        _: &Value,
        _: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Sender for Outside {
    async fn send(&self, _: Outgoing) -> Result<Answer, Fault> {
        Err(none("nobody is told anything"))
    }
}

#[async_trait]
impl Rehearsals for Outside {
    async fn rehearse(&self, _: Staged) -> Result<Rehearsed, Fault> {
        Err(none("nothing is rehearsed"))
    }
}

fn none(what: &str) -> Fault {
    Fault::bug("rehearsal", format!("{what} in a rehearsal"))
}
