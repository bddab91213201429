//! A [`Driver`] as the export of a component.

use crate::driver::{Action, Driver, Progress, Provisioned, RawRequest, Removal, Request};
use crate::net::{Connection, Security, TlsOptions};
use crate::{Fault, FieldFault, Host, Pending, Recipe, Scope, Secret, document, http};
use bindings::deployd::host::{clock, log as wit_log, net, secrets};
use bindings::deployd::types::types as wit;
use bindings::exports::deployd::driver::driver as world;
use serde::Serialize;
use serde_json::Value;
use std::marker::PhantomData;
use std::time::Duration;

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

impl From<Pending> for wit::Pending {
    fn from(pending: Pending) -> Self {
        Self {
            token: pending.token,
            poll_after_ms: super::milliseconds(pending.poll_after),
            message: pending.message,
        }
    }
}

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        match fault {
            wit::Fault::Invalid(fields) => Self::Invalid(
                fields
                    .into_iter()
                    .map(|field| FieldFault { path: field.path, message: field.message })
                    .collect(),
            ),
            wit::Fault::NotFound(message) => Self::NotFound(message),
            wit::Fault::Conflict(message) => Self::Conflict(message),
            wit::Fault::Denied(message) => Self::Denied(message),
            wit::Fault::Unavailable(retry) => Self::Unavailable {
                message: retry.message,
                after: retry.after_ms.map(Duration::from_millis),
            },
            wit::Fault::Permanent(message) => Self::Permanent(message),
            wit::Fault::Unsupported(message) => Self::Unsupported(message),
        }
    }
}

/// What the host offers to drivers.
struct GuestHost;

impl crate::Log for GuestHost {
    fn line(&self, level: crate::Level, message: &str) {
        GuestLog.line(level, message);
    }
}

impl Host for GuestHost {
    type Secret = secrets::Secret;
    type Connection = net::Connection;

    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    fn generate_secret(&self, name: &str, recipe: &Recipe) -> Result<String, Fault> {
        let recipe = secrets::Recipe { length: recipe.length, alphabet: recipe.alphabet.clone() };
        Ok(secrets::generate(name, &recipe)?)
    }

    fn open_secret(&self, name: &str) -> Result<secrets::Secret, Fault> {
        Ok(secrets::Secret::open(name)?)
    }

    fn connect(
        &self,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<net::Connection, Fault> {
        let security = match security {
            Security::Plaintext => net::Security::Plaintext,
            Security::Tls(options) => net::Security::Tls(options.into()),
        };
        Ok(net::Connection::connect(host, port, &security)?)
    }

    fn http(&self, request: &http::Request) -> Result<http::Response, Fault> {
        super::wasi::exchange(request)
    }

    fn random(&self, count: usize) -> Vec<u8> {
        super::wasi::random(count)
    }
}

impl From<&TlsOptions> for net::TlsOptions {
    fn from(options: &TlsOptions) -> Self {
        Self { server_name: options.server_name.clone() }
    }
}

impl Connection for net::Connection {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, Fault> {
        Ok(net::Connection::read(self, max)?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(net::Connection::write(self, bytes)?)
    }

    fn start_tls(&mut self, options: &TlsOptions) -> Result<(), Fault> {
        Ok(net::Connection::start_tls(self, &options.into())?)
    }
}

impl Secret for secrets::Secret {
    fn reference(&self) -> String {
        secrets::Secret::reference(self)
    }

    fn reveal(&self) -> Result<Vec<u8>, Fault> {
        Ok(secrets::Secret::reveal(self)?)
    }
}
