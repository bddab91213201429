//! A [`Notifier`] as the export of a component.

use crate::notifier::Notifier;
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::notifier::notifier as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/notifier.wit"],
        world: "deployd:notifier/notifier-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_notifier",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<N>(PhantomData<N>);

impl<N: Notifier> world::Guest for Exported<N> {
    fn format(event: String, config: String) -> Result<Vec<world::Request>, wit::Fault> {
        log_panics();
        let requests = crate::notifier::format::<N>(&event, &config, &GuestLog)?;
        Ok(requests
            .into_iter()
            .map(|request| world::Request {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: request.body,
                thread: request.thread,
            })
            .collect())
    }
}
