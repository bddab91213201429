//! A [`Teller`] as the export of a component.

use crate::teller::{Answer, Teller};
use bindings::deployd::host::log as wit_log;
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::notifier::notifier as world;
use std::marker::PhantomData;
use std::time::Duration;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/notifier-0.2.wit"],
        world: "deployd:notifier/teller-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_teller",
    });
}

super::shared_conversions!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<T>(PhantomData<T>);

impl<T: Teller> world::Guest for Exported<T> {
    fn tell(telling: world::Telling) -> Result<world::Step, wit::Fault> {
        log_panics();
        let answer = telling.answer.map(|answer| Answer {
            status: answer.status,
            retry_after: answer.retry_after_ms.map(Duration::from_millis),
            body: answer.body,
        });
        let memory = telling.memory.as_deref();
        let (send, memory) =
            crate::teller::tell::<T>(&telling.event, &telling.config, memory, answer, &GuestLog)?;
        let send = send.map(|request| world::Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
        });
        Ok(world::Step { send, memory })
    }
}
