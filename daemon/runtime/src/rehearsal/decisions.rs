//! The strategy in a rehearsal: asked as in earnest, and each of its decisions noted
//! with what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::deployment::Action;
use deployd_core::ports::{
    Call, CallLog, Decision, LogLine, PluginRef, Scope, Strategies, StrategyContext,
};
use deployd_core::rehearsal::{CheckNotes, shortfalls};
use deployd_core::rollout::{STABLE, Way};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::documents::GROUND;
use super::traffic::Look;
use super::world::World;

/// How long what runs before may take to be ready; it takes no time.
const GROUND_DEADLINE_MS: u64 = 600_000;

/// A decision, and what it came after.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    /// In milliseconds since the first.
    pub(super) at_ms: u64,
    /// What came of the one before; none for the first.
    pub(super) observation: Option<Value>,
    /// How all was then.
    pub(super) look: Look,
    pub(super) action: Value,
    pub(super) message: String,
}

/// What a strategy has decided so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Decisions {
    pub(super) all: Vec<Decided>,
    pub(super) checks: CheckNotes,
    /// Weights that it has asked for and that can't be reached.
    pub(super) shortfalls: BTreeSet<String>,
}

/// Calls the strategy on the daemon's own runtime.
pub(super) struct Rehearsed {
    daemon: Handle,
    strategies: Arc<dyn Strategies>,
    plugin: PluginRef,
    ways: BTreeMap<String, Way>,
    world: Arc<World>,
    decisions: Mutex<Decisions>,
    count: watch::Sender<usize>,
}

impl Rehearsed {
    pub(super) fn new(
        daemon: Handle,
        strategies: Arc<dyn Strategies>,
        plugin: PluginRef,
        ways: BTreeMap<String, Way>,
        world: Arc<World>,
    ) -> Self {
        let (decisions, count) = (Mutex::default(), watch::Sender::new(0));
        Self { daemon, strategies, plugin, ways, world, decisions, count }
    }

    /// What was decided so far.
    pub(super) fn decisions(&self) -> Decisions {
        self.lock().clone()
    }

    /// Wakes with each decision.
    pub(super) fn decided(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the plugin. Time stands still meanwhile: a paused clock does not move
    /// while a thread is blocked for it.
    async fn ask(
        &self,
        call: Call<'_>,
        context: &StrategyContext,
        told: Option<(&Value, &Value)>,
    ) -> Result<Decision, Fault> {
        let (strategies, plugin) = (self.strategies.clone(), self.plugin.clone());
        let (scope, context) = (call.scope.clone(), context.clone());
        let told = told.map(|(state, observation)| (state.clone(), observation.clone()));
        let asked = asked(strategies, plugin, scope, context, told);
        let daemon = self.daemon.clone();
        let came = tokio::task::spawn_blocking(move || {
            let task = daemon.spawn(asked);
            daemon.block_on(task)
        });
        let (decision, lines) = match came.await {
            Ok(Ok(came)) => came,
            Ok(Err(error)) | Err(error) => {
                return Err(Fault::bug("strategy-panicked", error.to_string()));
            }
        };
        for LogLine { level, message } in lines {
            call.log.line(level, message);
        }
        decision
    }

    fn note(&self, observation: Option<&Value>, decision: &Decision) {
        let ledger = self.world.settle();
        let at_ms = self.world.now_ms();
        let mut decisions = self.lock();
        let share_max = ledger.share_max.max(ledger.look.share());
        let before = decisions.all.last().map(|last| action(&last.action));
        if let Some(Some(Action::RunChecks { checks, .. })) = before {
            let outcome = observation.and_then(|it| it.get("outcome")).and_then(Value::as_str);
            for name in checks {
                decisions.checks.note(&name, outcome == Some("done"), share_max);
            }
        }
        if let Some(Action::Shift { weights, workloads, .. }) = action(&decision.action) {
            let has = |tracks: &BTreeMap<String, _>| {
                weights.keys().any(|track| track != STABLE && tracks.contains_key(track))
            };
            let having = ledger.look.workloads.iter().filter(|(_, it)| has(&it.tracks));
            let all = || having.map(|(name, _)| name.clone()).collect();
            let workloads = workloads.unwrap_or_else(all);
            decisions.shortfalls.extend(shortfalls(&self.ways, &weights, &workloads));
        }
        decisions.all.push(Decided {
            at_ms,
            observation: observation.cloned(),
            look: ledger.look,
            action: decision.action.clone(),
            message: decision.message.clone(),
        });
        self.count.send_modify(|count| *count = count.saturating_add(1));
    }
}

/// An action, if deployd knows it.
pub(super) fn action(decided: &Value) -> Option<Action> {
    serde_json::from_value(decided.clone()).ok()
}

async fn asked(
    strategies: Arc<dyn Strategies>,
    plugin: PluginRef,
    scope: Scope,
    context: StrategyContext,
    told: Option<(Value, Value)>,
) -> (Result<Decision, Fault>, Vec<LogLine>) {
    let log = CallLog::default();
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let decision = match &told {
        None => strategies.start(call, &context).await,
        Some((state, observation)) => strategies.next(call, &context, state, observation).await,
    };
    (decision, log.take())
}

#[async_trait]
impl Strategies for Rehearsed {
    async fn start(&self, call: Call<'_>, context: &StrategyContext) -> Result<Decision, Fault> {
        if call.plugin.name == GROUND {
            return Ok(ground(context, 0));
        }
        self.world.begin();
        let decision = self.ask(call, context, None).await?;
        self.note(None, &decision);
        Ok(decision)
    }

    async fn next(
        &self,
        call: Call<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault> {
        if call.plugin.name == GROUND {
            let place = state.as_u64().unwrap_or_default().saturating_add(1);
            return Ok(ground(context, place));
        }
        let decision = self.ask(call, context, Some((state, observation))).await?;
        self.note(Some(observation), &decision);
        Ok(decision)
    }
}

/// Everything at once: what runs before has come long ago.
fn ground(context: &StrategyContext, place: u64) -> Decision {
    let all = context.workloads.as_array().into_iter().flatten();
    let names: Vec<&Value> = all.filter_map(|workload| workload.get("name")).collect();
    let action = match place {
        _ if names.is_empty() => json!({"do": "complete"}),
        0 => json!({"do": "apply", "track": STABLE, "workloads": names}),
        1 => json!({
            "do": "await-ready", "track": STABLE, "workloads": names,
            "deadline-ms": GROUND_DEADLINE_MS,
        }),
        _ => json!({"do": "complete"}),
    };
    Decision { state: json!(place), action, progress: 0, message: String::new() }
}
