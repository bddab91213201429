//! What a definition and a workload say, checked.

use crate::hostname::{self, DnsName};
use crate::record::{Kind, RecordSet};
use crate::session::Server;
use crate::{Dns, State};
use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Installation, is_known_later};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Values of one type: more addresses than any answer should have.
const VALUES_MAX: usize = 32;
/// Servers that are asked: each costs a connection of the call, which has 16.
const SERVERS_MAX: usize = 6;
/// The longest time to live (RFC 2181).
const TTL_MAX: u32 = 0x7fff_ffff;
/// The longest wait for the authoritative servers: a day.
const PROPAGATION_MAX: u32 = 86_400;

/// What a workload may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    ttl: Option<u32>,
}

/// What the platform's definition says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) server: String,
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    zone: String,
    pub(crate) key: KeyInput,
    name: String,
    records: BTreeMap<Kind, Values>,
    #[serde(default = "default_ttl")]
    ttl: u32,
    #[serde(default = "default_min_ttl")]
    min_ttl: u32,
    #[serde(default = "default_max_ttl")]
    max_ttl: u32,
    #[serde(default)]
    authoritative_servers: Vec<ServerInput>,
    #[serde(default = "default_propagation")]
    pub(crate) propagation_seconds: u32,
    #[serde(default)]
    pub(crate) installation: Installation,
}

/// The key that signs updates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyInput {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) algorithm: Algorithm,
    /// The name of the secret.
    pub(crate) secret: String,
}

/// How messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum Algorithm {
    #[default]
    #[serde(rename = "hmac-sha256")]
    Sha256,
    #[serde(rename = "hmac-sha384")]
    Sha384,
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerInput {
    server: String,
    #[serde(default = "default_port")]
    port: u16,
}

/// One value, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    fn all(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

fn default_port() -> u16 {
    53
}

fn default_ttl() -> u32 {
    300
}

fn default_min_ttl() -> u32 {
    30
}

fn default_max_ttl() -> u32 {
    86_400
}

fn default_propagation() -> u32 {
    600
}

impl Inputs {
    /// The server that takes updates.
    pub(crate) fn server(&self) -> Server {
        Server { host: self.server.clone(), port: self.port }
    }

    /// Whether the zone is this one.
    pub(crate) fn is_zone(&self, zone: &str) -> bool {
        self.zone().is_ok_and(|current| current.to_string() == zone)
    }

    /// The server of records that were made. It may have got another name since;
    /// another zone may be elsewhere.
    pub(crate) fn server_of(&self, made: &State) -> Server {
        if self.is_zone(&made.zone) {
            return self.server();
        }
        Server { host: made.server.clone(), port: made.port }
    }

    /// The servers that are asked.
    pub(crate) fn authoritative(&self) -> Vec<Server> {
        if self.authoritative_servers.is_empty() {
            return vec![self.server()];
        }
        let servers = self.authoritative_servers.iter();
        servers.map(|one| Server { host: one.server.clone(), port: one.port }).collect()
    }

    pub(crate) fn zone(&self) -> Result<DnsName, Fault> {
        hostname::parse("/inputs/zone", &self.zone)
    }

    /// Whether it depends on what is not there yet where the records would be, or
    /// whose.
    pub(crate) fn place_is_known_later(&self) -> bool {
        let key = [&self.key.name, &self.key.secret].map(String::as_str);
        let place = [&self.server, &self.zone, &self.name].map(String::as_str);
        let servers = self.authoritative_servers.iter().map(|one| one.server.as_str());
        let all = place.into_iter().chain(key).chain(servers).chain([self.installation.as_str()]);
        all.into_iter().any(is_known_later)
    }

    /// Where the records would be.
    pub(crate) fn place(&self) -> Result<State, Fault> {
        let zone = self.zone()?;
        let name = hostname::below("/inputs/name", &self.name, &zone)?;
        Ok(State {
            name: name.to_string(),
            zone: zone.to_string(),
            server: self.server.clone(),
            port: self.port,
        })
    }

    fn check(&self) -> Result<(), Fault> {
        if self.authoritative_servers.len() > SERVERS_MAX {
            let message = format!("{SERVERS_MAX} servers can be asked at most");
            return Err(Fault::invalid("/inputs/authoritative_servers", message));
        }
        if !(1..=PROPAGATION_MAX).contains(&self.propagation_seconds) {
            let message = format!("1 to {PROPAGATION_MAX} seconds");
            return Err(Fault::invalid("/inputs/propagation_seconds", message));
        }
        Ok(())
    }

    fn ttl(&self, params: Option<&Params>) -> Result<u32, Fault> {
        let (min, max) = (self.min_ttl, self.max_ttl);
        if min > max || max > TTL_MAX {
            let message = format!("min_ttl {min} to max_ttl {max} is no range up to {TTL_MAX}");
            return Err(Fault::invalid("/inputs/max_ttl", message));
        }
        let (path, ttl) = match params.and_then(|params| params.ttl) {
            Some(ttl) => ("/params/ttl", ttl),
            None => ("/inputs/ttl", self.ttl),
        };
        if (min..=max).contains(&ttl) {
            return Ok(ttl);
        }
        let message = format!("{ttl} seconds; the definition allows {min} to {max}");
        Err(Fault::invalid(path, message))
    }
}

/// What should be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) zone: DnsName,
    pub(crate) name: DnsName,
    /// Where it stands whose the name is.
    pub(crate) ownership: DnsName,
    pub(crate) ttl: u32,
    pub(crate) sets: BTreeMap<Kind, RecordSet>,
    /// Whether some records depend on what is not there yet.
    pub(crate) known_later: bool,
}

impl Wanted {
    /// What a request asks for.
    pub(crate) fn of(request: &Request<Dns>) -> Result<Self, Fault> {
        Self::read(request, false)
    }

    /// The same, where other resources may not be there yet.
    pub(crate) fn planned(request: &Request<Dns>) -> Result<Self, Fault> {
        Self::read(request, true)
    }

    /// The same at the name that has the records, if there is one.
    pub(crate) fn made(request: &Request<Dns>) -> Result<Self, Fault> {
        let mut wanted = Self::read(request, true)?;
        if let Some(state) = &request.state {
            wanted.zone = hostname::parse("/state/zone", &state.zone)?;
            wanted.name = hostname::below("/state/name", &state.name, &wanted.zone)?;
            wanted.ownership = hostname::ownership("/state/name", &wanted.name)?;
        }
        Ok(wanted)
    }

    /// Whether the name is this one.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name.to_string() == name
    }

    fn read(request: &Request<Dns>, preview: bool) -> Result<Self, Fault> {
        let inputs = &request.inputs;
        inputs.check()?;
        let zone = inputs.zone()?;
        let name = hostname::below("/inputs/name", &inputs.name, &zone)?;
        let ownership = hostname::ownership("/inputs/name", &name)?;
        let ttl = inputs.ttl(request.params.as_ref())?;
        let mut wanted =
            Self { zone, name, ownership, ttl, sets: BTreeMap::new(), known_later: false };
        for (kind, values) in &inputs.records {
            let path = format!("/inputs/records/{}", kind.name());
            let values = values.all();
            if !(1..=VALUES_MAX).contains(&values.len()) {
                return Err(Fault::invalid(path, format!("1 to {VALUES_MAX} values")));
            }
            let mut data = BTreeSet::new();
            for (index, value) in values.iter().enumerate() {
                if preview && is_known_later(value) {
                    wanted.known_later = true;
                } else {
                    data.insert(kind.data(&format!("{path}/{index}"), value)?);
                }
            }
            wanted.sets.insert(*kind, RecordSet { ttl, data });
        }
        wanted.check()?;
        Ok(wanted)
    }

    fn check(&self) -> Result<(), Fault> {
        if self.sets.is_empty() {
            return Err(Fault::invalid("/inputs/records", "a name needs records"));
        }
        let Some(alias) = self.sets.get(&Kind::Cname) else { return Ok(()) };
        if self.sets.len() > 1 {
            let message = "a name that has a CNAME has nothing else (RFC 1034): remove it, or the \
                           others";
            return Err(Fault::invalid("/inputs/records/CNAME", message));
        }
        if alias.data.len() > 1 {
            let message = "a name can be an alias of one other only";
            return Err(Fault::invalid("/inputs/records/CNAME", message));
        }
        if alias.data.contains(self.name.as_slice()) {
            let message = format!("{} can't be an alias of itself", self.name);
            return Err(Fault::invalid("/inputs/records/CNAME", message));
        }
        Ok(())
    }
}
