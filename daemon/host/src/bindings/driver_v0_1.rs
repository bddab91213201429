//! `deployd:driver@0.1`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{
    DriverAction, DriverPlan, DriverRequest, Progress, Provisioned, Removal, Vault, VaultError,
};
use deployd_core::secret::{SecretRef, SecretValue};
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::host_v0_1::deployd::host::{clock, log, net, secrets};
use super::host_v0_1::deployd::types::types;
use super::host_v0_1::scope_to_wit;
use crate::document::{Misbehaviour, Reader, at_most, no_longer};
use crate::interfaces::http;
use crate::interfaces::secrets::name_fits;
use crate::interfaces::wasi;
use crate::limits;
use crate::plugin::{DriverExports, Exports};
use crate::session::{Instantiate, Session, sign};
use crate::store::CallState;

use generated::exports::deployd::driver::driver as wit;
use generated::{DriverPlugin, DriverPluginPre};

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/driver.wit"],
        // The contract's world.
        inline: "
            package deployd:hosted@0.1.0;
            world driver-plugin {
                import deployd:types/types@0.1.0;
                import deployd:host/log@0.1.0;
                import deployd:host/clock@0.1.0;
                import deployd:host/secrets@0.1.0;
                import deployd:host/net@0.1.0;
                export deployd:driver/driver@0.1.0;
            }
        ",
        world: "deployd:hosted/driver-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
            "deployd:host/clock@0.1.0": crate::bindings::host_v0_1::deployd::host::clock,
            "deployd:host/secrets@0.1.0": crate::bindings::host_v0_1::deployd::host::secrets,
            "deployd:host/net@0.1.0": crate::bindings::host_v0_1::deployd::host::net,
        },
    });
}

/// Links a component with what this contract offers.
pub(crate) fn link(component: &Component, with_wasi: bool) -> wasmtime::Result<Exports> {
    let mut linker = Linker::<CallState>::new(component.engine());
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    secrets::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    net::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    if with_wasi {
        wasi::link(&mut linker)?;
        http::link(&mut linker)?;
    }
    let component = DriverPluginPre::new(linker.instantiate_pre(component)?)?;
    Ok(Exports::Driver(Box::new(Driver(component))))
}

#[derive(Clone)]
struct Driver(DriverPluginPre<CallState>);

impl Instantiate for Driver {
    type Exports = DriverPlugin;

    async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<DriverPlugin> {
        self.0.instantiate_async(store).await
    }
}

#[async_trait]
impl DriverExports for Driver {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    async fn plan(
        &self,
        mut session: Session<'_>,
        request: &DriverRequest,
    ) -> Result<DriverPlan, Fault> {
        let request = to_wit(&mut session, request);
        session
            .run(
                self,
                |exports, mut store| async move {
                    let driver = exports.deployd_driver_driver();
                    let returned = driver.call_plan(&mut store, &request).await;
                    (store, returned)
                },
                planned,
            )
            .await
    }

    async fn provision(
        &self,
        mut session: Session<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        let uid = request.uid.clone();
        let (shared, plugin) = (session.shared, std::sync::Arc::clone(&session.plugin));
        let function = session.function;
        let request = to_wit(&mut session, request);
        let token = token.map(str::to_owned);
        let progress = session
            .run(
                self,
                |exports, mut store| async move {
                    let driver = exports.deployd_driver_driver();
                    let returned =
                        driver.call_provision(&mut store, &request, token.as_deref()).await;
                    (store, returned)
                },
                move |progress: wit::Progress, reader| match progress {
                    wit::Progress::Done(done) => provisioned(done, &uid, reader),
                    wit::Progress::Pending(waiting) => {
                        pending(waiting, reader).map(|progress| (progress, Vec::new()))
                    }
                },
            )
            .await;
        let (progress, secrets) = progress?;
        // Before anybody sees the references: what they stand for must be there.
        for (secret, value) in secrets {
            store_secret(&*shared.vault, &secret, value)
                .await
                .map_err(|fault| sign(&plugin, function, fault))?;
        }
        Ok(progress)
    }

    async fn observe(
        &self,
        mut session: Session<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault> {
        let request = to_wit(&mut session, request);
        session
            .run(
                self,
                |exports, mut store| async move {
                    let driver = exports.deployd_driver_driver();
                    let returned = driver.call_observe(&mut store, &request).await;
                    (store, returned)
                },
                |outputs: Option<String>, reader| {
                    outputs
                        .map(|outputs| reader.object("outputs", &outputs).map(Value::Object))
                        .transpose()
                },
            )
            .await
    }

    async fn destroy(
        &self,
        mut session: Session<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault> {
        let request = to_wit(&mut session, request);
        let token = token.map(str::to_owned);
        session
            .run(
                self,
                |exports, mut store| async move {
                    let driver = exports.deployd_driver_driver();
                    let returned =
                        driver.call_destroy(&mut store, &request, token.as_deref()).await;
                    (store, returned)
                },
                |removal: wit::Removal, reader| match removal {
                    wit::Removal::Done => Ok(Progress::Done(())),
                    wit::Removal::Pending(waiting) => pending(waiting, reader),
                },
            )
            .await
    }
}

/// The request for the guest. What it refers to, the result may refer to.
fn to_wit(session: &mut Session<'_>, request: &DriverRequest) -> wit::Request {
    wit::Request {
        uid: request.uid.clone(),
        type_: request.resource_type.clone(),
        class: request.class.clone(),
        id: request.id.clone(),
        params: session.known.document(&request.params),
        inputs: session.known.document(&request.inputs),
        state: request.state.as_ref().map(|state| session.known.document(state)),
        idempotency_key: request.idempotency_key.clone(),
        scope: scope_to_wit(session.call.scope),
    }
}

fn planned(planned: wit::Planned, reader: &mut Reader<'_>) -> Result<DriverPlan, Misbehaviour> {
    at_most("lines of the summary", limits::SUMMARY_LINES, &planned.summary)?;
    Ok(DriverPlan {
        action: match planned.action {
            wit::Action::None => DriverAction::None,
            wit::Action::Create => DriverAction::Create,
            wit::Action::Update => DriverAction::Update,
            wit::Action::Replace => DriverAction::Replace,
            wit::Action::Destroy => DriverAction::Destroy,
        },
        summary: planned
            .summary
            .into_iter()
            .map(|line| reader.message("the summary", line))
            .collect::<Result<_, _>>()?,
        outputs: Value::Object(reader.object("outputs", &planned.outputs)?),
    })
}

type WithSecrets = (Progress<Provisioned>, Vec<(SecretRef, SecretValue)>);

fn provisioned(
    done: wit::Provisioned,
    uid: &str,
    reader: &mut Reader<'_>,
) -> Result<WithSecrets, Misbehaviour> {
    at_most("secret outputs", limits::SECRET_OUTPUTS, &done.secret_outputs)?;
    at_most("manifests", limits::MANIFESTS, &done.manifests)?;
    no_longer("the state", limits::DRIVER_STATE_BYTES, &done.state)?;
    no_longer("outputs", limits::OUTPUTS_BYTES, &done.outputs)?;
    // First of all, so that none is overlooked in what follows.
    let mut secrets = Vec::with_capacity(done.secret_outputs.len());
    for (name, value) in done.secret_outputs {
        reader.secret("a secret output", &value)?;
        let secret = SecretRef { owner: uid.to_owned(), name };
        secrets.push((secret, SecretValue::new(value.into_bytes())));
    }
    let mut outputs = reader.object("outputs", &done.outputs)?;
    for (secret, _) in &secrets {
        if !name_fits(&secret.name) {
            return Err(Misbehaviour::WrongValue {
                what: "the name of a secret output".to_owned(),
                expected: "1 to 128 of A-Z a-z 0-9 - _ .",
            });
        }
        outputs.insert(secret.name.clone(), Value::String(secret.to_string()));
    }
    let state = reader.document("the state", &done.state)?;
    let manifests = done
        .manifests
        .iter()
        .enumerate()
        .map(|(index, text)| reader.object(&format!("manifest {index}"), text).map(Value::Object))
        .collect::<Result<_, _>>()?;
    let outputs = Value::Object(outputs);
    Ok((Progress::Done(Provisioned { state, outputs, manifests }), secrets))
}

fn pending<T>(
    pending: types::Pending,
    reader: &mut Reader<'_>,
) -> Result<Progress<T>, Misbehaviour> {
    no_longer("the token", limits::TOKEN_BYTES, &pending.token)?;
    Ok(Progress::Pending {
        token: reader.text("the token", pending.token)?,
        poll_after_ms: pending.poll_after_ms,
        message: reader.message("the message", pending.message)?,
    })
}

async fn store_secret(
    vault: &dyn Vault,
    secret: &SecretRef,
    value: SecretValue,
) -> Result<(), Fault> {
    let put = tokio::time::timeout(limits::HOST_CALL_WALL, vault.put(secret, value));
    match put.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(VaultError::Store(error))) => Err(Fault::transient(
            "secret-not-stored",
            format!("the secret output {:?} can't be stored now: {error}", secret.name),
        )),
        Ok(Err(error)) => Err(Fault::permanent(
            "secret-not-stored",
            format!("the secret output {:?} can't be stored: {error}", secret.name),
        )),
        Err(_) => Err(Fault::transient(
            "secret-not-stored",
            format!("the store of secrets does not answer; it was to keep {:?}", secret.name),
        )),
    }
}
