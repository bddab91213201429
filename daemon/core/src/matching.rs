//! Which resource definition is for which resource.
//!
//! The most specific criteria that match win. A definition without criteria
//! matches everything of its type, least of all. Criteria that name no class
//! are for the class `default` only: a class is what a developer asked for, and
//! must not be served by a definition that knows nothing of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::Name;
use crate::config::{Criteria, ResourceDefinitionSpec, glob_matches};

/// The class of resources that name none.
pub const DEFAULT_CLASS: &str = "default";

/// What criteria are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The resource's type.
    pub resource_type: &'a str,
    /// The resource's class.
    pub class: &'a str,
    /// The resource's id.
    pub id: &'a str,
    /// The application.
    pub application: &'a str,
    /// The environment's name.
    pub environment: &'a str,
    /// The environment's type.
    pub environment_type: &'a str,
    /// The environment's values, its type's included.
    pub values: &'a BTreeMap<String, Value>,
}

/// How specific criteria are: greater wins. The digits, most significant
/// first, are for id, environment, application, values, environment type: 2 for
/// a name, 1 for a pattern, 0 for not given; that for values is their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity([usize; 5]);

/// How specific these criteria are.
pub fn specificity(criteria: &Criteria) -> Specificity {
    let of = |pattern: &String| if pattern.contains('*') { 1 } else { 2 };
    let grade = |field: &Option<String>| field.as_ref().map_or(0, of);
    Specificity([
        grade(&criteria.id),
        grade(&criteria.environment),
        grade(&criteria.application),
        criteria.values.values().map(of).sum(),
        grade(&criteria.environment_type),
    ])
}

/// Whether criteria match.
pub fn matches(criteria: &Criteria, subject: &Subject<'_>) -> bool {
    let is = |pattern: &Option<String>, text: &str| {
        pattern.as_ref().is_none_or(|pattern| glob_matches(pattern, text))
    };
    glob_matches(criteria.class.as_deref().unwrap_or(DEFAULT_CLASS), subject.class)
        && is(&criteria.id, subject.id)
        && is(&criteria.environment, subject.environment)
        && is(&criteria.application, subject.application)
        && is(&criteria.environment_type, subject.environment_type)
        && criteria.values.iter().all(|(name, pattern)| {
            let text = subject.values.get(name).and_then(text_of);
            text.is_some_and(|text| glob_matches(pattern, &text))
        })
}

/// What a value is compared by.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Why there is no definition for a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Nothing matches.
    #[error("no resource definition matches{}", hint(.same_type))]
    None {
        /// Definitions of the same type, whose criteria do not match.
        same_type: Vec<Name>,
    },
    /// Two match equally well.
    #[error(
        "the resource definitions {first} and {second} match equally well; make one more specific"
    )]
    Tie {
        /// One.
        first: Name,
        /// The other.
        second: Name,
    },
}

fn hint(same_type: &[Name]) -> String {
    if same_type.is_empty() {
        return "; there is none of this type".to_owned();
    }
    let names: Vec<&str> = same_type.iter().map(Name::as_str).collect();
    format!("; of this type there are {}, and their criteria do not match", names.join(", "))
}

/// The definition for a resource.
pub fn best<'a>(
    definitions: &'a BTreeMap<Name, ResourceDefinitionSpec>,
    subject: &Subject<'_>,
) -> Result<(&'a Name, &'a ResourceDefinitionSpec), MatchError> {
    let everything = [Criteria::default()];
    let mut best: Option<(Specificity, &Name, &ResourceDefinitionSpec)> = None;
    let mut tie: Option<&Name> = None;
    let mut same_type = Vec::new();
    for (name, definition) in definitions {
        if definition.resource_type != subject.resource_type {
            continue;
        }
        same_type.push(name.clone());
        let Some(found) = criteria_of(definition, &everything)
            .iter()
            .filter(|criteria| matches(criteria, subject))
            .map(specificity)
            .max()
        else {
            continue;
        };
        match &best {
            Some((known, _, _)) if *known > found => {}
            Some((known, _, _)) if *known == found => tie = Some(name),
            _ => {
                best = Some((found, name, definition));
                tie = None;
            }
        }
    }
    match (best, tie) {
        (None, _) => Err(MatchError::None { same_type }),
        (Some((_, first, _)), Some(second)) => {
            Err(MatchError::Tie { first: first.clone(), second: second.clone() })
        }
        (Some((_, name, definition)), None) => Ok((name, definition)),
    }
}

fn criteria_of<'a>(
    definition: &'a ResourceDefinitionSpec,
    everything: &'a [Criteria],
) -> &'a [Criteria] {
    if definition.criteria.is_empty() { everything } else { &definition.criteria }
}

/// Pairs of definitions that could match a resource equally well: an error at
/// configuration time, so that it is none at deployment time.
pub fn ties(definitions: &BTreeMap<Name, ResourceDefinitionSpec>) -> Vec<(Name, Name)> {
    let everything = [Criteria::default()];
    let mut found = Vec::new();
    let mut rest = definitions.iter();
    while let Some((first_name, first)) = rest.next() {
        for (second_name, second) in rest.clone() {
            let tie = first.resource_type == second.resource_type
                && criteria_of(first, &everything).iter().any(|a| {
                    criteria_of(second, &everything)
                        .iter()
                        .any(|b| specificity(a) == specificity(b) && overlap(a, b))
                });
            if tie {
                found.push((first_name.clone(), second_name.clone()));
            }
        }
    }
    found
}

fn overlap(a: &Criteria, b: &Criteria) -> bool {
    let both = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => globs_overlap(a.as_bytes(), b.as_bytes()),
        _ => true,
    };
    let class = |criteria: &Criteria| {
        Some(criteria.class.clone().unwrap_or_else(|| DEFAULT_CLASS.to_owned()))
    };
    both(&class(a), &class(b))
        && both(&a.id, &b.id)
        && both(&a.environment, &b.environment)
        && both(&a.application, &b.application)
        && both(&a.environment_type, &b.environment_type)
        && a.values.iter().all(|(name, pattern)| {
            let other = b.values.get(name);
            other.is_none_or(|other| globs_overlap(pattern.as_bytes(), other.as_bytes()))
        })
}

/// Whether a text exists that both patterns match.
///
/// Walks the pairs of places that some text leads to, each once, so that
/// patterns with many stars cost no more than the product of their lengths.
fn globs_overlap(a: &[u8], b: &[u8]) -> bool {
    let mut open = vec![(0, 0)];
    let mut seen = std::collections::BTreeSet::from([(0, 0)]);
    while let Some((i, j)) = open.pop() {
        let next = match (a.get(i), b.get(j)) {
            (None, None) => return true,
            // A star is passed over, or takes what the other pattern takes.
            (Some(b'*'), other) => vec![(i + 1, j), (i, j + usize::from(other.is_some()))],
            (other, Some(b'*')) => vec![(i, j + 1), (i + usize::from(other.is_some()), j)],
            (Some(x), Some(y)) if x == y => vec![(i + 1, j + 1)],
            _ => vec![],
        };
        open.extend(next.into_iter().filter(|place| seen.insert(*place)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WhenUnused;
    use serde_json::json;

    fn definition(criteria: &[Criteria]) -> ResourceDefinitionSpec {
        ResourceDefinitionSpec {
            resource_type: "postgres".into(),
            criteria: criteria.to_vec(),
            driver: Some("template".parse().unwrap()),
            lender: None,
            inputs: BTreeMap::new(),
            when_unused: WhenUnused::Keep,
            forward_only: false,
        }
    }

    fn definitions(list: &[(&str, &[Criteria])]) -> BTreeMap<Name, ResourceDefinitionSpec> {
        list.iter().map(|(name, c)| (name.parse().unwrap(), definition(c))).collect()
    }

    fn by_type(pattern: &str) -> Criteria {
        Criteria { environment_type: Some(pattern.into()), ..Criteria::default() }
    }

    fn by_application(pattern: &str) -> Criteria {
        Criteria { application: Some(pattern.into()), ..Criteria::default() }
    }

    const SUBJECT: Subject<'_> = Subject {
        resource_type: "postgres",
        class: "default",
        id: "backend.db",
        application: "shop",
        environment: "development",
        environment_type: "development",
        values: &BTreeMap::new(),
    };

    fn winner(list: &[(&str, &[Criteria])]) -> Result<String, MatchError> {
        best(&definitions(list), &SUBJECT).map(|(name, _)| name.to_string())
    }

    #[test]
    fn the_most_specific_wins() {
        assert_eq!(winner(&[("any", &[]), ("dev", &[by_type("development")])]).unwrap(), "dev");
        assert_eq!(
            winner(&[("shop", &[by_application("shop")]), ("dev", &[by_type("development")])])
                .unwrap(),
            "shop"
        );
        assert_eq!(
            winner(&[("dev", &[by_type("dev*")]), ("exact", &[by_type("development")])]).unwrap(),
            "exact"
        );
        assert_eq!(winner(&[("any", &[]), ("prod", &[by_type("production")])]).unwrap(), "any");
    }

    fn by_values(values: &[(&str, &str)]) -> Criteria {
        let pair = |(name, pattern): &(&str, &str)| ((*name).to_owned(), (*pattern).to_owned());
        Criteria { values: values.iter().map(pair).collect(), ..Criteria::default() }
    }

    #[test]
    fn a_region_chooses_among_definitions() {
        let list = definitions(&[
            ("any", &[]),
            ("type", &[by_type("development")]),
            ("eu", &[by_values(&[("region", "eu-*")])]),
            ("eu-west", &[by_values(&[("region", "eu-west")])]),
            ("eu-west-2", &[by_values(&[("region", "eu-west"), ("zone", "2")])]),
            ("shop", &[Criteria { environment: Some("live".into()), ..Criteria::default() }]),
        ]);
        let winner = |values: Value| {
            let values = serde_json::from_value(values).unwrap();
            let subject = Subject { values: &values, ..SUBJECT };
            best(&list, &subject).map(|(name, _)| name.to_string()).unwrap()
        };
        assert_eq!(winner(json!({})), "type");
        assert_eq!(winner(json!({"region": "us-east"})), "type");
        assert_eq!(winner(json!({"region": "eu-north"})), "eu");
        assert_eq!(winner(json!({"region": "eu-west"})), "eu-west");
        assert_eq!(winner(json!({"region": "eu-west", "zone": 2})), "eu-west-2");
        assert_eq!(winner(json!({"region": ["eu-west"]})), "type");
    }

    #[test]
    fn none_and_ties_are_errors() {
        assert!(
            matches!(winner(&[("prod", &[by_type("production")])]), Err(MatchError::None { same_type }) if same_type.len() == 1)
        );
        assert!(matches!(winner(&[]), Err(MatchError::None { same_type }) if same_type.is_empty()));
        assert!(matches!(winner(&[("a", &[]), ("b", &[])]), Err(MatchError::Tie { .. })));
    }

    #[test]
    fn a_class_is_served_only_by_a_definition_that_names_it() {
        let large = Criteria { class: Some("large".into()), ..Criteria::default() };
        let list = definitions(&[("any", &[]), ("large", &[large])]);
        let subject = Subject { class: "large", ..SUBJECT };
        assert_eq!(best(&list, &subject).unwrap().0.as_str(), "large");
        assert_eq!(best(&list, &SUBJECT).unwrap().0.as_str(), "any");
        let subject = Subject { class: "huge", ..SUBJECT };
        assert!(best(&list, &subject).is_err());
    }

    #[test]
    fn ties_are_found_before_any_resource_meets_them() {
        let pairs = |list: &[(&str, &[Criteria])]| ties(&definitions(list)).len();
        assert_eq!(pairs(&[("a", &[]), ("b", &[])]), 1);
        assert_eq!(pairs(&[("a", &[by_type("x")]), ("b", &[by_type("y")])]), 0);
        assert_eq!(pairs(&[("a", &[by_type("dev*")]), ("b", &[by_type("*ment")])]), 1);
        assert_eq!(pairs(&[("a", &[by_type("dev*")]), ("b", &[by_type("prod*")])]), 0);
        assert_eq!(pairs(&[("a", &[by_type("x")]), ("b", &[by_application("y")])]), 0);
        let region = |name: &str| by_values(&[("region", name)]);
        assert_eq!(pairs(&[("a", &[region("eu")]), ("b", &[region("us")])]), 0);
        assert_eq!(pairs(&[("a", &[region("eu-*")]), ("b", &[region("*-west")])]), 1);
        // An environment can have both.
        assert_eq!(pairs(&[("a", &[region("eu")]), ("b", &[by_values(&[("zone", "1")])])]), 1);
    }
}
