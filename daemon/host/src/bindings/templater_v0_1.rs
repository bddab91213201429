//! `deployd:templater@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::RenderInput;
use serde_json::Value;

use super::host_v0_1::scope_to_wit;
use super::pure::pure_kind;
use crate::document::at_most;
use crate::limits;
use crate::plugin::TemplaterExports;
use crate::session::Session;

use generated::exports::deployd::templater::templater as wit;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/templater.wit"],
        world: "deployd:templater/templater-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

pure_kind!(Templater, TemplaterPlugin, TemplaterPluginPre);

#[async_trait]
impl TemplaterExports for Templater {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn render(
        &self,
        mut session: Session<'_>,
        input: &RenderInput,
    ) -> Result<Vec<Value>, Fault> {
        session.known.text(&input.baseline);
        let input = wit::Input {
            workloads: input
                .workloads
                .iter()
                .map(|workload| session.known.document(workload))
                .collect(),
            values: session.known.document(&input.values),
            baseline: input.baseline.clone(),
            config: session.known.document(&input.config),
            scope: scope_to_wit(session.call.scope),
            target: input.target.to_string(),
        };
        session
            .run(
                self,
                |exports, mut store| async move {
                    let templater = exports.deployd_templater_templater();
                    let returned = templater.call_render(&mut store, &input).await;
                    (store, returned)
                },
                |manifests: Vec<String>, reader| {
                    at_most("manifests", limits::MANIFESTS, &manifests)?;
                    manifests
                        .iter()
                        .enumerate()
                        .map(|(index, text)| {
                            reader.object(&format!("manifest {index}"), text).map(Value::Object)
                        })
                        .collect()
                },
            )
            .await
    }
}
