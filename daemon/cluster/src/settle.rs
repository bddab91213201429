//! Waiting for one object: until others can use it, or until it is gone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, LogLevel, ObjectRef};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::Session;
use crate::discovery::Resource;
use crate::fields::{condition, holds, items, name, text, text_or_empty, uid};
use crate::listing::Scope;
use crate::prepare::defined_kinds;
use crate::request::Answer;
use crate::watch::{self, Change, Outlet};

/// What is of interest about an object that was applied. The rest of the answer is
/// what was sent, with defaults, and who owns it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Outcome {
    metadata: OutcomeMetadata,
    status: Value,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OutcomeMetadata {
    deletion_timestamp: Option<IgnoredAny>,
}

impl Outcome {
    /// Whether the object is on its way out.
    pub(crate) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

/// What came of waiting for one object.
pub(crate) enum Settled {
    /// As wished.
    Done,
    /// Not in time; this is how it was seen last.
    Late(Option<Box<Value>>),
}

impl Session {
    /// Watches one object until the question is answered with yes. It is asked
    /// with `None` when the object is not there.
    pub(crate) async fn until(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        limit: Duration,
        question: impl Fn(Option<&Value>) -> bool + Send,
    ) -> Result<Settled, Fault> {
        let (sender, mut changes) = mpsc::channel(watch::PENDING);
        let scope = Scope::one(resource, object.namespace.as_deref(), &object.name);
        let mut tasks = JoinSet::new();
        let outlet = Outlet { changes: sender, number: 0, budget: self.options.retry_budget };
        tasks.spawn(watch::run(self.clone(), scope, outlet));
        let mut seen: Option<Box<Value>> = None;
        let mut interrupted = None;
        let mut watching = async || {
            while let Some((_, change)) = changes.recv().await {
                match change {
                    // By name once more: a server that ignores the selector
                    // must not lead us to another object.
                    Change::Listed(listed) => {
                        seen = listed.into_iter().find(|o| name(o) == object.name).map(Box::new);
                    }
                    Change::Set(set) if name(&set) == object.name => seen = Some(Box::new(set)),
                    Change::Gone(gone) if name(&gone) == object.name => seen = None,
                    Change::Set(_) | Change::Gone(_) => continue,
                    Change::Interrupted(fault) => {
                        interrupted = Some(fault);
                        continue;
                    }
                    Change::Resumed => {
                        interrupted = None;
                        continue;
                    }
                    Change::Ended(fault) => return Err(fault),
                }
                if question(seen.as_deref()) {
                    return Ok(());
                }
            }
            Ok(())
        };
        match tokio::time::timeout(limit, watching()).await {
            Ok(ended) => ended.map(|()| Settled::Done),
            // Nothing can be said about an object that could not be seen.
            Err(_) => match interrupted {
                Some(fault) => Err(fault),
                None => Ok(Settled::Late(seen)),
            },
        }
    }

    /// Watches a collection until none of these is in it any more, told by uid.
    /// Returns those that still are when the time is over.
    pub(crate) async fn until_gone(
        &self,
        scope: Scope,
        mut left: HashSet<String>,
        limit: Duration,
    ) -> Result<Vec<Value>, Fault> {
        let (sender, mut changes) = mpsc::channel(watch::PENDING);
        let mut tasks = JoinSet::new();
        let outlet = Outlet { changes: sender, number: 0, budget: self.options.retry_budget };
        tasks.spawn(watch::run(self.clone(), scope, outlet));
        let mut seen: HashMap<String, Value> = HashMap::new();
        let mut interrupted = None;
        let mut is_synced = false;
        let mut watching = async || {
            while let Some((_, change)) = changes.recv().await {
                match change {
                    Change::Listed(listed) => {
                        is_synced = true;
                        let listed = listed.into_iter().map(|o| (uid(&o).to_owned(), o));
                        seen = listed.filter(|(uid, _)| left.contains(uid)).collect();
                        left.retain(|uid| seen.contains_key(uid));
                    }
                    Change::Gone(gone) => {
                        left.remove(uid(&gone));
                    }
                    Change::Set(set) if left.contains(uid(&set)) => {
                        seen.insert(uid(&set).to_owned(), set);
                    }
                    Change::Set(_) => {}
                    Change::Interrupted(fault) => interrupted = Some(fault),
                    Change::Resumed => interrupted = None,
                    Change::Ended(fault) => return Err(fault),
                }
                if is_synced && left.is_empty() {
                    return Ok(());
                }
            }
            Ok(())
        };
        match tokio::time::timeout(limit, watching()).await {
            Ok(ended) => ended.map(|()| Vec::new()),
            Err(_) => match interrupted {
                Some(fault) => Err(fault),
                None => {
                    Ok(seen.into_iter().filter(|(u, _)| left.contains(u)).map(|(_, o)| o).collect())
                }
            },
        }
    }

    /// Waits until what was applied can be used by what comes next.
    pub(crate) async fn settle(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        applied: &Value,
        answer: &Answer<Outcome>,
        log: &CallLog,
    ) -> Result<(), Fault> {
        match (resource.api_version.split('/').next(), resource.kind.as_str()) {
            // One that was in use before needs no look.
            (_, "Namespace")
                if !answer.created && text(&answer.body.status, "/phase") == Some("Active") =>
            {
                Ok(())
            }
            (_, "Namespace") if resource.api_version == "v1" => {
                self.settle_namespace(resource, object, log).await
            }
            (_, "ResourceQuota") if resource.api_version == "v1" => {
                self.settle_quota(resource, object, log).await
            }
            (Some("apiextensions.k8s.io"), "CustomResourceDefinition") => {
                self.settle_definition(resource, object, applied).await
            }
            _ => Ok(()),
        }
    }

    async fn settle_namespace(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        log: &CallLog,
    ) -> Result<(), Fault> {
        let limit = self.options.settle_timeout;
        let active =
            |seen: Option<&Value>| seen.is_some_and(|n| text(n, "/status/phase") == Some("Active"));
        if let Settled::Late(seen) = self.until(resource, object, limit, active).await? {
            let phase = seen.as_deref().map_or("gone", |n| text_or_empty(n, "/status/phase"));
            return Err(self.late(object, &format!("is not active (it is {phase:?})"), limit));
        }
        // Pods without a service account are refused until this one is there.
        let account = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            namespace: Some(object.name.clone()),
            name: "default".to_owned(),
        };
        let accounts = Resource::core("ServiceAccount", "serviceaccounts");
        let limit = self.options.courtesy_timeout;
        match self.until(&accounts, &account, limit, |seen| seen.is_some()).await {
            Ok(Settled::Done) => {}
            Ok(Settled::Late(_)) => log.line(
                LogLevel::Warn,
                format!(
                    "{object} has no default service account yet; does the cluster's controller \
                     manager run?"
                ),
            ),
            // An account that may make namespaces need not see what is in them.
            Err(fault) if fault.code == "cluster-forbidden" => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn settle_quota(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        log: &CallLog,
    ) -> Result<(), Fault> {
        // Until the status repeats what the spec asks, admission refuses.
        let filled = |seen: Option<&Value>| {
            seen.is_none_or(|quota| {
                let hard = quota.pointer("/spec/hard");
                hard.is_none() || quota.pointer("/status/hard").map(keys) == hard.map(keys)
            })
        };
        let limit = self.options.courtesy_timeout;
        if let Settled::Late(_) = self.until(resource, object, limit, filled).await? {
            log.line(LogLevel::Warn, format!("{object} is not in force yet: its status is empty"));
        }
        Ok(())
    }

    async fn settle_definition(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        applied: &Value,
    ) -> Result<(), Fault> {
        let limit = self.options.settle_timeout;
        let decided = |seen: Option<&Value>| {
            seen.is_none_or(|d| holds(d, "Established") || names_refused(d).is_some())
        };
        let last = std::sync::Mutex::new(None);
        let question = |seen: Option<&Value>| {
            let refused = seen.and_then(names_refused).map(str::to_owned);
            *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = refused;
            decided(seen)
        };
        if let Settled::Late(_) = self.until(resource, object, limit, question).await? {
            return Err(self.late(object, "is not established", limit));
        }
        let refused = last.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(why) = refused {
            return Err(Fault::invalid(
                "definition-refused",
                format!(
                    "{object} in cluster {}: its names were not accepted: {why}.",
                    self.cluster
                ),
            )
            .with_detail(json!({ "cluster": &*self.cluster, "object": object })));
        }
        for (api_version, kind) in defined_kinds(applied) {
            self.connection.kinds.forget(&api_version);
            self.awaited_resource(&api_version, &kind).await?;
        }
        Ok(())
    }

    fn late(&self, object: &ObjectRef, what: &str, limit: Duration) -> Fault {
        Fault::transient(
            "cluster-settling",
            format!("{object} in cluster {} {what} after {} s.", self.cluster, limit.as_secs()),
        )
        .with_detail(json!({ "cluster": &*self.cluster, "object": object }))
    }
}

/// Why a definition's names were not accepted.
fn names_refused(definition: &Value) -> Option<&str> {
    let accepted = condition(definition, "NamesAccepted")?;
    let is_refused = text(accepted, "/status") == Some("False");
    // "False" with no conflict yet stands there for the first moment.
    (is_refused && text(accepted, "/reason") != Some("NoConflictsFound"))
        .then(|| text(accepted, "/message").unwrap_or("they are taken"))
}

fn keys(object: &Value) -> Vec<&String> {
    object.as_object().map(|fields| fields.keys().collect()).unwrap_or_default()
}

/// Finalizers that keep an object that should be gone.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    items(object, "/metadata/finalizers").iter().filter_map(Value::as_str).collect()
}
