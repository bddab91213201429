//! One call of a plugin, from the permit to the answer.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use deployd_core::ports::{Call, Vault};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Store;

use crate::audit::Audit;
use crate::bindings::host_v0_1::{deployd::types::types as wit, fault_from_wit};
use crate::document::{Known, Misbehaviour, Reader};
use crate::failure::Failure;
use crate::health::Quarantined;
use crate::interfaces::secrets::SecretAccess;
use crate::limits;
use crate::plugin::Plugin;
use crate::record::{CallRecord, HandOver};
use crate::store::{self, CallState};

/// What all plugins share.
pub(crate) struct Shared {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) audit: Arc<dyn Audit>,
    /// Calls of all plugins together.
    pub(crate) calls: Semaphore,
}

/// A component that is ready to be instantiated, with its typed exports.
pub(crate) trait Instantiate: Send + Sync {
    /// The typed exports of an instance.
    type Exports: Send;

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
    /// The resource that the call is about; none for pure plugins.
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
        invoke: impl FnOnce(P::Exports, Store<CallState>) -> Fut + Send,
        read: impl FnOnce(W, &mut Reader<'_>) -> Result<R, Misbehaviour> + Send,
    ) -> Result<R, Fault>
    where
        P: Instantiate,
        W: Send,
        R: Send,
        Fut: Future<Output = Returned<W>> + Send,
    {
        self.add_own_secrets();
        let plugin = &*self.plugin;
        let admission = plugin.health.admit().map_err(|quarantined| {
            plugin.stats.refused();
            self.signed(refusal(&quarantined))
        })?;
        // Before the store is made: a store in a queue is memory in a queue.
        let _permits = self.permits().await?;
        let _running = plugin.stats.running();
        let record = Arc::new(CallRecord::default());
        let hand_over = HandOver { record: &record, log: self.call.log };
        let store = self.new_store(Arc::clone(&record));
        let started = Instant::now();
        let ended =
            guarded(plugin.limits.wall, enter(component, store, plugin.limits.cpu, invoke)).await;
        let took = started.elapsed();
        let result = match ended {
            Ok(Ok(answer)) => read(answer, &mut Reader::new(&record, &self.known))
                .map_err(|broken| Fault::bug(broken.code(), broken.to_string())),
            Ok(Err(fault)) => Err(fault_from_wit(fault, &record)),
            Err(failure) => Err(failure.fault(&plugin.limits, &record)),
        };
        let result = result.map_err(|fault| self.signed(fault));
        drop(hand_over);

        let fault = result.as_ref().err();
        plugin.stats.ran(took, &record, fault);
        match fault.filter(|fault| fault.class == FaultClass::Bug) {
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
        let record = Arc::new(CallRecord::default());
        let _hand_over = HandOver { record: &record, log: self.call.log };
        let mut store = self.new_store(Arc::clone(&record));
        let made = guarded(limits::PURE_WALL, async move {
            store::arm(&mut store, limits::INSTANTIATE_CPU);
            component.instantiate(&mut store).await.map(drop)
        });
        made.await.map_err(|failure| failure.fault(&self.plugin.limits, &record))
    }

    fn new_store(&self, record: Arc<CallRecord>) -> Store<CallState> {
        let plugin = &*self.plugin;
        let secrets = SecretAccess {
            vault: Arc::clone(&self.shared.vault),
            audit: Arc::clone(&self.shared.audit),
            plugin: plugin.reference.clone(),
            scope: self.call.scope.clone(),
            uid: self.uid.map(str::to_owned),
            may_generate: plugin.grants.generate_secrets,
            has_effects: self.has_effects,
            granted: Arc::clone(&plugin.grants.secrets),
            reveal: Arc::clone(&plugin.grants.reveal),
        };
        store::new_store(&self.shared.engine, plugin.kind, &plugin.limits, record, secrets)
    }

    fn add_own_secrets(&mut self) {
        self.known.owner = self.uid.map(str::to_owned);
        let granted = self.plugin.grants.secrets.values();
        self.known.secrets.extend(
            granted.map(|name| SecretRef { owner: OPERATOR.to_owned(), name: name.clone() }),
        );
    }

    async fn permits(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Fault> {
        let both = async {
            // The plugin's own first: whoever waits for it must not hold a place
            // that another plugin could use.
            let own = self.plugin.calls.acquire().await.ok()?;
            let any = self.shared.calls.acquire().await.ok()?;
            Some((own, any))
        };
        match tokio::time::timeout(self.plugin.limits.wall, both).await {
            Ok(Some(permits)) => Ok(permits),
            // Semaphores are never closed, so this is the timeout.
            Ok(None) | Err(_) => {
                self.plugin.stats.crowded_out();
                Err(self.signed(Fault::transient(
                    "plugin-busy",
                    format!(
                        "other calls took all places for {} ms ({} of this plugin, {} in all); \
                         an operator can change it with grant.limits.concurrency",
                        self.plugin.limits.wall.as_millis(),
                        self.plugin.limits.concurrency,
                        limits::CALLS
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

/// Runs a call for at most this long, and holds a panic of the host inside it.
async fn guarded<T>(
    wall: Duration,
    call: impl Future<Output = wasmtime::Result<T>> + Send,
) -> Result<T, Failure> {
    // On the heap: these futures hold a store, and are held by many others.
    let mut call = Box::pin(call);
    let unwinding = std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        match polled {
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Ok(value)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Err(Failure::Stopped(error))),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(Failure::HostPanicked(panic))),
        }
    });
    let unwinding = pin!(unwinding);
    tokio::time::timeout(wall, unwinding).await.unwrap_or(Err(Failure::TimedOut))
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
