//! The configuration of an environment in one place.

use std::collections::BTreeMap;

use deployd_core::EnvironmentId;
use deployd_core::config::{Document, DocumentKey, DocumentKind, Metadata};
use deployd_core::environment_report::{
    ArrivalRule, CAPABILITIES, EnvironmentReport, OWNER, ReportedDocument, offers, words,
};

use crate::{Engine, EngineError};

impl Engine {
    /// What an environment is for, whose it is, what can be had in it, and by which
    /// rules things happen there.
    pub async fn environment_report(
        &self,
        id: &EnvironmentId,
    ) -> Result<EnvironmentReport, EngineError> {
        let configuration = self.inner.configuration().await?;
        let spec = configuration
            .environments
            .get(id)
            .ok_or_else(|| EngineError::not_found(format!("environment {id}")))?;
        let environment_type = spec.environment_type.clone();
        let of_type = configuration.environment_types.get(&environment_type).ok_or_else(|| {
            EngineError::invalid(
                format!("environment {id}"),
                format!("its type {environment_type} was never applied"),
            )
        })?;
        let key = |kind, application, name| DocumentKey { kind, application, name };
        let own =
            key(DocumentKind::Environment, Some(id.application.clone()), id.environment.clone());
        let document = self
            .document(&own)
            .await?
            .ok_or_else(|| EngineError::not_found(format!("document {own}")))?;
        let types = key(DocumentKind::EnvironmentType, None, environment_type.clone());
        let application = key(DocumentKind::Application, None, id.application.clone());
        let metadata = [
            metadata(&document.document),
            self.document(&types).await?.as_ref().and_then(|stored| metadata(&stored.document)),
            self.document(&application).await?.as_ref().and_then(|it| metadata(&it.document)),
        ];
        let [own, types, application] = &metadata;
        let annotation = |name: &str| {
            let all = [own, types, application].into_iter().flatten();
            all.filter_map(|metadata| metadata.annotations.get(name)).next().cloned()
        };
        let mut annotations = BTreeMap::new();
        for metadata in [types, own].into_iter().flatten() {
            annotations.extend(metadata.annotations.clone());
        }
        let mut values = of_type.values.clone();
        values.extend(spec.values.clone());
        let flow = configuration.applications.get(&id.application).map(|spec| &spec.flow);
        let arrival = (1u32..)
            .zip(flow.into_iter().flatten())
            .find(|(_, stage)| stage.environment == id.environment)
            .map(|(place, stage)| ArrivalRule {
                place: Some(place),
                automatic: stage.automatic.clone(),
            });
        let entry = self.inner.environment(id).await?;
        let resources = self.resources(id).await?;
        let description = |metadata: &Option<Metadata>| metadata.as_ref()?.description.clone();
        Ok(EnvironmentReport {
            environment: id.clone(),
            at: self.now(),
            purpose: description(own).or_else(|| description(types)),
            owner: annotation(OWNER),
            annotations,
            capabilities: annotation(CAPABILITIES).map(|text| words(&text)).unwrap_or_default(),
            offers: offers(&configuration.definitions, id, &environment_type, &values),
            resources,
            arrival: arrival.unwrap_or_default(),
            strategy: of_type.strategy.clone(),
            templater: of_type.templater.plugin.clone(),
            take_over_fields: of_type.take_over_fields,
            ttl: spec.ttl.or(of_type.ttl),
            ends: configuration.ends(id, &entry.state),
            drift: of_type.drift.clone(),
            drift_findings: entry.state.drift.as_ref().map_or(0, |drift| drift.findings),
            values,
            document: ReportedDocument {
                version: document.version,
                by: document.actor,
                at: document.at,
            },
            environment_type,
        })
    }
}

/// Metadata of a document of ours; a Score document has none of this form.
fn metadata(document: &Document) -> Option<Metadata> {
    match document {
        Document::Application(d) => Some(d.metadata.clone()),
        Document::EnvironmentType(d) => Some(d.metadata.clone()),
        Document::Environment(d) => Some(d.metadata.clone()),
        _ => None,
    }
}
