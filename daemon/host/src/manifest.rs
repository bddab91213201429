//! `plugin.toml`: what a plugin says about itself, and what it asks for.

use deployd_core::Digest;
use deployd_core::config::{EffectLevel, PluginKind};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{self, bytes_text};

/// A `plugin.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its id: a-z, 0-9 and `-`.
    pub id: String,
    /// Its version, for people.
    pub version: String,
    /// Its kind.
    pub kind: PluginKind,
    /// One sentence about it.
    pub description: String,
    /// The component's digest; missing where the author has not released it yet.
    pub digest: Option<Digest>,
    /// How safe it is to repeat what it does; drivers say it.
    pub repeat: Option<EffectLevel>,
    /// What it asks for.
    pub asks: Asks,
    /// The JSON Schema of its configuration (of a driver: of its inputs).
    pub schema: Option<Value>,
}

/// What a plugin asks the operator for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asks {
    /// Places to connect to: `host:port` or `scheme://host:port`; `*` for
    /// whichever the grant names.
    pub hosts: Vec<String>,
    /// Names of secrets to place; `*` for whichever the grant names.
    pub secrets: Vec<String>,
    /// To have secrets generated for its resources.
    pub generate_secrets: bool,
    /// To be told how the pods are of what it checks.
    pub pods: bool,
    /// To read the values of the secrets that it asks for.
    pub reveal_secrets: bool,
    /// More memory than the host's own limit.
    pub memory_mib: Option<u32>,
}

/// Why a `plugin.toml` is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is far too long.
    #[error("{file} has {bytes} bytes, and may have {}", bytes_text(limits::MANIFEST_BYTES))]
    TooLarge {
        /// Which file.
        file: String,
        /// Its size.
        bytes: usize,
    },
    /// It is not as it should be written.
    #[error("{file}{}: {problem}", at_line(*line))]
    Invalid {
        /// Which file.
        file: String,
        /// Where in it.
        line: Option<usize>,
        /// What is wrong there, and what was expected.
        problem: String,
    },
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

/// The form of the file: a key that is not here is a mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    id: toml::Spanned<String>,
    version: String,
    kind: toml::Spanned<String>,
    description: String,
    digest: Option<toml::Spanned<String>>,
    effects: Option<Effects>,
    #[serde(default)]
    asks: Asks,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Effects {
    repeat: EffectLevel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    schema: toml::Spanned<toml::Value>,
}

impl Manifest {
    /// Reads a `plugin.toml`. `file` is how errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        if text.len() > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { file: file.to_owned(), bytes: text.len() });
        }
        let invalid = |at: Option<usize>, problem: String| ManifestError::Invalid {
            file: file.to_owned(),
            line: at.map(|at| line_of(text, at)),
            problem,
        };
        let form: Form = toml::from_str(text).map_err(|error| {
            let problem = error.message().trim().replace('\n', ", ");
            invalid(error.span().map(|span| span.start), problem)
        })?;

        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if form.id.get_ref().is_empty() || !form.id.get_ref().chars().all(fits) {
            return Err(invalid(
                Some(form.id.span().start),
                format!("id {:?} may have a-z, 0-9 and - only", form.id.get_ref()),
            ));
        }
        let kind = match form.kind.get_ref().as_str() {
            "driver" => PluginKind::Driver,
            "templater" => PluginKind::Templater,
            "strategy" => PluginKind::Strategy,
            "notifier" => PluginKind::Notifier,
            "receiver" => PluginKind::Receiver,
            "check" => PluginKind::Check,
            "policy" => PluginKind::Policy,
            other => {
                return Err(invalid(
                    Some(form.kind.span().start),
                    format!(
                        "kind {other:?} is none that this daemon hosts; \
                         expected driver, templater, strategy, notifier, receiver, check or policy"
                    ),
                ));
            }
        };
        if kind == PluginKind::Driver && form.effects.is_none() {
            return Err(invalid(
                None,
                "a driver says how safe it is to repeat: [effects] repeat = \
                 \"fenced\", \"keyed\", \"idempotent\" or \"unsafe\""
                    .to_owned(),
            ));
        }
        let digest =
            form.digest
                .map(|digest| {
                    digest.get_ref().parse().map_err(|error| {
                        invalid(Some(digest.span().start), format!("digest: {error}"))
                    })
                })
                .transpose()?;
        let schema = form
            .config
            .map(|config| {
                let at = config.schema.span().start;
                schema(config.schema.into_inner()).map_err(|problem| invalid(Some(at), problem))
            })
            .transpose()?;
        Ok(Self {
            id: form.id.into_inner(),
            version: form.version,
            kind,
            description: form.description,
            digest,
            repeat: form.effects.map(|effects| effects.repeat),
            asks: form.asks,
            schema,
        })
    }
}

/// A schema is a table, or the text of a JSON document.
fn schema(schema: toml::Value) -> Result<Value, String> {
    match schema {
        toml::Value::String(text) => serde_json::from_str(&text).map_err(|error| {
            format!("config.schema must be a table, or JSON in a string; it is neither: {error}")
        }),
        table @ toml::Value::Table(_) => {
            serde_json::to_value(table).map_err(|error| format!("config.schema: {error}"))
        }
        _ => Err("config.schema must be a table, or JSON in a string".to_owned()),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVER: &str = r#"id = "bucket"
version = "0.1.0"
kind = "driver"
description = "Buckets"
[effects]
repeat = "keyed"
"#;

    fn error(text: &str) -> String {
        Manifest::parse("bucket/plugin.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = format!(
            "{DRIVER}[asks]\nsecrets = ['dns-key']\ngenerate_secrets = true\n\
             [config.schema]\ntype = 'object'\n"
        );
        let manifest = Manifest::parse("plugin.toml", &text).unwrap();
        assert_eq!(manifest.kind, PluginKind::Driver);
        assert_eq!(manifest.repeat, Some(EffectLevel::Keyed));
        assert_eq!(manifest.asks.secrets, ["dns-key"]);
        assert_eq!(manifest.schema, Some(serde_json::json!({"type": "object"})));
        let text = format!("{DRIVER}[config]\nschema = '{{\"type\": \"object\"}}'\n");
        let same = Manifest::parse("plugin.toml", &text).unwrap();
        assert_eq!(same.schema, manifest.schema);
    }

    #[test]
    fn errors_name_file_and_line() {
        assert_eq!(
            error(&format!("{DRIVER}[asks]\nhost = []\n")),
            "bucket/plugin.toml:8: unknown field `host`, expected one of `hosts`, `secrets`, \
             `generate_secrets`, `pods`, `reveal_secrets`, `memory_mib`"
        );
        assert!(
            error(&DRIVER.replace("driver", "listener")).starts_with("bucket/plugin.toml:3: kind")
        );
        assert!(error("id = \"bucket\"").contains("missing field"));
        assert!(error("kind = \"strategy\nid=").contains(":1: "));
        assert!(error(&DRIVER.replace("keyed", "maybe")).contains(":6: "));
        let no_effects = DRIVER.split("[effects]").next().unwrap();
        assert!(error(no_effects).contains("[effects] repeat"));
        let digest = format!("digest = 'sha256:12'\n{DRIVER}");
        assert!(error(&digest).starts_with("bucket/plugin.toml:1: digest"), "{}", error(&digest));
        let schema = format!("{DRIVER}[config]\nschema = 'inputs.json'\n");
        assert!(error(&schema).starts_with("bucket/plugin.toml:8: config.schema"));
    }
}
