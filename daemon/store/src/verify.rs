//! Reading everything, and saying what is wrong. One view, one record at a
//! time: the journal may be larger than memory.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use deployd_core::Digest;
use deployd_core::journal::{ChainError, Head, StreamId, Version, genesis, verify_chain};
use deployd_core::outbox::MessageStatus;
use deployd_core::ports::VerifyReport;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use crate::encode::StoredClaim;
use crate::error::Failure;
use crate::limits::FINDINGS_MAX;
use crate::sealed::Findings;
use crate::tables::{
    CLAIMS, EVENTS, FEED, HEADS, INDEXES, KEY_EXPIRY, KEYS, OBJECTS, OUTBOX, OUTBOX_DUE,
    OUTBOX_IDS, OUTBOX_STATUS,
};
use crate::{encode, events, objects, outbox, values};

/// Verifies all that is in this view. What can't be read is a finding, and
/// everything else is verified all the same.
pub(crate) fn verify(view: &ReadTransaction, findings: &Findings) -> Result<VerifyReport, Failure> {
    let mut report = VerifyReport::default();
    let sections = Sections { view, findings };
    let lengths = sections.of(&mut report, "the journal", streams)?;
    match lengths {
        Some(lengths) => {
            sections.of(&mut report, "the heads", |view, report| heads(view, &lengths, report))?;
            sections.of(&mut report, "the feed", |view, report| feed(view, &lengths, report))?;
        }
        None => {
            let part = sections.of(&mut report, "its unreadable part", journal_gap)?;
            part.into_iter().for_each(|part| damaged(&mut report, part));
            sections.of(&mut report, "the heads", |view, _| walk(&view.open_table(HEADS)?))?;
            sections.of(&mut report, "the feed", |view, _| walk(&view.open_table(FEED)?))?;
        }
    }
    sections.of(&mut report, "the projections", projections)?;
    sections.of(&mut report, "the content", content)?;
    sections.of(&mut report, "the outbox", messages)?;
    sections.of(&mut report, "the keys and claims", keys_and_claims)?;
    Ok(report)
}

/// Verifies one part after the other, so that each has its own findings.
struct Sections<'v> {
    view: &'v ReadTransaction,
    findings: &'v Findings,
}

impl Sections<'_> {
    /// What the work returns; none when damage kept it from its end.
    fn of<T>(
        &self,
        report: &mut VerifyReport,
        what: &str,
        work: impl FnOnce(&ReadTransaction, &mut VerifyReport) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let why = match catch_unwind(AssertUnwindSafe(|| work(self.view, report))) {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(failure)) if failure.is_damage() => failure.to_string(),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => "reading it ended in a panic".to_owned(),
        };
        let why = self.findings.describe(&why);
        damaged(report, format!("{what} can't be read to the end: {why}"));
        Ok(None)
    }
}

/// Reads all of a table.
fn walk<K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &impl ReadableTable<K, V>,
) -> Result<(), Failure> {
    for entry in table.iter()? {
        entry?;
    }
    Ok(())
}

/// Which events can't be read: those between the last that can be read from the
/// front and the first that can be from the back.
fn journal_gap(view: &ReadTransaction, _: &mut VerifyReport) -> Result<String, Failure> {
    let events = view.open_table(EVENTS)?;
    let name = |key: (&str, u64)| format!("event {} of stream {}", key.1, key.0);
    let (mut before, mut after) = ("the first".to_owned(), "the last".to_owned());
    for entry in events.iter()?.map_while(Result::ok) {
        before = name(entry.0.value());
    }
    for entry in events.iter()?.rev().map_while(Result::ok) {
        after = name(entry.0.value());
    }
    Ok(format!("the journal can't be read between {before} and {after}"))
}

fn damaged(report: &mut VerifyReport, what: String) {
    if report.damaged.len() < FINDINGS_MAX {
        report.damaged.push(what);
    }
}

fn broken(report: &mut VerifyReport, what: ChainError) {
    if report.broken.len() < FINDINGS_MAX {
        report.broken.push(what);
    }
}

/// Follows each stream's chain; returns how many events each has, and its last
/// hash where its chain holds.
fn streams(
    view: &ReadTransaction,
    report: &mut VerifyReport,
) -> Result<BTreeMap<String, (u64, Option<Digest>)>, Failure> {
    let kept = view.open_table(EVENTS)?;
    let mut lengths = BTreeMap::new();
    let mut stream = StreamId(String::new());
    let mut head: Option<Head> = None;
    let mut count = 0;
    for entry in kept.iter()? {
        let (key, event) = entry?;
        let (name, version) = key.value();
        if name != stream.0 {
            if count > 0 {
                lengths.insert(stream.0, (count, head.map(|head| head.hash)));
            }
            stream = StreamId(name.to_owned());
            head = Some(Head { version: Version(0), hash: genesis(&stream) });
            count = 0;
            report.streams += 1;
        }
        count += 1;
        report.events += 1;
        // Past a break nobody knows what it follows upon, and nobody asks.
        let previous = head.map_or_else(|| genesis(&stream), |head| head.hash);
        let record = match events::after(previous, &stream, version, event.value()) {
            Ok(record) => record,
            Err(error) => {
                damaged(report, error.to_string());
                head = None;
                continue;
            }
        };
        // Past its first break, a chain has no more to say.
        let Some(before) = head else { continue };
        head = match verify_chain(&stream, before, std::slice::from_ref(&record)) {
            Ok(after) => Some(after),
            Err(error) => {
                broken(report, error);
                None
            }
        };
    }
    if count > 0 {
        lengths.insert(stream.0, (count, head.map(|head| head.hash)));
    }
    Ok(lengths)
}

/// Compares recorded heads with what is there, both ways.
fn heads(
    view: &ReadTransaction,
    lengths: &BTreeMap<String, (u64, Option<Digest>)>,
    report: &mut VerifyReport,
) -> Result<(), Failure> {
    let heads = view.open_table(HEADS)?;
    for entry in heads.iter()? {
        let (name, bytes) = entry?;
        let stream = StreamId(name.value().to_owned());
        let head = match encode::to_head(&stream, Some(bytes.value())) {
            Ok(head) => head,
            Err(error) => {
                damaged(report, error.to_string());
                continue;
            }
        };
        let (found, hash) = lengths.get(name.value()).copied().unwrap_or((0, None));
        if found != head.version.0 {
            broken(report, ChainError::Head { stream, head: head.version.0, found });
        } else if hash.is_some_and(|hash| hash != head.hash) {
            broken(report, ChainError::Hash { stream, version: head.version.0 });
        }
    }
    for (name, (found, _)) in lengths {
        if ReadableTable::get(&heads, name.as_str())?.is_none() {
            let stream = StreamId(name.clone());
            broken(report, ChainError::Head { stream, head: 0, found: *found });
        }
    }
    Ok(())
}

/// The feed names every event once, without a gap, each stream's in order.
fn feed(
    view: &ReadTransaction,
    lengths: &BTreeMap<String, (u64, Option<Digest>)>,
    report: &mut VerifyReport,
) -> Result<(), Failure> {
    let feed = view.open_table(FEED)?;
    let mut expected = 0u64;
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for entry in feed.iter()? {
        let (position, place) = entry?;
        let (position, (name, version)) = (position.value(), place.value());
        expected += 1;
        if position != expected {
            damaged(report, format!("the feed has position {position} where {expected} should be"));
            expected = position;
        }
        let last = match seen.get_mut(name) {
            Some(last) => last,
            None => seen.entry(name.to_owned()).or_default(),
        };
        if version != *last + 1 {
            damaged(
                report,
                format!(
                    "the feed has event {version} of stream {name} at {position}, after {}",
                    *last
                ),
            );
        }
        *last = version;
    }
    for (name, (found, _)) in lengths {
        let told = seen.remove(name).unwrap_or(0);
        if told != *found {
            damaged(report, format!("the feed tells {told} events of stream {name} of {found}"));
        }
    }
    for (name, told) in seen {
        damaged(report, format!("the feed tells {told} events of stream {name}, which has none"));
    }
    Ok(())
}

fn projections(view: &ReadTransaction, report: &mut VerifyReport) -> Result<(), Failure> {
    for entry in view.open_table(INDEXES)?.iter()? {
        let (key, value) = entry?;
        let (index, key) = key.value();
        let what = || format!("{:?} of index {index}", String::from_utf8_lossy(key));
        if let Err(error) = values::unpack(what, value.value()) {
            damaged(report, error.to_string());
        }
    }
    Ok(())
}

fn content(view: &ReadTransaction, report: &mut VerifyReport) -> Result<(), Failure> {
    for entry in view.open_table(OBJECTS)?.iter()? {
        let (digest, packed) = entry?;
        report.objects += 1;
        if let Err(error) = objects::unpack(Digest::from_bytes(*digest.value()), packed.value()) {
            damaged(report, error.to_string());
        }
    }
    Ok(())
}

/// Every message can be read, and is where its status and due time say.
fn messages(view: &ReadTransaction, report: &mut VerifyReport) -> Result<(), Failure> {
    let outbox = view.open_table(OUTBOX)?;
    let ids = view.open_table(OUTBOX_IDS)?;
    let due = view.open_table(OUTBOX_DUE)?;
    let statuses = view.open_table(OUTBOX_STATUS)?;
    let mut pending = 0u64;
    for entry in outbox.iter()? {
        let number = entry?.0.value();
        let stored = match outbox::stored(&outbox, number) {
            Ok(stored) => stored,
            Err(Failure::Refused(error)) => {
                damaged(report, error.to_string());
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let message = stored.message;
        let id = ReadableTable::get(&ids, message.id.0.as_str())?.map(|number| number.value());
        if id != Some(number) {
            damaged(report, format!("message {} is not found by its id", message.id));
        }
        let status = (outbox::status_key(message.status), number);
        if ReadableTable::get(&statuses, status)?.is_none() {
            damaged(report, format!("message {} is not found by its status", message.id));
        }
        if message.status == MessageStatus::Pending {
            pending += 1;
            if ReadableTable::get(&due, (stored.available, number))?.is_none() {
                damaged(report, format!("message {} is pending and never due", message.id));
            }
        }
    }
    for (what, found, expected) in [
        ("ids", ids.len()?, outbox.len()?),
        ("statuses", statuses.len()?, outbox.len()?),
        ("due times", due.len()?, pending),
    ] {
        if found != expected {
            damaged(report, format!("the outbox has {found} {what} for {expected} messages"));
        }
    }
    Ok(())
}

fn keys_and_claims(view: &ReadTransaction, report: &mut VerifyReport) -> Result<(), Failure> {
    let keys = view.open_table(KEYS)?;
    let expiry = view.open_table(KEY_EXPIRY)?;
    for entry in keys.iter()? {
        let (key, record) = entry?;
        let name = key.value();
        match encode::to_key(record.value()) {
            Ok(record) => {
                if ReadableTable::get(&expiry, (record.expires, name))?.is_none() {
                    damaged(report, format!("idempotency key {name} never expires"));
                }
            }
            Err(error) => damaged(report, format!("{name}: {error}")),
        }
    }
    if keys.len()? != expiry.len()? {
        damaged(report, "idempotency keys and their expiries are not as many".to_owned());
    }
    for entry in view.open_table(CLAIMS)?.iter()? {
        let (stream, claim) = entry?;
        let what = format!("the claim of stream {}", stream.value());
        if let Err(error) = encode::from_json::<StoredClaim>(&what, claim.value()) {
            damaged(report, error.to_string());
        }
    }
    Ok(())
}
