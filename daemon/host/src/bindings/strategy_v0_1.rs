//! `deployd:strategy@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Decision, StrategyContext};
use serde_json::Value;

use super::pure::pure_kind;
use crate::document::{Misbehaviour, Reader, no_longer};
use crate::limits;
use crate::plugin::StrategyExports;
use crate::session::Session;

use generated::exports::deployd::strategy::strategy as wit;

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

pure_kind!(Strategy, StrategyPlugin, StrategyPluginPre);

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
