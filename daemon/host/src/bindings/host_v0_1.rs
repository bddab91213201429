//! `deployd:types@0.1` and `deployd:host@0.1`, which all kinds share.

use deployd_core::ports;
use deployd_core::{Fault, FaultClass};
use serde_json::json;

use crate::limits;
use crate::record::CallRecord;

pub(crate) use generated::deployd;

use deployd::types::types as wit;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit"],
        inline: "
            package deployd:offered@0.1.0;
            world offered {
                import deployd:types/types@0.1.0;
                import deployd:host/log@0.1.0;
                import deployd:host/clock@0.1.0;
                import deployd:host/secrets@0.1.0;
                import deployd:host/net@0.1.0;
            }
        ",
        world: "deployd:offered/offered",
        imports: { default: async | trappable },
        with: {
            "deployd:host/secrets@0.1.0.secret": crate::interfaces::secrets::OpenSecret,
            "deployd:host/net@0.1.0.connection": crate::interfaces::net::OpenConnection,
        },
    });
}

pub(crate) fn scope_to_wit(scope: &ports::Scope) -> wit::Scope {
    wit::Scope {
        application: scope.application.clone(),
        environment: scope.environment.clone(),
        environment_type: scope.environment_type.clone(),
        deployment: scope.deployment.clone(),
    }
}

/// A plugin's own answer why it can't. Its texts are for people: they are
/// scrubbed and cut.
pub(crate) fn fault_from_wit(fault: wit::Fault, record: &CallRecord) -> Fault {
    let of = |class, code, text| Fault::new(class, code, record.message(text));
    match fault {
        wit::Fault::Invalid(fields) => {
            let count = fields.len();
            let fields: Vec<_> = fields
                .into_iter()
                .take(limits::FIELD_FAULTS)
                .map(|field| (record.message(field.path), record.message(field.message)))
                .collect();
            let mut message = fields
                .iter()
                .map(|(path, message)| match path.as_str() {
                    "" => message.clone(),
                    path => format!("{path}: {message}"),
                })
                .collect::<Vec<_>>()
                .join("; ");
            if message.is_empty() {
                message.push_str("the plugin says that the request is invalid, and not why");
            }
            if count > fields.len() {
                message.push_str(&format!("; and {} more", count - fields.len()));
            }
            let fields: Vec<_> = fields
                .into_iter()
                .map(|(path, message)| json!({"path": path, "message": message}))
                .collect();
            // Cut once more as a whole: the detail has the rest.
            of(FaultClass::Invalid, "plugin-invalid", message)
                .with_detail(json!({ "fields": fields }))
        }
        wit::Fault::NotFound(text) => of(FaultClass::Permanent, "plugin-not-found", text),
        wit::Fault::Conflict(text) => of(FaultClass::Conflict, "plugin-conflict", text),
        wit::Fault::Denied(text) => of(FaultClass::Denied, "plugin-denied", text),
        wit::Fault::Unavailable(retry) => {
            of(FaultClass::Transient, "plugin-unavailable", retry.message)
                .with_retry_after_ms(retry.after_ms)
        }
        wit::Fault::Permanent(text) => of(FaultClass::Permanent, "plugin-permanent", text),
        wit::Fault::Unsupported(text) => of(FaultClass::Permanent, "plugin-unsupported", text),
    }
}
