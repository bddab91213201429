//! SQLite, in this process.

use std::time::Instant;

use anyhow::ensure;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params};

use crate::names::{ENVIRONMENTS, Numbers, Place};
use crate::schema::{Documents, INDEXES, TABLES, differences, statement};

pub struct Peer(Connection);

impl Peer {
    pub fn open(path: &str) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Half a gibibyte, as is usual for a server of its own.
        connection.pragma_update(None, "mmap_size", 512 << 20)?;
        connection.execute_batch(TABLES)?;
        Ok(Self(connection))
    }

    pub fn load(
        &mut self,
        (applications, versions): (u64, u64),
        documents: &Documents,
    ) -> anyhow::Result<i64> {
        for application in 0..applications {
            let transaction = self.0.transaction()?;
            for environment in 0..ENVIRONMENTS {
                for version in 0..versions {
                    let row = documents.row(Place { application, environment, version }, versions);
                    let [set, plan, manifests] = &row.contents;
                    transaction
                        .prepare_cached("INSERT INTO deployments VALUES (?1,?2,?3,?4,?5,?6,?7)")?
                        .execute(params![
                            row.id,
                            row.environment,
                            row.number,
                            set.0,
                            plan.0,
                            manifests.0,
                            row.record
                        ])?;
                    transaction
                        .prepare_cached("INSERT INTO stays VALUES (?1,?2,?3,?4,?5,?6,'succeeded')")?
                        .execute(params![
                            row.image,
                            row.environment,
                            row.id,
                            row.from,
                            row.until,
                            row.number
                        ])?;
                    for (digest, body) in &row.contents {
                        transaction
                            .prepare_cached("INSERT OR IGNORE INTO contents VALUES (?1,?2)")?
                            .execute(params![digest, body])?;
                    }
                }
            }
            transaction.commit()?;
        }
        self.0.execute_batch(INDEXES)?;
        self.0.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")?;
        let pages: i64 = self.0.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let bytes: i64 = self.0.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok(pages * bytes / (applications * ENVIRONMENTS * versions).max(1) as i64)
    }

    pub fn ask(
        &mut self,
        question: &str,
        mut numbers: Numbers,
        size: (u64, u64),
        count: usize,
    ) -> anyhow::Result<Vec<u128>> {
        let mut statement = self.0.prepare(statement(question)?)?;
        let columns = statement.column_count();
        let mut rows = |parameters: &[Sql]| -> anyhow::Result<Vec<String>> {
            let wanted = statement.parameter_count();
            let given = rusqlite::params_from_iter(parameters.iter().take(wanted));
            let mut rows = statement.query(given)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                match row.get_ref(columns - 1)? {
                    rusqlite::types::ValueRef::Text(text) => {
                        found.push(String::from_utf8(text.to_vec())?)
                    }
                    other => found.push(format!("{other:?}")),
                }
            }
            Ok(found)
        };
        let mut times = Vec::new();
        for _ in 0..count {
            let place = numbers.place(size);
            let begun = Instant::now();
            let found = match question {
                "diff" => {
                    let other = Place { version: (place.version + 1) % size.1, ..place };
                    let a = rows(&[place.deployment().into()])?;
                    differences(&a, &rows(&[other.deployment().into()])?)?
                }
                _ => {
                    let found = rows(&parameters(question, place, size))?;
                    if matches!(question, "look-up" | "timeline" | "at") {
                        for record in &found {
                            serde_json::from_str::<serde_json::Value>(record)?;
                        }
                    }
                    found.len()
                }
            };
            times.push(begun.elapsed().as_nanos());
            ensure!(found > 0, "{question} finds nothing");
        }
        Ok(times)
    }
}

fn parameters(question: &str, place: Place, (_, versions): (u64, u64)) -> Vec<Sql> {
    let production = Place { environment: ENVIRONMENTS - 1, ..place };
    let newest = Place { version: versions - 1, ..place };
    match question {
        "look-up" => vec![place.deployment().into()],
        "where" => vec![newest.image().into()],
        "before" => vec![place.image().into(), production.environment_name().into()],
        "timeline" => vec![place.environment_name().into()],
        _ => vec![place.environment_name().into(), (place.queued() + 1_800_000).into()],
    }
}
