//! What somebody may do, by the documents of this moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use deployd_core::access::{
    Action, AllowedBy, Identity, Narrowed, Permitted, Reach, Resource, groups_of, roles_with,
    who_can,
};
use deployd_core::config::{DocumentKey, DocumentKind};
use deployd_core::views::{TokenScope, TokenView};
use deployd_core::{Actor, DeploymentId, Digest, EnvironmentId, Name, Timestamp};

use crate::configuration::Configuration;
use crate::{Engine, EngineError};

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Who.
    pub actor: Actor,
    /// The groups that their issuer says they are in, with its name before each.
    pub claimed: BTreeSet<String>,
    /// The issuer that knows them; none for the holder of a token.
    pub issuer: Option<Name>,
    /// The role that their token has by itself; none for who has a session.
    pub scope: Option<TokenScope>,
    /// What is left of what they may, where they have asked for less.
    pub narrowed: Option<Narrowed>,
    /// Who made their token; none for who has a session.
    pub created_by: Option<Actor>,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// The digest of their session's token; none for the holder of a token.
    pub session: Option<Digest>,
}

impl Bearer {
    fn identity(&self, groups: BTreeSet<String>) -> Identity {
        Identity {
            actor: self.actor.clone(),
            groups,
            issuer: self.issuer.clone(),
            scope: self.scope,
            narrowed: self.narrowed.clone(),
        }
    }

    /// What allows an action everywhere, if their token does so by itself: then no
    /// document need be looked at.
    pub fn own(&self, action: Action) -> Option<AllowedBy> {
        self.identity(BTreeSet::new()).own(action)
    }
}

/// What somebody may do.
#[derive(Clone)]
pub struct Rights {
    identity: Identity,
    configuration: Arc<Configuration>,
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rights").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Engine {
    /// What somebody may do now.
    pub async fn rights(&self, bearer: &Bearer) -> Result<Rights, EngineError> {
        let configuration = self.inner.configuration().await?;
        let groups = groups_of(&bearer.actor, &bearer.claimed, &configuration.groups);
        Ok(Rights { identity: bearer.identity(groups), configuration })
    }

    /// The environment of a deployment.
    pub async fn place_of(&self, id: &DeploymentId) -> Result<EnvironmentId, EngineError> {
        Ok(self.deployment(id).await?.environment)
    }

    /// The application that a set is of.
    pub async fn application_of(&self, set: Digest) -> Result<Name, EngineError> {
        Ok(self.set(set).await?.application)
    }
}

impl Rights {
    /// The groups that they are in.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.identity.groups
    }

    /// Where they may do something.
    pub fn reach(&self, action: Action) -> Reach {
        self.identity.reach(action, &self.configuration.rules)
    }

    /// Whether they may do something to a resource, and by what.
    pub fn decide(&self, action: Action, resource: &Resource) -> Option<AllowedBy> {
        self.identity.decide(action, resource, &self.configuration.rules)
    }

    /// Roles that allow an action: what somebody could ask for who may not.
    pub fn roles_with(&self, action: Action) -> Vec<Name> {
        roles_with(action, &self.configuration.rules)
    }

    /// All who may do something to a resource, by these tokens and by documents.
    pub fn who_can(
        &self,
        action: Action,
        resource: &Resource,
        tokens: &[TokenView],
    ) -> Vec<Permitted> {
        let tokens = tokens.iter().map(|token| (&token.name, token.scope));
        who_can(action, resource, &self.configuration.rules, tokens)
    }

    /// An environment, with its type if it has a document.
    pub fn environment(&self, id: EnvironmentId) -> Resource {
        let spec = self.configuration.environments.get(&id);
        let environment_type = spec.map(|spec| spec.environment_type.clone());
        Resource::Environment(id, environment_type)
    }

    /// What a document is about.
    pub fn of_document(&self, key: &DocumentKey) -> Resource {
        match (key.kind, &key.application) {
            (DocumentKind::Application, _) => Resource::Common(key.name.clone()),
            (DocumentKind::Workload, Some(application)) => Resource::Common(application.clone()),
            (DocumentKind::Environment, Some(application)) => {
                let (application, environment) = (application.clone(), key.name.clone());
                self.environment(EnvironmentId { application, environment })
            }
            _ => Resource::Installation,
        }
    }

    /// What an announcement of an image reaches: each application that takes images of
    /// its repository, or else the installation, whose journal has it all the same.
    pub fn of_repository(&self, repository: &str) -> Vec<Resource> {
        let taking =
            self.configuration.applications.iter().filter(|(_, spec)| {
                spec.artifacts.iter().any(|rule| rule.repository == repository)
            });
        let taking: Vec<Resource> =
            taking.map(|(name, _)| Resource::Common(name.clone())).collect();
        if taking.is_empty() { vec![Resource::Installation] } else { taking }
    }
}
