//! One object that is waited for: how it was seen last, and since when what
//! ails it.

use std::collections::HashMap;
use std::time::Duration;

use deployd_core::ports::{CallLog, LogLevel, ObjectRef};
use serde_json::Value;
use tokio::time::Instant;

use crate::discovery::Resource;
use crate::fields::{is_leaving, kind};
use crate::options::Patience;
use crate::order::runs_pods;
use crate::ownership::Family;
use crate::readiness::{State, readiness};
use crate::trouble::{Trouble, troubles};

/// An object that is waited for.
pub(crate) struct Tracked {
    pub(crate) object: ObjectRef,
    pub(crate) resource: Resource,
    /// What people know it by in lines about progress.
    pub(crate) label: String,
    /// For claims: whether their class binds them with their first consumer.
    pub(crate) binds_late: bool,
    pub(crate) outlook: Outlook,
    /// The last line about it.
    told: String,
    /// Since when there is trouble of a code.
    since: HashMap<&'static str, Instant>,
}

/// What is to be expected of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outlook {
    /// Not looked at yet.
    Unknown,
    /// It is ready.
    Ready,
    /// It may become ready. What it is at, and what ails it most.
    Open(String, Option<Trouble>),
    /// It won't: code and message.
    Lost(&'static str, String),
}

impl Tracked {
    pub(crate) fn new(object: ObjectRef, resource: Resource, label: String) -> Self {
        Self {
            object,
            resource,
            label,
            binds_late: false,
            outlook: Outlook::Unknown,
            told: String::new(),
            since: HashMap::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.outlook == Outlook::Ready
    }

    pub(crate) fn runs_pods(&self) -> bool {
        runs_pods(&self.object.api_version, &self.object.kind)
    }

    /// Looks at the object as it is now. Returns when to look again even if
    /// nothing changes: when patience with what ails it ends.
    pub(crate) fn look(
        &mut self,
        seen: Option<&Value>,
        family: &Family<'_>,
        refusals: &[&Value],
        patience: &Patience,
        log: &CallLog,
    ) -> Option<Instant> {
        let Some(object) = seen else {
            // A finished job may be cleared away at once.
            if !(self.is_ready() && self.object.kind == "Job") {
                self.outlook = Outlook::Lost("gone", gone("was deleted"));
            }
            return None;
        };
        if is_leaving(object) && !(self.is_ready() && kind(object) == "Job") {
            self.outlook = Outlook::Lost("gone", gone("is being deleted"));
            return None;
        }
        let state = match readiness(object, &family.pods) {
            State::Progressing(_) if self.binds_late => State::Ready,
            state => state,
        };
        let (outlook, again) = match state {
            State::Ready => {
                self.since.clear();
                self.tell(LogLevel::Info, "ready".to_owned(), log);
                (Outlook::Ready, None)
            }
            State::Progressing(text) => {
                let ails = troubles(object, family, refusals, patience);
                self.tell(LogLevel::Info, text.clone(), log);
                self.weigh(text, ails, log)
            }
            State::Failed(reason) => {
                // The deadline for progress has passed for a reason.
                let ails = troubles(object, family, refusals, patience);
                let cause = ails.into_iter().next().filter(|_| reason.code == "progress-deadline");
                let lost = match cause {
                    Some(cause) => Outlook::Lost(cause.code, sentence(&cause.message)),
                    None => Outlook::Lost(reason.code, sentence(&reason.message)),
                };
                (lost, None)
            }
        };
        self.outlook = outlook;
        again
    }

    /// Whether trouble has lasted for longer than patience with it.
    fn weigh(
        &mut self,
        text: String,
        ails: Vec<Trouble>,
        log: &CallLog,
    ) -> (Outlook, Option<Instant>) {
        let now = Instant::now();
        self.since.retain(|code, _| ails.iter().any(|trouble| trouble.code == *code));
        let mut again: Option<Instant> = None;
        for trouble in &ails {
            let is_new = !self.since.contains_key(trouble.code);
            let since = *self.since.entry(trouble.code).or_insert(now);
            if is_new && trouble.patience > Duration::ZERO {
                log.line(LogLevel::Warn, format!("{}: {}", self.label, trouble.message));
            }
            if !trouble.firm {
                continue;
            }
            let until = since + trouble.patience;
            if until <= now {
                return (Outlook::Lost(trouble.code, sentence(&trouble.message)), None);
            }
            again = Some(again.map_or(until, |other| other.min(until)));
        }
        (Outlook::Open(text, ails.into_iter().next()), again)
    }

    /// Patience is not tried while nothing can be seen.
    pub(crate) fn postpone(&mut self, by: Duration) {
        self.since.values_mut().for_each(|since| *since += by);
    }

    /// Says something once, until something else was said.
    fn tell(&mut self, level: LogLevel, text: String, log: &CallLog) {
        if self.told != text {
            log.line(level, format!("{}: {text}", self.label));
            self.told = text;
        }
    }

    /// Why it was not ready in time.
    pub(crate) fn too_late(&self, waited: Duration) -> (&'static str, String) {
        let seconds = waited.as_secs();
        match &self.outlook {
            Outlook::Lost(code, message) => (code, message.clone()),
            Outlook::Open(_, Some(trouble)) => (trouble.code, sentence(&trouble.message)),
            Outlook::Open(text, None) => {
                ("not-ready", sentence(&format!("not ready after {seconds} s: {text}")))
            }
            Outlook::Unknown | Outlook::Ready => {
                ("not-ready", sentence(&format!("not ready after {seconds} s")))
            }
        }
    }
}

fn gone(how: &str) -> String {
    format!("It {how} by somebody while it was waited for.")
}

/// A message with an end. It does not say what it is about: that stands before
/// it wherever it is shown.
fn sentence(message: &str) -> String {
    let message = message.trim();
    let end = if message.ends_with('.') { "" } else { "." };
    format!("{message}{end}")
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // documents written in place
mod tests {
    use super::*;
    use serde_json::json;

    fn tracked(kind: &str) -> Tracked {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        Tracked::new(object, Resource::apps(kind, "x"), "web".into())
    }

    fn deployment(available: i64) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1,
            "availableReplicas": available}})
    }

    fn pod(state: Value, restarts: i64) -> Value {
        json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "state": state, "lastState": {"terminated": {"exitCode": 1}},
             "restartCount": restarts}]}})
    }

    fn look(tracked: &mut Tracked, pod: &Value, log: &CallLog) -> Option<Instant> {
        let family = Family { replica_set: None, pods: vec![pod] };
        tracked.look(Some(&deployment(0)), &family, &[], &Patience::default(), log)
    }

    fn lost(tracked: &Tracked) -> Option<&'static str> {
        match &tracked.outlook {
            Outlook::Lost(code, _) => Some(code),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_that_succeeds_at_the_second_try_is_no_failure() {
        let (mut tracked, log) = (tracked("Deployment"), CallLog::default());
        let pulling = pod(json!({"waiting": {"reason": "ErrImagePull"}}), 0);
        let again = look(&mut tracked, &pulling, &log).unwrap();
        tokio::time::advance(Duration::from_secs(20)).await;
        look(&mut tracked, &pod(json!({"waiting": {"reason": "ContainerCreating"}}), 0), &log);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(Instant::now() > again);
        look(&mut tracked, &pulling, &log);
        assert_eq!(lost(&tracked), None);
        tokio::time::advance(Patience::default().image_pull).await;
        look(&mut tracked, &pulling, &log);
        assert_eq!(lost(&tracked), Some("image-pull-failed"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_that_goes_on_is_a_failure_only_while_it_is_down() {
        let (mut tracked, log) = (tracked("Deployment"), CallLog::default());
        let down = pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 1);
        let up = pod(json!({"running": {}}), 1);
        look(&mut tracked, &down, &log);
        tokio::time::advance(Duration::from_secs(90)).await;
        look(&mut tracked, &up, &log);
        assert_eq!(lost(&tracked), None);
        look(&mut tracked, &pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 2), &log);
        assert_eq!(lost(&tracked), Some("crash-loop"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_restarts_are_enough() {
        let (mut tracked, log) = (tracked("Deployment"), CallLog::default());
        look(&mut tracked, &pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 3), &log);
        assert_eq!(lost(&tracked), Some("crash-loop"));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_told_on_change_only() {
        let (mut tracked, log) = (tracked("Deployment"), CallLog::default());
        let patience = Patience::default();
        for available in [0, 0, 1, 1] {
            tracked.look(Some(&deployment(available)), &Family::default(), &[], &patience, &log);
        }
        let lines: Vec<String> = log.take().into_iter().map(|line| line.message).collect();
        assert_eq!(lines, ["web: 1 of 1 replicas updated, 0 available", "web: ready"]);
    }

    #[test]
    fn what_is_gone_is_lost_unless_it_was_a_finished_job() {
        let log = CallLog::default();
        let mut web = tracked("Deployment");
        web.outlook = Outlook::Ready;
        web.look(None, &Family::default(), &[], &Patience::default(), &log);
        assert_eq!(lost(&web), Some("gone"));
        let mut job = tracked("Job");
        job.outlook = Outlook::Ready;
        job.look(None, &Family::default(), &[], &Patience::default(), &log);
        assert!(job.is_ready());
    }
}
