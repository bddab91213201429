//! The journal: read, verified, copied.

use std::path::PathBuf;

use deployd_core::access::Action;
use deployd_core::journal::{EventRecord, StreamHead, StreamId, Version};
use deployd_core::ports::{FeedItem, FeedPosition, VerifyReport};
use deployd_engine::EngineError;
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
use crate::target::Target;

const READ: Operation = Operation::new(
    Get,
    "/v1/journal",
    Needs(Action::Audit, Target::Installation),
    "readJournal",
    "Everything that happened, in the order in which it was recorded; or one stream of it",
)
.looks_up();

const HEAD: Operation = Operation::new(
    Get,
    "/v1/journal/head",
    Needs(Action::Audit, Target::Installation),
    "journalHead",
    "Where a stream of the journal stands: its last event, and the hash of that",
)
.looks_up();

const VERIFY: Operation = Operation::new(
    Post,
    "/v1/journal/verify",
    Needs(Action::Audit, Target::Installation),
    "verifyJournal",
    "Reads all of the journal and of the stored content, and says what is wrong",
)
.takes_long();

const BACKUP: Operation = Operation::new(
    Post,
    "/v1/backup",
    Needs(Action::Export, Target::Installation),
    "backup",
    "Writes a copy of the store to a new file on the daemon's machine",
)
.takes_long();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(READ, read).add(HEAD, head).add(VERIFY, verify).add(BACKUP, backup)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JournalQuery {
    /// Only events after this place. Not beside `stream`.
    #[schemars(extend("maximum" = u64::MAX))]
    after: Option<u64>,
    /// Only events of this stream, in its order: `environment/shop/production`.
    stream: Option<String>,
    /// Only events of the stream from this version on.
    #[schemars(extend("maximum" = u64::MAX))]
    from: Option<u64>,
    /// Only events of the stream up to this version.
    #[schemars(extend("maximum" = u64::MAX))]
    to: Option<u64>,
    /// Events on the page.
    #[serde(default)]
    limit: PageSize,
}

/// An event and its place.
#[derive(Serialize, JsonSchema)]
struct JournalEntry {
    /// Its place in the feed of all streams: 1 is the first event ever stored. Not
    /// where one stream was asked for, in which its version is its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<FeedPosition>,
    /// The event.
    #[serde(flatten)]
    record: EventRecord,
}

async fn read(
    api: Api,
    asked: Asked<Nothing, JournalQuery>,
) -> Result<Listed<Vec<JournalEntry>>, Box<Problem>> {
    let JournalQuery { after, stream, from, to, limit } = asked.query;
    let Some(stream) = stream else {
        if from.is_some() || to.is_some() {
            let message = "from and to are versions of one stream; say which with stream";
            return Err(invalid("stream", message));
        }
        let after = FeedPosition(after.unwrap_or_default());
        let items = api.engine().events(after, limit.0).await?;
        let entry =
            |item: FeedItem| JournalEntry { position: Some(item.position), record: item.record };
        let page: Vec<JournalEntry> = items.into_iter().map(entry).collect();
        let place = |entry: &JournalEntry| entry.position.unwrap_or_default().0.to_string();
        let next = limit.next(&page, "/v1/journal?after=", place);
        return Ok(Listed { page, next });
    };
    if after.is_some() {
        let message = "places of the whole journal are none of a stream; from is a version";
        return Err(invalid("after", message));
    }
    let stream = StreamId(stream);
    let range = (Version(from.unwrap_or(1)), to.map(Version));
    let events = api.engine().stream(&stream, range, limit.0).await?;
    let page: Vec<JournalEntry> =
        events.into_iter().map(|record| JournalEntry { position: None, record }).collect();
    let path = match to {
        Some(to) => format!("/v1/journal?stream={stream}&to={to}&from="),
        None => format!("/v1/journal?stream={stream}&from="),
    };
    let next = limit.next(&page, &path, |entry| entry.record.version.next().0.to_string());
    Ok(Listed { page, next })
}

fn invalid(parameter: &str, message: &str) -> Box<Problem> {
    let problem = deployd_engine::Problem::new(parameter, message);
    EngineError::Invalid { problems: vec![problem] }.into()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeadQuery {
    /// The stream: `environment/shop/production`.
    stream: String,
}

async fn head(
    api: Api,
    asked: Asked<Nothing, HeadQuery>,
) -> Result<Found<StreamHead>, Box<Problem>> {
    Ok(Found(api.engine().stream_head(&StreamId(asked.query.stream)).await?))
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
