//! How traffic and replicas are divided after each step.

use crate::config::{Config, Header, Step};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::{HeaderRule, Way, Workload};
use rollout::{Level, unreachable};

/// The track of the new version.
pub(crate) const CANARY: &str = "canary";

/// The most steps: more than anybody reads, and far fewer than the engine takes.
const STEPS_MAX: usize = 100;

/// The most headers at once: each is a rule, of which a route has room for few.
const HEADERS_MAX: usize = 8;

/// The most traffic of a canary that a baseline can have as much of; with more,
/// the canary goes on without it.
const BASELINE_MAX: u32 = 50;

/// What the steps so far have said.
#[derive(Debug, Default)]
struct Said {
    weight: u32,
    scale: Option<u32>,
    headers: Vec<HeaderRule>,
    mirror: bool,
}

/// The level after each step. Fails on steps that the workloads with tracks can't
/// go.
pub(crate) fn of(config: &Config, tracked: &[&Workload]) -> Result<Vec<Level>, Fault> {
    if config.steps.is_empty() || config.steps.len() > STEPS_MAX {
        let found = config.steps.len();
        let expected = format!("{found} steps; expected 1 to {STEPS_MAX}");
        return Err(Fault::invalid("/config/steps", expected));
    }
    if config.baseline
        && let Some(one) = tracked.iter().find(|one| one.traffic.way != Way::HttpRoute)
    {
        return Err(Fault::invalid(
            "/config/baseline",
            format!(
                "a baseline needs a third track, and the traffic of {} has no HTTPRoute to divide it",
                one.name
            ),
        ));
    }
    let mut said = Said::default();
    let level = |(at, step): (usize, &Step)| {
        let key = said.take(step);
        let fault = |why| Fault::invalid(format!("/config/steps/{at}/{key}"), why);
        fits(step, tracked).map_err(fault)?;
        let level = said.level(config);
        let beside = beside(level.baseline);
        if level.weight * beside == 100 && level.percent * beside < 100 {
            return Err(fault(format!(
                "the canary would get {} % of the traffic with {} % of the replicas, and the old \
                 version none; scale the canary to {} before",
                level.weight, level.percent, level.weight
            )));
        }
        Ok(level)
    };
    config.steps.iter().enumerate().map(level).collect()
}

impl Said {
    /// Takes a step's word, and tells its key.
    fn take(&mut self, step: &Step) -> &'static str {
        match step {
            Step::Weight(weight) => self.weight = *weight,
            Step::Scale(percent) => self.scale = *percent,
            Step::Headers(headers) => self.headers = headers.iter().map(rule).collect(),
            Step::Mirror(mirror) => self.mirror = *mirror,
            Step::Wait(_) | Step::Pause(_) | Step::Checks(..) => {}
        }
        match step {
            Step::Weight(_) => "weight",
            Step::Scale(_) => "scale",
            Step::Headers(_) => "headers",
            Step::Mirror(_) => "mirror",
            Step::Wait(_) | Step::Pause(_) => "pause",
            Step::Checks(..) => "checks",
        }
    }

    fn level(&self, config: &Config) -> Level {
        // Copies of all requests are as much work as all requests.
        let needed = if self.mirror { 100 } else { self.weight.max(1) };
        let percent = self.scale.unwrap_or(needed);
        let baseline = config.baseline && (1..=BASELINE_MAX).contains(&self.weight);
        // As much as its traffic needs, and never fewer replicas in all than are wanted.
        let least = self.weight.min(percent).saturating_mul(beside(baseline));
        let stable = if config.scale_down_stable { 100_u32.saturating_sub(least) } else { 100 };
        // Copies of what it answers itself are of no use.
        let (headers, mirror) = (self.headers.clone(), self.mirror && self.weight < 100);
        Level { weight: self.weight, percent, stable, baseline, headers, mirror }
    }
}

/// How many tracks there are of the canary's size and weight.
fn beside(baseline: bool) -> u32 {
    if baseline { 2 } else { 1 }
}

fn rule(header: &Header) -> HeaderRule {
    let Header { name, wanted } = header.clone();
    HeaderRule { name, wanted, track: CANARY.to_owned() }
}

/// Whether the workloads can go this step; those that can't go it by a router
/// stay out of it, unless none can.
fn fits(step: &Step, tracked: &[&Workload]) -> Result<(), String> {
    let none_can =
        |can: fn(&Workload) -> bool| !tracked.is_empty() && !tracked.iter().any(|one| can(one));
    match step {
        Step::Weight(weight) => unreachable(tracked, *weight).map_or(Ok(()), Err),
        Step::Headers(headers) if !headers.is_empty() && none_can(|one| one.traffic.headers) => {
            Err(format!("{} has no router that looks at headers", names(tracked)))
        }
        Step::Headers(headers) if headers.len() > HEADERS_MAX => {
            Err(format!("{} headers; expected at most {HEADERS_MAX}", headers.len()))
        }
        Step::Headers(headers) if headers.len() > 1 => {
            let by_ingress = |one: &&&Workload| one.traffic.way == Way::NginxIngress;
            match tracked.iter().find(by_ingress) {
                Some(one) => Err(format!(
                    "{} headers; expected one, which is what the Ingress of {} takes",
                    headers.len(),
                    one.name
                )),
                None => Ok(()),
            }
        }
        Step::Mirror(true) if none_can(|one| one.traffic.mirror) => {
            Err(format!("{} has no router that copies requests", names(tracked)))
        }
        Step::Checks(checks, _) if checks.is_empty() => {
            Err("no checks; expected names of checks of the environment type".to_owned())
        }
        _ => Ok(()),
    }
}

fn names(tracked: &[&Workload]) -> String {
    let names: Vec<&str> = tracked.iter().map(|one| one.name.as_str()).collect();
    names.join(", ")
}
