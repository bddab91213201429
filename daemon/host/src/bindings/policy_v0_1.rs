//! `deployd:policy@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::policy::{Severity, Violation};
use serde_json::Value;

use super::pure::pure_kind;
use crate::document::at_most;
use crate::limits;
use crate::plugin::PolicyExports;
use crate::session::Session;

use generated::exports::deployd::policy::policy as wit;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/policy.wit"],
        world: "deployd:policy/policy-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

pure_kind!(Policy, PolicyPlugin, PolicyPluginPre);

#[async_trait]
impl PolicyExports for Policy {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn evaluate(
        &self,
        mut session: Session<'_>,
        input: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault> {
        let input = session.known.document(input);
        let params = session.known.document(params);
        session
            .run(
                self,
                |exports, mut store| async move {
                    let policy = exports.deployd_policy_policy();
                    let returned = policy.call_evaluate(&mut store, &input, &params).await;
                    (store, returned)
                },
                |violations: Vec<wit::Violation>, reader| {
                    at_most("violations", limits::VIOLATIONS, &violations)?;
                    let violations = violations.into_iter();
                    violations
                        .map(|violation| {
                            Ok(Violation {
                                rule: reader.text("the rule of a violation", violation.rule)?,
                                severity: match violation.severity {
                                    wit::Severity::Deny => Severity::Deny,
                                    wit::Severity::Warn => Severity::Warn,
                                },
                                path: reader.text("the path of a violation", violation.path)?,
                                message: reader
                                    .message("the message of a violation", violation.message)?,
                            })
                        })
                        .collect()
                },
            )
            .await
    }
}
