//! What the bindings of pure kinds have in common: their components import nothing but
//! the log, and what a language's runtime imports without using it.

use wasmtime::component::{Component, HasSelf, Linker};

use super::host_v0_1::deployd::host::log;
use crate::interfaces::wasi;
use crate::store::CallState;

/// All that a component of a pure kind may import.
pub(super) fn linker(
    component: &Component,
    with_wasi: bool,
) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::<CallState>::new(component.engine());
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    if with_wasi {
        wasi::link(&mut linker)?;
    }
    Ok(linker)
}

/// A component of a pure kind: `link`, which makes the `Exports` of that kind, and how
/// it is instantiated. Takes the kind, and what was generated for its world.
macro_rules! pure_kind {
    ($kind:ident, $world:ident, $linked:ident) => {
        /// Links a component with what this contract offers.
        pub(crate) fn link(
            component: &wasmtime::component::Component,
            with_wasi: bool,
        ) -> wasmtime::Result<crate::plugin::Exports> {
            let linker = crate::bindings::pure::linker(component, with_wasi)?;
            let linked = generated::$linked::new(linker.instantiate_pre(component)?)?;
            Ok(crate::plugin::Exports::$kind(Box::new($kind(linked))))
        }

        #[derive(Clone)]
        struct $kind(generated::$linked<crate::store::CallState>);

        impl crate::session::Instantiate for $kind {
            type Exports = generated::$world;

            async fn instantiate(
                &self,
                store: &mut wasmtime::Store<crate::store::CallState>,
            ) -> wasmtime::Result<generated::$world> {
                self.0.instantiate_async(store).await
            }
        }
    };
}

pub(super) use pure_kind;
