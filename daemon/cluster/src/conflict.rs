//! Fields that somebody else owns: a conflict of server-side apply.

use deployd_core::Fault;
use serde_json::{Value, json};

use crate::failure::{ApiStatus, Cause};
use crate::faults::Doing;

/// Fields named in a message; all are in the detail.
const FIELDS_IN_MESSAGE: usize = 5;

/// The fault for a conflict over one object.
pub(crate) fn fault(status: &ApiStatus, doing: Doing<'_>) -> Fault {
    let conflicts: Vec<Value> = status
        .causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            json!({ "object": doing.object, "field": cause.field, "manager": manager(cause) })
        })
        .collect();
    of(doing.cluster, &conflicts)
}

/// One fault for the conflicts of many objects, in their order.
pub(crate) fn merged(cluster: &str, faults: &[Fault]) -> Fault {
    let conflicts: Vec<Value> = faults.iter().filter_map(conflicts_of).flatten().cloned().collect();
    of(cluster, &conflicts)
}

/// The conflicts that a fault is about, if it is about conflicts.
pub(crate) fn conflicts_of(fault: &Fault) -> Option<&Vec<Value>> {
    (fault.code == CODE).then(|| fault.detail.get("conflicts")?.as_array()).flatten()
}

const CODE: &str = "field-conflict";

fn of(cluster: &str, conflicts: &[Value]) -> Fault {
    let lines: Vec<String> = conflicts.iter().take(FIELDS_IN_MESSAGE).map(line).collect();
    let more = conflicts.len().saturating_sub(lines.len());
    let and_more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!(
        "Somebody else owns fields that were to be set in cluster {cluster}: {}{and_more}. Leave \
         these fields out of the manifests, have the other manager give them up, or apply with \
         force to take them over.",
        lines.join("; "),
    );
    Fault::conflict(CODE, message)
        .with_detail(json!({ "cluster": cluster, "conflicts": conflicts }))
}

fn line(conflict: &Value) -> String {
    let text = |pointer| conflict.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = match text("/object/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    format!(
        "{} of {} {namespace}{} is owned by {:?}",
        text("/field"),
        text("/object/kind"),
        text("/object/name"),
        text("/manager"),
    )
}

/// The owner, from `conflict with "kubectl" using apps/v1 at 2024-…`, or
/// `conflict with "kubectl" with subresource "status" using …`.
fn manager(cause: &Cause) -> &str {
    let quoted = cause.message.split('"').nth(1);
    quoted.unwrap_or(cause.message.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::FaultClass;
    use deployd_core::ports::ObjectRef;

    fn status(fields: &[&str]) -> ApiStatus {
        let causes = fields
            .iter()
            .map(|field| Cause {
                reason: "FieldManagerConflict".into(),
                message: r#"conflict with "kubectl-edit" using apps/v1"#.into(),
                field: (*field).to_owned(),
            })
            .collect();
        ApiStatus { code: 409, causes, ..ApiStatus::default() }
    }

    #[test]
    fn fields_and_owners_are_named() {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "frontend".into(),
        };
        let doing = Doing { cluster: "west", verb: "apply", object: Some(&object) };
        let one = fault(&status(&[".spec.replicas"]), doing);
        assert_eq!(one.class, FaultClass::Conflict);
        assert!(
            one.message.contains(
                ".spec.replicas of Deployment shop/frontend is owned by \"kubectl-edit\""
            )
        );
        assert_eq!(one.detail["conflicts"][0]["manager"], "kubectl-edit");
        assert_eq!(one.detail["conflicts"][0]["object"]["kind"], "Deployment");

        let many = fault(&status(&["a", "b", "c", "d", "e", "f"]), doing);
        assert!(many.message.contains("; and 1 more."), "{}", many.message);
        let both = merged("west", &[one, many]);
        assert_eq!(both.detail["conflicts"].as_array().map(Vec::len), Some(7));
    }
}
