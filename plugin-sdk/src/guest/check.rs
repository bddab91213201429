//! A [`Check`] as the export of a component.

use crate::check::{Check, Outcome, Request, Verdict};
use crate::{Fault, Scope};
use bindings::deployd::host::{
    clock as wit_clock, log as wit_log, net as wit_net, secrets as wit_secrets,
};
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::check::check as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/check.wit"],
        world: "deployd:check/check-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_check",
    });
}

super::shared_conversions!();
super::connected::connected_host!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<C>(PhantomData<C>);

impl<C: Check> world::Guest for Exported<C> {
    fn run(request: world::Request) -> Result<world::Outcome, wit::Fault> {
        log_panics();
        let world::Request { config, scope, input, token } = request;
        let scope = Scope {
            application: scope.application,
            environment: scope.environment,
            environment_type: scope.environment_type,
            deployment: scope.deployment,
        };
        let request: Request<C::Config> = Request::read(&config, scope, &input, token)?;
        let outcome: Result<Outcome, Fault> = C::run(&request, &GuestHost);
        Ok(match outcome? {
            Outcome::Passed(verdict) => world::Outcome::Passed(verdict.into()),
            Outcome::Failed(verdict) => world::Outcome::Failed(verdict.into()),
            Outcome::Inconclusive(verdict) => world::Outcome::Inconclusive(verdict.into()),
            Outcome::Pending(pending) => world::Outcome::Pending(pending.into()),
        })
    }
}

impl From<Verdict> for world::Verdict {
    fn from(verdict: Verdict) -> Self {
        let measurements = verdict.measurements.into_iter().map(|measurement| world::Measurement {
            name: measurement.name,
            value: measurement.value,
            unit: measurement.unit,
        });
        Self { message: verdict.message, measurements: measurements.collect() }
    }
}
