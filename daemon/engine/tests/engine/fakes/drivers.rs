//! Drivers that keep to their idempotency keys: the same key does its effect
//! once, however often it comes.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use deployd_core::ports::{
    Call, DriverAction, DriverPlan, DriverRequest, Drivers, LogLevel, Progress, Provisioned,
    Removal, Vault,
};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_core::{Digest, Fault, Timestamp};
use serde_json::{Value, json};

use super::Instance;
use crate::history::Seen;

/// What drivers of one type of resource do.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub outputs: Value,
    /// What is known of them before it is made.
    pub plan_outputs: Option<Value>,
    /// Names of secret outputs; each is a canary.
    pub secrets: Vec<&'static str>,
    /// Objects that belong to it.
    pub manifests: Vec<Value>,
    /// So often it is pending, with each key.
    pub pending: u32,
    /// So often it fails and may be tried again, with each key.
    pub transient: u32,
    /// When polled: so often it fails and may be tried again, with each key.
    pub transient_polls: u32,
    pub permanent: Option<Fault>,
    /// It is made, and then this is said of it.
    pub made_and: Option<Fault>,
    /// Faults of the preview, first to last.
    pub plan_faults: Vec<Fault>,
    pub destroy_fault: Option<Fault>,
    /// So often it is not gone yet, with each key.
    pub destroy_pending: u32,
    /// How long the preview takes.
    pub plan_takes_ms: u64,
    /// What it observes; its outputs when not given.
    pub observed: Option<Result<Option<Value>, Fault>>,
    /// How long it takes to observe.
    pub observing_takes_ms: u64,
    pub panics: bool,
    /// How long a call takes.
    pub takes_ms: u64,
    /// Its kubeconfig is another one each time, and good for so long.
    pub lasts_ms: Option<u64>,
    pub log: Vec<String>,
}

/// A call of a driver.
#[derive(Debug, Clone)]
pub struct DriverCall {
    pub what: &'static str,
    pub at: Timestamp,
    pub ended: Option<Timestamp>,
    pub deployment: String,
    pub plugin: Digest,
    pub request: DriverRequest,
    pub token: Option<String>,
}

#[derive(Default)]
pub struct DriverWorld {
    pub scripts: BTreeMap<String, Script>,
    pub calls: Vec<DriverCall>,
    /// How often each key was seen; how often it was polled.
    pub seen: BTreeMap<String, u32>,
    pub polled: BTreeMap<String, u32>,
    /// Effects: key -> uid. A repeated key adds nothing.
    pub done: BTreeMap<String, String>,
    /// What is there.
    pub there: BTreeMap<String, Value>,
    /// Where something is, of those that have the input `place`: by driver.
    pub places: BTreeSet<(String, String)>,
}

impl DriverWorld {
    pub fn script(&mut self, resource_type: &str) -> &mut Script {
        self.scripts.entry(resource_type.to_owned()).or_default()
    }

    pub fn calls_of(&self, what: &str, resource_type: &str) -> Vec<DriverCall> {
        self.calls
            .iter()
            .filter(|call| call.what == what && call.request.resource_type == resource_type)
            .cloned()
            .collect()
    }
}

/// The value of a secret output: whoever finds it where it must not be knows
/// whose it is.
pub fn canary(uid: &str, name: &str) -> String {
    format!("canary-{uid}-{name}-canary")
}

/// Where a resource is to be, or is.
fn place(of: &Value) -> Option<String> {
    of.get("place").and_then(Value::as_str).map(str::to_owned)
}

impl Instance {
    fn outputs(&self, script: &Script, request: &DriverRequest) -> Value {
        let mut outputs = match &script.outputs {
            Value::Null => json!({}),
            known => known.clone(),
        };
        for name in &script.secrets {
            let secret = SecretRef { owner: request.uid.clone(), name: (*name).to_owned() };
            outputs[*name] = json!(secret.to_string());
        }
        outputs
    }

    fn began(
        &self,
        what: &'static str,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> usize {
        let mut drivers = self.world.drivers.lock().unwrap();
        if what != "plan" {
            self.world.saw(Seen::Driver {
                what,
                key: request.idempotency_key.clone(),
                uid: request.uid.clone(),
            });
        }
        drivers.calls.push(DriverCall {
            what,
            at: self.world.now(),
            ended: None,
            deployment: call.scope.deployment.clone(),
            plugin: call.plugin.digest,
            request: request.clone(),
            token: token.map(str::to_owned),
        });
        drivers.calls.len() - 1
    }

    fn script(&self, request: &DriverRequest) -> Script {
        let mut drivers = self.world.drivers.lock().unwrap();
        drivers.script(&request.resource_type).clone()
    }
}

#[async_trait]
impl Drivers for Instance {
    async fn plan(&self, call: Call<'_>, request: &DriverRequest) -> Result<DriverPlan, Fault> {
        self.look("plan", async { self.called(call) }).await?;
        self.began("plan", call, request, None);
        let takes_ms = self.script(request).plan_takes_ms;
        tokio::time::sleep(std::time::Duration::from_millis(takes_ms)).await;
        let mut drivers = self.world.drivers.lock().unwrap();
        let script = drivers.script(&request.resource_type);
        if !script.plan_faults.is_empty() {
            return Err(script.plan_faults.remove(0));
        }
        let action = match &request.state {
            None => DriverAction::Create,
            Some(state) if place(state) != place(&request.inputs) => DriverAction::Replace,
            Some(_) => DriverAction::None,
        };
        let outputs = script.plan_outputs.clone().unwrap_or_else(|| json!({}));
        Ok(DriverPlan { action, summary: Vec::new(), outputs })
    }

    async fn provision(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        self.operation("provision", self.made(call, request, token)).await
    }

    async fn observe(
        &self,
        _call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault> {
        self.life.alive().await;
        let script = self.script(request);
        tokio::time::sleep(std::time::Duration::from_millis(script.observing_takes_ms)).await;
        self.life.alive().await;
        match script.observed {
            Some(observed) => observed,
            None => {
                let is_there = self.world.drivers.lock().unwrap().there.contains_key(&request.uid);
                Ok(is_there.then(|| script.outputs.clone()))
            }
        }
    }

    async fn destroy(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault> {
        self.operation("destroy", async {
            self.called(call)?;
            self.began("destroy", call, request, token);
            if let Some(fault) = self.script(request).destroy_fault {
                return Err(fault);
            }
            let pending = self.script(request).destroy_pending;
            let mut drivers = self.world.drivers.lock().unwrap();
            let polled = drivers.polled.entry(request.idempotency_key.clone()).or_default();
            *polled += 1;
            if *polled <= pending {
                let message = "it is being taken away".to_owned();
                return Ok(Progress::Pending {
                    token: format!("removal of {}", request.uid),
                    poll_after_ms: 1_000,
                    message,
                });
            }
            drivers.there.remove(&request.uid);
            let found = place(request.state.as_ref().unwrap_or(&request.inputs));
            if let Some(place) = found {
                drivers.places.remove(&(call.plugin.name.clone(), place));
            }
            Ok(Progress::Done(()))
        })
        .await
    }
}

impl Instance {
    /// A kubeconfig that the cluster lets in for so long.
    fn lasting(&self, request: &DriverRequest, lasts_ms: u64) -> String {
        let made = self.world.drivers.lock().unwrap().calls_of("provision", "k8s-cluster").len();
        let kubeconfig = format!("{}-{made}", canary(&request.uid, "kubeconfig"));
        let end = self.world.now().plus_ms(lasts_ms);
        self.world.cluster.lock().unwrap().ends.insert(kubeconfig.clone(), end);
        kubeconfig
    }

    async fn made(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        self.called(call)?;
        let environment = format!("{}-{}", call.scope.application, call.scope.environment);
        let number = self.began("provision", call, request, token);
        let script = self.script(request);
        assert!(!script.panics, "a driver's host panics");
        for line in &script.log {
            call.log.line(LogLevel::Info, line.clone());
        }
        tokio::time::sleep(std::time::Duration::from_millis(script.takes_ms)).await;
        self.life.alive().await;
        let key = request.idempotency_key.clone();
        let before = request.state.as_ref().and_then(place);
        let progress = {
            let mut drivers = self.world.drivers.lock().unwrap();
            let now = self.world.now();
            drivers.calls[number].ended = Some(now);
            let seen = drivers.seen.entry(key.clone()).or_default();
            *seen += 1;
            if *seen <= script.transient {
                return Err(Fault::transient("busy", "the cloud is busy"));
            }
            if let Some(fault) = script.permanent {
                return Err(fault);
            }
            let expected = format!("operation of {key}");
            match token {
                Some(token) => {
                    assert_eq!(token, expected, "a token that this driver never gave");
                    let polled = drivers.polled.entry(key.clone()).or_default();
                    *polled += 1;
                    let polled = *polled;
                    if polled <= script.transient_polls {
                        return Err(Fault::transient("busy", "the cloud is busy"));
                    }
                    polled >= script.pending + script.transient_polls
                }
                None => script.pending == 0,
            }
            .then(|| {
                drivers.done.insert(key.clone(), request.uid.clone());
                drivers.there.insert(request.uid.clone(), request.inputs.clone());
                let driver = &call.plugin.name;
                if let Some(before) = before.filter(|_| script.made_and.is_none()) {
                    drivers.places.remove(&(driver.clone(), before));
                }
                if let Some(place) = place(&request.inputs) {
                    drivers.places.insert((driver.clone(), place));
                }
            })
            .ok_or(expected)
        };
        if let Err(token) = progress {
            let message = "it is being made".to_owned();
            return Ok(Progress::Pending { token, poll_after_ms: 1_000, message });
        }
        if let Some(fault) = script.made_and {
            return Err(fault);
        }
        for name in &script.secrets {
            let secret = SecretRef { owner: request.uid.clone(), name: (*name).to_owned() };
            let value = match (script.lasts_ms, *name) {
                (Some(lasts_ms), "kubeconfig") => self.lasting(request, lasts_ms),
                (Some(lasts_ms), "expires_at_ms") => {
                    self.world.now().plus_ms(lasts_ms).0.to_string()
                }
                _ => canary(&request.uid, name),
            };
            Vault::put(self, &secret, SecretValue::new(value.into_bytes()))
                .await
                .map_err(|error| Fault::transient("vault", error.to_string()))?;
        }
        let mut outputs = self.outputs(&script, request);
        if request.resource_type == "k8s-namespace" {
            outputs["name"] = json!(environment);
        }
        Ok(Progress::Done(Provisioned {
            state: json!({"made": request.uid, "place": request.inputs.get("place")}),
            outputs,
            manifests: script.manifests.clone(),
        }))
    }
}
