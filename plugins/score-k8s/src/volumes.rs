//! The volumes of a pod: its files, and what its containers mount by name.

use crate::payload::{self, Payload, Place};
use crate::score::{File, Volume};
use deployd_plugin_sdk::{Fault, name, secret};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const FILES: &str = "files";
const SECRET_FILES: &str = "secret-files";
const MODE_DEFAULT: u32 = 0o644;

/// The volumes of one pod, by name.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    config_items: Vec<Value>,
    secret_items: Vec<Value>,
    named: BTreeMap<String, Value>,
}

impl Volumes {
    /// Puts a file into the payload and returns its mount.
    pub(crate) fn file(
        &mut self,
        path: &str,
        container: &str,
        target: &str,
        file: &File,
        payload: &mut Payload,
    ) -> Result<Value, Fault> {
        check_target(path, target)?;
        let mode = mode(path, file.mode.as_deref())?;
        let key = payload::key(container, target);
        let place = match (&file.content, &file.binary_content, &file.source) {
            (Some(text), None, None) => payload.add_text(&key, text),
            (None, Some(base64), None) => payload.add_binary(&key, base64),
            (None, None, Some(_)) => {
                let path = format!("{path}/source");
                return Err(Fault::invalid(
                    path,
                    "a file beside the Score file must be read before",
                ));
            }
            _ => return Err(Fault::invalid(path, "one of content and binaryContent")),
        };
        let item = json!({"key": key, "path": key, "mode": mode});
        let volume = match place {
            Place::ConfigMap => {
                self.config_items.push(item);
                FILES
            }
            Place::Secret => {
                self.secret_items.push(item);
                SECRET_FILES
            }
        };
        // One file of the volume: a whole directory would hide what the image has there.
        Ok(json!({"name": volume, "mountPath": target, "subPath": key, "readOnly": true}))
    }

    /// Adds a volume, once for all that mount it, and returns the mount.
    pub(crate) fn volume(
        &mut self,
        path: &str,
        target: &str,
        volume: &Volume,
    ) -> Result<Value, Fault> {
        check_target(path, target)?;
        let source = source(&format!("{path}/source"), &volume.source)?;
        let name = format!("volume-{}", name::short(&Value::Object(source.clone()).to_string()));
        let mut mount = Map::new();
        mount.insert("name".to_owned(), name.clone().into());
        mount.insert("mountPath".to_owned(), target.into());
        if let Some(inside) = volume.path.as_deref().map(|inside| inside.trim_start_matches('/')) {
            mount.insert("subPath".to_owned(), inside.into());
        }
        if volume.read_only == Some(true) {
            mount.insert("readOnly".to_owned(), true.into());
        }
        let mut entry = source;
        entry.insert("name".to_owned(), name.clone().into());
        self.named.insert(name, Value::Object(entry));
        Ok(Value::Object(mount))
    }

    /// The pod's volumes, files first.
    pub(crate) fn into_list(self, payload: &Payload) -> Vec<Value> {
        let mut list = Vec::new();
        if !self.config_items.is_empty() {
            let source = json!({"name": payload.config_map_name(), "items": self.config_items});
            list.push(json!({"name": FILES, "configMap": source}));
        }
        if !self.secret_items.is_empty() {
            let source = json!({"secretName": payload.secret_name(), "items": self.secret_items});
            list.push(json!({"name": SECRET_FILES, "secret": source}));
        }
        list.extend(self.named.into_values());
        list
    }
}

fn check_target(path: &str, target: &str) -> Result<(), Fault> {
    if !target.starts_with('/') || target.contains(':') {
        return Err(Fault::invalid(path, "an absolute path without a colon"));
    }
    Ok(())
}

fn mode(path: &str, mode: Option<&str>) -> Result<u32, Fault> {
    let Some(text) = mode else {
        return Ok(MODE_DEFAULT);
    };
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| Fault::invalid(format!("{path}/mode"), "an octal mode such as 0644"))
}

/// What a volume is made of: the volume source that a resource gave, as an object
/// or as its JSON text, or the name of a claim.
fn source(path: &str, source: &Value) -> Result<Map<String, Value>, Fault> {
    let refuse = |message: &str| Err(Fault::invalid(path, message));
    let source = match source {
        Value::Object(source) => source.clone(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(source)) => source,
            _ if text.is_empty() => return refuse("the name of a claim, or a volume source"),
            _ => Map::from_iter([("persistentVolumeClaim".to_owned(), json!({"claimName": text}))]),
        },
        _ => return refuse("the name of a claim, or a volume source"),
    };
    if secret::contains_reference(&Value::Object(source.clone()).to_string()) {
        return refuse("a secret can't be part of a volume source");
    }
    Ok(source)
}
