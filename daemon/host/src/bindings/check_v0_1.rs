//! `deployd:check@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{CheckOutcome, CheckRequest, Measurement, Verdict};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::host_v0_1::deployd::host::{clock, log, net, secrets};
use super::host_v0_1::scope_to_wit;
use crate::document::{Misbehaviour, Reader, at_most, no_longer};
use crate::interfaces::http;
use crate::interfaces::wasi;
use crate::limits;
use crate::plugin::{CheckExports, Exports};
use crate::session::{Instantiate, Session};
use crate::store::CallState;

use generated::exports::deployd::check::check as wit;
use generated::{CheckPlugin, CheckPluginPre};

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/check.wit"],
        world: "deployd:check/check-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
            "deployd:host/clock@0.1.0": crate::bindings::host_v0_1::deployd::host::clock,
            "deployd:host/secrets@0.1.0": crate::bindings::host_v0_1::deployd::host::secrets,
            "deployd:host/net@0.1.0": crate::bindings::host_v0_1::deployd::host::net,
        },
    });
}

/// Links a component with what this contract offers.
pub(crate) fn link(component: &Component, with_wasi: bool) -> wasmtime::Result<Exports> {
    let mut linker = Linker::<CallState>::new(component.engine());
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    secrets::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    net::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    if with_wasi {
        wasi::link(&mut linker)?;
        http::link(&mut linker)?;
    }
    let component = CheckPluginPre::new(linker.instantiate_pre(component)?)?;
    Ok(Exports::Check(Box::new(Check(component))))
}

#[derive(Clone)]
struct Check(CheckPluginPre<CallState>);

impl Instantiate for Check {
    type Exports = CheckPlugin;

    async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<CheckPlugin> {
        self.0.instantiate_async(store).await
    }
}

#[async_trait]
impl CheckExports for Check {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn run(
        &self,
        mut session: Session<'_>,
        request: &CheckRequest,
    ) -> Result<CheckOutcome, Fault> {
        let request = wit::Request {
            config: session.known.document(&request.config),
            scope: scope_to_wit(session.call.scope),
            input: session.known.document(&request.input),
            token: request.token.clone(),
        };
        session
            .run(
                self,
                |exports, mut store| async move {
                    let check = exports.deployd_check_check();
                    let returned = check.call_run(&mut store, &request).await;
                    (store, returned)
                },
                outcome,
            )
            .await
    }
}

fn outcome(outcome: wit::Outcome, reader: &mut Reader<'_>) -> Result<CheckOutcome, Misbehaviour> {
    Ok(match outcome {
        wit::Outcome::Passed(found) => CheckOutcome::Passed(verdict(found, reader)?),
        wit::Outcome::Failed(found) => CheckOutcome::Failed(verdict(found, reader)?),
        wit::Outcome::Inconclusive(found) => CheckOutcome::Inconclusive(verdict(found, reader)?),
        wit::Outcome::Pending(pending) => {
            no_longer("the token", limits::CHECK_TOKEN_BYTES, &pending.token)?;
            CheckOutcome::Pending {
                token: reader.text("the token", pending.token)?,
                poll_after_ms: pending.poll_after_ms,
                message: reader.message("the message", pending.message)?,
            }
        }
    })
}

fn verdict(verdict: wit::Verdict, reader: &mut Reader<'_>) -> Result<Verdict, Misbehaviour> {
    at_most("measurements", limits::MEASUREMENTS, &verdict.measurements)?;
    let measurements = verdict
        .measurements
        .into_iter()
        .map(|measurement| {
            Ok(Measurement {
                name: reader.message("the name of a measurement", measurement.name)?,
                value: measurement.value,
                unit: reader.message("the unit of a measurement", measurement.unit)?,
            })
        })
        .collect::<Result<_, Misbehaviour>>()?;
    Ok(Verdict { message: reader.message("the message", verdict.message)?, measurements })
}
