//! SQLite, in this process.

use std::time::Instant;

use anyhow::ensure;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Statement, params, params_from_iter};

use crate::names::{ENVIRONMENTS, Numbers, Place};
use crate::schema::{
    Documents, INDEXES, Parameter, TABLES, answer, differences, other, parameters, statement,
};

pub struct Peer(Connection);

impl Peer {
    pub fn open(path: &str) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // As much as PostgreSQL gets: pages, and the rest from the system's cache.
        connection.pragma_update(None, "cache_size", -(256 << 10))?;
        connection.pragma_update(None, "mmap_size", 768 << 20)?;
        // Only until it is loaded: then nothing is written any more.
        connection.pragma_update(None, "synchronous", "OFF")?;
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
        let mut times = Vec::new();
        for _ in 0..count {
            let place = numbers.place(size);
            let begun = Instant::now();
            let found = one(&mut statement, question, place, size.1)?;
            times.push(begun.elapsed().as_nanos());
            ensure!(!found.is_empty(), "{question} finds nothing");
        }
        Ok(times)
    }

    pub fn answer(&self, question: &str, place: Place, versions: u64) -> anyhow::Result<String> {
        let mut statement = self.0.prepare(statement(question)?)?;
        Ok(one(&mut statement, question, place, versions)?.join(", "))
    }
}

fn one(
    statement: &mut Statement<'_>,
    question: &str,
    place: Place,
    versions: u64,
) -> anyhow::Result<Vec<String>> {
    let mut rows = |place| rows(statement, &parameters(question, place, versions));
    match question {
        "diff" => differences(&rows(place)?, &rows(other(place, versions))?),
        _ => answer(question, &rows(place)?),
    }
}

/// All columns of all rows.
fn rows(
    statement: &mut Statement<'_>,
    parameters: &[Parameter],
) -> anyhow::Result<Vec<Vec<String>>> {
    let columns = statement.column_count();
    let parameters = parameters.iter().map(|parameter| match parameter {
        Parameter::Text(text) => Sql::Text(text.clone()),
        Parameter::Number(number) => Sql::Integer(*number),
    });
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let column = |place| -> anyhow::Result<String> {
            Ok(match row.get_ref(place)? {
                ValueRef::Text(text) => std::str::from_utf8(text)?.to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Null => "0".to_owned(),
                other => anyhow::bail!("a column is {other:?}"),
            })
        };
        found.push((0..columns).map(column).collect::<anyhow::Result<_>>()?);
    }
    Ok(found)
}
