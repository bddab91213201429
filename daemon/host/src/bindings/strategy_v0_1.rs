//! `deployd:strategy@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Decision, StrategyContext};
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::host_v0_1::deployd::host::log;
use crate::document::{Misbehaviour, Reader, no_longer};
use crate::interfaces::wasi;
use crate::limits;
use crate::plugin::{Exports, StrategyExports};
use crate::session::{Instantiate, Session};
use crate::store::CallState;

use generated::exports::deployd::strategy::strategy as wit;
use generated::{StrategyPlugin, StrategyPluginPre};

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/strategy.wit"],
        world: "deployd:strategy/strategy-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

/// Links a component with what this contract offers.
pub(crate) fn link(component: &Component, with_wasi: bool) -> wasmtime::Result<Exports> {
    let mut linker = Linker::<CallState>::new(component.engine());
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    if with_wasi {
        wasi::link(&mut linker)?;
    }
    let component = StrategyPluginPre::new(linker.instantiate_pre(component)?)?;
    Ok(Exports::Strategy(Box::new(Strategy(component))))
}

#[derive(Clone)]
struct Strategy(StrategyPluginPre<CallState>);

impl Instantiate for Strategy {
    type Exports = StrategyPlugin;

    async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<StrategyPlugin> {
        self.0.instantiate_async(store).await
    }
}

#[async_trait]
impl StrategyExports for Strategy {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn start(
        &self,
        mut session: Session<'_>,
        context: &StrategyContext,
    ) -> Result<Decision, Fault> {
        let context = to_wit(&mut session, context);
        session
            .run(
                self,
                |exports, mut store| async move {
                    let strategy = exports.deployd_strategy_strategy();
                    let returned = strategy.call_start(&mut store, &context).await;
                    (store, returned)
                },
                decision,
            )
            .await
    }

    async fn next(
        &self,
        mut session: Session<'_>,
        context: &StrategyContext,
        state: &Value,
        observation: &Value,
    ) -> Result<Decision, Fault> {
        let context = to_wit(&mut session, context);
        let (state, observation) =
            (session.known.document(state), session.known.document(observation));
        session
            .run(
                self,
                |exports, mut store| async move {
                    let strategy = exports.deployd_strategy_strategy();
                    let returned =
                        strategy.call_next(&mut store, &context, &state, &observation).await;
                    (store, returned)
                },
                decision,
            )
            .await
    }
}

fn to_wit(session: &mut Session<'_>, context: &StrategyContext) -> wit::Context {
    wit::Context {
        config: session.known.document(&context.config),
        workloads: session.known.document(&context.workloads),
    }
}

fn decision(decision: wit::Decision, reader: &mut Reader<'_>) -> Result<Decision, Misbehaviour> {
    no_longer("the state", limits::STRATEGY_STATE_BYTES, &decision.state)?;
    if decision.progress > 100 {
        return Err(Misbehaviour::WrongValue {
            what: format!("the progress of {}", decision.progress),
            expected: "between 0 and 100",
        });
    }
    let action = reader.object("the action", &decision.action)?;
    if !action.get("do").is_some_and(Value::is_string) {
        return Err(Misbehaviour::WrongValue {
            what: "\"do\" in the action".to_owned(),
            expected: "there, and a string",
        });
    }
    Ok(Decision {
        state: reader.document("the state", &decision.state)?,
        action: Value::Object(action),
        progress: decision.progress,
        message: reader.message("the message", decision.message)?,
    })
}
