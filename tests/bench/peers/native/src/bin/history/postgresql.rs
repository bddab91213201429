//! PostgreSQL, by prepared statements of one connection.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::names::{ENVIRONMENTS, Numbers, Place};
use crate::schema::{
    Documents, INDEXES, Parameter, TABLES, answer, differences, other, parameters, statement,
};

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
        for application in 0..applications {
            let [mut deployments, mut stays, mut contents] = [const { String::new() }; 3];
            let mut known = HashSet::new();
            for environment in 0..ENVIRONMENTS {
                for version in 0..versions {
                    let row = documents.row(Place { application, environment, version }, versions);
                    let [set, plan, manifests] = &row.contents;
                    let number = row.number.to_string();
                    let columns = [&row.id, &row.environment, &number, &set.0, &plan.0];
                    line(&mut deployments, columns.into_iter().chain([&manifests.0, &row.record]));
                    let until = row.until.map_or("\\N".to_owned(), |until| until.to_string());
                    let from = row.from.to_string();
                    let outcome = "succeeded".to_owned();
                    let columns = [&row.image, &row.environment, &row.id, &from];
                    line(&mut stays, columns.into_iter().chain([&until, &number, &outcome]));
                    for (digest, body) in &row.contents {
                        if known.insert(digest.clone()) {
                            line(&mut contents, [digest, body].into_iter());
                        }
                    }
                }
            }
            for (table, rows) in
                [("deployments", deployments), ("stays", stays), ("contents", contents)]
            {
                let sink = self.0.copy_in(&format!("COPY {table} FROM STDIN")).await?;
                let mut sink = pin!(sink);
                sink.send(Bytes::from(rows)).await?;
                sink.finish().await?;
            }
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
        let statement = self.prepared(question).await?;
        let mut times = Vec::new();
        for _ in 0..count {
            let place = numbers.place(size);
            let begun = Instant::now();
            let found = self.one(question, &statement, place, size.1).await?;
            times.push(begun.elapsed().as_nanos());
            ensure!(!found.is_empty(), "{question} finds nothing");
        }
        Ok(times)
    }

    pub async fn answer(
        &self,
        question: &str,
        place: Place,
        versions: u64,
    ) -> anyhow::Result<String> {
        let statement = self.prepared(question).await?;
        Ok(self.one(question, &statement, place, versions).await?.join(", "))
    }

    async fn prepared(&self, question: &str) -> anyhow::Result<Statement> {
        let text = statement(question)?.replace("?1", "$1").replace("?2", "$2");
        Ok(self.0.prepare(&text).await?)
    }

    async fn one(
        &self,
        question: &str,
        statement: &Statement,
        place: Place,
        versions: u64,
    ) -> anyhow::Result<Vec<String>> {
        let found = self.rows(statement, &parameters(question, place, versions)).await?;
        if question != "diff" {
            return answer(question, &found);
        }
        let other = parameters(question, other(place, versions), versions);
        differences(&found, &self.rows(statement, &other).await?)
    }

    /// All columns of all rows.
    async fn rows(
        &self,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> anyhow::Result<Vec<Vec<String>>> {
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|parameter| match parameter {
                Parameter::Text(text) => text as &(dyn ToSql + Sync),
                Parameter::Number(number) => number,
            })
            .collect();
        let rows = self.0.query(statement, &parameters).await?;
        rows.iter().map(columns).collect()
    }
}

fn columns(row: &Row) -> anyhow::Result<Vec<String>> {
    (0..row.len())
        .map(|place| {
            Ok(match row.columns().get(place).map(|column| column.type_()) {
                Some(&Type::INT8) => {
                    row.try_get::<_, Option<i64>>(place)?.unwrap_or_default().to_string()
                }
                _ => row.try_get(place).context("a text")?,
            })
        })
        .collect()
}

/// A line of `COPY`.
fn line<'c>(lines: &mut String, columns: impl Iterator<Item = &'c String>) {
    for (place, column) in columns.enumerate() {
        if place > 0 {
            lines.push('\t');
        }
        match column.as_str() {
            "\\N" => lines.push_str(column),
            // JSON has no other characters that mean something here.
            text => lines.push_str(&text.replace('\\', "\\\\")),
        }
    }
    lines.push('\n');
}
