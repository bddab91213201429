//! PostgreSQL, by prepared statements of one connection.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row as Found, Statement};

use crate::names::{ENVIRONMENTS, Numbers, Place};
use crate::schema::{Documents, INDEXES, TABLES, differences, statement};

pub struct Peer(Client);

impl Peer {
    pub async fn connect(port: u16, password: &str) -> anyhow::Result<Self> {
        let config =
            format!("host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(TABLES).await?;
        Ok(Self(client))
    }

    pub async fn load(
        &mut self,
        (applications, versions): (u64, u64),
        documents: &Documents,
    ) -> anyhow::Result<i64> {
        self.0.batch_execute("SET synchronous_commit = off").await?;
        let deployments =
            self.0.prepare("INSERT INTO deployments VALUES ($1,$2,$3,$4,$5,$6,$7)").await?;
        let stays =
            self.0.prepare("INSERT INTO stays VALUES ($1,$2,$3,$4,$5,$6,'succeeded')").await?;
        let contents =
            self.0.prepare("INSERT INTO contents VALUES ($1,$2) ON CONFLICT DO NOTHING").await?;
        for application in 0..applications {
            let transaction = self.0.transaction().await?;
            for environment in 0..ENVIRONMENTS {
                for version in 0..versions {
                    let row = documents.row(Place { application, environment, version }, versions);
                    let [set, plan, manifests] = &row.contents;
                    let values: [&(dyn ToSql + Sync); 7] = [
                        &row.id,
                        &row.environment,
                        &row.number,
                        &set.0,
                        &plan.0,
                        &manifests.0,
                        &row.record,
                    ];
                    transaction.execute(&deployments, &values).await?;
                    let values: [&(dyn ToSql + Sync); 6] =
                        [&row.image, &row.environment, &row.id, &row.from, &row.until, &row.number];
                    transaction.execute(&stays, &values).await?;
                    for (digest, body) in &row.contents {
                        transaction.execute(&contents, &[digest, body]).await?;
                    }
                }
            }
            transaction.commit().await?;
        }
        self.0.batch_execute(INDEXES).await?;
        self.0.batch_execute("VACUUM ANALYZE").await?;
        let size = self.0.query_one("SELECT pg_database_size('postgres')", &[]).await?;
        Ok(size.get::<_, i64>(0) / (applications * ENVIRONMENTS * versions).max(1) as i64)
    }

    pub async fn ask(
        &mut self,
        question: &str,
        mut numbers: Numbers,
        size: (u64, u64),
        count: usize,
    ) -> anyhow::Result<Vec<u128>> {
        let text = statement(question)?.replace("?1", "$1").replace("?2", "$2");
        let statement = self.0.prepare(&text).await?;
        let mut times = Vec::new();
        for _ in 0..count {
            let place = numbers.place(size);
            let begun = Instant::now();
            let found = self.one(question, &statement, place, size).await?;
            times.push(begun.elapsed().as_nanos());
            ensure!(found > 0, "{question} finds nothing");
        }
        Ok(times)
    }

    async fn one(
        &self,
        question: &str,
        statement: &Statement,
        place: Place,
        (_, versions): (u64, u64),
    ) -> anyhow::Result<usize> {
        let production = Place { environment: ENVIRONMENTS - 1, ..place }.environment_name();
        let newest = Place { version: versions - 1, ..place }.image();
        let (id, image, environment) =
            (place.deployment(), place.image(), place.environment_name());
        let rows = match question {
            "diff" => {
                let other = Place { version: (place.version + 1) % versions, ..place };
                let a = texts(&self.0.query(statement, &[&id]).await?)?;
                let b = texts(&self.0.query(statement, &[&other.deployment()]).await?)?;
                return differences(&a, &b);
            }
            "look-up" => self.0.query(statement, &[&id]).await?,
            "where" => self.0.query(statement, &[&newest]).await?,
            "before" => self.0.query(statement, &[&image, &production]).await?,
            "timeline" => self.0.query(statement, &[&environment]).await?,
            _ => self.0.query(statement, &[&environment, &(place.queued() + 1_800_000)]).await?,
        };
        if matches!(question, "look-up" | "timeline" | "at") {
            for record in texts(&rows)? {
                serde_json::from_str::<serde_json::Value>(&record)?;
            }
        }
        Ok(rows.len())
    }
}

/// The last column of each row.
fn texts(rows: &[Found]) -> anyhow::Result<Vec<String>> {
    rows.iter().map(|row| row.try_get(row.len() - 1).context("a text")).collect()
}
