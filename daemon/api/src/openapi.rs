//! The OpenAPI 3.1 document, made from declarations and from types.
//!
//! Neither utoipa nor aide: the first wants a second derive beside `JsonSchema`
//! on every type of the core; the second knows axum 0.8 with schemars 1 only in
//! pre-releases; and with either a route can be added without saying what scope
//! it needs. What is needed beyond schemars is this file.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::access::Access;
use crate::answer::Answer;
use crate::body::ReadBody;
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, REQUEST_TIMEOUT};
use crate::operation::{Counted, Operation, Repeats};
use crate::problem::{Code, PROBLEM_JSON, Problem};

/// The headers of a Standard Webhook 1.0.
const WEBHOOK_HEADERS: [(&str, &str); 3] = [
    ("webhook-id", "Tells a repeat from another webhook"),
    ("webhook-timestamp", "When it was sent, in seconds since 1970"),
    (
        "webhook-signature",
        "`v1,` and HMAC-SHA256 of `id.timestamp.body` as base64; several with spaces between",
    ),
];

/// The document of all operations, as `/openapi.json` serves it.
pub fn document() -> Value {
    crate::routes::operations(false).finish().2
}

/// A document while operations are added to it.
pub(crate) struct Description {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Default for Description {
    fn default() -> Self {
        let generator = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = "/components/schemas".into();
            })
            .into_generator();
        Self { generator, paths: Map::new() }
    }
}

impl Description {
    /// Makes schemas.
    pub(crate) fn generator(&mut self) -> &mut SchemaGenerator {
        &mut self.generator
    }

    /// Adds an operation.
    pub(crate) fn operation<P, Q, B, A>(&mut self, operation: &Operation)
    where
        P: JsonSchema,
        Q: JsonSchema,
        B: ReadBody,
        A: Answer,
    {
        let mut parameters = self.parameters::<P>("path");
        let query = self.parameters::<Q>("query");
        let has_query = !query.is_empty();
        parameters.extend(query);
        if operation.repeats == Repeats::Webhook {
            parameters.extend(WEBHOOK_HEADERS.iter().map(|(name, description)| {
                json!({
                    "name": name, "in": "header", "required": true,
                    "description": description, "schema": {"type": "string"},
                })
            }));
        } else if operation.verb.writes() && operation.repeats == Repeats::Key {
            parameters.push(json!({"$ref": "#/components/parameters/IdempotencyKey"}));
        }
        let mut entry = Map::new();
        entry.insert("operationId".into(), operation.id.into());
        entry.insert("summary".into(), operation.summary.into());
        entry.insert("tags".into(), json!([tag(operation.path)]));
        if !parameters.is_empty() {
            entry.insert("parameters".into(), parameters.into());
        }
        let mut reads_json = false;
        if let Some(body) = B::document(&mut self.generator) {
            reads_json = body.pointer("/content/application~1json").is_some();
            entry.insert("requestBody".into(), body);
        }
        entry.insert(
            "responses".into(),
            self.responses::<A>(problems(operation, has_query, reads_json)),
        );
        let security = match operation.access {
            Access::Open => json!([]),
            Access::Known => json!([{"token": []}]),
            Access::Needs(action, _) => json!([{"token": [action]}]),
        };
        entry.insert("security".into(), security);
        let path = self.paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(operation.verb.as_str().to_ascii_lowercase(), Value::Object(entry));
        }
    }

    /// The fields of a type, as parameters.
    fn parameters<T: JsonSchema>(&mut self, place: &str) -> Vec<Value> {
        let schema = T::json_schema(&mut self.generator).to_value();
        let Some(Value::Object(fields)) = schema.get("properties") else { return Vec::new() };
        let required = schema.get("required").and_then(Value::as_array);
        let required = |name: &str| {
            place == "path" || required.is_some_and(|names| names.iter().any(|n| n == name))
        };
        let parameter = |(name, schema): (&String, &Value)| {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|s| s.remove("description"));
            json!({
                "name": name,
                "in": place,
                "required": required(name),
                "description": description.unwrap_or_default().as_str().unwrap_or_default(),
                "schema": schema,
            })
        };
        fields.iter().map(parameter).collect()
    }

    fn responses<A: Answer>(&mut self, problems: BTreeSet<u16>) -> Value {
        let mut responses = Map::new();
        for documented in A::document(&mut self.generator) {
            let mut response = Map::new();
            response.insert("description".into(), documented.description.into());
            if !documented.content.is_empty() {
                let content: Map<String, Value> = documented
                    .content
                    .into_iter()
                    .map(|(essence, schema)| (essence.to_owned(), json!({"schema": schema})))
                    .collect();
                response.insert("content".into(), content.into());
            }
            responses.insert(documented.status.to_string(), response.into());
        }
        for status in problems {
            let problem = json!({"$ref": "#/components/responses/Problem"});
            responses.insert(status.to_string(), problem);
        }
        responses.into()
    }

    /// The whole document.
    pub(crate) fn finish(mut self) -> Value {
        let problem = self.generator.subschema_for::<Problem>();
        let schemas = self.generator.take_definitions(true);
        let about = format!(
            "Writes take an `{}`: a repeat with the same key and content is answered as the \
             first was, for seven days, and does nothing; with other content it is refused. \
             What was refused left nothing behind, and a repeat is decided anew; a dry run \
             does nothing that could be repeated. A write that is not answered within {} seconds may still be carried \
             out; repeat it with the same key. Every answer that is no success is a problem \
             (RFC 9457), and every answer has an `X-Request-Id`.",
            "Idempotency-Key",
            REQUEST_TIMEOUT.as_secs(),
        );
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "deployd",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "A deployment daemon for internal developer platforms",
                "description": about,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "parameters": {
                    "IdempotencyKey": {
                        "name": IDEMPOTENCY_KEY.as_str(),
                        "in": "header",
                        "required": false,
                        "description": "Chosen by the caller, so that a repeat is known as one; kept for seven days",
                        "schema": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": IDEMPOTENCY_KEY_BYTES_MAX,
                            // Visible ASCII; and not the quotes alone that it may stand in.
                            "pattern": "^(?!\"\"$)[!-~]+$",
                        },
                    },
                },
                "responses": {
                    "Problem": {
                        "description": "It was refused, or failed",
                        "content": {PROBLEM_JSON: {"schema": problem}},
                    },
                },
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token or a session. Who has it needs to be allowed the action that the operation names, where the request is about: by the scope of the token (read < ci < deploy < admin), or by a RoleBinding",
                    },
                },
            },
        })
    }
}

/// The statuses of problems that an operation can answer with. Each is there for
/// a reason, and no others are: a client needs to expect nothing else.
fn problems(operation: &Operation, has_query: bool, reads_json: bool) -> BTreeSet<u16> {
    let mut codes = vec![Code::InvalidParameter, Code::UriTooLong, Code::Internal, Code::Busy];
    if operation.counted != Counted::Nobody {
        codes.push(Code::RateLimited);
    }
    match operation.access {
        // What is shown instead of a token may be refused as well.
        Access::Open if operation.secret => codes.push(Code::Unauthenticated),
        Access::Open => {}
        Access::Known => codes.push(Code::Unauthenticated),
        Access::Needs(..) => codes.extend([Code::Unauthenticated, Code::Forbidden]),
    }
    // Who needs no token is judged by what is sent.
    if operation.verb.writes() && operation.access == Access::Open {
        codes.push(Code::Denied);
    }
    if operation.path.contains('{') || operation.looks_up || operation.verb.writes() {
        codes.push(Code::NotFound);
    }
    if operation.depends {
        codes.push(Code::Conflict);
    }
    if operation.verb.writes() {
        codes.extend([Code::BodyTimeout, Code::Conflict, Code::BodyTooLarge, Code::Full]);
    }
    // What no schema says: a name that is not known, a place that is none.
    if operation.verb.writes() || has_query {
        codes.push(Code::InvalidRequest);
    }
    if reads_json {
        codes.push(Code::UnsupportedMediaType);
    }
    codes.into_iter().map(|code| code.status().as_u16()).collect()
}

/// Operations are grouped by the first part of their path after the version.
fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/").and_then(|rest| rest.split(['/', ':']).next()) {
        Some(part) => part,
        None => "daemon",
    }
}
