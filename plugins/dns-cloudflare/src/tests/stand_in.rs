//! Cloudflare's API, as far as it is documented for zones and DNS records
//! (developers.cloudflare.com/api), in memory.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// What stands in the way of an answer.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// Nothing is done, and this is answered: status, headers, body.
    Instead(u16, Vec<(String, String)>, String),
    /// It is done, and this is answered.
    After(u16, String),
}

/// A request, as a server gets it.
pub struct Asked<'a> {
    pub method: &'a str,
    /// Path and query, from `/client/v4` on.
    pub target: &'a str,
    pub authorization: Option<&'a str>,
    pub body: &'a [u8],
}

pub type Answer = (u16, Vec<(String, String)>, String);

/// One account with one zone.
#[derive(Debug, Default)]
pub struct StandIn {
    /// What requests must have; nothing when it is not looked at.
    pub token: Option<String>,
    pub records: BTreeMap<String, Value>,
    /// What happens to the next requests of a method, one after another.
    pub troubles: BTreeMap<String, VecDeque<Trouble>>,
    /// The most that is put on a page; none for what is asked for.
    pub page_max: Option<usize>,
    /// Methods and paths of what was asked.
    pub asked: Vec<String>,
    made: u32,
}

pub const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub const ZONE_NAME: &str = "example.com";

fn ok(result: &Value, info: Option<Value>) -> Answer {
    let mut body = json!({"success": true, "errors": [], "messages": [], "result": result});
    if let (Some(body), Some(info)) = (body.as_object_mut(), info) {
        body.insert("result_info".into(), info);
    }
    (200, Vec::new(), body.to_string())
}

fn error(status: u16, code: u32, message: &str) -> Answer {
    let errors = json!([{"code": code, "message": message}]);
    let body = json!({"success": false, "errors": errors, "messages": [], "result": null});
    (status, Vec::new(), body.to_string())
}

fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

impl StandIn {
    pub fn trouble(&mut self, method: &str, trouble: Trouble) {
        self.troubles.entry(method.to_owned()).or_default().push_back(trouble);
    }

    /// Puts a record there that somebody else has made.
    pub fn foreign(&mut self, kind: &str, name: &str, content: &str, comment: Option<&str>) {
        let record = json!({"type": kind, "name": name, "content": content, "ttl": 300,
            "proxied": false, "comment": comment});
        self.store(record);
    }

    /// Types, names, contents and comments, in order.
    pub fn all(&self) -> Vec<String> {
        let text = |record: &Value, field: &str| record[field].as_str().unwrap_or("-").to_owned();
        let mut all: Vec<String> = self
            .records
            .values()
            .map(|r| ["type", "name", "content", "comment"].map(|f| text(r, f)).join(" "))
            .collect();
        all.sort();
        all
    }

    pub fn answer(&mut self, asked: &Asked<'_>) -> Answer {
        self.asked.push(format!("{} {}", asked.method, asked.target));
        let trouble = self.troubles.get_mut(asked.method).and_then(VecDeque::pop_front);
        if let Some(Trouble::Instead(status, headers, body)) = trouble {
            return (status, headers, body);
        }
        let answer = self.usual(asked);
        match trouble {
            Some(Trouble::After(status, body)) => (status, Vec::new(), body),
            _ => answer,
        }
    }

    fn usual(&mut self, asked: &Asked<'_>) -> Answer {
        if let Some(token) = &self.token {
            match asked.authorization {
                None => {
                    return error(
                        400,
                        9106,
                        "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
                    );
                }
                Some(given) if given != format!("Bearer {token}") => {
                    return error(403, 10000, "Authentication error");
                }
                Some(_) => {}
            }
        }
        let (path, rest) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        let parts: Vec<&str> = path.trim_start_matches("/client/v4/").split('/').collect();
        match (asked.method, parts.as_slice()) {
            ("GET", ["zones"]) => self.zones(rest),
            (_, ["zones", zone, ..]) if *zone != ZONE => error(
                404,
                7003,
                "Could not route to /zones/x, perhaps your object identifier is invalid?",
            ),
            ("GET", ["zones", _, "dns_records"]) => self.list(rest),
            ("POST", ["zones", _, "dns_records"]) => self.write(None, asked.body),
            ("PATCH", ["zones", _, "dns_records", id]) => self.write(Some(id), asked.body),
            ("DELETE", ["zones", _, "dns_records", id]) => match self.records.remove(*id) {
                Some(_) => ok(&json!({"id": id}), None),
                None => error(404, 81044, "Record does not exist."),
            },
            _ => error(405, 10405, "Method not allowed for this authentication scheme"),
        }
    }

    fn zones(&self, rest: &str) -> Answer {
        let found = query(rest, "name").is_none_or(|name| name == ZONE_NAME);
        let zones = if found {
            json!([{"id": ZONE, "name": ZONE_NAME, "status": "active", "paused": false}])
        } else {
            json!([])
        };
        let count = usize::from(found);
        let info = json!({"page": 1, "per_page": 20, "count": count, "total_count": count, "total_pages": 1});
        ok(&zones, Some(info))
    }

    fn list(&self, rest: &str) -> Answer {
        let number = |name: &str| query(rest, name).and_then(|text| text.parse::<usize>().ok());
        let (page, size) = (number("page").unwrap_or(1), number("per_page").unwrap_or(100));
        let size = self.page_max.map_or(size, |max| size.min(max));
        let wanted = query(rest, "name.exact");
        let all: Vec<&Value> = self
            .records
            .values()
            .filter(|record| wanted.is_none_or(|name| record["name"] == name))
            .collect();
        let pages = all.len().div_ceil(size);
        let shown: Vec<_> = all.iter().skip((page - 1) * size).take(size).collect();
        let info = json!({"page": page, "per_page": size, "count": shown.len(),
            "total_count": all.len(), "total_pages": pages});
        ok(&json!(shown), Some(info))
    }

    /// Makes a record, or changes the given fields of one.
    fn write(&mut self, id: Option<&str>, body: &[u8]) -> Answer {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return error(400, 9207, "Request body is invalid.");
        };
        let mut record = match id.map(|id| self.records.get(id).cloned()) {
            None => json!({"ttl": 1, "proxied": false, "comment": null}),
            Some(Some(record)) => record,
            Some(None) => return error(404, 81044, "Record does not exist."),
        };
        if let Some(record) = record.as_object_mut() {
            record.extend(fields);
        }
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let (kind, name, content) = (text("type"), text("name"), text("content"));
        let ttl = record["ttl"].as_u64().unwrap_or_default();
        let fits = match kind.as_str() {
            "A" => content.parse::<std::net::Ipv4Addr>().is_ok(),
            "AAAA" => content.parse::<std::net::Ipv6Addr>().is_ok(),
            "CNAME" => !content.is_empty() && content.parse::<std::net::IpAddr>().is_err(),
            "TXT" => !content.is_empty(),
            _ => return error(400, 9009, "DNS record type is invalid."),
        };
        if !fits {
            return error(400, 9005, "Content for the record is invalid.");
        }
        if ttl != 1 && !(60..=86400).contains(&ttl) {
            return error(
                400,
                9021,
                "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.",
            );
        }
        if text("comment").chars().count() > 100 {
            return error(400, 9219, "Comment is too long.");
        }
        if record["proxied"] == true && kind == "TXT" {
            return error(400, 9004, "This record type cannot be proxied.");
        }
        if name != ZONE_NAME && !name.ends_with(&format!(".{ZONE_NAME}")) {
            return error(400, 9000, "DNS name is invalid.");
        }
        for (other_id, other) in &self.records {
            if Some(other_id.as_str()) == id || other["name"] != name.as_str() {
                continue;
            }
            let other_kind = other["type"].as_str().unwrap_or_default();
            if other_kind == kind && other["content"] == content.as_str() {
                return error(400, 81058, "An identical record already exists.");
            }
            let leads = |kind: &str| ["A", "AAAA", "CNAME"].contains(&kind);
            if leads(&kind) && leads(other_kind) && (kind == "CNAME" || other_kind == "CNAME") {
                let said = "An A, AAAA, or CNAME record with that host already exists.";
                return error(400, 81053, said);
            }
        }
        if record["proxied"] == true {
            record["ttl"] = json!(1);
        }
        ok(&self.store(record), None)
    }

    fn store(&mut self, mut record: Value) -> Value {
        let id = match record["id"].as_str() {
            Some(id) => id.to_owned(),
            None => {
                self.made += 1;
                format!("{:032x}", self.made)
            }
        };
        record["id"] = json!(id);
        self.records.insert(id, record.clone());
        record
    }
}
