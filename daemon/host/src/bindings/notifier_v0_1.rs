//! `deployd:notifier@0.1`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{NotifierRequest, Telling, TellingStep};
use serde_json::Value;

use super::pure::pure_kind;
use crate::document::{Misbehaviour, Reader, at_most};
use crate::limits;
use crate::plugin::{NotifierExports, no_function};
use crate::session::Session;

use generated::exports::deployd::notifier::notifier as wit;

mod generated {
    #![allow(unreachable_pub, missing_docs, clippy::all, reason = "generated from the contract")]

    wasmtime::component::bindgen!({
        path: ["../../wit/types.wit", "../../wit/host.wit", "../../wit/notifier.wit"],
        world: "deployd:notifier/notifier-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "deployd:types/types@0.1.0": crate::bindings::host_v0_1::deployd::types::types,
            "deployd:host/log@0.1.0": crate::bindings::host_v0_1::deployd::host::log,
        },
    });
}

pure_kind!(Notifier, NotifierPlugin, NotifierPluginPre);

#[async_trait]
impl NotifierExports for Notifier {
    async fn try_instance(&self, session: Session<'_>) -> Result<(), Fault> {
        session.try_instance(self).await
    }

    fn reads_answers(&self) -> bool {
        false
    }

    async fn format(
        &self,
        mut session: Session<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        let (event, config) = (session.known.document(event), session.known.document(config));
        session
            .run(
                self,
                |exports, mut store| async move {
                    let notifier = exports.deployd_notifier_notifier();
                    let returned = notifier.call_format(&mut store, &event, &config).await;
                    (store, returned)
                },
                |requests: Vec<wit::Request>, reader| {
                    at_most("requests", limits::NOTIFIER_REQUESTS, &requests)?;
                    requests.into_iter().map(|request| read(request, reader)).collect()
                },
            )
            .await
    }

    async fn tell(&self, session: Session<'_>, _: &Telling<'_>) -> Result<TellingStep, Fault> {
        Err(no_function(&session))
    }
}

fn read(request: wit::Request, reader: &mut Reader<'_>) -> Result<NotifierRequest, Misbehaviour> {
    let thread =
        request.thread.map(|thread| reader.text("the thread of a request", thread)).transpose()?;
    let wit::Request { method, url, headers, body, .. } = request;
    let request = notifier_request(method, url, headers, body, reader)?;
    Ok(NotifierRequest { thread, ..request })
}

/// A request of any track, checked.
pub(super) fn notifier_request(
    method: String,
    url: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    reader: &mut Reader<'_>,
) -> Result<NotifierRequest, Misbehaviour> {
    at_most("headers", limits::NOTIFIER_HEADERS, &fields)?;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Misbehaviour::WrongValue {
            what: "the method of a request".to_owned(),
            expected: "an HTTP method such as POST",
        });
    }
    let mut headers = BTreeMap::new();
    for (name, value) in fields {
        // A line break would begin a header of the plugin's making.
        if value.contains(['\r', '\n', '\0']) || !is_token(&name) {
            return Err(Misbehaviour::WrongValue {
                what: "a header of a request".to_owned(),
                expected: "a name of RFC 9110 and a value without line breaks",
            });
        }
        let value = reader.text("a header of a request", value)?;
        if headers.insert(reader.text("a header of a request", name)?, value).is_some() {
            return Err(Misbehaviour::WrongValue {
                what: "a header of a request".to_owned(),
                expected: "there only once",
            });
        }
    }
    Ok(NotifierRequest {
        method,
        url: reader.text("the url of a request", url)?,
        headers,
        body: reader.bytes("the body of a request", body)?,
        thread: None,
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
