//! Keeps a history of deployments in PostgreSQL and in SQLite, with the indexes
//! that its questions want, and asks them.
//!
//! `history PORT PASSWORD SQLITE DOCUMENTS`: the server of PostgreSQL, the file of
//! SQLite, and a file with what is kept of one deployment. Lines of the input are
//! answered by a line each: `load APPLICATIONS VERSIONS` by the bytes that both
//! have per deployment, `postgresql|sqlite QUESTION SEED COUNT` by the nanoseconds
//! of each answer, between commas, `postgresql|sqlite QUESTION SEED` by the answer
//! itself; or by one that begins with `error`.

mod names;
mod postgresql;
mod schema;
mod sqlite;

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, bail};
use names::Numbers;
use schema::Documents;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, password, sqlite, documents] = arguments.as_slice() else {
        bail!("history PORT PASSWORD SQLITE DOCUMENTS");
    };
    let documents = Documents::read(documents)?;
    let mut server = postgresql::Peer::connect(port.parse()?, password).await?;
    let mut file = sqlite::Peer::open(sqlite)?;
    let mut size = (0, 0);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["load", applications, versions] => {
                size = (applications.parse()?, versions.parse()?);
                let [first, second] =
                    [server.load(size, &documents).await, file.load(size, &documents)];
                first.and_then(|a| Ok(format!("PostgreSQL {a}, SQLite {}", second?)))
            }
            [peer, question, seed, count] => {
                let (numbers, count) = (Numbers(seed.parse()?), count.parse()?);
                match *peer {
                    "postgresql" => server.ask(question, numbers, size, count).await,
                    "sqlite" => file.ask(question, numbers, size, count),
                    _ => bail!("who is {peer}?"),
                }
                .map(|times| times.iter().map(u128::to_string).collect::<Vec<_>>().join(","))
            }
            [peer, question, seed] => {
                let place = Numbers(seed.parse()?).place(size);
                match *peer {
                    "postgresql" => server.answer(question, place, size.1).await,
                    "sqlite" => file.answer(question, place, size.1),
                    _ => bail!("who is {peer}?"),
                }
            }
            _ => bail!("what is {line:?}?"),
        };
        let answer = answer.unwrap_or_else(|error| format!("error: {error:#}").replace('\n', " "));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").context("answering")?;
        out.flush()?;
    }
    Ok(())
}
