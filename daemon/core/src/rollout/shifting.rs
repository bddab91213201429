//! In which order a shift of traffic is performed, so that nobody gets more than
//! it should on the way, and never fewer pods serve than before and after it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::name::{STABLE, TRACK_LABEL};
use super::overlay::desired;
use super::parts::{is, put, text};
use super::situation::{Selects, Situation};
use super::tracks::Tracks;
use super::traffic::{Via, Way};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::ports::ObjectRef;

/// A part of a shift; the next one begins after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phase {
    /// Objects to apply: only those that change.
    pub apply: Vec<Manifest>,
    /// Objects that go.
    pub remove: Vec<ObjectRef>,
    /// Whether what was applied has to be ready before the next phase.
    pub is_awaited: bool,
    /// Whether it takes all traffic from somebody, who goes on as it is for a time
    /// before anything else happens: routers follow with a delay.
    pub is_drained: bool,
}

/// From `before` to `after` the traffic of these workloads, in up to three phases:
/// those who will serve get their pods, the traffic is led elsewhere, and those who
/// serve less lose theirs; who serves no more is drained before. Performed from the
/// first phase again after an interruption, it comes to the same.
pub fn shifting(
    new: &Manifests,
    current: Option<&Manifests>,
    before: &Tracks,
    after: &Tracks,
    ways: &BTreeMap<String, Way>,
    workloads: &[String],
) -> Vec<Phase> {
    let there: BTreeMap<ObjectRef, Value> = desired(new, current, before, ways, workloads)
        .apply
        .into_iter()
        .filter_map(|manifest| Some((new.reference(&manifest.object)?, manifest.object)))
        .collect();
    let wanted = desired(new, current, after, ways, workloads);
    let (mut grow, mut lead, mut shrink) = (Phase::default(), Phase::default(), Phase::default());
    for manifest in wanted.apply {
        let old = new.reference(&manifest.object).and_then(|reference| there.get(&reference));
        if old == Some(&manifest.object) {
            continue;
        }
        let (true, Some(old)) = (is(&manifest.object, "apps", "Deployment"), old) else {
            lead.apply.push(manifest);
            continue;
        };
        let serving = |tracks| serves(new, current, tracks, ways, &manifest);
        let (from, to) = (replicas(old), replicas(&manifest.object));
        let first = match (serving(before), serving(after)) {
            // Nobody notices how many there are of it.
            (false, _) => to,
            (true, true) => from.max(to),
            (true, false) => from,
        };
        if first != from {
            let mut manifest = manifest.clone();
            if first != to {
                put(&mut manifest.object, &["spec"], "replicas", first.into());
            }
            grow.apply.push(manifest);
        }
        if first != to {
            shrink.apply.push(manifest);
        }
    }
    grow.is_awaited = true;
    lead.is_drained = before.leaves(after);
    shrink.remove = wanted.remove;
    let phases = [grow, lead, shrink].into_iter();
    phases.filter(|phase| !phase.apply.is_empty() || !phase.remove.is_empty()).collect()
}

fn replicas(deployment: &Value) -> u64 {
    deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

/// Whether the pods of a Deployment get requests.
fn serves(
    new: &Manifests,
    current: Option<&Manifests>,
    tracks: &Tracks,
    ways: &BTreeMap<String, Way>,
    manifest: &Manifest,
) -> bool {
    let ObjectOwner::Workload(workload) = &manifest.owner else { return false };
    let Some(own) = tracks.of(workload) else { return false };
    let label = TRACK_LABEL.replace('/', "~1");
    let track = match text(&manifest.object, &format!("/spec/template/metadata/labels/{label}")) {
        "" => STABLE,
        named => named,
    };
    let way = ways.get(workload);
    if way.is_none_or(|way| way.via != Via::Service) {
        return own.is_serving(track);
    }
    match Situation::of(new, current, workload, own, way).selects() {
        Selects::All => true,
        Selects::Track(only) => only == track,
    }
}
