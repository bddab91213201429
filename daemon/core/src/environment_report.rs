//! The configuration of an environment in one place: what it is for, whose it is,
//! what can be had in it, and by which rules things happen there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{
    Criteria, DriftSpec, Provider, ResourceDefinitionSpec, StartRule, StrategyChoice, TimeToLive,
};
use crate::matching::{DEFAULT_CLASS, Subject, matches};
use crate::views::ResourceView;
use crate::{Actor, EnvironmentId, Name, Timestamp};

/// The annotation that says whose an environment, type or application is.
pub const OWNER: &str = "owner";

/// The annotation that says what an environment can do beyond its resources, as
/// words between commas.
pub const CAPABILITIES: &str = "capabilities";

/// An environment's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentReport {
    /// Which environment.
    pub environment: EnvironmentId,
    /// When it was put together.
    pub at: Timestamp,
    /// Its type.
    pub environment_type: Name,
    /// What it is for: its document's description, or else its type's.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Whose it is: the annotation `owner` of its document, its type's, or its
    /// application's, the first that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// All annotations of its document, over those of its type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it can do: the annotation `capabilities`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Resources that workloads can have here, and who provides them.
    pub offers: Vec<Offer>,
    /// Resources that are there.
    pub resources: Vec<ResourceView>,
    /// What comes here by itself.
    pub arrival: ArrivalRule,
    /// How new versions are rolled out.
    pub strategy: StrategyChoice,
    /// The plugin that makes manifests.
    pub templater: Name,
    /// Whether fields of others are taken over.
    pub take_over_fields: bool,
    /// How long it lives after the last deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeToLive>,
    /// When it ends, as things are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// How often it is compared with what was deployed, and what is done then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSpec>,
    /// How many differences there are now.
    pub drift_findings: u32,
    /// Its values, over those of its type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// Who applied its document last, when, and which version of it that is.
    pub document: ReportedDocument,
}

/// What comes to an environment by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArrivalRule {
    /// Its place in the flow of its application, from 1; none where it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Which artifacts are deployed by themselves; none where only people deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic: Option<StartRule>,
}

/// A resource that workloads can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// `postgres`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its class.
    pub class: String,
    /// Only with this id, where the definition says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The definition.
    pub definition: Name,
    /// Who provides it; none where the definition says two, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Provider>,
}

/// The document of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedDocument {
    /// 1 for the first.
    pub version: u64,
    /// Who applied it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// What definitions offer to workloads of an environment. One of two that match
/// wins by what it names; both are told, the more general one for what the other
/// is not for.
pub fn offers(
    definitions: &BTreeMap<Name, ResourceDefinitionSpec>,
    environment: &EnvironmentId,
    environment_type: &Name,
    values: &BTreeMap<String, Value>,
) -> Vec<Offer> {
    let everything = [Criteria::default()];
    let mut offers = Vec::new();
    for (name, definition) in definitions {
        let criteria = match definition.criteria.is_empty() {
            true => everything.as_slice(),
            false => definition.criteria.as_slice(),
        };
        for one in criteria {
            // Whatever class and id it is for: those are told.
            let anywhere = Criteria { class: None, id: None, ..one.clone() };
            let subject = Subject {
                resource_type: &definition.resource_type,
                class: DEFAULT_CLASS,
                id: "",
                application: environment.application.as_str(),
                environment: environment.environment.as_str(),
                environment_type: environment_type.as_str(),
                values,
            };
            if matches(&anywhere, &subject) {
                offers.push(Offer {
                    resource_type: definition.resource_type.clone(),
                    class: one.class.clone().unwrap_or_else(|| DEFAULT_CLASS.to_owned()),
                    id: one.id.clone(),
                    definition: name.clone(),
                    by: definition.provider(),
                });
            }
        }
    }
    let order = |offer: &Offer| {
        (offer.resource_type.clone(), offer.class.clone(), offer.definition.clone())
    };
    offers.sort_by_key(order);
    offers.dedup();
    offers
}

/// Words between commas.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn offers_are_those_of_the_environment() {
        let definitions: BTreeMap<Name, ResourceDefinitionSpec> = serde_json::from_value(json!({
            "all": {"type": "dns", "driver": "dns"},
            "large": {"type": "postgres", "driver": "postgres", "criteria": [
                {"class": "large", "environmentType": "production"},
                {"environment": "staging"},
            ]},
            "shared": {"type": "postgres", "lender": "platform/shared", "criteria": [{"environmentType": "preview"}]},
        }))
        .unwrap();
        let of = |environment: &str, of_type: &str| -> Vec<(String, String)> {
            let (id, of_type) = (environment.parse().unwrap(), of_type.parse().unwrap());
            let offers = offers(&definitions, &id, &of_type, &BTreeMap::new());
            offers.into_iter().map(|offer| (offer.definition.to_string(), offer.class)).collect()
        };
        let pair = |name: &str, class: &str| (name.to_owned(), class.to_owned());
        assert_eq!(of("shop/live", "production"), [pair("all", "default"), pair("large", "large")]);
        assert_eq!(of("shop/pr-1", "preview"), [pair("all", "default"), pair("shared", "default")]);
        assert_eq!(of("shop/staging", "x"), [pair("all", "default"), pair("large", "default")]);
        assert_eq!(words(" a, b c ,,"), ["a", "b c"]);
    }
}
