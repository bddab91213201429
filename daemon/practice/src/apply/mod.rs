//! Server-side apply and the tracking of field owners: pure functions over
//! objects and their types.

mod check;
mod fieldset;
mod last_applied;
mod managed;
mod merge;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::LazyLock;

use fieldset::FieldSet;
use managed::{Operation, Owner};
use serde_json::{Value, json};

use crate::json;
use crate::schema::Type;

/// More `Update` owners than this are folded into one, oldest first, as the
/// API server does: an object must not grow with every tool that touched it.
const MOST_UPDATERS: usize = 10;

/// What the folded owners are called.
const FOLDED: &str = "ancient-changes";

/// Who writes, and through what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    /// The field manager's name.
    pub(crate) manager: &'a str,
    /// The API version that is written.
    pub(crate) api_version: &'a str,
    /// The subresource, empty for the object itself.
    pub(crate) subresource: &'a str,
    /// Whether the type's status is written through its own subresource only.
    pub(crate) has_status: bool,
    /// Now.
    pub(crate) time: &'a str,
}

/// Why an apply was refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The configuration does not fit its type.
    Malformed(String),
    /// Others own some of the fields, with other values.
    Conflicts {
        /// The whole message.
        message: String,
        /// One cause for each field.
        causes: Vec<Value>,
    },
}

/// Merges a configuration into an object (or into nothing yet) and records
/// what the applier owns.
pub(crate) fn apply(
    live: &Value,
    mut config: Value,
    ty: &Type,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Refusal> {
    drop_nulls(&mut config);
    json::take(&mut config, &["metadata", "managedFields"]);
    let complaints = check::complaints(&config, ty);
    if !complaints.is_empty() {
        return Err(Refusal::Malformed(check::message(&complaints)));
    }
    let mut owners = managed::read(live);
    if owners.is_empty() && json::has(live, "/metadata/uid") {
        owners.push(before_first_apply(live, ty, writer));
    }
    let untracked = without_tracking(live);
    let mut applier = Owner {
        manager: writer.manager.to_owned(),
        operation: Operation::Apply,
        api_version: writer.api_version.to_owned(),
        subresource: writer.subresource.to_owned(),
        time: writer.time.to_owned(),
        fields: FieldSet::default(),
    };
    let sent = walk::fields_of(&config, ty);
    applier.fields = sent.difference(&NEVER_TRACKED);
    applier.fields.remove_below(&reset(writer));
    let last = owners.iter().position(|owner| owner.is_same(&applier));
    let last = last.map(|index| owners.remove(index));

    let mut merged = merge::merge(&untracked, &config, ty);
    // Whom could it concern, if nobody else owns anything?
    let touched = if owners.is_empty() {
        FieldSet::default()
    } else {
        let changes = walk::compare(&untracked, &merged, ty);
        changes.modified.union(&changes.added)
    };
    let conflicts: Vec<(&Owner, FieldSet)> = owners
        .iter()
        .filter_map(|owner| {
            let both = owner.fields.intersection(&touched);
            (!both.is_empty()).then_some((owner, both))
        })
        .collect();
    if !force {
        let allowed = last_applied::fields(live, ty, writer);
        let refused: Vec<(&Owner, FieldSet)> = conflicts
            .iter()
            .map(|(owner, fields)| (*owner, fields.difference(&allowed)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        if !refused.is_empty() {
            return Err(conflict(&refused));
        }
    }
    for owner in &mut owners {
        owner.fields.remove(&touched);
    }
    if let Some(last) = &last {
        let owned = owners.iter().fold(sent, |all, owner| all.union(&owner.fields));
        merge::prune(&mut merged, ty, &last.fields, &owned);
        if !owners.is_empty() {
            let removed = walk::compare(&untracked, &merged, ty).removed;
            for owner in &mut owners {
                owner.fields.remove(&removed);
            }
        }
        if last.fields == applier.fields && merged == untracked {
            applier.time.clone_from(&last.time);
        }
    }
    owners.push(applier);
    managed::write(&mut merged, owners);
    last_applied::renew(live, &mut merged, &config, writer);
    Ok(merged)
}

/// Records who owns what after a write that was not an apply. `old` is the
/// stored object (null when it is being created), `new` what will be stored.
pub(crate) fn track(old: &Value, new: &mut Value, ty: &Type, writer: Writer<'_>) {
    let sent = json::items(new, "/metadata/managedFields");
    // A client may take the record away on purpose by sending one empty entry.
    let is_reset = matches!(sent, [one] if one.as_object().is_some_and(|o| o.is_empty()));
    if is_reset && !old.is_null() {
        json::take(new, &["metadata", "managedFields"]);
        return;
    }
    let mut owners = managed::read(new);
    if owners.is_empty() || !writer.subresource.is_empty() {
        owners = managed::read(old);
    }
    let is_typed = matches!(ty, Type::Named(_));
    let before = match old {
        Value::Null if is_typed => always_there(),
        Value::Null => json!({"metadata": {}}),
        old => {
            let mut before = without_tracking(old);
            if is_typed {
                json::put_default(&mut before, &["status"], json!({}));
            }
            before
        }
    };
    let after = without_tracking(new);
    let ignored = NEVER_TRACKED.union(&reset(writer));
    let changes = walk::compare(&before, &after, ty);
    let touched = changes.modified.union(&changes.added);
    let mut fields = touched.difference(&NEVER_TRACKED);
    fields.remove_below(&ignored_below(ignored));
    let mut writer_owner = Owner {
        manager: writer.manager.to_owned(),
        operation: Operation::Update,
        api_version: writer.api_version.to_owned(),
        subresource: writer.subresource.to_owned(),
        time: writer.time.to_owned(),
        fields,
    };
    for owner in &mut owners {
        owner.fields.remove(&touched);
        owner.fields.remove(&changes.removed);
    }
    if let Some(index) = owners.iter().position(|owner| owner.is_same(&writer_owner)) {
        let known = owners.remove(index);
        if writer_owner.fields.is_empty() && changes.removed.is_empty() {
            writer_owner.time.clone_from(&known.time);
        }
        writer_owner.fields = writer_owner.fields.union(&known.fields);
    }
    owners.push(writer_owner);
    fold(&mut owners);
    managed::write(new, owners);
}

/// Folds the oldest `Update` owners into one once there are too many.
fn fold(owners: &mut Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty());
    let updaters = |owners: &[Owner]| {
        owners.iter().filter(|owner| owner.operation == Operation::Update).count()
    };
    while updaters(owners) > MOST_UPDATERS {
        let oldest = |owners: &[Owner], skip_folded: bool| {
            owners
                .iter()
                .enumerate()
                .filter(|(_, o)| o.operation == Operation::Update)
                .filter(|(_, o)| !(skip_folded && o.manager == FOLDED))
                .min_by(|(_, a), (_, b)| a.time.cmp(&b.time))
                .map(|(index, _)| index)
        };
        let Some(index) = oldest(owners, true) else {
            return;
        };
        let gone = owners.remove(index);
        let bucket = Owner { manager: FOLDED.to_owned(), subresource: String::new(), ..gone };
        match owners.iter_mut().find(|owner| owner.is_same(&bucket)) {
            Some(found) => {
                found.fields = found.fields.union(&bucket.fields);
                found.time = bucket.time;
            }
            None => owners.push(bucket),
        }
    }
}

fn conflict(conflicts: &[(&Owner, FieldSet)]) -> Refusal {
    let mut causes = Vec::new();
    let mut named: Vec<(String, Vec<String>)> = Vec::new();
    for (owner, fields) in conflicts {
        let shown = owner.shown();
        let paths = fields.paths();
        for path in &paths {
            causes.push(json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {shown}"),
                "field": path,
            }));
        }
        named.push((shown, paths));
    }
    named.sort();
    let message = match (named.as_slice(), causes.len()) {
        ([(owner, paths)], 1) => {
            format!("Apply failed with 1 conflict: conflict with {owner}: {}", paths.concat())
        }
        (named, count) => {
            let mut lines = Vec::new();
            for (owner, paths) in named {
                lines.push(format!("conflicts with {owner}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    Refusal::Conflicts { message, causes }
}

/// An object that nobody's fields are recorded for belongs to whoever came before.
fn before_first_apply(live: &Value, ty: &Type, writer: Writer<'_>) -> Owner {
    let mut fields = walk::fields_of(&without_tracking(live), ty);
    fields.remove(&NEVER_TRACKED);
    fields.remove_below(&FieldSet::from_json(&json!({"f:status": {}})));
    Owner {
        manager: "before-first-apply".to_owned(),
        operation: Operation::Update,
        api_version: writer.api_version.to_owned(),
        subresource: String::new(),
        time: writer.time.to_owned(),
        fields,
    }
}

fn without_tracking(object: &Value) -> Value {
    // Copied field by field: the record is often larger than the rest.
    let Value::Object(fields) = object else { return object.clone() };
    let copied = fields.iter().map(|(name, value)| {
        let value = match value {
            Value::Object(metadata) if name == "metadata" => metadata
                .iter()
                .filter(|(name, _)| *name != "managedFields")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            other => other.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(copied.collect())
}

/// Fields that every object has and nobody owns.
static NEVER_TRACKED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::from_json(&json!({
        "f:apiVersion": {}, "f:kind": {},
        "f:metadata": {".": {}, "f:name": {}, "f:namespace": {}, "f:creationTimestamp": {},
            "f:selfLink": {}, "f:uid": {}, "f:generation": {}, "f:resourceVersion": {}},
    }))
});

/// Fields that a write through this door does not change, whatever it sends.
fn reset(writer: Writer<'_>) -> FieldSet {
    match writer.subresource {
        "status" => FieldSet::from_json(&json!({"f:spec": {}, "f:data": {}})),
        "" if writer.has_status => FieldSet::from_json(&json!({"f:status": {}})),
        _ => FieldSet::default(),
    }
}

fn ignored_below(mut ignored: FieldSet) -> FieldSet {
    // `metadata` itself is never tracked, but what is below it is.
    if let Some(metadata) = ignored.children.get_mut("f:metadata") {
        metadata.member = false;
    }
    ignored
}

/// The structs that exist before anything is set in them, and so are nobody's.
fn always_there() -> Value {
    let template = json!({"metadata": {}, "spec": {"containers": []}});
    json!({"metadata": {}, "spec": {
        "template": template, "strategy": {}, "updateStrategy": {}, "containers": [],
        "jobTemplate": {"metadata": {}, "spec": {"template": template}},
    }, "status": {}})
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, v| !v.is_null());
            entries.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
