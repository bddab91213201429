//! A [`Driver`] as the export of a component.

use crate::driver::{Action, Driver, Progress, Provisioned, RawRequest, Removal, Request};
use crate::{Fault, Scope, document};
use bindings::deployd::host::{
    clock as wit_clock, log as wit_log, net as wit_net, secrets as wit_secrets,
};
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::driver::driver as world;
use serde::Serialize;
use serde_json::Value;
use std::marker::PhantomData;

/// Generated from the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/driver.wit"],
        world: "deployd:driver/driver-plugin",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_driver",
    });
}

super::shared_conversions!();
super::connected::connected_host!();

/// Stands for the plugin's type in the generated export.
pub struct Exported<D>(PhantomData<D>);

impl<D: Driver> world::Guest for Exported<D> {
    fn plan(request: world::Request) -> Result<world::Planned, wit::Fault> {
        log_panics();
        let planned = D::plan(&read::<D>(request)?, &GuestHost)?;
        Ok(world::Planned {
            action: match planned.action {
                Action::None => world::Action::None,
                Action::Create => world::Action::Create,
                Action::Update => world::Action::Update,
                Action::Replace => world::Action::Replace,
                Action::Destroy => world::Action::Destroy,
            },
            summary: planned.summary,
            outputs: Value::Object(planned.outputs).to_string(),
        })
    }

    fn provision(
        request: world::Request,
        token: Option<String>,
    ) -> Result<world::Progress, wit::Fault> {
        log_panics();
        let request = read::<D>(request)?;
        Ok(match D::provision(&request, token.as_deref(), &GuestHost)? {
            Progress::Done(provisioned) => world::Progress::Done(write(provisioned)?),
            Progress::Pending(pending) => world::Progress::Pending(pending.into()),
        })
    }

    fn observe(request: world::Request) -> Result<Option<String>, wit::Fault> {
        log_panics();
        let outputs = D::observe(&read::<D>(request)?, &GuestHost)?;
        Ok(outputs.map(|outputs| outputs.to_string()))
    }

    fn destroy(
        request: world::Request,
        token: Option<String>,
    ) -> Result<world::Removal, wit::Fault> {
        log_panics();
        let request = read::<D>(request)?;
        Ok(match D::destroy(&request, token.as_deref(), &GuestHost)? {
            Removal::Done => world::Removal::Done,
            Removal::Pending(pending) => world::Removal::Pending(pending.into()),
        })
    }
}

fn read<D: Driver>(request: world::Request) -> Result<Request<D>, Fault> {
    Request::read(RawRequest {
        uid: request.uid,
        r#type: request.type_,
        class: request.class,
        id: request.id,
        params: request.params,
        inputs: request.inputs,
        state: request.state,
        idempotency_key: request.idempotency_key,
        scope: Scope {
            application: request.scope.application,
            environment: request.scope.environment,
            environment_type: request.scope.environment_type,
            deployment: request.scope.deployment,
        },
    })
}

fn write<S: Serialize>(provisioned: Provisioned<S>) -> Result<world::Provisioned, Fault> {
    Ok(world::Provisioned {
        state: document::write("the state", &provisioned.state)?,
        outputs: Value::Object(provisioned.outputs).to_string(),
        secret_outputs: provisioned.secret_outputs,
        manifests: provisioned.manifests.iter().map(ToString::to_string).collect(),
    })
}
