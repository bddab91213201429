//! Compares an object as it is with what it would be if it was applied, field by
//! field along what our field manager owns.

use deployd_core::drift::{Difference, Drift};
use deployd_core::ports::Applier;
use serde_json::{Map, Value};

use super::leftover::leftover;
use crate::FIELD_MANAGER;
use crate::fields::{items, text, text_or_empty};

/// Who owns what of an object.
pub(super) struct Managers<'a> {
    /// What was applied by us; none when nothing was.
    pub(super) ours: Option<&'a Value>,
    /// Others, by name.
    others: Vec<(&'a str, &'a Value)>,
}

/// The field managers of an object.
pub(super) fn managers(object: &Value) -> Managers<'_> {
    let mut found = Managers { ours: None, others: Vec::new() };
    for entry in items(object, "/metadata/managedFields") {
        let name = text_or_empty(entry, "/manager");
        let Some(fields) = entry.get("fieldsV1") else { continue };
        let is_ours = name == FIELD_MANAGER
            && text(entry, "/operation") == Some("Apply")
            && text_or_empty(entry, "/subresource").is_empty();
        if is_ours {
            found.ours = Some(fields);
        } else {
            found.others.push((name, fields));
        }
    }
    found
}

impl Managers<'_> {
    /// Names of the others.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.others.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Names of those who own something at, above or below a place.
    pub(super) fn of(&self, steps: &[&str]) -> Vec<String> {
        let owns = |fields: &Value| {
            let mut at = fields;
            for step in steps {
                match (at.get(step), at.as_object()) {
                    (Some(below), _) => at = below,
                    // Owned as a whole.
                    (None, Some(fields)) if fields.is_empty() => return true,
                    (None, _) => return false,
                }
            }
            true
        };
        let owners = self.others.iter().filter(|(_, fields)| owns(fields));
        let mut names: Vec<String> = owners.map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// An object as it is, and as it would be.
pub(super) struct Sides<'a> {
    live: &'a Value,
    wanted: &'a Value,
    managers: Managers<'a>,
    /// What of both is ours: what is compared.
    ours_live: &'a Value,
    ours_wanted: Option<&'a Value>,
    asked: &'a Value,
    applier: Applier,
}

/// Where a comparison is: steps of managed fields, and what people read.
#[derive(Clone, Default)]
pub(super) struct Place<'a> {
    pub(super) steps: Vec<&'a str>,
    pub(super) path: String,
}

impl<'a> Place<'a> {
    pub(super) fn below(&self, step: &'a str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        let (sort, name) = step.split_once(':').unwrap_or(("", step));
        let path = match sort {
            "f" if name.contains(['.', '/']) => format!("{}[{name}]", self.path),
            "f" => format!("{}.{name}", self.path),
            "k" => format!("{}[{}]", self.path, keys_text(name)),
            _ => format!("{}[{name}]", self.path),
        };
        Self { steps, path }
    }
}

/// `name=main`, from `{"name":"main"}`.
fn keys_text(keys: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(keys) else { return keys.to_owned() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs: Vec<String> = fields.iter().map(|(key, v)| format!("{key}={}", text(v))).collect();
    pairs.join(",")
}

impl<'a> Sides<'a> {
    /// The live object, what an apply would make of it, and what would be applied; and
    /// who has applied the live one.
    pub(super) fn new(
        live: &'a Value,
        wanted: &'a Value,
        asked: &'a Value,
        applier: Applier,
    ) -> Self {
        let managers = managers(live);
        let ours_live = match applier {
            Applier::Deployd => managers.ours.unwrap_or(&Value::Null),
            // What deployd has applied before somebody else did is theirs now.
            Applier::Puller | Applier::Others => &Value::Null,
        };
        let ours_wanted = self::managers(wanted).ours;
        Self { live, wanted, managers, ours_live, ours_wanted, asked, applier }
    }

    /// How they differ in what is ours, or would be, in the order of the fields.
    pub(super) fn differences(&self) -> Vec<Drift> {
        let mut found = Vec::new();
        match self.ours_wanted {
            Some(ours_wanted) => {
                let live = (Some(self.live), self.ours_live);
                let wanted = (Some(self.wanted), ours_wanted);
                self.walk(&Place::default(), live, wanted, &mut found);
                if self.applier == Applier::Puller {
                    found.extend(leftover(self.live, ours_wanted, &self.managers));
                }
            }
            // Nobody could say what would be ours: all that was asked for.
            None => self.plainly(String::new(), Some(self.live), self.asked, &mut found),
        }
        found
    }

    fn walk(
        &self,
        place: &Place<'a>,
        (live, ours_live): (Option<&'a Value>, &'a Value),
        (wanted, ours_wanted): (Option<&'a Value>, &'a Value),
        found: &mut Vec<Drift>,
    ) {
        let steps = |ours: &'a Value| ours.as_object().into_iter().flatten().map(|(step, _)| step);
        let mut all: Vec<&'a String> =
            steps(ours_live).chain(steps(ours_wanted)).filter(|step| *step != ".").collect();
        all.sort();
        all.dedup();
        let was_there = live.is_some() && wanted.is_some();
        if all.is_empty() || !was_there {
            if live != wanted {
                let values =
                    Difference { recorded: wanted.cloned(), live: live.cloned(), hidden: false };
                let (path, by) = (place.path.clone(), self.managers.of(&place.steps));
                found.push(Drift::FieldDiffers { path, values, by });
            } else if self.applier == Applier::Deployd
                && ours_live.is_null()
                && !ours_wanted.is_null()
            {
                let by = self.managers.of(&place.steps);
                if !by.is_empty() {
                    found.push(Drift::TakenOver { path: place.path.clone(), by });
                }
            }
            return;
        }
        for step in all {
            let of = |side: Option<&'a Value>, ours: &'a Value| {
                let value = side.and_then(|side| child(side, step));
                (value, ours.get(step).unwrap_or(&Value::Null))
            };
            let (live, wanted) = (of(live, ours_live), of(wanted, ours_wanted));
            // Neither there nor wanted: what we owned was taken away, and would
            // be.
            if live.0.is_some() || wanted.0.is_some() {
                self.walk(&place.below(step), live, wanted, found);
            }
        }
    }

    /// Compares what was asked for with what is there, without knowing more.
    fn plainly(&self, path: String, live: Option<&Value>, asked: &Value, found: &mut Vec<Drift>) {
        match (asked, live) {
            (Value::Object(fields), Some(Value::Object(live))) => {
                for (name, asked) in fields {
                    self.plainly(format!("{path}.{name}"), live.get(name), asked, found);
                }
            }
            (Value::Array(items), Some(Value::Array(live))) if items.len() == live.len() => {
                for (index, (asked, live)) in items.iter().zip(live).enumerate() {
                    self.plainly(format!("{path}[{index}]"), Some(live), asked, found);
                }
            }
            (Value::Null, _) => {}
            (asked, live) if live == Some(asked) => {}
            (asked, live) => {
                let values = Difference {
                    recorded: Some(asked.clone()),
                    live: live.cloned(),
                    hidden: false,
                };
                found.push(Drift::FieldDiffers { path, values, by: self.managers.names() });
            }
        }
    }
}

/// What is at a step of managed fields.
pub(super) fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    let (sort, name) = step.split_once(':')?;
    match sort {
        "f" => value.get(name),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(name).ok()?;
            let fits = |item: &&Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
            value.as_array()?.iter().find(fits)
        }
        "v" => {
            let wanted: Value = serde_json::from_str(name).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        "i" => value.as_array()?.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}
