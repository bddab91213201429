//! A [`Policy`] as the export of a component.

use crate::policy::{Policy, Severity};
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::policy::policy as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/policy.wit"],
        world: "deployd:policy/policy-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_policy",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<P>(PhantomData<P>);

impl<P: Policy> world::Guest for Exported<P> {
    fn evaluate(input: String, params: String) -> Result<Vec<world::Violation>, wit::Fault> {
        log_panics();
        let violations = crate::policy::evaluate::<P>(&input, &params, &GuestLog)?;
        Ok(violations
            .into_iter()
            .map(|violation| world::Violation {
                rule: violation.rule,
                severity: match violation.severity {
                    Severity::Deny => world::Severity::Deny,
                    Severity::Warn => world::Severity::Warn,
                },
                path: violation.path,
                message: violation.message,
            })
            .collect())
    }
}
