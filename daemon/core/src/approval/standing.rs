//! Who may agree to a plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ApprovalRule, Exclusion};
use crate::seeded::{Bug, seeded};
use crate::{Actor, Name, Timestamp};

/// Somebody who wants to approve.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// What groups they are in.
    pub groups: &'a BTreeSet<String>,
}

/// That somebody may approve in another's place for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    /// In whose place.
    pub from: Actor,
    /// What groups these were in when they said so.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Who.
    pub to: Actor,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Who has had a part in what is to be deployed, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(BTreeMap<String, BTreeSet<Exclusion>>);

impl Excluded {
    /// Notes that somebody had a part. Names are compared without regard to case, as
    /// addresses are.
    pub fn add(&mut self, who: &str, part: Exclusion) {
        self.0.entry(who.to_lowercase()).or_default().insert(part);
    }

    /// The parts that somebody had. The author of a commit is known without the issuer
    /// that names who approves.
    pub fn parts(&self, actor: &Actor) -> BTreeSet<Exclusion> {
        let name = actor.0.to_lowercase();
        let mut parts = self.0.get(&name).cloned().unwrap_or_default();
        let author = name.split_once(':').and_then(|(_, name)| self.0.get(name));
        parts.extend(author.iter().flat_map(|of| of.get(&Exclusion::Committer)));
        parts
    }

    /// Everybody who had a part that a rule excludes, by name.
    pub fn by(&self, rule: &ApprovalRule) -> BTreeMap<String, Vec<Exclusion>> {
        let parts = |(who, parts): (&String, &BTreeSet<Exclusion>)| {
            let parts: Vec<Exclusion> = parts.intersection(&rule.exclude).copied().collect();
            (!parts.is_empty()).then(|| (who.clone(), parts))
        };
        self.0.iter().filter_map(parts).collect()
    }
}

/// The names under which the author of a commit may be known, of a text such as
/// `Ana Silva <ana@example.com>`: the whole, the name, the address.
pub fn aliases(author: &str) -> Vec<String> {
    let author = author.trim();
    let mut names = vec![author.to_owned()];
    if let Some((name, rest)) = author.split_once('<') {
        names.push(name.trim().to_owned());
        names.push(rest.trim_end_matches('>').trim().to_owned());
    }
    names.retain(|name| !name.is_empty());
    names
}

/// With what somebody agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// For which rules.
    pub rules: BTreeSet<Name>,
    /// In whose place; none for themselves.
    pub on_behalf_of: Option<Actor>,
}

/// Why somebody may agree for none of the rules: a sentence for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct NotYours(pub Vec<String>);

/// What somebody may say to rules: for themselves, or else in the place of somebody who
/// has delegated it and could say it. Who is excluded is so in anybody's place, and
/// nobody stands in for them.
pub fn voice(
    rules: &[&ApprovalRule],
    candidate: Candidate<'_>,
    delegations: &[Delegation],
    excluded: &Excluded,
    now: Timestamp,
) -> Result<Voice, NotYours> {
    let mut reasons = Vec::new();
    let mut own = BTreeSet::new();
    for rule in rules {
        match may(rule, candidate, excluded) {
            Ok(()) => {
                own.insert(rule.name.clone());
            }
            Err(reason) => reasons.push(reason),
        }
    }
    if !own.is_empty() {
        return Ok(Voice { rules: own, on_behalf_of: None });
    }
    let lent = delegations
        .iter()
        .filter(|one| one.to == *candidate.actor && one.since <= now && now < one.until);
    for delegation in lent {
        let from = Candidate { actor: &delegation.from, groups: &delegation.groups };
        let lent: BTreeSet<Name> = rules
            .iter()
            .filter(|rule| may(rule, from, excluded).is_ok())
            .filter(|rule| part(rule, candidate.actor, excluded).is_none())
            .map(|rule| rule.name.clone())
            .collect();
        if !lent.is_empty() {
            return Ok(Voice { rules: lent, on_behalf_of: Some(delegation.from.clone()) });
        }
    }
    if reasons.is_empty() {
        reasons.push("no approval is waited for".to_owned());
    }
    Err(NotYours(reasons))
}

/// Whether somebody may agree for a rule, or why not.
fn may(rule: &ApprovalRule, candidate: Candidate<'_>, excluded: &Excluded) -> Result<(), String> {
    let Candidate { actor, groups } = candidate;
    if let Some(part) = part(rule, actor, excluded) {
        return Err(format!("{actor} {}, and {} leaves out who has", part.deed(), rule.name));
    }
    let open = rule.groups.is_empty() && rule.people.is_empty();
    let named = rule.people.contains(&actor.0);
    let member = rule.groups.iter().any(|group| groups.contains(group));
    if open || named || member {
        return Ok(());
    }
    let who: Vec<&str> = rule.groups.iter().chain(&rule.people).map(String::as_str).collect();
    Err(format!("{actor} is none of {}, whom {} asks", who.join(", "), rule.name))
}

/// The part in it for which a rule leaves somebody out.
fn part(rule: &ApprovalRule, actor: &Actor, excluded: &Excluded) -> Option<Exclusion> {
    if seeded(Bug::OwnApprovalCounts) {
        return None;
    }
    excluded.parts(actor).intersection(&rule.exclude).next().copied()
}
