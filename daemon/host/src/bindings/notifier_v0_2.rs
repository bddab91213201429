//! `deployd:notifier@0.2`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Answer, NotifierRequest, Telling, TellingStep};
use serde_json::Value;

use super::notifier_v0_1::notifier_request;
use super::pure::pure_kind;
use crate::document::{Misbehaviour, Reader, no_longer};
use crate::limits;
use crate::plugin::{NotifierExports, no_function};
use crate::session::Session;

use generated::exports::deployd::notifier::notifier as wit;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/notifier-0.2.wit"],
        world: "deployd:notifier/teller-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

pure_kind!(Notifier, TellerPlugin, TellerPluginPre);

#[async_trait]
impl NotifierExports for Notifier {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    fn reads_answers(&self) -> bool {
        true
    }

    async fn format(
        &self,
        session: Session<'_>,
        _: &Value,
        _: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        Err(no_function(&session))
    }

    async fn tell(
        &self,
        mut session: Session<'_>,
        telling: &Telling<'_>,
    ) -> Result<TellingStep, Fault> {
        let telling = wit::Telling {
            event: session.known.document(telling.event),
            config: session.known.document(telling.config),
            memory: telling.memory.map(|memory| session.known.document(memory)),
            answer: telling.answer.map(answer),
        };
        session
            .run(
                self,
                |exports, mut store| async move {
                    let notifier = exports.deployd_notifier_notifier();
                    let returned = notifier.call_tell(&mut store, &telling).await;
                    (store, returned)
                },
                step,
            )
            .await
    }
}

fn answer(answer: &Answer) -> wit::Answer {
    wit::Answer {
        status: answer.status,
        retry_after_ms: answer.retry_after_ms,
        body: answer.body.clone(),
    }
}

fn step(step: wit::Step, reader: &mut Reader<'_>) -> Result<TellingStep, Misbehaviour> {
    let memory = step.memory.map(|memory| {
        no_longer("the memory", limits::NOTIFIER_MEMORY_BYTES, &memory)?;
        reader.document("the memory", &memory)
    });
    let memory = memory.transpose()?;
    let send = step.send.map(|wit::Request { method, url, headers, body }| {
        notifier_request(method, url, headers, body, reader)
    });
    Ok(TellingStep { send: send.transpose()?, memory })
}
