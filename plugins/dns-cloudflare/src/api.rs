//! The part of Cloudflare's API (v4) that is about zones and their records.

use crate::records::{Kind, Record, is_name};
use deployd_plugin_sdk::http::{Request, Response};
use deployd_plugin_sdk::{Fault, Host, shown};
use serde::Deserialize;
use serde_json::Value;

/// Records on a page of a list, and pages of one list: a name has a handful.
const PER_PAGE: u32 = 100;
const PAGES: u32 = 10;

/// Error codes that say: somebody else has made such a record in the meantime.
const TAKEN: [u64; 5] = [81053, 81054, 81056, 81057, 81058];
/// Those that say: no such record, or no such zone. A status alone does not: what
/// stands before the API may answer with 404, too.
const GONE: [u64; 3] = [81044, 1001, 7003];

/// The API, through the host, which adds the token.
pub(crate) struct Api<'a, H> {
    host: &'a H,
    base: &'a str,
}

/// A record as the API has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) ttl: u32,
    #[serde(default)]
    pub(crate) proxied: bool,
    pub(crate) comment: Option<String>,
}

impl Found {
    /// Type and value, where it is of a type that this driver makes.
    pub(crate) fn known(&self) -> Option<(Kind, String)> {
        let kind = Kind::of(&self.kind)?;
        Some((kind, kind.canonical(&self.content)?))
    }

    /// Whether all but its value is as it should be. Cloudflare has the times of
    /// proxied records in its own hands.
    pub(crate) fn is_set_as(&self, record: &Record) -> bool {
        self.proxied == record.proxied && (record.proxied || self.ttl == record.ttl)
    }
}

#[derive(Deserialize)]
struct Zone {
    id: String,
    name: String,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<ApiError>,
    #[serde(default)]
    result: Value,
    result_info: Option<ResultInfo>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ResultInfo {
    #[serde(default)]
    total_pages: u32,
}

impl<'a, H: Host> Api<'a, H> {
    pub(crate) fn new(host: &'a H, base: &'a str) -> Result<Self, Fault> {
        if !(base.starts_with("https://") || base.starts_with("http://"))
            || base.contains(['?', '#', ' '])
        {
            return Err(Fault::invalid("/inputs/api", format!("{base:?} is no URL of an API")));
        }
        Ok(Self { host, base: base.trim_end_matches('/') })
    }

    /// The id of a zone.
    pub(crate) fn zone(&self, name: &str) -> Result<String, Fault> {
        if !is_name(name) {
            return Err(Fault::invalid("/inputs/zone", format!("{name:?} is no name of a zone")));
        }
        let request = Request::get(format!("{}/zones?name={name}", self.base));
        let zones: Vec<Zone> = read(self.ask(&request, "look the zone up")?.result)?;
        let zone = zones.into_iter().find(|zone| zone.name.eq_ignore_ascii_case(name));
        zone.map(|zone| zone.id).ok_or_else(|| {
            Fault::not_found(format!(
                "the API knows no zone {name}, or the token may not see it (Zone:Read)"
            ))
        })
    }

    /// All records of a name.
    pub(crate) fn records(&self, zone: &str, name: &str) -> Result<Vec<Found>, Fault> {
        let zone = id(zone, "zone")?;
        let mut found: Vec<Found> = Vec::new();
        for page in 1..=PAGES {
            let request = Request::get(format!(
                "{}/zones/{zone}/dns_records?name.exact={name}&per_page={PER_PAGE}&page={page}",
                self.base
            ));
            let Some(envelope) = self.ask_unless_gone(&request, "list the records")? else {
                return Err(Fault::not_found(format!("the API knows no zone with the id {zone}")));
            };
            let records: Vec<Found> = read(envelope.result)?;
            // Whatever the list was filtered by: others are none of our business.
            found.extend(records.into_iter().filter(|one| one.name.eq_ignore_ascii_case(name)));
            if page >= envelope.result_info.map_or(0, |info| info.total_pages) {
                return Ok(found);
            }
        }
        Err(Fault::permanent(format!("{name} has more than {} records", PER_PAGE * PAGES)))
    }

    pub(crate) fn make(&self, zone: &str, record: &Record) -> Result<(), Fault> {
        let zone = id(zone, "zone")?;
        let url = format!("{}/zones/{zone}/dns_records", self.base);
        self.ask(&Request::post(url).json(record)?, "make a record").map(drop)
    }

    pub(crate) fn change(&self, zone: &str, record_id: &str, record: &Record) -> Result<(), Fault> {
        let (zone, record_id) = (id(zone, "zone")?, id(record_id, "record")?);
        let url = format!("{}/zones/{zone}/dns_records/{record_id}", self.base);
        self.ask(&Request::patch(url).json(record)?, "change a record").map(drop)
    }

    /// Done when it was gone already.
    pub(crate) fn remove(&self, zone: &str, record_id: &str) -> Result<(), Fault> {
        let (zone, record_id) = (id(zone, "zone")?, id(record_id, "record")?);
        let url = format!("{}/zones/{zone}/dns_records/{record_id}", self.base);
        self.ask_unless_gone(&Request::delete(url), "remove a record").map(drop)
    }

    fn ask(&self, request: &Request, what: &str) -> Result<Envelope, Fault> {
        self.ask_unless_gone(request, what)?
            .ok_or_else(|| Fault::not_found(format!("Cloudflare, to {what}: there is none")))
    }

    /// Nothing when what the request is about is not there.
    fn ask_unless_gone(&self, request: &Request, what: &str) -> Result<Option<Envelope>, Fault> {
        let response = self.host.http(request)?;
        let status = response.status;
        if let Some(fault) = response.passing(&format!("Cloudflare, to {what}")) {
            return Err(fault);
        }
        if (300..=399).contains(&status) {
            let why = "the API answers with a redirect; expected its own address as `api`";
            return Err(Fault::invalid("/inputs/api", format!("{why} (status {status})")));
        }
        let envelope = match response.json::<Envelope>() {
            Ok(envelope) => envelope,
            Err(_) if response.is_success() || status == 404 => {
                return Err(Fault::unavailable(format!(
                    "Cloudflare, to {what}: the answer (status {status}) is not what the API \
                     documents; is `api` its address?"
                )));
            }
            Err(_) => return Err(refused(&response, &[], what)),
        };
        if envelope.success && response.is_success() {
            return Ok(Some(envelope));
        }
        if envelope.errors.iter().any(|error| GONE.contains(&error.code)) {
            return Ok(None);
        }
        Err(refused(&response, &envelope.errors, what))
    }
}

fn refused(response: &Response, errors: &[ApiError], what: &str) -> Fault {
    let said: Vec<_> =
        errors.iter().map(|error| format!("{} ({})", error.message, error.code)).collect();
    let said = shown(&said.join("; "));
    let status = response.status;
    let message = format!("Cloudflare, to {what}: status {status} {said}").trim_end().to_owned();
    if matches!(status, 401 | 403) {
        Fault::denied(format!("{message}; the token needs DNS:Edit for the zone"))
    } else if errors.iter().any(|error| TAKEN.contains(&error.code)) {
        Fault::conflict(message)
    } else {
        Fault::permanent(message)
    }
}

/// An id that can stand in a path, whoever it came from.
fn id<'a>(text: &'a str, of: &str) -> Result<&'a str, Fault> {
    let fine = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fine {
        return Ok(text);
    }
    Err(Fault::permanent(format!("the id of a {of} is letters and digits, and this is none")))
}

fn read<T: serde::de::DeserializeOwned>(result: Value) -> Result<T, Fault> {
    // Without what serde says, which may quote a record.
    serde_json::from_value(result)
        .map_err(|_| Fault::unavailable("Cloudflare: the answer is not what the API documents"))
}
