//! The API's errors: `kind: Status`, with the texts a real server uses.

use serde_json::{Value, json};

/// A refusal, shaped as a `Status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The machine's word for it, empty where the API server has none.
    pub(crate) reason: &'static str,
    /// The text for people.
    pub(crate) message: String,
    /// Which object, and why.
    pub(crate) details: Option<Value>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u64>,
}

/// The result of an API operation.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// One complaint of a validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// `FieldValueInvalid` and the like.
    pub(crate) reason: &'static str,
    /// The text without the field.
    pub(crate) message: String,
    /// The path of the field.
    pub(crate) field: String,
}

impl Cause {
    /// A field that must be there is not.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = match detail {
            "" => "Required value".to_owned(),
            detail => format!("Required value: {detail}"),
        };
        Self::new("FieldValueRequired", field, message)
    }

    /// A value is not what it may be.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self::new("FieldValueInvalid", field, message)
    }

    /// An object is not what it may be; the value is not repeated.
    pub(crate) fn invalid_whole(field: impl Into<String>, kind: &str, detail: &str) -> Self {
        let message = format!("Invalid value: \"{kind}\": {detail}");
        Self::new("FieldValueInvalid", field, message)
    }

    /// A value is none of those allowed.
    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|v| format!("\"{v}\"")).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
        Self::new("FieldValueNotSupported", field, message)
    }

    /// A value that may occur once occurs again.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// A name refers to nothing.
    pub(crate) fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueNotFound", field, format!("Not found: {value}"))
    }

    /// A field must not be set, or not changed.
    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    /// A value is too long or a list has too many items.
    pub(crate) fn too_long(field: impl Into<String>, most: usize) -> Self {
        let message = format!("Too long: may not be more than {most} bytes");
        Self::new("FieldValueTooLong", field, message)
    }

    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into() }
    }
}

/// A resource as errors name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The API group, empty for core.
    pub(crate) group: &'a str,
    /// The plural.
    pub(crate) resource: &'a str,
    /// The kind.
    pub(crate) kind: &'a str,
}

impl Named<'_> {
    fn qualified(&self) -> String {
        qualify(self.resource, self.group)
    }

    fn details(&self, name: &str, kind: &str) -> Value {
        let mut details = json!({"name": name});
        if !self.group.is_empty() {
            crate::json::put(&mut details, &["group"], self.group);
        }
        crate::json::put(&mut details, &["kind"], kind);
        details
    }
}

fn qualify(resource: &str, group: &str) -> String {
    match group {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    }
}

impl ApiError {
    /// An error with nothing but its code, reason and text.
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, retry_after: None }
    }

    /// 400
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 of an object.
    pub(crate) fn not_found(of: Named<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", of.qualified());
        Self { details: Some(of.details(name, of.resource)), ..Self::new(404, "NotFound", message) }
    }

    /// 404 of a path that nothing serves; it is answered in plain text.
    pub(crate) fn no_such_path() -> Self {
        Self {
            details: Some(json!({})),
            ..Self::new(404, "NotFound", "the server could not find the requested resource")
        }
    }

    /// 405
    pub(crate) fn method_not_allowed() -> Self {
        Self {
            details: Some(json!({})),
            ..Self::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    /// 406
    pub(crate) fn not_acceptable() -> Self {
        Self::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml",
        )
    }

    /// 409 of a name that is taken.
    pub(crate) fn already_exists(of: Named<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", of.qualified());
        Self {
            details: Some(of.details(name, of.resource)),
            ..Self::new(409, "AlreadyExists", message)
        }
    }

    /// 409 of an object that has moved on.
    pub(crate) fn conflict(of: Named<'_>, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", of.qualified());
        Self { details: Some(of.details(name, of.resource)), ..Self::new(409, "Conflict", message) }
    }

    /// 409 of a stale resource version.
    pub(crate) fn modified(of: Named<'_>, name: &str) -> Self {
        Self::conflict(
            of,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 of field owners.
    pub(crate) fn apply_conflict(message: String, causes: &[Value]) -> Self {
        Self { details: Some(json!({"causes": causes})), ..Self::new(409, "Conflict", message) }
    }

    /// 403
    pub(crate) fn forbidden(of: Named<'_>, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", of.qualified()),
            name => format!("{} \"{name}\" is forbidden: {why}", of.qualified()),
        };
        Self {
            details: Some(of.details(name, of.resource)),
            ..Self::new(403, "Forbidden", message)
        }
    }

    /// 422 with one cause for each complaint.
    pub(crate) fn invalid(of: Named<'_>, name: &str, causes: &[Cause]) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for cause in causes {
            let line = format!("{}: {}", cause.field, cause.message);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let all = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {all}", qualify(of.kind, of.group));
        let mut details = of.details(name, of.kind);
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        crate::json::put(&mut details, &["causes"], causes);
        Self { details: Some(details), ..Self::new(422, "Invalid", message) }
    }

    /// 410 of a resource version or continue token that is too old.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415
    pub(crate) fn unsupported_media(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 500 without a reason, as a Go error that nobody classified becomes.
    pub(crate) fn unclassified(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// The `Status` object.
    pub(crate) fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            crate::json::put(&mut status, &["reason"], self.reason);
        }
        if let Some(details) = &self.details {
            crate::json::put(&mut status, &["details"], details.clone());
        }
        if let Some(seconds) = self.retry_after {
            crate::json::put(&mut status, &["details", "retryAfterSeconds"], seconds);
        }
        crate::json::put(&mut status, &["code"], self.code);
        status
    }
}
