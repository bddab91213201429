//! Driver `dns-cloudflare`: A, AAAA, CNAME and TXT records in a zone at
//! Cloudflare, through its API (v4).
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata:
//!   name: dns-cloudflare
//! spec:
//!   kind: driver
//!   source:
//!     shipped: dns-cloudflare
//!   grant:
//!     hosts:
//!       # `deployd secret set cloudflare-token`: an API token with DNS:Edit, and
//!       # with Zone:Read where zones are named. The plugin never sees it.
//!       - host: api.cloudflare.com
//!         port: 443
//!         scheme: https
//!         credential: { secret: cloudflare-token }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata:
//!   name: dns-staging
//! spec:
//!   type: dns
//!   driver: dns-cloudflare
//!   inputs:
//!     zone: example.com
//!     name: ${context.application}-${context.environment}.example.com
//!     records:
//!       A: [192.0.2.10, 192.0.2.11]
//!     ttl: 300
//! ```
//!
//! Outputs: `host` (the name, as Score's `dns` has it), `ttl`, `records` (values
//! by type), `proxied`.
//!
//! **Whose a record is** stands in its comment: `deployd UID`, or `deployd
//! INSTALLATION/UID` where the input `installation` is not `default`. A, AAAA and CNAME
//! records of the name that say something else, or nothing, are a conflict and
//! stay as they are; so are TXT records, but they may stand beside each other. To
//! hand a record over, write that comment.
//!
//! **A repeat** finds what an attempt that broke off has left, by the comment, and
//! does the rest. What is to change is changed in place, so that a name is not
//! gone for a moment. **Replaced** is the resource when its name or zone changes:
//! the old records go when the new ones are there.

mod api;
mod records;
#[cfg(test)]
mod tests;

use crate::api::{Api, Found};
use crate::records::{Kind, Record, Records};
use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, Ignored, Installation, export_driver};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

struct Cloudflare;

export_driver!(Cloudflare);

/// What the platform's definition says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    zone: Option<String>,
    zone_id: Option<String>,
    name: String,
    records: Records,
    #[serde(default = "automatic")]
    ttl: u32,
    #[serde(default)]
    proxied: bool,
    #[serde(default = "public_api")]
    api: String,
    #[serde(default)]
    installation: Installation,
}

/// The least that Cloudflare takes, from its enterprise customers; 60 from others.
const TTL_MIN: u32 = 30;

/// Cloudflare's word for "as you like".
fn automatic() -> u32 {
    1
}

fn public_api() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

/// Where the records are, and what they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    zone_id: String,
    /// The zone's name, where the inputs had it.
    zone: Option<String>,
    name: String,
    ttl: u32,
    proxied: bool,
    records: Vec<(Kind, String)>,
}

impl Driver for Cloudflare {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = State;

    /// Asks nobody: what was made, and what is wanted now.
    fn plan(request: &Request<Self>, _: &impl Host) -> Result<Planned, Fault> {
        if request.is_preview() {
            return Ok(Planned::later(request));
        }
        let inputs = &request.inputs;
        let (name, wanted) = (whole_name(inputs)?, inputs.records.wanted()?);
        let values = |records: &[(Kind, String)]| {
            let texts = records.iter().map(|(kind, value)| format!("{kind} {value}"));
            texts.collect::<Vec<_>>().join(", ")
        };
        let planned = match &request.state {
            None => Planned::new(Action::Create).line(format!("{name}: {}", values(&wanted))),
            Some(state) if moved(state, inputs, &name) => {
                let line = format!("{name} instead of {}: {}", state.name, values(&wanted));
                Planned::new(Action::Replace).line(line)
            }
            Some(state) if state.records == wanted && same_settings(state, inputs) => {
                Planned::new(Action::None)
            }
            Some(state) => Planned::new(Action::Update).line(format!(
                "{name}: {} instead of {}",
                values(&wanted),
                values(&state.records)
            )),
        };
        let known = outputs(&name, inputs.ttl, inputs.proxied, &wanted);
        Ok(known.into_iter().fold(planned, |planned, (key, value)| planned.output(key, value)))
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let inputs = &request.inputs;
        let (name, wanted) = (whole_name(inputs)?, inputs.records.wanted()?);
        let api = Api::new(host, &inputs.api)?;
        let zone_id = zone(&api, inputs)?;
        let there = api.records(&zone_id, &name)?;
        let mine = comment(request);
        conflicts(&there, &wanted, &name, &mine)?;
        let changes = records::changes(&there, &wanted, |kind, value| Record {
            kind,
            name: name.clone(),
            content: kind.sent(value),
            ttl: inputs.ttl,
            proxied: inputs.proxied && kind.can_be_proxied(),
            comment: mine.clone(),
        });
        for (id, record) in &changes.change {
            api.change(&zone_id, id, record)?;
        }
        // Before others are made: a CNAME and an address can't be there together.
        for id in &changes.remove {
            api.remove(&zone_id, id)?;
        }
        for record in &changes.make {
            api.make(&zone_id, record)?;
        }
        let count = changes.change.len() + changes.remove.len() + changes.make.len();
        host.info(&format!("{name}: {count} of {} records to change", wanted.len()));
        if let Some(old) = request.state.as_ref().filter(|old| moved(old, inputs, &name)) {
            remove_ours(&api, &old.zone_id, &old.name, &mine)?;
        }
        let outputs = outputs(&name, inputs.ttl, inputs.proxied, &wanted);
        let (zone, ttl, proxied) = (inputs.zone.clone(), inputs.ttl, inputs.proxied);
        let state = State { zone_id, zone, name, ttl, proxied, records: wanted };
        Ok(Provisioned { outputs, ..Provisioned::new(state) }.into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let inputs = &request.inputs;
        let api = Api::new(host, &inputs.api)?;
        let (zone_id, name) = match &request.state {
            Some(state) => (state.zone_id.clone(), state.name.clone()),
            None => (zone(&api, inputs)?, whole_name(inputs)?),
        };
        let mine = comment(request);
        let there = api.records(&zone_id, &name)?;
        let ours: Vec<&Found> =
            there.iter().filter(|found| found.comment.as_deref() == Some(&mine)).collect();
        if ours.is_empty() {
            return Ok(None);
        }
        let known = ours.iter().filter_map(|found| found.known());
        let mut values: Vec<(Kind, String)> = known.collect();
        values.sort();
        let (ttl, proxied) = settings(inputs, &ours);
        Ok(Some(Value::Object(outputs(&name, ttl, proxied, &values))))
    }

    fn destroy(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Removal, Fault> {
        let inputs = &request.inputs;
        let api = Api::new(host, &inputs.api)?;
        let (zone_id, name) = match &request.state {
            Some(state) => (state.zone_id.clone(), state.name.clone()),
            // An attempt broke off before it had a state: what it made has the comment.
            None => (zone(&api, inputs)?, whole_name(inputs)?),
        };
        remove_ours(&api, &zone_id, &name, &comment(request)).map(|()| Removal::Done)
    }
}

/// The name, as the API writes it.
fn whole_name(inputs: &Inputs) -> Result<String, Fault> {
    let invalid = |message: String| Fault::invalid("/inputs/name", message);
    if inputs.ttl != automatic() && inputs.ttl < TTL_MIN {
        let message = format!("expected 1, for automatic, or {TTL_MIN} seconds and more");
        return Err(Fault::invalid("/inputs/ttl", message));
    }
    let name = inputs.name.trim_end_matches('.').to_ascii_lowercase();
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    if !records::is_name(rest) {
        return Err(invalid(format!(
            "{:?} is no name; expected labels of letters, digits, - and _, with dots between",
            inputs.name
        )));
    }
    if let Some(zone) = &inputs.zone {
        let zone = zone.trim_end_matches('.').to_ascii_lowercase();
        let below = name.strip_suffix(&zone).is_some_and(|before| before.ends_with('.'));
        if name != zone && !below {
            return Err(invalid(format!("{name} is not in the zone {zone}")));
        }
    }
    Ok(name)
}

fn zone<H: Host>(api: &Api<'_, H>, inputs: &Inputs) -> Result<String, Fault> {
    match (&inputs.zone_id, &inputs.zone) {
        (Some(id), None) => Ok(id.clone()),
        (None, Some(zone)) => api.zone(&zone.trim_end_matches('.').to_ascii_lowercase()),
        _ => Err(Fault::invalid("/inputs", "expected either zone or zone_id")),
    }
}

fn moved(state: &State, inputs: &Inputs, name: &str) -> bool {
    let other_zone = match &inputs.zone_id {
        Some(id) => *id != state.zone_id,
        None => state.zone.is_some() && inputs.zone != state.zone,
    };
    state.name != name || other_zone
}

fn same_settings(state: &State, inputs: &Inputs) -> bool {
    (state.ttl, state.proxied) == (inputs.ttl, inputs.proxied)
}

/// What a record of ours has as its comment. A uid has 16 characters, and every
/// plan of Cloudflare's takes 100.
fn comment(request: &Request<Cloudflare>) -> String {
    let (installation, uid) = (&request.inputs.installation, &request.uid);
    if installation.is_default() {
        return format!("deployd {uid}");
    }
    format!("deployd {installation}/{uid}")
}

/// The time to live and whether there is a proxy, as all of ours have them; what
/// differs from the definition, if any does. Cloudflare has the times of proxied
/// records in its own hands, and answers 1 for whatever it was given.
fn settings(inputs: &Inputs, ours: &[&Found]) -> (u32, bool) {
    let as_wanted = |found: &&&Found| {
        let can = Kind::of(&found.kind).is_some_and(Kind::can_be_proxied);
        found.proxied == (inputs.proxied && can)
    };
    let proxied =
        if ours.iter().all(|found| as_wanted(&found)) { inputs.proxied } else { !inputs.proxied };
    let times = ours.iter().filter(|found| !(found.proxied && as_wanted(found)));
    let other = times.map(|found| found.ttl).find(|ttl| *ttl != inputs.ttl);
    (other.unwrap_or(inputs.ttl), proxied)
}

/// Records of the name that are not ours, and in the way.
fn conflicts(
    there: &[Found],
    wanted: &[(Kind, String)],
    name: &str,
    mine: &str,
) -> Result<(), Fault> {
    let leads = |kind: Kind| kind != Kind::Txt;
    let wants_to_lead = wanted.iter().any(|(kind, _)| leads(*kind));
    let in_the_way = there.iter().filter(|found| found.comment.as_deref() != Some(mine)).find(
        |found| match found.known() {
            Some((kind, _)) if leads(kind) => wants_to_lead,
            Some(text) => wanted.contains(&text),
            None => false,
        },
    );
    match in_the_way {
        None => Ok(()),
        Some(found) => Err(Fault::conflict(format!(
            "{name} has a record {} that is not of this resource (its comment is {:?}); \
             take it away, or hand it over with the comment {mine:?}",
            found.kind,
            found.comment.as_deref().unwrap_or_default()
        ))),
    }
}

/// Takes away what is ours of a name. Done when its zone is gone, whoever took that
/// away: its records went with it.
fn remove_ours<H: Host>(
    api: &Api<'_, H>,
    zone_id: &str,
    name: &str,
    mine: &str,
) -> Result<(), Fault> {
    let there = match api.records(zone_id, name) {
        Err(Fault::NotFound(_)) => return Ok(()),
        there => there?,
    };
    for found in there.iter().filter(|found| found.comment.as_deref() == Some(mine)) {
        api.remove(zone_id, &found.id)?;
    }
    Ok(())
}

fn outputs(name: &str, ttl: u32, proxied: bool, records: &[(Kind, String)]) -> Map<String, Value> {
    let mut by_kind: Map<String, Value> = Map::new();
    for (kind, value) in records {
        let values = by_kind.entry(kind.to_string()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(json!(value));
        }
    }
    let outputs = [
        ("host", json!(name)),
        ("ttl", json!(ttl)),
        ("proxied", json!(proxied)),
        ("records", Value::Object(by_kind)),
    ];
    outputs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
