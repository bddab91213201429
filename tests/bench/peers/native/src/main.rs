//! Makes databases and names as a native program does.
//!
//! `native PORT AUTHORITY PASSWORD PORT ZONE KEY SECRET`: PostgreSQL first, then
//! the name server. A line of the input, `database FIRST COUNT` or
//! `name FIRST COUNT`, is answered by a line with the microseconds of each,
//! between commas, or by one that begins with `error`.

mod databases;
mod names;

use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [postgresql, authority, password, dns, zone, key, secret] = arguments.as_slice() else {
        bail!("native PORT AUTHORITY PASSWORD PORT ZONE KEY SECRET");
    };
    let authority = std::fs::read(authority).with_context(|| authority.clone())?;
    let databases = databases::Native::new(postgresql.parse()?, &authority, password)?;
    let names = names::Native::new(dns.parse()?, zone, key, secret)?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match answer(&databases, &names, &line).await {
            Ok(times) => times.join(","),
            Err(error) => format!("error: {error:#}").replace('\n', " "),
        };
        stdout().write_all(format!("{answer}\n").as_bytes()).await?;
        stdout().flush().await?;
    }
    Ok(())
}

async fn answer(
    databases: &databases::Native,
    names: &names::Native,
    line: &str,
) -> anyhow::Result<Vec<String>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [what, first, count] = words.as_slice() else { bail!("what is {line:?}?") };
    let (first, count): (u32, u32) = (first.parse()?, count.parse()?);
    let mut times = Vec::new();
    for number in first..first + count {
        let begun = Instant::now();
        match *what {
            "database" => databases.make(&format!("native_{number}")).await?,
            "name" => names.make(&format!("native-{number}")).await?,
            _ => bail!("what is a {what}?"),
        }
        times.push(begun.elapsed().as_micros().to_string());
    }
    Ok(times)
}
