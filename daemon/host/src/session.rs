//! One call of a plugin, from the permit to the answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use deployd_core::ports::{Call, Egress, PLUGIN_BUSY, Vault};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};
use wasmtime::Store;

use crate::audit::Audit;
use crate::bindings::host_v0_1::{deployd::types::types as wit, fault_from_wit};
use crate::document::{Known, Misbehaviour, Reader};
use crate::failure::Failure;
use crate::health::Quarantined;
use crate::interfaces::net::NetAccess;
use crate::interfaces::secrets::SecretAccess;
use crate::lanes::{Lanes, Place, Undriven};
use crate::limits::{self, Limits};
use crate::plugin::Plugin;
use crate::record::{CallRecord, HandOver};
use crate::store::{self, CallState};

/// What all plugins share.
pub(crate) struct Shared {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) audit: Arc<dyn Audit>,
    /// The way out, where there is one.
    pub(crate) egress: Option<Arc<dyn Egress>>,
    /// Where calls run.
    pub(crate) lanes: Lanes,
}

/// A component that is ready to be instantiated, with its typed exports. A
/// clone is the same component: calls take it with them to another thread.
pub(crate) trait Instantiate: Clone + Send + Sync + 'static {
    /// The typed exports of an instance.
    type Exports: Send + 'static;

    /// Makes an instance in this store.
    fn instantiate(
        &self,
        store: &mut Store<CallState>,
    ) -> impl Future<Output = wasmtime::Result<Self::Exports>> + Send;
}

/// The outcome of an exported function, with the store that it ran in.
pub(crate) type Returned<W> = (Store<CallState>, wasmtime::Result<Result<W, wit::Fault>>);

/// One call, about to be made.
pub(crate) struct Session<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) call: Call<'a>,
    pub(crate) function: &'static str,
    /// The resource that the call is about; none for all but drivers.
    pub(crate) uid: Option<&'a str>,
    /// Whether the call may change anything.
    pub(crate) has_effects: bool,
    /// What the result may refer to, beside what is the plugin's own.
    pub(crate) known: Known,
}

impl Session<'_> {
    /// Makes the call: `invoke` calls the exported function, `read` checks what
    /// it returned and makes the core's types of it.
    pub(crate) async fn run<P, W, R, Fut>(
        mut self,
        component: &P,
        invoke: impl FnOnce(P::Exports, Store<CallState>) -> Fut + Send + 'static,
        read: impl FnOnce(W, &mut Reader<'_>) -> Result<R, Misbehaviour> + Send + 'static,
    ) -> Result<R, Fault>
    where
        P: Instantiate,
        W: Send + 'static,
        R: Send + 'static,
        Fut: Future<Output = Returned<W>> + Send + 'static,
    {
        self.add_own_secrets();
        let plugin = Arc::clone(&self.plugin);
        let admission = plugin.health.admit().map_err(|quarantined| {
            plugin.stats.refused();
            self.signed(refusal(&quarantined))
        })?;
        // Before the store is made: a store in a queue is memory in a queue.
        let place = self.place().await?;
        let _running = plugin.stats.running();
        let record = Arc::new(CallRecord::default());
        let hand_over = HandOver { record: &record, log: self.call.log };
        let started = Instant::now();
        let store = self.new_store(Arc::clone(&record), started);
        let call = {
            let (component, record) = (component.clone(), Arc::clone(&record));
            let (known, limits) = (std::mem::take(&mut self.known), plugin.limits);
            async move {
                match enter(&component, store, limits.cpu, invoke).await {
                    Ok(Ok(answer)) => read(answer, &mut Reader::new(&record, &known))
                        .map_err(|broken| Fault::bug(broken.code(), broken.to_string())),
                    Ok(Err(fault)) => Err(fault_from_wit(fault, &record)),
                    Err(error) => Err(Failure::Stopped(error).fault(&limits, &record)),
                }
            }
        };
        let patience = limits::SLOW_PATIENCE;
        let result = self.guarded(place, &record, plugin.limits.wall, patience, call).await;
        let took = started.elapsed();
        let result = result.map_err(|fault| self.signed(fault));
        drop(hand_over);

        let fault = result.as_ref().err();
        plugin.stats.ran(took, &record, fault);
        let broken = fault.filter(|fault| fault.class == FaultClass::Bug);
        plugin.pace.learn(record.cpu(), broken.is_some());
        match broken {
            Some(fault) => admission.misbehaved(&fault.message),
            None => admission.behaved(),
        }
        tracing::debug!(
            plugin = plugin.reference.name,
            digest = %plugin.reference.digest.short(),
            function = self.function,
            outcome = fault.map_or("done", |fault| fault.code.as_str()),
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "plugin called"
        );
        result
    }

    /// Only makes an instance: what a plugin does before its first call is
    /// tried when it is loaded.
    pub(crate) async fn try_instance<P: Instantiate>(self, component: &P) -> Result<(), Fault> {
        let Some(place) = self.shared.lanes.place(None, false).await else {
            return Err(stopped());
        };
        let record = Arc::new(CallRecord::default());
        let _hand_over = HandOver { record: &record, log: self.call.log };
        let mut store = self.new_store(Arc::clone(&record), Instant::now());
        let call = {
            let (component, record) = (component.clone(), Arc::clone(&record));
            let limits = self.plugin.limits;
            async move {
                store::arm(&mut store, limits::INSTANTIATE_CPU);
                let made = component.instantiate(&mut store).await;
                made.map(drop).map_err(|error| Failure::Stopped(error).fault(&limits, &record))
            }
        };
        let wall = limits::PURE_WALL;
        let tried = self.guarded(place, &record, wall, wall, call).await;
        self.plugin.pace.learn(record.cpu(), false);
        tried
    }

    /// Runs a call for at most this long, and holds a panic of the host inside it.
    async fn guarded<T: Send + 'static>(
        &self,
        place: Place,
        record: &Arc<CallRecord>,
        wall: Duration,
        patience: Duration,
        call: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let limits = self.plugin.limits;
        let (record_of_panic, mut call) = (Arc::clone(record), Box::pin(call));
        // On the heap: these futures hold a store, and are held by many others.
        let call = Box::pin(std::future::poll_fn(move |context| {
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            polled.unwrap_or_else(|panic| {
                Poll::Ready(Err(Failure::HostPanicked(panic).fault(&limits, &record_of_panic)))
            })
        }));
        let driven = self.shared.lanes.drive(place, record, patience, call);
        match tokio::time::timeout(wall, driven).await {
            Ok(Ok(result)) => result,
            Ok(Err(Undriven::Crowded)) => Err(crowded()),
            Ok(Err(Undriven::Stopped)) => Err(stopped()),
            Err(_) => Err(Failure::TimedOut.fault(&Limits { wall, ..limits }, record)),
        }
    }

    fn new_store(&self, record: Arc<CallRecord>, started: Instant) -> Store<CallState> {
        let plugin = &*self.plugin;
        let ends = (started + plugin.limits.waits()).into();
        let secrets = SecretAccess {
            vault: Arc::clone(&self.shared.vault),
            audit: Arc::clone(&self.shared.audit),
            plugin: plugin.reference.clone(),
            scope: self.call.scope.clone(),
            uid: self.uid.map(str::to_owned),
            may_generate: plugin.grants.generate_secrets,
            has_effects: self.has_effects,
            ends,
            granted: Arc::clone(&plugin.grants.secrets),
            reveal: Arc::clone(&plugin.grants.reveal),
        };
        let net = NetAccess::new(
            self.shared.egress.clone(),
            Arc::clone(&plugin.grants.hosts),
            ends,
            Arc::clone(&record),
        );
        store::new_store(&self.shared.engine, plugin.kind, &plugin.limits, record, secrets, net)
    }

    fn add_own_secrets(&mut self) {
        self.known.owner = self.uid.map(str::to_owned);
        let granted = self.plugin.grants.secrets.values();
        self.known.secrets.extend(
            granted.map(|name| SecretRef { owner: OPERATOR.to_owned(), name: name.clone() }),
        );
    }

    async fn place(&self) -> Result<Place, Fault> {
        let (plugin, lanes) = (&*self.plugin, &self.shared.lanes);
        // With a strike, too: who has broken its contract is not trusted to be quick.
        let place = lanes.place(Some(&plugin.calls), plugin.pace.is_slow());
        match tokio::time::timeout(plugin.limits.wall, place).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => Err(self.signed(stopped())),
            Err(_) => {
                plugin.stats.crowded_out();
                Err(self.signed(Fault::transient(
                    PLUGIN_BUSY,
                    format!(
                        "other calls took all places for {} ms ({} of this plugin, {} in all, \
                         {} for those that take long); an operator can change the first \
                         with grant.limits.concurrency",
                        plugin.limits.wall.as_millis(),
                        plugin.limits.concurrency,
                        limits::CALLS,
                        limits::SLOW_CALLS,
                    ),
                )))
            }
        }
    }

    /// The fault with the plugin's name in it.
    fn signed(&self, fault: Fault) -> Fault {
        sign(&self.plugin, self.function, fault)
    }
}

/// Says whose fault it is, for people and in the detail.
pub(crate) fn sign(plugin: &Plugin, function: &str, mut fault: Fault) -> Fault {
    let name = &plugin.reference.name;
    let digest = plugin.reference.digest.to_string();
    fault.message = format!("plugin {name}, {function}: {}", fault.message);
    let mut detail = match fault.detail {
        Value::Object(detail) => detail,
        _ => serde_json::Map::new(),
    };
    detail.insert("plugin".to_owned(), json!({"name": name, "digest": digest}));
    detail.insert("function".to_owned(), json!(function));
    fault.detail = Value::Object(detail);
    fault
}

/// Makes an instance and calls it, each with processor time of its own.
async fn enter<P, W, Fut>(
    component: &P,
    mut store: Store<CallState>,
    cpu: Duration,
    invoke: impl FnOnce(P::Exports, Store<CallState>) -> Fut + Send,
) -> wasmtime::Result<Result<W, wit::Fault>>
where
    P: Instantiate,
    Fut: Future<Output = Returned<W>> + Send,
{
    store::arm(&mut store, limits::INSTANTIATE_CPU);
    let exports = component.instantiate(&mut store).await?;
    store::arm(&mut store, cpu);
    let (store, returned) = invoke(exports, store).await;
    // The store goes before its log is handed over: with it goes the rest of
    // what was written to standard output.
    drop(store);
    returned
}

fn crowded() -> Fault {
    Fault::transient(
        PLUGIN_BUSY,
        format!(
            "it takes long, and all {} places for calls that do are taken; \
             the next call will wait for one",
            limits::SLOW_CALLS
        ),
    )
}

fn stopped() -> Fault {
    Fault::transient("plugin-host-stopped", "the daemon is being stopped")
}

fn refusal(quarantined: &Quarantined) -> Fault {
    let ms = u64::try_from(quarantined.retry_after.as_millis()).unwrap_or(u64::MAX);
    Fault::transient(
        "plugin-quarantined",
        format!(
            "not called after {} strikes in a row; it is tried again in {} s, \
             or when an operator clears the quarantine; the last strike: {}",
            quarantined.strikes,
            ms.div_ceil(1000),
            quarantined.reason
        ),
    )
    .with_retry_after_ms(Some(ms))
}
