//! Tables, indexes and questions: the same in both.

use anyhow::Context as _;
use serde_json::Value;

use crate::names::{Place, TOOK_MS, hex};

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
            "SELECT environment, deployment, from_ms FROM stays WHERE image = ?1 AND until_ms IS NULL"
        }
        "before" => {
            "SELECT environment, deployment, from_ms, until_ms, outcome FROM stays WHERE image = ?1
             AND from_ms < (SELECT min(from_ms) FROM stays WHERE image = ?1 AND environment = ?2)
             ORDER BY from_ms"
        }
        "timeline" => {
            "SELECT record FROM deployments WHERE environment = ?1 ORDER BY number DESC LIMIT 20"
        }
        "at" => {
            "SELECT stays.image, stays.deployment, deployments.record FROM stays
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

/// What is kept of one deployment.
pub struct Documents {
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

impl Documents {
    pub fn read(path: &str) -> anyhow::Result<Self> {
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let text =
            |name: &str| Ok::<_, anyhow::Error>(all.get(name).context("a document")?.to_string());
        Ok(Self {
            record: text("record")?,
            contents: [text("set")?, text("plan")?, text("manifests")?],
        })
    }

    /// A deployment, with documents of its own.
    pub fn row(&self, place: Place, versions: u64) -> Row {
        let name = place.application_name();
        let renamed = |text: &str| {
            text.replace("app-zzzz", &name).replace("registry.test/web:1", &place.image())
        };
        let contents = self.contents.each_ref().map(|text| {
            let text = renamed(text);
            (hex(text.as_bytes()), text)
        });
        Row {
            id: place.deployment(),
            environment: place.environment_name(),
            number: place.version as i64 + 1,
            record: renamed(&self.record),
            contents,
            image: place.image(),
            from: place.queued() + TOOK_MS as i64,
            until: place.until(versions),
        }
    }
}

/// How two deployments differ: set, plan and manifests.
pub fn differences(a: &[String], b: &[String]) -> anyhow::Result<usize> {
    let mut operations = 0;
    for (a, b) in a.iter().zip(b) {
        let (a, b): (Value, Value) = (serde_json::from_str(a)?, serde_json::from_str(b)?);
        operations += json_patch::diff(&a, &b).0.len();
    }
    Ok(operations)
}
