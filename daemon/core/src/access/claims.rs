//! Whom a token names whose signature is good, and whether that is believed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::{IdentityRule, IssuerSpec};
use crate::{Actor, Digest, Name, Timestamp};

/// How far clocks may differ.
pub const LEEWAY_MS: u64 = 60_000;

/// Characters of what an issuer calls somebody, or a group. A subject of GitHub Actions
/// has a repository and a ref, of 100 to 250 each.
const NAME_CHARS_MAX: usize = 255;

/// Groups that one token may have: Entra ID gives 200 at most.
const GROUPS_MAX: usize = 250;

/// Somebody whom an issuer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Who, with the issuer's name.
    pub actor: Actor,
    /// Their groups, each with the issuer's name.
    pub groups: BTreeSet<String>,
    /// Until when the token could be shown.
    pub until: Timestamp,
    /// What is the same only for the same token.
    pub once: Digest,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotIdentified {
    /// It is of another issuer.
    #[error("`iss` is {0}, expected {1}")]
    Issuer(String, String),
    /// It is for somebody else.
    #[error("`aud` is {0}, expected {1}")]
    Audience(String, String),
    /// Its time is over.
    #[error("it has expired at {0}")]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("`{0}` is in the future")]
    Early(&'static str),
    /// What has to be there is not, or is empty.
    #[error("`{0}` is {1}, expected {2}")]
    Claim(String, String, &'static str),
    /// No rule fits.
    #[error("none of the issuer's `identities` fits its claims")]
    Stranger,
}

/// Who it is that has a token of an issuer, by the claims that its signature is over.
pub fn identify(
    issuer: &Name,
    spec: &IssuerSpec,
    token: &str,
    claims: &Value,
    now: Timestamp,
) -> Result<Identified, NotIdentified> {
    if claims.get("iss").and_then(Value::as_str) != Some(&spec.issuer) {
        return Err(NotIdentified::Issuer(shown(claims.get("iss")), spec.issuer.clone()));
    }
    audience(spec, claims)?;
    let until = times(claims, now)?;
    let subject = text(claims, &spec.subject)?;
    // Whoever may write any address into their account would be anybody.
    if spec.subject == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        let found = shown(claims.get("email_verified"));
        return Err(NotIdentified::Claim("email_verified".to_owned(), found, "true"));
    }
    let mut groups = BTreeSet::new();
    let fitting: Vec<&IdentityRule> =
        spec.identities.iter().filter(|rule| fits(rule, claims)).collect();
    if fitting.is_empty() && !spec.identities.is_empty() {
        return Err(NotIdentified::Stranger);
    }
    for rule in fitting {
        groups.extend(rule.groups.iter().map(|group| IssuerSpec::named(issuer, group)));
    }
    for group in claimed(spec, claims)? {
        groups.insert(IssuerSpec::named(issuer, &group));
    }
    let id = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty());
    let once = Digest::of(format!("{issuer}\0{}", id.unwrap_or(token)).as_bytes());
    Ok(Identified { actor: Actor(IssuerSpec::named(issuer, subject)), groups, until, once })
}

fn audience(spec: &IssuerSpec, claims: &Value) -> Result<(), NotIdentified> {
    let wrong = |claim: &str| {
        let found = shown(claims.get(claim));
        Err(NotIdentified::Audience(found, spec.audience.clone()))
    };
    let ours = match claims.get("aud") {
        Some(Value::String(one)) => *one == spec.audience,
        Some(Value::Array(all)) => {
            // One that is for several is ours if it was asked for by us.
            let by_us = claims.get("azp").is_none_or(|azp| *azp == spec.audience.as_str());
            all.iter().any(|one| *one == spec.audience.as_str()) && (all.len() == 1 || by_us)
        }
        _ => false,
    };
    if ours { Ok(()) } else { wrong("aud") }
}

/// Until when a token could be shown, if it can be now.
fn times(claims: &Value, now: Timestamp) -> Result<Timestamp, NotIdentified> {
    let at = |claim: &'static str| match claims.get(claim) {
        None => Ok(None),
        // Seconds since 1970, of which some issuers give fractions.
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..1e12).contains(&seconds) => {
                Ok(Some(Timestamp((seconds * 1_000.0) as u64)))
            }
            _ => Err(NotIdentified::Claim(claim.to_owned(), shown(Some(value)), "a time")),
        },
    };
    let missing = || NotIdentified::Claim("exp".to_owned(), "not there".to_owned(), "a time");
    let until = at("exp")?.ok_or_else(missing)?;
    if until.plus_ms(LEEWAY_MS) <= now {
        return Err(NotIdentified::Expired(until));
    }
    for claim in ["nbf", "iat"] {
        if at(claim)?.is_some_and(|from| from > now.plus_ms(LEEWAY_MS)) {
            return Err(NotIdentified::Early(claim));
        }
    }
    Ok(until.plus_ms(LEEWAY_MS))
}

/// A claim that has to be a text that says something.
fn text<'a>(claims: &'a Value, claim: &str) -> Result<&'a str, NotIdentified> {
    let value = claims.get(claim);
    let found = value.and_then(Value::as_str).filter(|text| is_name(text));
    found.ok_or_else(|| {
        NotIdentified::Claim(claim.to_owned(), shown(value), "a text that is not empty")
    })
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= NAME_CHARS_MAX
        && !text.chars().any(char::is_control)
}

fn claimed(spec: &IssuerSpec, claims: &Value) -> Result<Vec<String>, NotIdentified> {
    let Some(claim) = &spec.groups_claim else { return Ok(Vec::new()) };
    let wrong = |value: &Value| {
        let expected = "a list of groups, each with a name";
        Err(NotIdentified::Claim(claim.clone(), shown(Some(value)), expected))
    };
    match claims.get(claim) {
        None => Ok(Vec::new()),
        Some(value @ Value::Array(all)) if all.len() <= GROUPS_MAX => {
            let names: Option<Vec<String>> = all
                .iter()
                .map(|one| one.as_str().filter(|name| is_name(name)).map(str::to_owned))
                .collect();
            names.map_or_else(|| wrong(value), Ok)
        }
        Some(value) => wrong(value),
    }
}

/// Whether all claims of a rule are there, and as it says. Numbers and truths are
/// compared as they are written.
fn fits(rule: &IdentityRule, claims: &Value) -> bool {
    !rule.claims.is_empty()
        && rule.claims.iter().all(|(claim, expected)| match claims.get(claim) {
            Some(Value::String(text)) => !text.is_empty() && expected.has(text),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => expected.has(&value.to_string()),
            _ => false,
        })
}

/// A claim as messages have it.
fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "not there".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
