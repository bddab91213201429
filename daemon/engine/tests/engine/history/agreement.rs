//! Who has agreed to what, as the judge follows it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a deployment waits for, and what people have said to it.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    plan: String,
    /// Gates that are shut, with how many have to agree: none where it is no question
    /// of that.
    gates: BTreeMap<String, u64>,
    /// Who has agreed to which plan, for which gates.
    agreed: BTreeSet<(String, String, String)>,
    /// Plans that somebody went on with.
    broken: BTreeSet<String>,
}

impl Agreement {
    pub(super) fn planned(&mut self, body: &Value) {
        self.plan = text(&body["plan"]);
        let gates = body["gates"].as_array().into_iter().flatten();
        self.gates = gates
            .map(|gate| {
                let condition = &gate["condition"];
                let needed = match condition["kind"].as_str() {
                    Some("approval") => condition["rule"]["count"].as_u64().unwrap_or(1),
                    _ => 0,
                };
                (text(&gate["id"]), needed)
            })
            .collect();
    }

    pub(super) fn given(&mut self, actor: &str, body: &Value) {
        for rule in body["rules"].as_array().into_iter().flatten() {
            let gate = format!("approval:{}", text(rule));
            self.agreed.insert((text(&body["plan"]), gate, actor.to_owned()));
        }
    }

    pub(super) fn withdrawn(&mut self, actor: &str) {
        self.agreed.retain(|(.., by)| by != actor);
    }

    pub(super) fn broken(&mut self, body: &Value) {
        self.broken.insert(text(&body["plan"]));
    }

    /// A gate opens: only when enough people have agreed to that very plan, or with what
    /// was attested.
    pub(super) fn passed(&mut self, body: &Value) -> Result<(), String> {
        let gate = body["gate"].as_str().unwrap_or_default();
        let Some(needed) = self.gates.remove(gate) else {
            return Err(format!("{gate} opens, and was not shut"));
        };
        let attested = body["evidence"].as_array().map_or(0, Vec::len);
        if gate.starts_with("attestation:") && attested == 0 {
            return Err(format!("I12: {gate} opens, and nothing was attested"));
        }
        let agreed = self.agreed.iter().filter(|(plan, of, _)| *plan == self.plan && of == gate);
        let agreed = agreed.count() as u64;
        if agreed >= needed || self.broken.contains(&self.plan) {
            return Ok(());
        }
        Err(format!("I12: {gate} opens, and {agreed} of {needed} have agreed to {}", self.plan))
    }

    /// Whether nothing is waited for.
    pub(super) fn is_open(&self) -> bool {
        self.gates.is_empty()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
