//! The query of a request.

use crate::ops::{Unknown, WriteOptions};
use crate::status::{ApiError, ApiResult, Cause, Named};

/// Parameters in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text after the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(key), decoded(value))
                })
                .collect(),
        )
    }

    /// A parameter, empty when it is not there.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// Whether a parameter is set to true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), "1" | "true" | "True" | "t" | "T" | "TRUE")
    }

    /// A parameter that is a number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key).parse().ok()
    }

    /// The options of a write by a client.
    pub(crate) fn write_options(&self, user_agent: &str, options: &str) -> ApiResult<WriteOptions> {
        let refuse = |cause: Cause| {
            let named = Named { group: "meta.k8s.io", resource: "options", kind: options };
            Err(ApiError::invalid(named, "", &[cause]))
        };
        let dry_run = match self.get("dryRun") {
            "" => false,
            "All" => true,
            other => {
                return refuse(Cause::unsupported("dryRun", &other.into(), &["All"]));
            }
        };
        let unknown = match self.get("fieldValidation") {
            "Strict" => Unknown::Refuse,
            "" | "Warn" => Unknown::Warn,
            "Ignore" => Unknown::Drop,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                return refuse(Cause::unsupported("fieldValidation", &other.into(), &known));
            }
        };
        let manager = self.get("fieldManager");
        if manager.len() > 128 {
            return refuse(Cause::too_long("fieldManager", 128));
        }
        let manager = match manager {
            "" => user_agent.split('/').next().unwrap_or_default(),
            manager => manager,
        };
        Ok(WriteOptions {
            manager: match manager {
                "" => "unknown".to_owned(),
                manager => manager.chars().take(128).collect(),
            },
            dry_run,
            unknown,
            force: self.flag("force"),
        })
    }
}

/// Undoes percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let value = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(value.unwrap_or(b'?'));
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
