//! `deployd:receiver@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::Delivery;
use serde_json::Value;

use super::pure::pure_kind;
use crate::document::at_most;
use crate::limits;
use crate::plugin::ReceiverExports;
use crate::session::Session;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/receiver.wit"],
        world: "deployd:receiver/receiver-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

pure_kind!(Receiver, ReceiverPlugin, ReceiverPluginPre);

#[async_trait]
impl ReceiverExports for Receiver {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn decode(
        &self,
        mut session: Session<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault> {
        let config = session.known.document(config);
        let Delivery { headers, body } = delivery.clone();
        session
            .run(
                self,
                |exports, mut store| async move {
                    let receiver = exports.deployd_receiver_receiver();
                    let returned = receiver.call_decode(&mut store, &headers, &body, &config).await;
                    (store, returned)
                },
                |documents: Vec<String>, reader| {
                    at_most("documents", limits::RECEIVED_DOCUMENTS, &documents)?;
                    let documents = documents.iter();
                    documents.map(|text| reader.document("what was received", text)).collect()
                },
            )
            .await
    }
}
