//! Runs checks: measures what is due, and says whether that is enough.

use std::collections::BTreeMap;

use deployd_core::deployment::{Action, StepStatus};
use deployd_core::plan::Plan;
use deployd_core::ports::{Call, CheckOutcome, CheckRequest, LogLevel, all_there};
use deployd_core::rollout::STABLE;
use deployd_core::rollout::checking::{
    CheckProgress, CheckResult, Checking, PlannedCheck, Standing,
};
use deployd_core::{DeploymentId, Digest, Fault, Name, Timestamp};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Ended, Work};
use crate::EngineError;

/// The longest that a strategy can have checks go on: a week.
const CHECKS_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// What a run of checks is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) checks: &'a [String],
    pub(super) track: Option<&'a str>,
    pub(super) baseline: Option<&'a str>,
    pub(super) workloads: Option<&'a [String]>,
    pub(super) for_ms: u64,
}

impl Work {
    /// Measures what is due. How far all of it has got is the step's token, so
    /// that the next start goes on from there.
    pub(super) async fn run_checks(&self, run: Run<'_>) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let planned = planned(&plan, run.checks)?;
        let clock = &self.engine.ports.clock;
        let mut checking = match &self.step.status {
            StepStatus::Pending { token, .. } => serde_json::from_str(token)
                .map_err(|error| EngineError::bug(format!("the progress of checks: {error}")))?,
            _ => {
                let timings = planned.iter().map(|(name, check)| ((*name).clone(), check.timing));
                Checking::new(timings, run.for_ms.min(CHECKS_MS_MAX), clock.now())
            }
        };
        let due: Vec<Name> = checking.due(clock.now()).into_iter().cloned().collect();
        let now = clock.now();
        let measurements =
            due.iter().map(|name| self.measure(&plan, name, &planned, &checking, run, now));
        let measured = join_all(measurements).await;
        for (name, came) in due.iter().zip(measured) {
            checking.measured(name, came, clock.now());
        }
        let now = clock.now();
        match checking.standing(now) {
            Standing::Running { due } => Ok(Ended::Pending {
                token: serde_json::to_string(&checking).map_err(EngineError::bug)?,
                poll_after_ms: due.ms_since(now),
                message: progress(&checking, now),
            }),
            Standing::Passed => Ok(Ended::Observed(json!(checking.reports()))),
            Standing::Failed => Err(checking.fault("checks-failed", CheckResult::Failed).into()),
            Standing::Inconclusive => {
                Err(checking.fault("checks-inconclusive", CheckResult::Inconclusive).into())
            }
        }
    }

    /// Where others can answer a check of this step, and what they have.
    async fn callback(&self, check: &Name) -> Result<Value, EngineError> {
        let id = &self.deployment.id;
        let Some(url) = self.engine.callback(id, check) else { return Ok(Value::Null) };
        let answers = self.engine.answers(id, check).await?;
        Ok(json!({ "url": url, "answers": answers }))
    }

    /// How the pods are of a track of workloads.
    async fn observed(&self, track: &str, workloads: &[String]) -> Result<Value, EngineError> {
        let course = self.course().await?;
        let objects = course.running(track, workloads);
        let mut reach = self.reach(&course.plan, &course.new.namespace).await?;
        loop {
            let cluster = &self.engine.ports.cluster;
            match cluster.observe(&reach.target, &objects).await {
                Ok(observed) => return Ok(json!(all_there(&objects, observed)?)),
                Err(fault) => self.again(&course.plan, &mut reach, fault).await?,
            }
        }
    }

    async fn measure(
        &self,
        plan: &Plan,
        name: &Name,
        planned: &BTreeMap<&Name, &PlannedCheck>,
        checking: &Checking,
        run: Run<'_>,
        now: Timestamp,
    ) -> Result<CheckOutcome, Fault> {
        let (Some(check), Some(progress)) = (planned.get(name), checking.checks().get(name)) else {
            return Err(Fault::bug("check-unknown", format!("check {name} is not in the plan")));
        };
        self.engine.need(&check.plugin).await.map_err(EngineError::into_fault)?;
        let all = || plan.workloads.iter().map(|workload| workload.name.clone()).collect();
        let manifests = self.rendered().await.map_err(EngineError::into_fault)?;
        let callback = self.callback(name).await.map_err(EngineError::into_fault)?;
        let workloads: Vec<String> = run.workloads.map_or_else(all, <[String]>::to_vec);
        let track = run.track.unwrap_or(STABLE);
        let observed = match check.pods {
            true => self.observed(track, &workloads).await.map_err(EngineError::into_fault)?,
            false => Value::Null,
        };
        let subject = Subject {
            deployment: &self.deployment.id,
            namespace: &manifests.namespace,
            workloads,
            track,
            baseline: run.baseline,
            since: checking.started(),
            callback,
            observed,
        };
        let request = request(check, (name, progress), &subject, self.step.key.as_bytes(), now);
        let scope = self.scope(plan);
        let call = Call { plugin: &check.plugin, scope: &scope, log: &self.log };
        let came = self.engine.ports.checks.run(call, &request).await;
        let (level, told) = match &came {
            Ok(CheckOutcome::Passed(verdict)) => {
                (LogLevel::Info, format!("passed: {}", verdict.message))
            }
            Ok(CheckOutcome::Failed(verdict)) => {
                (LogLevel::Warn, format!("failed: {}", verdict.message))
            }
            Ok(CheckOutcome::Inconclusive(verdict)) => {
                (LogLevel::Warn, format!("inconclusive: {}", verdict.message))
            }
            Ok(CheckOutcome::Pending { message, .. }) => (LogLevel::Debug, message.clone()),
            Err(fault) => (LogLevel::Warn, format!("not measured: {}", fault.message)),
        };
        self.log.line(level, format!("check {name} {told}"));
        came
    }
}

/// What a check is about.
pub(crate) struct Subject<'a> {
    pub(crate) deployment: &'a DeploymentId,
    pub(crate) namespace: &'a str,
    pub(crate) workloads: Vec<String>,
    pub(crate) track: &'a str,
    /// The track that it is compared with.
    pub(crate) baseline: Option<&'a str>,
    /// When the track began to get what is checked.
    pub(crate) since: Timestamp,
    /// Where others can answer, and what they have; null where they can't.
    pub(crate) callback: Value,
    /// How the pods are; null for a check that is not told.
    pub(crate) observed: Value,
}

/// What a check is asked for one measurement (`wit/check.wit`). Its key is the
/// same for each repeat of this measurement, and of no other.
pub(crate) fn request(
    check: &PlannedCheck,
    (name, progress): (&Name, &CheckProgress),
    subject: &Subject<'_>,
    key: &[u8],
    now: Timestamp,
) -> CheckRequest {
    let measured = progress.measured.to_be_bytes();
    let key = Digest::of_parts(&[key, name.as_str().as_bytes(), &measured]);
    CheckRequest {
        config: check.config.clone(),
        input: json!({
            "deployment": subject.deployment,
            "namespace": subject.namespace,
            "workloads": subject.workloads,
            "track": subject.track,
            "baseline": subject.baseline,
            "since-ms": subject.since.0,
            "now-ms": now.0,
            "idempotency-key": key.hex(),
            "callback": subject.callback,
            "observed": subject.observed,
        }),
        token: progress.token().map(str::to_owned),
    }
}

/// The checks of a plan by these names.
fn planned<'p>(
    plan: &'p Plan,
    names: &[String],
) -> Result<BTreeMap<&'p Name, &'p PlannedCheck>, EngineError> {
    let find = |name: &String| {
        plan.checks.iter().find(|(known, _)| known.as_str() == name.as_str()).ok_or_else(|| {
            let known: Vec<&str> = plan.checks.keys().map(Name::as_str).collect();
            let message = format!(
                "the strategy asks for the check {name:?}, and environment type {} has {}; add it to its `checks`, or take it out of the strategy's configuration",
                plan.environment_type,
                if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            );
            EngineError::from(Fault::invalid("check-unknown", message))
        })
    };
    names.iter().map(find).collect()
}

/// Whether a plan has all checks that an action asks for.
pub(crate) fn known(plan: &Plan, action: &Action) -> Result<(), EngineError> {
    match action {
        Action::RunChecks { checks, .. } => planned(plan, checks).map(|_| ()),
        _ => Ok(()),
    }
}

fn progress(checking: &Checking, now: Timestamp) -> String {
    let told: Vec<String> = checking
        .checks()
        .iter()
        .map(|(name, check)| format!("{name} {}/{}", check.passes, check.timing.count))
        .collect();
    let left = checking.left_ms(now).div_ceil(1000);
    let left = if left > 0 { format!(", {left} s left") } else { String::new() };
    format!("checks: {}{left}", told.join(", "))
}
