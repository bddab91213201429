//! Secrets: their objects go on, without their values, which become secrets of the
//! operator.

use serde::Serialize;
use serde_json::{Map, Value};

use super::names::Names;
use super::object::{name, text};
use super::{Options, Source};
use crate::Name;

/// Shorter values are found in texts that have nothing to do with them.
const TELLING_BYTES: usize = 4;

/// A secret of the operator that has to be set.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretToSet {
    /// Its name.
    pub name: Name,
    /// The Secret that has the value now.
    pub secret: String,
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: String,
}

impl SecretToSet {
    /// The command that takes the value from the cluster, for a shell.
    pub fn command(&self) -> String {
        let template = format!("{{{{index .data {:?} | base64decode}}}}", self.key);
        format!(
            "kubectl get secret {} --namespace {} --output go-template={} | deployd secret set {}",
            quoted(&self.secret),
            quoted(&self.namespace),
            quoted(&template),
            self.name
        )
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The secrets of the operator that a Secret's keys become.
pub(super) fn to_set(source: &Source, options: &Options, names: &mut Names) -> Vec<SecretToSet> {
    let of = &options.environment;
    let secret = name(&source.object);
    let namespace = text(&source.object, "/metadata/namespace").unwrap_or(&options.namespace);
    let set = keys(&source.object).filter_map(|key| {
        let wanted = format!("{}-{}-{secret}-{key}", of.application, of.environment);
        Some(SecretToSet {
            name: names.unique(&wanted).parse().ok()?,
            secret: secret.to_owned(),
            namespace: namespace.to_owned(),
            key: key.to_owned(),
        })
    });
    set.collect()
}

fn keys(secret: &Value) -> impl Iterator<Item = &str> {
    let texts = secret.get("stringData").and_then(Value::as_object);
    texts.into_iter().flatten().map(|(key, _)| key.as_str())
}

/// The Secret without its values. Fails where not all of them are texts: why, and what
/// to do.
pub(super) fn without_values(secret: &Value) -> Result<Value, (String, String)> {
    let stays = "it stays in the cluster as it is: pods find it by its name as before";
    let texts = secret.get("stringData").and_then(Value::as_object);
    let are_texts = texts.is_none_or(|texts| texts.values().all(Value::is_string));
    let has_data = secret.get("data").is_some_and(|data| *data != Value::Object(Map::new()));
    if has_data || !are_texts {
        return Err((
            "a value in it is no text in base 64, and a secret of deployd is one".to_owned(),
            stays.to_owned(),
        ));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if keys(secret).any(|key| key.is_empty() || !key.chars().all(fits)) {
        return Err((
            "a key in it is none that a Secret can have".to_owned(),
            "mend it, and propose again".to_owned(),
        ));
    }
    if keys(secret).next().is_none() {
        return Err(("it has no values".to_owned(), stays.to_owned()));
    }
    let mut shell = secret.clone();
    if let Some(fields) = shell.as_object_mut() {
        fields.remove("data");
        fields.remove("stringData");
    }
    if tells(&shell, secret) {
        return Err(("its labels or annotations tell a value of it".to_owned(), stays.to_owned()));
    }
    Ok(shell)
}

/// Whether a text of a document has a value of a Secret in it.
fn tells(document: &Value, secret: &Value) -> bool {
    let texts = secret.get("stringData").and_then(Value::as_object);
    let values = texts.into_iter().flatten().filter_map(|(_, value)| value.as_str());
    let told: Vec<&str> = values.filter(|value| value.len() >= TELLING_BYTES).collect();
    holds(document, &|text| told.iter().any(|value| text.contains(value)))
}

fn holds(document: &Value, wanted: &dyn Fn(&str) -> bool) -> bool {
    match document {
        Value::String(text) => wanted(text),
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(fields) => {
            fields.iter().any(|(key, field)| wanted(key) || holds(field, wanted))
        }
        _ => false,
    }
}

/// Has a definition's Secret refer to the secrets of the operator, by their keys.
pub(super) fn refer(shell: &mut Value, secret: &Value) {
    let texts = keys(secret).map(|key| {
        let reference = format!("{{{{ secrets['{key}'] }}}}");
        (key.to_owned(), Value::String(reference))
    });
    if let Some(fields) = shell.as_object_mut() {
        fields.insert("stringData".to_owned(), Value::Object(texts.collect()));
    }
}
