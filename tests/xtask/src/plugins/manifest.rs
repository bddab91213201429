//! `plugin.toml`, as its author writes it and as it lies beside the component.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

const KINDS: [&str; 7] =
    ["driver", "templater", "strategy", "notifier", "receiver", "check", "policy"];
const REPEATS: [&str; 4] = ["fenced", "keyed", "idempotent", "unsafe"];

/// What is checked of a `plugin.toml`.
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) kind: String,
    table: toml::Table,
}

/// The form of the file: a key that is not here is a mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    id: String,
    #[serde(rename = "version")]
    _version: String,
    kind: String,
    #[serde(rename = "description")]
    _description: String,
    effects: Option<Effects>,
    #[serde(default, rename = "asks")]
    _asks: Asks,
    #[serde(rename = "config")]
    _config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Effects {
    repeat: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asks {
    #[serde(rename = "hosts")]
    _hosts: Vec<String>,
    #[serde(rename = "secrets")]
    _secrets: Vec<String>,
    #[serde(rename = "generate_secrets")]
    _generate_secrets: bool,
    #[serde(rename = "pods")]
    _pods: bool,
    #[serde(rename = "reveal_secrets")]
    _reveal_secrets: bool,
    #[serde(rename = "memory_mib")]
    _memory_mib: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "schema")]
    _schema: toml::Value,
}

impl Manifest {
    /// Reads and checks the `plugin.toml` of a folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("plugin.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let form: Form = toml::from_str(text)?;
        let fitting = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !form.id.is_empty() && form.id.chars().all(fitting),
            "id {:?} may have a-z, 0-9 and - only",
            form.id
        );
        ensure!(KINDS.contains(&form.kind.as_str()), "kind {:?} is none of {KINDS:?}", form.kind);
        match &form.effects {
            Some(effects) => ensure!(
                REPEATS.contains(&effects.repeat.as_str()),
                "effects.repeat {:?} is none of {REPEATS:?}",
                effects.repeat
            ),
            None => ensure!(
                form.kind != "driver",
                "a driver says how safe it is to repeat: effects.repeat, one of {REPEATS:?}"
            ),
        }
        Ok(Self { id: form.id, kind: form.kind, table: text.parse()? })
    }

    /// The file that goes beside the component: with its digest, and with the
    /// schema inside that the author may keep in a neighbouring JSON file.
    pub(crate) fn released(&self, folder: &Path, component: &[u8]) -> anyhow::Result<String> {
        let mut table = self.table.clone();
        let digest = format!("sha256:{:x}", Sha256::digest(component));
        table.insert("digest".to_owned(), digest.into());
        if let Some(schema) = table.get_mut("config").and_then(|config| config.get_mut("schema")) {
            if let toml::Value::String(file) = schema {
                *schema = read_schema(&folder.join(file.as_str()))?;
            }
            if !schema.is_table() {
                bail!("config.schema is a table or the name of a JSON file");
            }
        }
        Ok(toml::to_string(&table)?)
    }
}

fn read_schema(path: &Path) -> anyhow::Result<toml::Value> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    toml::Value::try_from(json).with_context(|| format!("{}: TOML has no null", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVER: &str =
        "id = 'bucket'\nversion = '0.1.0'\nkind = 'driver'\ndescription = 'Buckets'\n";

    #[test]
    fn a_driver_must_say_how_safe_it_is_to_repeat() {
        let error = Manifest::parse(DRIVER).err().unwrap();
        assert!(error.to_string().contains("effects.repeat"), "{error}");
        let complete = format!("{DRIVER}[effects]\nrepeat = 'keyed'\n");
        assert_eq!(Manifest::parse(&complete).unwrap().id, "bucket");
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        let text = format!("{DRIVER}[effects]\nrepeat = 'keyed'\n[asks]\nhost = []\n");
        let error = format!("{:#}", Manifest::parse(&text).err().unwrap());
        assert!(error.contains("unknown field `host`"), "{error}");
    }

    #[test]
    fn the_released_manifest_has_digest_and_schema() {
        let folder = std::env::temp_dir().join(format!("xtask-manifest-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("inputs.json"), r#"{"type": "object"}"#).unwrap();
        let text =
            format!("{DRIVER}[effects]\nrepeat = 'keyed'\n[config]\nschema = 'inputs.json'\n");
        let released = Manifest::parse(&text).unwrap().released(&folder, b"abc").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let table: toml::Table = released.parse().unwrap();
        assert_eq!(
            table["digest"].as_str().unwrap(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(table["config"]["schema"]["type"].as_str(), Some("object"));
    }
}
