//! HTTPRoutes and GRPCRoutes of the Gateway API whose backends are weighted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::name::{STABLE, copy_name};
use super::parts::{group, kind, namespace, text};
use super::tracks::{HeaderMatch, WorkloadTracks};
use crate::plan::Manifests;

/// The most rules of a route, as the Gateway API has it.
const RULES_MAX: usize = 16;

/// The greatest weight of a backend, as the Gateway API has it.
const WEIGHT_MAX: u64 = 1_000_000;

/// A backend, and how much it gets in proportion to others.
type Weighted = (Value, u64);

/// A workload that a route leads to.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// Its Services' names.
    pub(super) services: BTreeSet<&'a str>,
    /// The namespace of these.
    pub(super) namespace: &'a str,
    /// Its tracks.
    pub(super) tracks: &'a WorkloadTracks,
    /// Percents by track, those that are not there left out.
    pub(super) weights: BTreeMap<&'a str, u8>,
}

/// Whether an object is a route whose backends have weights.
pub(super) fn is_route(object: &Value) -> bool {
    group(object) == "gateway.networking.k8s.io"
        && matches!(kind(object), "HTTPRoute" | "GRPCRoute")
}

/// Whether a route leads to one of these Services.
pub(super) fn leads_to(
    manifests: &Manifests,
    object: &Value,
    here: &str,
    services: &BTreeSet<&str>,
) -> bool {
    let from = namespace(manifests, object);
    is_route(object) && rules(object).iter().any(|rule| rule_leads_to(rule, from, here, services))
}

/// Whether there is room for a header match: one more rule for each that leads to
/// these Services.
pub(super) fn has_room(
    manifests: &Manifests,
    object: &Value,
    here: &str,
    services: &BTreeSet<&str>,
) -> bool {
    let from = namespace(manifests, object);
    let all = rules(object);
    let leading = all.iter().filter(|rule| rule_leads_to(rule, from, here, services)).count();
    all.len().saturating_add(leading) <= RULES_MAX
}

fn rules(route: &Value) -> &[Value] {
    list(route, "/spec/rules")
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn rule_leads_to(rule: &Value, from: &str, here: &str, services: &BTreeSet<&str>) -> bool {
    list(rule, "/backendRefs").iter().any(|backend| is_one(backend, from, here, services))
}

/// Whether a backend is one of these Services.
fn is_one(backend: &Value, from: &str, here: &str, services: &BTreeSet<&str>) -> bool {
    let place = match text(backend, "/namespace") {
        "" => from,
        named => named,
    };
    matches!(text(backend, "/kind"), "" | "Service")
        && text(backend, "/group").is_empty()
        && place == here
        && services.contains(text(backend, "/name"))
}

/// A route as these targets' tracks want it. One all of whose targets give `stable`
/// everything is as it was rendered.
pub(super) fn divided(manifests: &Manifests, route: &Value, targets: &[Target<'_>]) -> Value {
    let from = namespace(manifests, route);
    let mut found = Vec::new();
    let mut is_changed = false;
    for rule in rules(route) {
        let leading: Vec<&Target<'_>> = targets
            .iter()
            .filter(|it| rule_leads_to(rule, from, it.namespace, &it.services))
            .filter(|it| is_divided(it))
            .collect();
        if leading.is_empty() {
            found.push(rule.clone());
            continue;
        }
        is_changed = true;
        for header in distinct(&leading) {
            found.extend(by_header(rule, from, header, &leading));
        }
        let mut weighted = rule.clone();
        set_backends(&mut weighted, from, &leading, &|target, backend, weight| {
            by_weight(target, backend, weight)
        });
        mirror(&mut weighted, rule, from, &leading);
        found.push(weighted);
    }
    let mut route = route.clone();
    if is_changed && let Some(rules) = route.pointer_mut("/spec/rules") {
        *rules = Value::Array(found);
    }
    route
}

fn is_divided(target: &Target<'_>) -> bool {
    target.weights.len() != 1
        || !target.weights.contains_key(STABLE)
        || !target.tracks.headers.is_empty()
        || target.tracks.mirror.is_some()
}

/// Header matches of these targets, each once.
fn distinct<'a>(targets: &[&'a Target<'_>]) -> Vec<&'a HeaderMatch> {
    let mut found: Vec<&HeaderMatch> = Vec::new();
    for header in targets.iter().flat_map(|target| &target.tracks.headers) {
        if !found.iter().any(|known| is_same(known, header)) {
            found.push(header);
        }
    }
    found
}

fn is_same(one: &HeaderMatch, other: &HeaderMatch) -> bool {
    one.name.eq_ignore_ascii_case(&other.name)
        && one.value == other.value
        && one.pattern == other.pattern
}

/// A rule for requests with a header; none where the rule asks for another value
/// of the same header already.
fn by_header(
    rule: &Value,
    from: &str,
    header: &HeaderMatch,
    targets: &[&Target<'_>],
) -> Option<Value> {
    let (how, text) = match (&header.value, &header.pattern) {
        (Some(value), _) => ("Exact", value),
        (None, pattern) => ("RegularExpression", pattern.as_ref()?),
    };
    let wanted = json!({"type": how, "name": header.name, "value": text});
    let before = match list(rule, "/matches") {
        [] => vec![json!({})],
        matches => matches.to_vec(),
    };
    let matches: Vec<Value> =
        before.into_iter().filter_map(|it| with_header(it, header, &wanted)).collect();
    if matches.is_empty() {
        return None;
    }
    let mut found = rule.clone();
    let fields = found.as_object_mut()?;
    // Names of rules are unique within a route.
    fields.remove("name");
    fields.insert("matches".to_owned(), Value::Array(matches));
    set_backends(&mut found, from, targets, &|target, backend, weight| match target
        .tracks
        .headers
        .iter()
        .find(|known| is_same(known, header))
    {
        Some(own) => vec![(named(backend, &own.track), weight.saturating_mul(100))],
        None => by_weight(target, backend, weight),
    });
    Some(found)
}

fn with_header(mut condition: Value, header: &HeaderMatch, wanted: &Value) -> Option<Value> {
    let headers = condition.as_object_mut()?.entry("headers").or_insert_with(|| json!([]));
    let headers = headers.as_array_mut()?;
    let known = headers.iter().find(|it| text(it, "/name").eq_ignore_ascii_case(&header.name));
    match known {
        None => headers.push(wanted.clone()),
        Some(known) if text(known, "/value") == text(wanted, "/value") => {}
        Some(_) => return None,
    }
    Some(condition)
}

/// The backend of another track.
fn named(backend: &Value, track: &str) -> Value {
    let mut backend = backend.clone();
    if track != STABLE
        && let Some(fields) = backend.as_object_mut()
    {
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        let name = copy_name(name, track);
        fields.insert("name".to_owned(), name.into());
    }
    backend
}

fn by_weight(target: &Target<'_>, backend: &Value, weight: u64) -> Vec<Weighted> {
    let parts = target.weights.iter();
    parts
        .map(|(track, percent)| (named(backend, track), weight.saturating_mul(u64::from(*percent))))
        .collect()
}

/// Puts others in the place of the backends that are these targets', in proportion
/// to those beside them.
fn set_backends(
    rule: &mut Value,
    from: &str,
    targets: &[&Target<'_>],
    divide: &dyn Fn(&Target<'_>, &Value, u64) -> Vec<Weighted>,
) {
    let before = list(rule, "/backendRefs").to_vec();
    let is_alone = before.len() == 1;
    let mut found: Vec<Weighted> = Vec::new();
    for backend in before {
        let weight = match backend.get("weight").and_then(Value::as_u64) {
            // Alone, any weight but 0 is the whole.
            Some(weight) if weight > 0 && is_alone => 1,
            Some(weight) => weight,
            None => 1,
        };
        let target = targets.iter().find(|it| is_one(&backend, from, it.namespace, &it.services));
        match target {
            Some(target) => found.extend(divide(target, &backend, weight)),
            None => found.push((backend, weight.saturating_mul(100))),
        }
    }
    // Only proportions matter: they are made to fit.
    let greatest = found.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    let divisor = greatest.div_ceil(WEIGHT_MAX).max(1);
    let found = found
        .into_iter()
        .map(|(mut backend, weight)| {
            if let Some(fields) = backend.as_object_mut() {
                let weight = weight.checked_div(divisor).unwrap_or(weight);
                fields.insert("weight".to_owned(), weight.into());
            }
            backend
        })
        .collect();
    if let Some(fields) = rule.as_object_mut() {
        fields.insert("backendRefs".to_owned(), Value::Array(found));
    }
}

/// Adds the filters that copy requests, to what `rule` led to before it was divided.
fn mirror(divided: &mut Value, rule: &Value, from: &str, targets: &[&Target<'_>]) {
    let filters: Vec<Value> = targets
        .iter()
        .filter_map(|target| {
            let track = target.tracks.mirror.as_ref()?;
            let mut backends = list(rule, "/backendRefs").iter();
            let backend =
                backends.find(|it| is_one(it, from, target.namespace, &target.services))?;
            let mut mirrored = named(backend, track);
            let fields = mirrored.as_object_mut()?;
            fields.remove("weight");
            fields.remove("filters");
            Some(json!({"type": "RequestMirror", "requestMirror": {"backendRef": mirrored}}))
        })
        .collect();
    if filters.is_empty() {
        return;
    }
    if let Some(fields) = divided.as_object_mut()
        && let Some(known) = fields.entry("filters").or_insert_with(|| json!([])).as_array_mut()
    {
        known.extend(filters);
    }
}
