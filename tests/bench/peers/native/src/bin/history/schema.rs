//! Tables, indexes and questions: the same in both.

use anyhow::Context as _;
use serde_json::Value;

use crate::names::{ENVIRONMENTS, Place, TOOK_MS, hex};

/// What runs where has an index by image and one by environment; history has one
/// by environment. SQLite and PostgreSQL take the same text.
pub const TABLES: &str = "
    CREATE TABLE deployments (id TEXT PRIMARY KEY, environment TEXT NOT NULL,
        number BIGINT NOT NULL, set_digest TEXT NOT NULL, plan_digest TEXT NOT NULL,
        manifests_digest TEXT NOT NULL, record TEXT NOT NULL);
    CREATE TABLE stays (image TEXT NOT NULL, environment TEXT NOT NULL, deployment TEXT NOT NULL,
        from_ms BIGINT NOT NULL, until_ms BIGINT, number BIGINT NOT NULL, outcome TEXT NOT NULL);
    CREATE TABLE contents (digest TEXT PRIMARY KEY, body TEXT NOT NULL);";

pub const INDEXES: &str = "
    CREATE UNIQUE INDEX history ON deployments (environment, number DESC);
    CREATE INDEX by_image ON stays (image, environment, from_ms);
    CREATE INDEX by_environment ON stays (environment, from_ms DESC);";

/// The question's statement; `?1` and `?2` are its parameters.
pub fn statement(question: &str) -> anyhow::Result<&'static str> {
    Ok(match question {
        "look-up" => "SELECT record FROM deployments WHERE id = ?1",
        "where" => {
            "SELECT environment, deployment, from_ms FROM stays WHERE image = ?1 AND until_ms IS NULL
             ORDER BY environment"
        }
        "before" => {
            "SELECT environment, deployment, from_ms, until_ms FROM stays WHERE image = ?1
             AND environment <> ?2
             AND from_ms < (SELECT min(from_ms) FROM stays WHERE image = ?1 AND environment = ?2)
             ORDER BY from_ms"
        }
        "timeline" => {
            "SELECT record FROM deployments WHERE environment = ?1 ORDER BY number DESC LIMIT 20"
        }
        "at" => {
            "SELECT stays.deployment, stays.image, deployments.record FROM stays
             JOIN deployments ON deployments.id = stays.deployment
             WHERE stays.environment = ?1 AND from_ms <= ?2 ORDER BY from_ms DESC LIMIT 1"
        }
        "diff" => {
            "SELECT contents.body FROM deployments JOIN contents ON contents.digest IN
             (set_digest, plan_digest, manifests_digest)
             WHERE id = ?1 ORDER BY contents.digest = set_digest, contents.digest = plan_digest"
        }
        _ => anyhow::bail!("what is {question}?"),
    })
}

/// What a statement is asked with.
pub enum Parameter {
    Text(String),
    Number(i64),
}

/// The parameters of a question, all but those of a diff.
pub fn parameters(question: &str, place: Place, versions: u64) -> Vec<Parameter> {
    let production = Place { environment: ENVIRONMENTS - 1, ..place };
    let newest = Place { version: versions - 1, ..place };
    // In the middle of the time in which it ran.
    let then = place.queued() + 1_800_000;
    let text = Parameter::Text;
    match question {
        "where" => vec![text(newest.image())],
        "before" => vec![text(place.image()), text(production.environment_name())],
        "timeline" => vec![text(place.environment_name())],
        "at" => vec![text(place.environment_name()), Parameter::Number(then)],
        _ => vec![text(place.deployment())],
    }
}

/// The other deployment of a diff.
pub fn other(place: Place, versions: u64) -> Place {
    Place { version: (place.version + 1) % versions, ..place }
}

/// What comes of rows: records are read, as whoever asks would.
pub fn answer(question: &str, rows: &[Vec<String>]) -> anyhow::Result<Vec<String>> {
    let record = |row: &Vec<String>| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(row.last().context("no record")?)?)
    };
    let text = |record: &Value, field: &str| {
        let value = record.get(field).cloned().unwrap_or_default();
        value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    rows.iter()
        .map(|row| {
            Ok(match question {
                "look-up" => {
                    let record = record(row)?;
                    ["id", "environment", "number"].map(|field| text(&record, field)).join(" ")
                }
                "timeline" => text(&record(row)?, "id"),
                "at" => {
                    let _ = record(row)?;
                    row.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ")
                }
                _ => row.join(" "),
            })
        })
        .collect()
}

/// What is kept of one deployment, and which one.
pub struct Documents {
    of: Place,
    record: String,
    contents: [String; 3],
}

/// A row of each table, and its contents.
pub struct Row {
    pub id: String,
    pub environment: String,
    pub number: i64,
    pub record: String,
    pub contents: [(String, String); 3],
    pub image: String,
    pub from: i64,
    pub until: Option<i64>,
}

/// Stands for a deployment's number.
const NUMBER: i64 = 987_654_321;

impl Documents {
    pub fn read(path: &str) -> anyhow::Result<Self> {
        let mut all: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        *all.pointer_mut("/record/number").context("no number")? = NUMBER.into();
        let text =
            |name: &str| Ok::<_, anyhow::Error>(all.get(name).context("a document")?.to_string());
        Ok(Self {
            of: Place { application: 0, environment: ENVIRONMENTS - 1, version: 1 },
            record: text("record")?,
            contents: [text("set")?, text("plan")?, text("manifests")?],
        })
    }

    /// A deployment, with documents of its own.
    pub fn row(&self, place: Place, versions: u64) -> Row {
        let id = place.deployment();
        let (old, new) = (self.of.application_name(), place.application_name());
        let (last, own) = (self.of.environment, place.environment);
        let renamed = |text: &str| {
            text.replace(&self.of.image(), &place.image())
                .replace(&self.of.deployment(), &id)
                .replace(&format!("{old}/e{last}"), &format!("{new}/e{own}"))
                .replace(&format!("{old}-e{last}"), &format!("{new}-e{own}"))
                .replace(&old, &new)
        };
        let contents = self.contents.each_ref().map(|text| {
            let text = renamed(text);
            (hex(text.as_bytes()), text)
        });
        let number = place.version as i64 + 1;
        Row {
            environment: place.environment_name(),
            number,
            record: renamed(&self.record).replace(&NUMBER.to_string(), &number.to_string()),
            contents,
            image: place.image(),
            from: place.queued() + TOOK_MS as i64,
            until: place.until(versions),
            id,
        }
    }
}

/// How two deployments differ: set, plan and manifests.
pub fn differences(a: &[Vec<String>], b: &[Vec<String>]) -> anyhow::Result<Vec<String>> {
    let mut operations = 0;
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        let (a, b): (Value, Value) = (serde_json::from_str(a)?, serde_json::from_str(b)?);
        operations += json_patch::diff(&a, &b).0.len();
    }
    Ok((operations > 0).then(|| "they differ".to_owned()).into_iter().collect())
}
