//! Label and field selectors.

use serde_json::Value;

use crate::json;

/// A selector over an object's labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labels(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

impl Labels {
    /// Reads the text of a query's `labelSelector`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = end_of_requirement(rest);
            let (one, more) = rest.split_at(end);
            found.push(requirement(one.trim()).ok_or_else(|| {
                format!("unable to parse requirement: found '{one}', expected: a label selector")
            })?);
            rest = more.strip_prefix(',').unwrap_or(more).trim_start();
        }
        Ok(Self(found))
    }

    /// Reads a `LabelSelector` object; one without requirements fits everything.
    pub(crate) fn from_object(selector: &Value) -> Self {
        let mut found = Vec::new();
        for (key, value) in json::object(selector, "/matchLabels").into_iter().flatten() {
            found.push(Requirement {
                key: key.clone(),
                test: Test::In(vec![value.as_str().unwrap_or_default().to_owned()]),
            });
        }
        for expression in json::items(selector, "/matchExpressions") {
            let values = json::items(expression, "/values")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            found.push(Requirement {
                key: json::text(expression, "/key").to_owned(),
                test: match json::text(expression, "/operator") {
                    "In" => Test::In(values),
                    "NotIn" => Test::NotIn(values),
                    "Exists" => Test::Exists,
                    _ => Test::Missing,
                },
            });
        }
        Self(found)
    }

    /// Whether nothing is required.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's labels satisfy it.
    pub(crate) fn fits(&self, object: &Value) -> bool {
        let labels = json::at(object, "/metadata/labels").unwrap_or(&Value::Null);
        self.fits_labels(labels)
    }

    /// Whether labels satisfy it.
    pub(crate) fn fits_labels(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key).and_then(Value::as_str);
            let number = || value.and_then(|text| text.parse::<i64>().ok());
            match &requirement.test {
                Test::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::Above(than) => number().is_some_and(|n| n > *than),
                Test::Below(than) => number().is_some_and(|n| n < *than),
            }
        })
    }
}

/// The selector's text, as a scale's status has it.
pub(crate) fn shown(selector: &Value) -> String {
    Labels::from_object(selector)
        .0
        .iter()
        .map(|requirement| {
            let key = &requirement.key;
            match &requirement.test {
                Test::In(values) if values.len() == 1 => format!("{key}={}", values.concat()),
                Test::In(values) => format!("{key} in ({})", values.join(",")),
                Test::NotIn(values) => format!("{key} notin ({})", values.join(",")),
                Test::Exists => key.clone(),
                Test::Missing => format!("!{key}"),
                Test::Above(than) => format!("{key}>{than}"),
                Test::Below(than) => format!("{key}<{than}"),
            }
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn end_of_requirement(text: &str) -> usize {
    let mut depth = 0_usize;
    for (index, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return index,
            _ => {}
        }
    }
    text.len()
}

fn requirement(text: &str) -> Option<Requirement> {
    let make = |key: &str, test: Test| {
        let key = key.trim();
        let fits = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b));
        fits.then(|| Requirement { key: key.to_owned(), test })
    };
    if let Some(key) = text.strip_prefix('!') {
        return make(key, Test::Missing);
    }
    if let Some(inside) = text.strip_suffix(')') {
        let (head, values) = inside.split_once('(')?;
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        return match word {
            "in" => make(key, Test::In(values)),
            "notin" => make(key, Test::NotIn(values)),
            _ => None,
        };
    }
    for sign in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(sign) {
            let value = value.trim();
            if value.contains(['=', '!', ' ', '(']) {
                return None;
            }
            let values = vec![value.to_owned()];
            let test = match sign {
                "!=" => Test::NotIn(values),
                _ => Test::In(values),
            };
            return make(key, test);
        }
    }
    if let Some((key, value)) = text.split_once('>') {
        return make(key, Test::Above(value.trim().parse().ok()?));
    }
    if let Some((key, value)) = text.split_once('<') {
        return make(key, Test::Below(value.trim().parse().ok()?));
    }
    make(text, Test::Exists)
}

/// A selector over an object's fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(String, String, bool)>);

/// Fields that can be selected by, besides name and namespace.
fn selectable(plural: &str) -> &'static [&'static str] {
    match plural {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "nodes" => &["spec.unschedulable"],
        "replicasets" | "replicationcontrollers" => &["status.replicas"],
        "jobs" => &["status.successful"],
        _ => &[],
    }
}

impl Fields {
    /// Reads the text of a query's `fieldSelector` for a resource.
    pub(crate) fn parse(text: &str, plural: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        for one in text.split(',').map(str::trim).filter(|t| !t.is_empty()) {
            let (key, value, equal) = if let Some((key, value)) = one.split_once("!=") {
                (key, value, false)
            } else if let Some((key, value)) = one.split_once("==") {
                (key, value, true)
            } else if let Some((key, value)) = one.split_once('=') {
                (key, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{one}'"));
            };
            let known = ["metadata.name", "metadata.namespace"];
            if !known.contains(&key) && !selectable(plural).contains(&key) {
                return Err(format!("field label not supported: {key}"));
            }
            found.push((key.to_owned(), value.to_owned(), equal));
        }
        Ok(Self(found))
    }

    /// Whether an object's fields satisfy it.
    pub(crate) fn fits(&self, object: &Value) -> bool {
        self.0.iter().all(|(key, wanted, equal)| {
            let pointer = match key.as_str() {
                "source" => "/source/component".to_owned(),
                "status.successful" => "/status/succeeded".to_owned(),
                key => format!("/{}", key.replace('.', "/")),
            };
            let found = match object.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => match key.as_str() {
                    "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
                    "status.successful" | "status.replicas" => "0".to_owned(),
                    _ => String::new(),
                },
                Some(other) => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let object = json!({"metadata": {"labels": {"app": "shop", "tier": "web", "n": "3"}}});
        for (text, fits) in [
            ("", true),
            ("app=shop", true),
            ("app==shop,tier=web", true),
            ("app!=shop", false),
            ("other!=x", true),
            ("app in (shop, till),tier notin (db)", true),
            ("app notin (shop)", false),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("n>2,n<4", true),
            ("n>3", false),
        ] {
            assert_eq!(Labels::parse(text).unwrap().fits(&object), fits, "{text}");
        }
        for text in ["app in shop", "a=b=c", "=x", "app (x)"] {
            assert!(Labels::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors() {
        let pod = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let fits = |text| Fields::parse(text, "pods").unwrap().fits(&pod);
        assert!(fits("metadata.name=a,status.phase!=Failed"));
        assert!(!fits("status.phase==Pending"));
        assert!(Fields::parse("spec.image=x", "pods").is_err());
    }
}
