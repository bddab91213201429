//! A [`Strategy`] as the export of a component.

use crate::strategy::{Context, Decision, Strategy};
use crate::{Fault, document};
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::strategy::strategy as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/strategy.wit"],
        world: "deployd:strategy/strategy-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_strategy",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<S>(PhantomData<S>);

impl<S: Strategy> world::Guest for Exported<S> {
    fn start(context: world::Context) -> Result<world::Decision, wit::Fault> {
        log_panics();
        let context = Context::read(&context.config, &context.workloads)?;
        Ok(write(S::start(&context, &GuestLog)?)?)
    }

    fn next(
        context: world::Context,
        state: String,
        observation: String,
    ) -> Result<world::Decision, wit::Fault> {
        log_panics();
        let context = Context::read(&context.config, &context.workloads)?;
        let state = document::read("state", &state)?;
        let observation = document::read("observation", &observation)?;
        Ok(write(S::next(&context, state, &observation, &GuestLog)?)?)
    }
}

fn write<S: serde::Serialize>(decision: Decision<S>) -> Result<world::Decision, Fault> {
    Ok(world::Decision {
        state: document::write("the state", &decision.state)?,
        action: document::write("the action", &decision.action)?,
        progress: decision.progress.min(100),
        message: decision.message,
    })
}
