//! Links: where the value of an operator's secret is kept, when not here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest link: a path of a file system, and then some.
const CHARACTERS_MAX: usize = 1024;

/// How a link is written, for those who got it wrong.
const FORMS: &str = "file:/PATH, env:NAME, kubernetes:NAMESPACE/NAME#KEY or vault:MOUNT/PATH#FIELD";

/// Where a secret's value is kept. Has nothing of the value, and may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// A file on the daemon's machine: `file:/run/secrets/db`.
    File {
        /// Absolute, without `.` and `..`.
        path: String,
    },
    /// A variable of the daemon's environment: `env:DB_PASSWORD`.
    Env {
        /// Its name.
        name: String,
    },
    /// A Kubernetes Secret: `kubernetes:NAMESPACE/NAME#KEY`.
    Kubernetes {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key in its `data`.
        key: String,
    },
    /// A secret of Vault's or OpenBao's KV engine, version 2:
    /// `vault:MOUNT/PATH#FIELD`. A mount that has a slash in its name ends with
    /// two: `vault:team/kv//db#password`.
    Vault {
        /// The engine's mount.
        mount: String,
        /// The secret's path below it.
        path: String,
        /// The field.
        field: String,
    },
}

/// A kind of place that links lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkKind {
    /// A file.
    File,
    /// A variable of the environment.
    Env,
    /// A Kubernetes Secret.
    Kubernetes,
    /// Vault's KV engine.
    Vault,
}

impl LinkKind {
    /// As links begin.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Env => "env",
            Self::Kubernetes => "kubernetes",
            Self::Vault => "vault",
        }
    }
}

/// A text is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no place of a secret: {reason}; expected {FORMS}")]
pub struct InvalidLink {
    /// Why it is none.
    pub reason: String,
}

impl Link {
    /// The kind of place.
    pub fn kind(&self) -> LinkKind {
        match self {
            Self::File { .. } => LinkKind::File,
            Self::Env { .. } => LinkKind::Env,
            Self::Kubernetes { .. } => LinkKind::Kubernetes,
            Self::Vault { .. } => LinkKind::Vault,
        }
    }
}

impl FromStr for Link {
    type Err = InvalidLink;

    fn from_str(text: &str) -> Result<Self, InvalidLink> {
        let invalid = |reason: &str| InvalidLink { reason: reason.to_owned() };
        if text.chars().count() > CHARACTERS_MAX {
            return Err(InvalidLink {
                reason: format!("it has more than {CHARACTERS_MAX} characters"),
            });
        }
        if text.chars().any(|c| c.is_control() || super::is_bracket(c)) {
            return Err(invalid("it has a control character or a mark of references in it"));
        }
        let (kind, place) = text.split_once(':').ok_or_else(|| invalid("it does not say where"))?;
        match kind {
            "file" => {
                let below = place.strip_prefix('/').ok_or_else(|| invalid("no absolute path"))?;
                let path = segments(below).ok_or_else(|| invalid("a path without // . and .."))?;
                Ok(Self::File { path: format!("/{path}") })
            }
            "env" => {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let digit = place.starts_with(|c: char| c.is_ascii_digit());
                if place.is_empty() || digit || !place.chars().all(fits) {
                    return Err(invalid("a variable's name has A-Z a-z 0-9 and _"));
                }
                Ok(Self::Env { name: place.to_owned() })
            }
            "kubernetes" => {
                let (object, key) = place.split_once('#').ok_or_else(|| invalid("no #KEY"))?;
                let (namespace, name) =
                    object.split_once('/').ok_or_else(|| invalid("no NAMESPACE/NAME"))?;
                if !dns_name(namespace) || !dns_name(name) {
                    return Err(invalid("namespace and name have a-z 0-9 - and ."));
                }
                if !data_key(key) {
                    return Err(invalid("a key of a Secret has A-Z a-z 0-9 - _ and ."));
                }
                let [namespace, name, key] = [namespace, name, key].map(str::to_owned);
                Ok(Self::Kubernetes { namespace, name, key })
            }
            "vault" => {
                let (secret, field) = place.split_once('#').ok_or_else(|| invalid("no #FIELD"))?;
                let (mount, path) = secret
                    .split_once("//")
                    .or_else(|| secret.split_once('/'))
                    .ok_or_else(|| invalid("no MOUNT/PATH"))?;
                let (Some(mount), Some(path)) = (segments(mount), segments(path)) else {
                    return Err(invalid("mount and path have no empty segment, no . and no .."));
                };
                if field.is_empty() {
                    return Err(invalid("the field has no name"));
                }
                Ok(Self::Vault { mount, path, field: field.to_owned() })
            }
            _ => Err(invalid("nothing is kept there")),
        }
    }
}

/// A relative path whose segments mean themselves.
fn segments(path: &str) -> Option<String> {
    let fits = |segment: &str| !matches!(segment, "" | "." | "..");
    path.split('/').all(fits).then(|| path.to_owned())
}

fn dns_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (1..=253).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.')
}

fn data_key(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=253).contains(&key.len()) && key.chars().all(fits)
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind().as_str())?;
        match self {
            Self::File { path } => f.write_str(path),
            Self::Env { name } => f.write_str(name),
            Self::Kubernetes { namespace, name, key } => write!(f, "{namespace}/{name}#{key}"),
            Self::Vault { mount, path, field } => {
                let between = if mount.contains('/') { "//" } else { "/" };
                write!(f, "{mount}{between}{path}#{field}")
            }
        }
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Link {
    fn schema_name() -> Cow<'static, str> {
        "Link".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": CHARACTERS_MAX,
            "pattern": "^(file:/|env:|kubernetes:|vault:).+$",
            "description": format!("Where a secret's value is kept: {FORMS}."),
            "examples": ["file:/run/secrets/db", "vault:kv/shop/db#password"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_they_are_written() {
        for text in [
            "file:/run/secrets/db",
            "env:DB_PASSWORD",
            "kubernetes:shop/db-credentials#tls.key",
            "vault:kv/db#password",
            "vault:kv/shop/staging/db#pass word",
            "vault:team/kv//shop/db#password",
        ] {
            let link: Link = text.parse().unwrap();
            assert_eq!(link.to_string(), text);
            let json = serde_json::to_string(&link).unwrap();
            assert_eq!(serde_json::from_str::<Link>(&json).unwrap(), link);
        }
        let link: Link = "vault:team/kv//shop/db#password".parse().unwrap();
        let Link::Vault { mount, path, .. } = link else { panic!("{link:?}") };
        assert_eq!((mount.as_str(), path.as_str()), ("team/kv", "shop/db"));
    }

    #[test]
    fn what_is_no_link_is_refused_with_what_was_expected() {
        for text in [
            "",
            "hunter2",
            "file:",
            "file:relative",
            "file:/a/../etc/passwd",
            "file:/a//b",
            "file:/a/.",
            "env:",
            "env:1A",
            "env:A-B",
            "env:A=B",
            "kubernetes:shop/db",
            "kubernetes:db#key",
            "kubernetes:a/b/c#key",
            "kubernetes:Shop/db#key",
            "kubernetes:../db#key",
            "kubernetes:shop/db#",
            "kubernetes:shop/db#a/b",
            "vault:kv#field",
            "vault:kv/db",
            "vault:kv/db#",
            "vault:kv/../sys#field",
            "vault:/db#field",
            "vault:kv/db/#field",
            "https://vault/kv",
            "file:/a\nb",
            "file:/⟦secret:operator/x⟧",
        ] {
            let error = text.parse::<Link>().unwrap_err().to_string();
            assert!(error.contains("vault:MOUNT/PATH#FIELD"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "what was given may be a secret: {error}");
        }
        assert!(format!("file:/{}", "a".repeat(CHARACTERS_MAX)).parse::<Link>().is_err());
    }
}
