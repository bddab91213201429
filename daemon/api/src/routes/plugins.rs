//! Plugins: those that are loaded, and uploads of others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::access::Action;
use deployd_core::ports::PluginInfo;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::{Created, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::limits::PLUGIN_BYTES_MAX;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem, ProblemItem};
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/plugins",
    Needs(Action::Read, Target::Installation),
    "listPlugins",
    "Plugins that are loaded",
);

const UPLOAD: Operation = Operation::new(
    Post,
    "/v1/plugins",
    Needs(Action::Configure, Target::Installation),
    "uploadPlugin",
    "Keeps a plugin until a document names it by its digest",
)
.body_max(PLUGIN_BYTES_MAX)
.takes_long();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(UPLOAD, upload)
}

async fn list(api: Api, _: Asked) -> Result<Found<Vec<PluginInfo>>, Box<Problem>> {
    Ok(Found(api.engine().plugins().await?))
}

/// A plugin.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upload {
    /// The text of its `plugin.toml`.
    manifest: String,
    /// The component's bytes, in base 64.
    component: String,
}

async fn upload(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<Upload>>,
) -> Result<Created<PluginInfo>, Box<Problem>> {
    let Json(Upload { manifest, component }) = asked.body;
    let component = STANDARD.decode(component).map_err(|error| {
        let message = format!("found text that is no base 64 ({error})");
        let item = ProblemItem {
            field: Some("component".to_owned()),
            message: message.clone(),
            ..ProblemItem::default()
        };
        Problem::new(Code::InvalidRequest, format!("component: {message}.")).with_errors(vec![item])
    })?;
    let value = api.engine().upload_plugin(&asked.caller, component, manifest).await?;
    Ok(Created { value, location: None })
}
