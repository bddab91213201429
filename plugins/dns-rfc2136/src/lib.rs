//! Driver `dns-rfc2136`: A, AAAA, CNAME and TXT records by dynamic update
//! (RFC 2136) over TCP, signed with TSIG (RFC 8945). Tested against BIND 9.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata:
//!   name: dns-rfc2136
//! spec:
//!   kind: driver
//!   source:
//!     shipped: dns-rfc2136
//!   grant:
//!     # `deployd secret set apps-zone-key`: the base64 text that stands as
//!     # `secret` in the server's key statement.
//!     secrets: { zone-key: apps-zone-key }
//!     reveal: [zone-key]
//!     hosts:
//!       - { host: ns1.example.com, port: 53, scheme: tcp, privateAddress: true }
//!       - { host: ns2.example.com, port: 53, scheme: tcp, privateAddress: true }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata:
//!   name: dns-staging
//! spec:
//!   type: dns
//!   driver: dns-rfc2136
//!   criteria:
//!     - environmentType: staging
//!   inputs:
//!     server: ns1.example.com
//!     zone: apps.example.com
//!     key: { name: deployd, algorithm: hmac-sha256, secret: zone-key }
//!     name: ${context.application}-${context.environment}.apps.example.com
//!     records:
//!       A: [192.0.2.10, 192.0.2.11]
//!     ttl: 300
//!     authoritative_servers:
//!       - { server: ns1.example.com }
//!       - { server: ns2.example.com }
//! ```
//!
//! Workloads may ask for a `ttl` within `min_ttl` and `max_ttl`. Outputs: `host`
//! (the name, as Score's `dns` has it), `ttl`, `records` (values by type).
//! On the server, the key needs no more than
//! `update-policy { grant deployd subdomain apps.example.com. A AAAA CNAME TXT; };`
//! and to be allowed to query.
//!
//! **Whose a name is** stands beside it, in a TXT record at `_deployd.NAME`:
//! `deployd installation=default uid=UID application=APP environment=ENV
//! types=A,AAAA`. It is written in the same update as the records and is a
//! prerequisite of each later one, so that check and change are one operation of
//! the server. A name that has records and no such record, or one of somebody
//! else, is a conflict and stays as it is; records of types that are not listed
//! are left alone. To hand an existing name over, write that record.
//!
//! **Ready** is the resource when each authoritative server answers with exactly
//! these records. **Gone** it is when none of them has the records any more, or when
//! `propagation_seconds` have passed since the primary has none: the log names who
//! still has them. **Replaced** is it when its name changes: the old name goes
//! when the new one is everywhere.

mod definition;
mod hostname;
#[doc(hidden)]
pub mod message;
mod ownership;
mod propagation;
mod record;
mod refusal;
mod session;
#[doc(hidden)]
pub mod tsig;
mod zone;

use definition::{Inputs, Params, Wanted};
use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, export_driver};
use ownership::Identity;
use propagation::Wait;
use record::{Kind, RecordSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use session::Session;
use std::collections::BTreeMap;
use tsig::Key;
use zone::{Found, Owner};

struct Dns;

export_driver!(Dns);

/// Where the records are that were made: another name later is another place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    name: String,
    zone: String,
    server: String,
    port: u16,
}

impl Driver for Dns {
    type Params = Option<Params>;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, host: &impl Host) -> Result<Planned, Fault> {
        if request.inputs.place_is_known_later() {
            let known = request.state.as_ref().map_or(Action::Create, |_| Action::Update);
            return Ok(Planned::new(known).line("records whose name or server is not known yet"));
        }
        let wanted = Wanted::planned(request)?;
        let key = Key::open(&request.inputs.key, host)?;
        let mut session = Session::open(host, &request.inputs.server(), Some(&key))?;
        let identity = Identity::of(request);
        let found = zone::look(&mut session, &wanted, &identity)?;
        zone::check(&mut session, &wanted, &found)?;
        let replaced = request.state.as_ref().filter(|state| !wanted.is_named(&state.name));
        let same = zone::is_as_wanted(&found, &wanted, &identity);
        let action = match (&request.state, replaced) {
            (None, _) => Action::Create,
            (_, Some(_)) => Action::Replace,
            _ if same => Action::None,
            _ => Action::Update,
        };
        let mut planned = Planned::new(action);
        if !same {
            planned.summary = difference(&found, &wanted);
        }
        if let Some(state) = replaced {
            planned = planned.line(format!("{} goes once that is everywhere", state.name));
        }
        planned.outputs = outputs(&wanted.name.to_string(), &wanted.sets);
        planned.outputs.retain(|name, _| !wanted.known_later || name == "host");
        Ok(planned)
    }

    fn provision(
        request: &Request<Self>,
        token: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let inputs = &request.inputs;
        let wanted = Wanted::of(request)?;
        let key = Key::open(&inputs.key, host)?;
        let identity = Identity::of(request);
        let mut session = Session::open(host, &inputs.server(), Some(&key))?;
        zone::converge(&mut session, &wanted, &identity)?;
        drop(session);
        let wait = Wait::since(token, host, inputs);
        if let Some(pending) =
            wait.for_all(|server| zone::is_answered(host, server, &wanted, &identity))?
        {
            return Ok(Progress::Pending(pending));
        }
        if let Some(state) = &request.state
            && !wanted.is_named(&state.name)
            && let Removal::Pending(pending) = remove(request, state, &key, &wait, host)?
        {
            return Ok(Progress::Pending(pending));
        }
        let mut provisioned = Provisioned::new(State {
            name: wanted.name.to_string(),
            zone: wanted.zone.to_string(),
            server: inputs.server.clone(),
            port: inputs.port,
        });
        provisioned.outputs = outputs(&wanted.name.to_string(), &wanted.sets);
        Ok(provisioned.into())
    }

    /// What the server of the updates has, if it is ours.
    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let wanted = Wanted::made(request)?;
        let key = Key::open(&request.inputs.key, host)?;
        let inputs = &request.inputs;
        let server =
            request.state.as_ref().map_or_else(|| inputs.server(), |made| inputs.server_of(made));
        let mut session = Session::open(host, &server, Some(&key))?;
        let found = zone::look(&mut session, &wanted, &Identity::of(request))?;
        match found.owner {
            Owner::Us { .. } => {
                Ok(Some(Value::Object(outputs(&wanted.name.to_string(), &found.sets))))
            }
            Owner::Nobody | Owner::Other { .. } => Ok(None),
        }
    }

    fn destroy(
        request: &Request<Self>,
        token: Option<&str>,
        host: &impl Host,
    ) -> Result<Removal, Fault> {
        let key = Key::open(&request.inputs.key, host)?;
        let wait = Wait::since(token, host, &request.inputs);
        // A replacement that did not come to its end has left two names.
        let planned = request.inputs.place();
        let places = match (&request.state, planned) {
            (None, planned) => vec![planned?],
            (Some(state), Ok(planned)) if planned.name != state.name => {
                vec![planned, state.clone()]
            }
            (Some(state), _) => vec![state.clone()],
        };
        for place in places {
            let removal = remove(request, &place, &key, &wait, host)?;
            if removal != Removal::Done {
                return Ok(removal);
            }
        }
        Ok(Removal::Done)
    }
}

/// Takes a name away, if it is ours, and waits until it is gone everywhere, or has
/// had the time for it.
fn remove(
    request: &Request<Dns>,
    state: &State,
    key: &Key,
    wait: &Wait,
    host: &impl Host,
) -> Result<Removal, Fault> {
    let zone = hostname::parse("/state/zone", &state.zone)?;
    let name = hostname::below("/state/name", &state.name, &zone)?;
    let inputs = &request.inputs;
    let identity = Identity::of(request);
    let mut session = Session::open(host, &inputs.server_of(state), Some(key))?;
    zone::remove(&mut session, &zone, &name, &identity)?;
    drop(session);
    if !inputs.is_zone(&state.zone) {
        // Its servers are not among those that we know.
        return Ok(Removal::Done);
    }
    let pending =
        wait.for_all_or_warn(host, |server| zone::is_gone(host, server, &name, &identity))?;
    Ok(pending.map_or(Removal::Done, Removal::Pending))
}

fn outputs(name: &str, sets: &BTreeMap<Kind, RecordSet>) -> Map<String, Value> {
    let records: Map<String, Value> =
        sets.iter().map(|(kind, set)| (kind.name().to_owned(), json!(set.texts(*kind)))).collect();
    let ttl = sets.values().map(|set| set.ttl).min();
    Map::from_iter([
        ("host".to_owned(), json!(name)),
        ("ttl".to_owned(), json!(ttl)),
        ("records".to_owned(), Value::Object(records)),
    ])
}

/// What changes, a line for each record.
fn difference(found: &Found, wanted: &Wanted) -> Vec<String> {
    let lines =
        |sign: char, sets: &BTreeMap<Kind, RecordSet>, others: &BTreeMap<Kind, RecordSet>| {
            let mut lines = Vec::new();
            for (kind, set) in sets.iter().filter(|(kind, set)| others.get(kind) != Some(*set)) {
                let (name, ttl) = (&wanted.name, set.ttl);
                let texts = set.texts(*kind);
                lines.extend(
                    texts.iter().map(|text| format!("{sign} {name} {ttl} {} {text}", kind.name())),
                );
            }
            lines
        };
    let mut difference = match found.owner {
        Owner::Us { .. } => lines('-', &found.sets, &wanted.sets),
        // What a wildcard answers with is not there.
        Owner::Nobody | Owner::Other { .. } => Vec::new(),
    };
    difference.extend(match found.owner {
        Owner::Us { .. } => lines('+', &wanted.sets, &found.sets),
        Owner::Nobody | Owner::Other { .. } => lines('+', &wanted.sets, &BTreeMap::new()),
    });
    difference
}

#[cfg(test)]
mod tests;
