//! Whether what is in an archive fits together, each member being what it was when
//! it was written: what an import goes by, and a verification says.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ArchiveIndex, ArchivedDeployment, Finding, FindingKind, Member, MemberKind};
use crate::Digest;
use crate::config::Document;
use crate::deployment::{DeploymentRecord, Event};
use crate::details::Details;
use crate::journal::{EventRecord, Head, StreamId, Version, genesis, verify_chain};
use crate::plan::{Manifests, Plan};
use crate::ports::Provisioned;
use crate::replay::PlanBasis;
use crate::set::DeploymentSet;

/// All that does not fit. Contents are the members' by their digests, which have
/// been verified.
pub fn check(index: &ArchiveIndex, contents: &BTreeMap<Digest, Vec<u8>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &index.members {
        // What is not there was told already.
        if let Some(content) = contents.get(&member.digest) {
            findings.extend(understood(member, content));
        }
    }
    let kinds: BTreeMap<Digest, MemberKind> =
        index.members.iter().map(|member| (member.digest, member.kind)).collect();
    let absent: BTreeSet<Digest> = index.absent.iter().filter_map(|absent| absent.digest).collect();
    let mut needed = Needed { index, kinds, absent, findings: Vec::new() };
    if index.deployments.is_empty() {
        needed.contradicts(super::INDEX_NAME, "no deployment", "at least one");
    }
    for deployment in &index.deployments {
        needed.deployment(deployment, contents);
    }
    for plugin in &index.plugins {
        needed.there(MemberKind::Plugin, plugin.plugin.digest);
        needed.there(MemberKind::PluginManifest, plugin.manifest);
    }
    findings.extend(needed.findings);
    findings
}

/// Whether this version knows all that a member says.
fn understood(member: &Member, content: &[u8]) -> Option<Finding> {
    let lost = match member.kind {
        MemberKind::Record => lost::<DeploymentRecord>(content),
        MemberKind::Set => lost::<DeploymentSet>(content),
        MemberKind::Plan => lost::<Plan>(content),
        MemberKind::Basis => lost::<PlanBasis>(content),
        MemberKind::Document => lost::<Document>(content),
        MemberKind::Resource => lost::<Provisioned>(content),
        MemberKind::Manifests => lost::<Manifests>(content),
        MemberKind::Details => lost::<Details>(content),
        MemberKind::Events => lost_of_events(content),
        MemberKind::Result => lost::<Value>(content),
        MemberKind::Baseline | MemberKind::PluginManifest => match std::str::from_utf8(content) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        MemberKind::Plugin => Ok(()),
    };
    let found = lost.err()?;
    let expected = format!("only what this version knows of {}", member.kind);
    Some(Finding::new(member.name(), FindingKind::Newer, found, expected))
}

/// Reads what must be read wholly: what is left over, nobody here understands.
fn lost<T: DeserializeOwned + Serialize>(content: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    known::<T>(&value)
}

fn known<T: DeserializeOwned + Serialize>(value: &Value) -> Result<(), String> {
    let read: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    match left_over(value, &again, "") {
        Some(path) => Err(format!("the field {path}")),
        None => Ok(()),
    }
}

fn lost_of_events(content: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    known::<Vec<EventRecord>>(&value)?;
    for event in value.as_array().into_iter().flatten() {
        let body = event.get("body").unwrap_or(&Value::Null);
        let version = event.get("version").unwrap_or(&Value::Null);
        known::<Event>(body).map_err(|what| format!("event {version} with {what}"))?;
    }
    Ok(())
}

/// The first field that is gone after a document was read and written again; what
/// says nothing may go.
fn left_over(before: &Value, after: &Value, path: &str) -> Option<String> {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    };
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(name, value)| {
            let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
            match new.get(name) {
                Some(again) => left_over(value, again, &path),
                None if says_nothing(value) => None,
                None => Some(path),
            }
        }),
        (Value::Array(old), Value::Array(new)) => old
            .iter()
            .zip(new)
            .zip(0..)
            .find_map(|((old, new), place)| left_over(old, new, &format!("{path}/{place}"))),
        _ => None,
    }
}

/// What a deployment refers to, and whether it is there.
struct Needed<'i> {
    index: &'i ArchiveIndex,
    kinds: BTreeMap<Digest, MemberKind>,
    absent: BTreeSet<Digest>,
    findings: Vec<Finding>,
}

impl Needed<'_> {
    fn contradicts(
        &mut self,
        member: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.findings.push(Finding::new(member, FindingKind::Contradicts, found, expected));
    }

    /// Content that something refers to is a member of that kind, or said to be
    /// absent.
    fn there(&mut self, kind: MemberKind, digest: Digest) {
        match self.kinds.get(&digest) {
            Some(found) if *found == kind => {}
            Some(found) => {
                let (found, expected) = (format!("a member that is {found}"), format!("{kind}"));
                self.contradicts(self.index.name_of(digest), found, expected);
            }
            None if self.absent.contains(&digest) => {}
            None => self.findings.push(Finding::new(
                format!("{kind} {digest}"),
                FindingKind::Missing,
                "no such member in the index",
                "one, since the deployment refers to it",
            )),
        }
    }

    fn deployment(&mut self, entry: &ArchivedDeployment, contents: &BTreeMap<Digest, Vec<u8>>) {
        self.there(MemberKind::Record, entry.record);
        let content = |digest: Digest| contents.get(&digest).map(Vec::as_slice);
        let record: Option<DeploymentRecord> =
            content(entry.record).and_then(|bytes| serde_json::from_slice(bytes).ok());
        for document in &entry.documents {
            self.there(MemberKind::Document, *document);
        }
        if let Some(details) = entry.details {
            self.there(MemberKind::Details, details);
        }
        if let Some(events) = entry.events {
            self.there(MemberKind::Events, events);
        }
        let Some(record) = record else { return };
        let name = self.index.name_of(entry.record);
        let (found, expected) = (
            format!("deployment {} ({}#{})", record.id, record.environment, record.number),
            format!("{} ({}#{})", entry.id, entry.environment, entry.number),
        );
        if (&record.id, &record.environment, record.number)
            != (&entry.id, &entry.environment, entry.number)
        {
            self.contradicts(&name, found, expected);
        }
        if record.outcome.is_none() {
            self.contradicts(&name, "a deployment that has not ended", "one that has");
        }
        self.there(MemberKind::Set, record.request.set);
        if let Some(work) = &record.work {
            if let Some(plan) = work.plan {
                self.there(MemberKind::Plan, plan);
            }
            for step in &work.steps {
                if let Some(result) = step.result {
                    self.there(MemberKind::of_result(&step.kind), result);
                }
            }
        }
        let events = entry.events.and_then(|events| Some((events, content(events)?)));
        if let Some((digest, bytes)) = events {
            self.events(entry, &record, digest, bytes);
        }
    }

    fn events(
        &mut self,
        entry: &ArchivedDeployment,
        record: &DeploymentRecord,
        digest: Digest,
        bytes: &[u8],
    ) {
        let name = self.index.name_of(digest);
        let Ok(events) = serde_json::from_slice::<Vec<EventRecord>>(bytes) else { return };
        let stream = StreamId::environment(&entry.environment);
        let Some(first) = events.first() else {
            return self.contradicts(name, "no events", "those of the deployment");
        };
        let before = Version(first.version.0.saturating_sub(1));
        if before == Version(0) && first.previous != genesis(&stream) {
            self.contradicts(&name, "a chain without its beginning", format!("that of {stream}"));
        }
        let start = Head { version: before, hash: first.previous };
        let last = match verify_chain(&stream, start, &events) {
            Ok(last) => last,
            Err(broken) => {
                let expected = format!("an unbroken chain of events of {stream}");
                return self.contradicts(name, broken.to_string(), expected);
            }
        };
        if let Some(head) = entry.head.filter(|head| {
            head.version < last.version || (head.version == last.version && head.hash != last.hash)
        }) {
            let found = format!("events up to {}", last.version.0);
            let expected = format!("what leads to the head, {}", head.version.0);
            self.contradicts(&name, found, expected);
        }
        let of_it: Vec<Event> = events
            .into_iter()
            .filter_map(|event| serde_json::from_value(event.event.body).ok())
            .filter(|event: &Event| *event.deployment() == entry.id)
            .collect();
        let queued = of_it.iter().find_map(|event| match event {
            Event::DeploymentQueued { request, .. } => Some(request),
            _ => None,
        });
        if queued != Some(&record.request) {
            self.contradicts(&name, "another request than the record's", "the same");
        }
        let outcome = of_it.iter().find_map(|event| match event {
            Event::DeploymentEnded { outcome, .. } => Some(*outcome),
            Event::DeploymentSuperseded { .. } => Some(crate::deployment::Outcome::Superseded),
            _ => None,
        });
        if outcome != record.outcome {
            self.contradicts(&name, "another end than the record's", "the same");
        }
    }
}
