//! Reads bodies, and documents how.

use bytes::Bytes;
use deployd_core::artifact::Artifact;
use http::{HeaderMap, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::asked::Nothing;
use crate::problem::{Code, Problem, ProblemItem};

/// A body that an operation reads.
pub(crate) trait ReadBody: Sized + Send {
    /// Reads it.
    fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Box<Problem>>;

    /// What OpenAPI calls a request body; none where there is none.
    fn document(generator: &mut SchemaGenerator) -> Option<Value>;
}

impl ReadBody for Nothing {
    fn read(_: &HeaderMap, _: Bytes) -> Result<Self, Box<Problem>> {
        Ok(Self {})
    }

    fn document(_: &mut SchemaGenerator) -> Option<Value> {
        None
    }
}

/// A JSON document.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema + Send> ReadBody for Json<T> {
    fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Box<Problem>> {
        is_json(headers)?;
        // serde would take a list for an object, field by field.
        if first(&body) == Some(b'[') {
            let message = "found a list, expected an object".to_owned();
            let item = ProblemItem { message: message.clone(), ..ProblemItem::default() };
            let detail = format!("The body is not what is expected: {message}.");
            return Err(Problem::new(Code::InvalidRequest, detail).with_errors(vec![item]));
        }
        parse(&body).map(Self)
    }

    fn document(generator: &mut SchemaGenerator) -> Option<Value> {
        let schema = generator.subschema_for::<T>();
        Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
    }
}

/// A JSON document, or no body at all, which is the default.
#[derive(Debug)]
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + JsonSchema + Send> ReadBody for MaybeJson<T> {
    fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Box<Problem>> {
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        Json::read(headers, body).map(|Json(value)| Self(value))
    }

    fn document(generator: &mut SchemaGenerator) -> Option<Value> {
        let schema = generator.subschema_for::<T>();
        Some(json!({"required": false, "content": {"application/json": {"schema": schema}}}))
    }
}

/// Bytes, of whatever media type.
pub(crate) struct Raw(pub(crate) Bytes);

impl ReadBody for Raw {
    fn read(_: &HeaderMap, body: Bytes) -> Result<Self, Box<Problem>> {
        Ok(Self(body))
    }

    fn document(_: &mut SchemaGenerator) -> Option<Value> {
        Some(json!({"required": true, "content": {"application/octet-stream": {}}}))
    }
}

/// One artifact, or a list of them.
pub(crate) struct Artifacts(pub(crate) Vec<Artifact>);

impl ReadBody for Artifacts {
    fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Box<Problem>> {
        is_json(headers)?;
        // Told apart here: serde would say of either that it is neither.
        if first(&body) == Some(b'[') {
            parse(&body).map(Self)
        } else {
            parse(&body).map(|one| Self(vec![one]))
        }
    }

    fn document(generator: &mut SchemaGenerator) -> Option<Value> {
        let one = generator.subschema_for::<Artifact>();
        let schema = json!({"oneOf": [one, {"type": "array", "items": one}]});
        Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
    }
}

/// The first byte that is no white space.
fn first(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn is_json(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let essence = found.and_then(|found| found.split(';').next()).map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => {
            let found = found.map_or("none".to_owned(), |found| format!("{found:?}"));
            let detail = format!("Content-Type: found {found}, expected application/json.");
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// Reads a JSON document, and says where it is wrong.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Problem>> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => (String::new(), error),
        },
        Err(error) => {
            let path = error.path().to_string();
            // The path of the whole.
            let path = if path == "." { String::new() } else { path };
            (path, error.into_inner())
        }
    };
    let (field, error) = error;
    let message = without_place(&error);
    let code = match error.classify() {
        serde_json::error::Category::Data => Code::InvalidRequest,
        _ => Code::MalformedJson,
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    let detail = if field.is_empty() {
        format!("The body is not what is expected, at {place}: {message}.")
    } else {
        format!("The body is not what is expected, at {place}, field {field}: {message}.")
    };
    let item = ProblemItem {
        line: Some(error.line()),
        column: Some(error.column()),
        field: Some(field).filter(|field| !field.is_empty()),
        message,
        ..ProblemItem::default()
    };
    Err(Problem::new(code, detail).with_errors(vec![item]))
}

/// The error's text without the place, which is told beside it.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        list: Vec<Item>,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Item {
        number: u8,
    }

    fn read(content_type: &str, body: &str) -> Result<Json<Sample>, Box<Problem>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        Json::read(&headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let json = "application/json; charset=utf-8";
        assert!(read(json, r#"{"list": [{"number": 1}]}"#).is_ok());
        let deep = format!("{{\"list\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        for (body, code, field, line) in [
            ("", Code::MalformedJson, None, 1),
            ("{\n\"list\": nope}", Code::MalformedJson, Some("list"), 2),
            (r#"{"list": []} x"#, Code::MalformedJson, None, 1),
            (r#"{"list": [{"number": 300}]}"#, Code::InvalidRequest, Some("list[0].number"), 1),
            ("{\"list\": [\n{\"no\": 3}]}", Code::InvalidRequest, Some("list[0].no"), 2),
            ("[[{\"number\": 1}]]", Code::InvalidRequest, None, 0),
            (&deep, Code::InvalidRequest, Some("list[0][0]"), 1),
        ] {
            let problem = read(json, body).unwrap_err();
            let item = &problem.errors[0];
            let found = (problem.code, item.field.as_deref(), item.line.unwrap_or(0));
            assert_eq!(found, (code, field, line), "{body}: {problem:?}");
            assert!(!item.message.contains("at line"), "{}", item.message);
        }
    }

    #[test]
    fn only_json_is_read() {
        for other in ["text/plain", "application/jsonx", "multipart/form-data"] {
            assert_eq!(read(other, "{}").unwrap_err().code, Code::UnsupportedMediaType);
        }
        let none = Json::<Sample>::read(&HeaderMap::new(), Bytes::from_static(b"{}"));
        assert_eq!(none.unwrap_err().code, Code::UnsupportedMediaType);
        let empty = MaybeJson::<Sample>::read(&HeaderMap::new(), Bytes::new());
        assert!(empty.is_ok());
    }
}
