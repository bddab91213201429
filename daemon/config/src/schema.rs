//! JSON Schemas, generated from the types of the core, for validation here and
//! for editors.

mod simplify;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use deployd_core::config::{
    API_VERSION, ApplicationSpec, CalendarSpec, DocumentKind, Envelope, EnvironmentSpec,
    EnvironmentTypeSpec, GroupSpec, HookSpec, IssuerSpec, PluginSpec, PolicySpec,
    ResourceDefinitionSpec, RoleBindingSpec, RoleSpec, SubscriptionSpec,
};
use deployd_core::policy::PolicyInput;
use deployd_core::score::{SCORE_VERSION, Workload};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Where schemas are named to be; the daemon serves them by kind.
const BASE: &str = "https://deployd.dev/schemas/v1";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

static SCHEMAS: LazyLock<BTreeMap<DocumentKind, Value>> =
    LazyLock::new(|| DocumentKind::ALL.into_iter().map(|kind| (kind, generate(kind))).collect());

static COMBINED: LazyLock<Value> = LazyLock::new(combine);

/// The JSON Schema of every kind of document, draft 2020-12.
pub fn schemas() -> &'static BTreeMap<DocumentKind, Value> {
    &SCHEMAS
}

/// The JSON Schema of a kind of document.
pub fn schema_for(kind: DocumentKind) -> &'static Value {
    SCHEMAS.get(&kind).unwrap_or(&Value::Null)
}

/// One JSON Schema for all kinds, for editors:
/// `# yaml-language-server: $schema=<address>/schemas/v1/document.json`.
pub fn combined_schema() -> &'static Value {
    &COMBINED
}

fn generate(kind: DocumentKind) -> Value {
    match kind {
        DocumentKind::Application => envelope::<ApplicationSpec>(kind),
        DocumentKind::EnvironmentType => envelope::<EnvironmentTypeSpec>(kind),
        DocumentKind::Environment => envelope::<EnvironmentSpec>(kind),
        DocumentKind::ResourceDefinition => envelope::<ResourceDefinitionSpec>(kind),
        DocumentKind::Plugin => envelope::<PluginSpec>(kind),
        DocumentKind::Subscription => envelope::<SubscriptionSpec>(kind),
        DocumentKind::Hook => envelope::<HookSpec>(kind),
        DocumentKind::Calendar => envelope::<CalendarSpec>(kind),
        DocumentKind::Group => envelope::<GroupSpec>(kind),
        DocumentKind::Policy => envelope::<PolicySpec>(kind),
        DocumentKind::Role => envelope::<RoleSpec>(kind),
        DocumentKind::RoleBinding => envelope::<RoleBindingSpec>(kind),
        DocumentKind::Issuer => envelope::<IssuerSpec>(kind),
        DocumentKind::Workload => {
            let mut schema = root::<Workload>();
            head(&mut schema, kind, "Score workload", None);
            schema
        }
    }
}

/// The JSON Schema of what policies are asked over.
pub fn policy_input_schema() -> Value {
    let mut schema = root::<PolicyInput>();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".to_owned(), json!(DIALECT));
    }
    schema
}

fn root<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    simplify::simplify(&mut schema);
    schema
}

fn envelope<S: JsonSchema>(kind: DocumentKind) -> Value {
    let mut schema = root::<Envelope<S>>();
    // The kind is an enumeration in the type, and one of its values here.
    let name = kind.to_string();
    if let Some(field) = schema.pointer_mut("/properties/kind") {
        *field = json!({"type": "string", "const": name, "description": "The kind."});
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.remove("DocumentKind");
    }
    let description = schema
        .pointer("/$defs")
        .and_then(|definitions| definitions.get(S::schema_name().as_ref()))
        .and_then(|spec| spec.get("description"))
        .cloned();
    head(&mut schema, kind, &name, description);
    schema
}

fn head(schema: &mut Value, kind: DocumentKind, title: &str, description: Option<Value>) {
    let Value::Object(schema) = schema else { return };
    schema.insert("$schema".to_owned(), Value::from(DIALECT));
    schema.insert("$id".to_owned(), Value::from(format!("{BASE}/{kind}.json")));
    schema.insert("title".to_owned(), Value::from(title));
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
}

/// Puts all kinds into one schema, each under a condition on version and kind,
/// so that an editor speaks of the kind at hand only.
fn combine() -> Value {
    let mut definitions = Map::new();
    let mut conditions = Vec::new();
    for (kind, schema) in schemas() {
        let Value::Object(mut schema) = schema.clone() else { continue };
        schema.remove("$schema");
        schema.remove("$id");
        if let Some(Value::Object(own)) = schema.remove("$defs") {
            definitions.extend(own);
        }
        let name = kind.to_string();
        let condition = match kind {
            DocumentKind::Workload => json!({
                "required": ["apiVersion"],
                "properties": {"apiVersion": {"const": SCORE_VERSION}},
            }),
            _ => json!({
                "required": ["apiVersion", "kind"],
                "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": name}},
            }),
        };
        conditions.push(json!({"if": condition, "then": {"$ref": format!("#/$defs/{name}")}}));
        definitions.insert(name, Value::Object(schema));
    }
    let kinds: Vec<String> = DocumentKind::ALL
        .into_iter()
        .filter(|kind| *kind != DocumentKind::Workload)
        .map(|kind| kind.to_string())
        .collect();
    json!({
        "$schema": DIALECT,
        "$id": format!("{BASE}/document.json"),
        "title": "deployd document",
        "description": "A configuration document of deployd, or a Score workload.",
        "type": "object",
        "required": ["apiVersion"],
        "properties": {
            "apiVersion": {"enum": [API_VERSION, SCORE_VERSION]},
            "kind": {"enum": kinds},
        },
        "allOf": conditions,
        "$defs": definitions,
    })
}

#[cfg(test)]
mod tests;
