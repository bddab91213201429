//! A [`Receiver`] as the export of a component.

use crate::receiver::{Delivery, Receiver};
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::receiver::receiver as world;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/receiver.wit"],
        world: "deployd:receiver/receiver-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_receiver",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<R>(PhantomData<R>);

impl<R: Receiver> world::Guest for Exported<R> {
    fn decode(
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        config: String,
    ) -> Result<Vec<String>, wit::Fault> {
        log_panics();
        let delivery = Delivery { headers, body };
        Ok(crate::receiver::decode::<R>(&delivery, &config, &GuestLog)?)
    }
}
