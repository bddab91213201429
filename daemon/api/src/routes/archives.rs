//! Past deployments, taken along: exported as archives, and imported.

use axum::response::{IntoResponse as _, Response};
use deployd_core::access::Action;
use deployd_core::archive::ImportView;
use deployd_core::subject::Subject;
use deployd_core::views::ImportsPage;
use deployd_engine::Exported;
use http::{HeaderValue, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

use super::paging::PageSize;
use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::{Answer, Documented, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Raw;
use crate::limits::ARCHIVE_BYTES_MAX;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

// Not for all who read: events tell from where somebody asked, and documents of the
// platform are in it.
const EXPORT: Operation = Operation::new(
    Get,
    "/v1/archive",
    Needs(Action::Export, Target::SubjectsInQuery(&["of"])),
    "exportDeployment",
    "A past deployment with all that it was made from, as an archive",
)
.looks_up()
.takes_long();

const IMPORT: Operation = Operation::new(
    Post,
    "/v1/imports",
    Needs(Action::Configure, Target::Installation),
    "importDeployment",
    "Takes in an archive of another installation, once it is verified wholly",
)
.body_max(ARCHIVE_BYTES_MAX)
.takes_long();

const IMPORTS: Operation = Operation::new(
    Get,
    "/v1/imports",
    Needs(Action::Read, Target::Installation),
    "listImports",
    "Deployments that were imported, newest first",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(EXPORT, export).add(IMPORT, import).add(IMPORTS, imports)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    /// The deployment, which has ended.
    of: Written<Subject>,
    /// Whether the templater and the strategy that made it are in it.
    #[serde(default = "yes")]
    plugins: bool,
}

fn yes() -> bool {
    true
}

/// An archive, as a file to save.
struct ArchiveFile(Exported);

impl Answer for ArchiveFile {
    fn answer(self) -> Response {
        let Exported { name, archive } = self.0;
        let content_type = HeaderValue::from_static("application/x-tar");
        let mut response = ([(header::CONTENT_TYPE, content_type)], archive).into_response();
        // Names of applications and environments are of letters, digits and dashes.
        if let Ok(disposition) = format!("attachment; filename=\"{name}\"").parse() {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
        }
        response
    }

    fn document(_: &mut SchemaGenerator) -> Vec<Documented> {
        let content = vec![("application/x-tar", json!({"type": "string", "format": "binary"}))];
        vec![Documented { status: 200, description: "The archive", content }]
    }
}

async fn export(api: Api, asked: Asked<Nothing, ExportQuery>) -> Result<ArchiveFile, Box<Problem>> {
    let ExportQuery { of, plugins } = asked.query;
    Ok(ArchiveFile(api.engine().export(&of.read("of")?, plugins).await?))
}

async fn import(
    api: Api,
    asked: Asked<Nothing, Nothing, Raw>,
) -> Result<Found<ImportView>, Box<Problem>> {
    let Raw(archive) = asked.body;
    Ok(Found(api.engine().import(&asked.caller, archive.to_vec()).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImportsQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Deployments on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn imports(
    api: Api,
    asked: Asked<Nothing, ImportsQuery>,
) -> Result<Found<ImportsPage>, Box<Problem>> {
    let ImportsQuery { cursor, limit } = asked.query;
    Ok(Found(api.engine().imports(cursor.as_deref(), limit.0).await?))
}
