//! A [`Templater`] as the export of a component.

use crate::templater::{Input, RawInput, Templater};
use crate::{Scope, discard, document};
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::templater::templater as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/templater.wit"],
        world: "deployd:templater/templater-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_templater",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<T>(PhantomData<T>);

impl<T: Templater> world::Guest for Exported<T> {
    fn render(input: world::Input) -> Result<Vec<String>, wit::Fault> {
        log_panics();
        let input = Input::read(RawInput {
            workloads: input.workloads,
            values: input.values,
            baseline: input.baseline,
            config: input.config,
            scope: Scope {
                application: input.scope.application,
                environment: input.scope.environment,
                environment_type: input.scope.environment_type,
                deployment: input.scope.deployment,
            },
            target: input.target,
        })?;
        let objects = T::render(&input, &GuestLog)?;
        let texts = objects.iter().map(|object| document::write("an object", object));
        let texts = texts.collect::<Result<_, _>>()?;
        discard((input, objects));
        Ok(texts)
    }
}
