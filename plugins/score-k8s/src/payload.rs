//! What goes into a workload's ConfigMap and Secret.

use deployd_plugin_sdk::{name, secret};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Texts by key, sorted by whether they hold secrets.
#[derive(Debug)]
pub(crate) struct Payload {
    workload: String,
    data: Map<String, Value>,
    binary_data: Map<String, Value>,
    string_data: Map<String, Value>,
}

/// Where a text has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    ConfigMap,
    Secret,
}

impl Payload {
    pub(crate) fn new(workload: &str) -> Self {
        Self {
            workload: workload.to_owned(),
            data: Map::new(),
            binary_data: Map::new(),
            string_data: Map::new(),
        }
    }

    pub(crate) fn config_map_name(&self) -> String {
        format!("{}-files", self.workload)
    }

    pub(crate) fn secret_name(&self) -> String {
        format!("{}-secrets", self.workload)
    }

    /// Adds a file's content.
    pub(crate) fn add_text(&mut self, key: &str, text: &str) -> Place {
        if secret::contains_reference(text) {
            self.add_secret(key, text);
            return Place::Secret;
        }
        self.data.insert(key.to_owned(), text.into());
        Place::ConfigMap
    }

    /// Adds a file's content in base 64.
    pub(crate) fn add_binary(&mut self, key: &str, base64: &str) -> Place {
        self.binary_data.insert(key.to_owned(), base64.into());
        Place::ConfigMap
    }

    /// Adds a text that holds a secret.
    pub(crate) fn add_secret(&mut self, key: &str, text: &str) {
        self.string_data.insert(key.to_owned(), text.into());
    }

    pub(crate) fn config_map(&self) -> Value {
        if self.data.is_empty() && self.binary_data.is_empty() {
            return Value::Null;
        }
        json!({
            "name": self.config_map_name(),
            "data": non_empty(&self.data),
            "binary_data": non_empty(&self.binary_data),
        })
    }

    pub(crate) fn secret(&self) -> Value {
        if self.string_data.is_empty() {
            return Value::Null;
        }
        json!({"name": self.secret_name(), "string_data": self.string_data})
    }

    /// Changes when a content does, so that pods that read it are exchanged.
    /// Of secrets it sees references only.
    pub(crate) fn checksum(&self) -> Value {
        let content = json!([self.data, self.binary_data, self.string_data]);
        if content == json!([{}, {}, {}]) {
            return Value::Null;
        }
        let digest = Sha256::digest(content.to_string().as_bytes());
        format!("{digest:x}").into()
    }
}

fn non_empty(map: &Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { Value::Object(map.clone()) }
}

/// A key that ConfigMaps and Secrets accept, readable, and another one for each
/// text: keys may not contain `/`, and cleaned texts can coincide.
pub(crate) fn key(container: &str, text: &str) -> String {
    let last = text.rsplit('/').next().unwrap_or(text);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if last == text && text.chars().all(fits) && text.len() <= 100 {
        return format!("{container}.{text}");
    }
    let clean: String = last.chars().filter(|c| fits(*c)).take(100).collect();
    format!("{container}.{clean}.{}", name::short(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_valid_and_distinct() {
        assert_eq!(key("web", "DB_PASSWORD"), "web.DB_PASSWORD");
        let (one, two) = (key("web", "/etc/a/app.conf"), key("web", "/etc/b/app.conf"));
        assert!(one.starts_with("web.app.conf.") && one != two, "{one} {two}");
    }

    #[test]
    fn the_checksum_follows_every_content() {
        let mut payload = Payload::new("web");
        assert_eq!(payload.checksum(), Value::Null);
        payload.add_text("a", "1");
        let one = payload.checksum();
        payload.add_secret("b", "⟦secret:r/x⟧");
        assert_ne!(one, payload.checksum());
    }
}
