//! The journal: read, verified, copied.

use std::path::PathBuf;

use deployd_core::journal::EventRecord;
use deployd_core::ports::{FeedPosition, VerifyReport};
use deployd_core::views::TokenScope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::paging::PageSize;
use crate::access::Access::Needs;
use crate::answer::{Found, Listed};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem};

const READ: Operation = Operation::new(
    Get,
    "/v1/journal",
    Needs(TokenScope::Admin),
    "readJournal",
    "Everything that happened, in the order in which it was recorded",
);

const VERIFY: Operation = Operation::new(
    Post,
    "/v1/journal/verify",
    Needs(TokenScope::Admin),
    "verifyJournal",
    "Reads all of the journal and of the stored content, and says what is wrong",
)
.takes_long();

const BACKUP: Operation = Operation::new(
    Post,
    "/v1/backup",
    Needs(TokenScope::Admin),
    "backup",
    "Writes a copy of the store to a new file on the daemon's machine",
)
.takes_long();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(READ, read).add(VERIFY, verify).add(BACKUP, backup)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterPosition {
    /// Only events after this place.
    #[serde(default)]
    #[schemars(extend("maximum" = u64::MAX))]
    after: u64,
    /// Events on the page.
    #[serde(default)]
    limit: PageSize,
}

/// An event and its place.
#[derive(Serialize, JsonSchema)]
struct JournalEntry {
    /// Its place in the feed of all streams: 1 is the first event ever stored.
    position: FeedPosition,
    /// The event.
    #[serde(flatten)]
    record: EventRecord,
}

async fn read(
    api: Api,
    asked: Asked<Nothing, AfterPosition>,
) -> Result<Listed<Vec<JournalEntry>>, Box<Problem>> {
    let AfterPosition { after, limit } = asked.query;
    let items = api.engine().events(FeedPosition(after), limit.0).await?;
    let page: Vec<JournalEntry> = items
        .into_iter()
        .map(|item| JournalEntry { position: item.position, record: item.record })
        .collect();
    let next = limit.next(&page, "/v1/journal?", |entry| entry.position.0.to_string());
    Ok(Listed { page, next })
}

async fn verify(api: Api, asked: Asked) -> Result<Found<VerifyReport>, Box<Problem>> {
    Ok(Found(api.engine().verify(&asked.caller).await?))
}

/// Where a copy goes, and where it went.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// An absolute path on the daemon's machine, of a file that is not there.
    path: PathBuf,
}

async fn backup(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<Backup>>,
) -> Result<Found<Backup>, Box<Problem>> {
    let Json(backup) = asked.body;
    if !backup.path.is_absolute() {
        let detail =
            "path: found a relative path, expected an absolute one on the daemon's machine.";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    api.engine().backup(&asked.caller, &backup.path).await?;
    Ok(Found(backup))
}
