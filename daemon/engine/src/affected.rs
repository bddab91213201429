//! What changes of documents mean for resources that are there.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::config::{Document, DocumentKey, DocumentKind, Provider};
use deployd_core::deployment::EnvironmentState;
use deployd_core::graph::Uid;
use deployd_core::journal::StreamId;
use deployd_core::matching::{self, MatchError, Subject};
use deployd_core::plan::Plan;
use deployd_core::ports::Batch;
use deployd_core::views::{
    AffectedResource, Applied, AppliedDocument, DefinitionRef, DocumentChange, StoredDocument,
};
use deployd_core::{Digest, EnvironmentId, Name};
use serde_json::Value;

use crate::configuration::{Configuration, removed_document};
use crate::journal::{StoreOrEngine, until_no_conflict};
use crate::records::{DOCUMENTS, PLUGINS, content, document_key, get};
use crate::resources::Made;
use crate::{Caller, Engine, EngineError, Inner};

impl Engine {
    /// Removes a document that nothing refers to. What it said stays in the
    /// journal.
    pub async fn remove_document(
        &self,
        caller: &Caller,
        key: &DocumentKey,
        force: bool,
        dry_run: bool,
    ) -> Result<Applied, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        until_no_conflict(|| self.inner.try_remove(caller, key, force, dry_run)).await
    }
}

impl Inner {
    async fn try_remove(
        &self,
        caller: &Caller,
        key: &DocumentKey,
        force: bool,
        dry_run: bool,
    ) -> Result<Applied, StoreOrEngine> {
        // Read before everything that the removal follows from: whoever changes
        // a document appends here.
        let head = self.ports.store.head(&StreamId::configuration()).await?;
        let before = self.configuration().await?;
        let stored: Option<StoredDocument> =
            get(&*self.ports.store, DOCUMENTS, &document_key(key)).await?;
        let stored = stored.ok_or_else(|| EngineError::not_found(key))?;
        let removed = |map: &mut dyn FnMut(&mut Configuration)| {
            let mut after = Configuration::clone(&before);
            map(&mut after);
            after
        };
        let affected = match key.kind {
            DocumentKind::ResourceDefinition => {
                let after = removed(&mut |after| drop(after.definitions.remove(&key.name)));
                self.affected(&before, &after).await?
            }
            DocumentKind::Plugin => {
                let users = before.users_of_plugin(&key.name);
                if !users.is_empty() {
                    let message = format!(
                        "{key} is used by {}; have these name another one, or remove them, first",
                        users.join(", ")
                    );
                    return Err(EngineError::Conflict { message }.into());
                }
                self.made_by_plugin(&key.name).await?
            }
            DocumentKind::Subscription
            | DocumentKind::Hook
            | DocumentKind::Calendar
            | DocumentKind::Group
            | DocumentKind::Policy
            | DocumentKind::Role
            | DocumentKind::RoleBinding
            | DocumentKind::Issuer => Vec::new(),
            DocumentKind::Environment => {
                let message = "an environment is taken away with what it has: deployd env delete";
                return Err(EngineError::invalid(key.to_string(), message).into());
            }
            DocumentKind::Application | DocumentKind::EnvironmentType | DocumentKind::Workload => {
                let message = "expected a ResourceDefinition, a Plugin, a Subscription, a Hook, \
                               a Calendar, a Group, a Policy, a Role, a RoleBinding or an Issuer";
                return Err(EngineError::invalid(key.to_string(), message).into());
            }
        };
        let document = AppliedDocument {
            key: key.clone(),
            change: DocumentChange::Removed,
            version: stored.version,
        };
        let applied = Applied { dry_run, documents: vec![document], affected };
        if dry_run {
            return Ok(applied);
        }
        confirmed(&applied.affected, force)?;
        let at = self.ports.clock.now();
        let batch = Batch::default();
        let mut batch = removed_document(head.version, at, caller, &stored, batch)?;
        if key.kind == DocumentKind::Plugin {
            let key = key.name.as_str().as_bytes().to_vec();
            batch.puts.push(deployd_core::ports::Put { index: PLUGINS, key, value: None });
        }
        let answer = self.commit(caller, applied, batch, &[]).await?;
        self.changes.announce();
        self.expiry.ring();
        self.workers.ring();
        Ok(answer)
    }

    /// Resources that are there, or are borrowed, and that would come from
    /// another definition, from another driver or lender, or from none.
    pub(crate) async fn affected(
        &self,
        before: &Configuration,
        after: &Configuration,
    ) -> Result<Vec<AffectedResource>, EngineError> {
        let mut affected = Vec::new();
        let types = |configuration: &Configuration| -> BTreeMap<EnvironmentId, Name> {
            let of = configuration.environments.iter();
            of.map(|(id, spec)| (id.clone(), spec.environment_type.clone())).collect()
        };
        let (old_types, new_types) = (types(before), types(after));
        let same_values = before.environments == after.environments
            && before.environment_types == after.environment_types;
        if before.definitions == after.definitions && old_types == new_types && same_values {
            return Ok(affected);
        }
        for id in self.environments_ever().await? {
            // What was kept of an environment that is gone is matched with nothing.
            let (Some(old), Some(new)) = (old_types.get(&id), new_types.get(&id)) else { continue };
            let entry = self.environment(&id).await?;
            let borrowed = self.borrowed(&entry.state).await?;
            for (uid, made) in self.made(&entry.state).await?.into_iter().chain(borrowed) {
                let was = found(before, &id, old, &made);
                let is = found(after, &id, new, &made);
                let stays = match (&was, &is) {
                    (Ok((a, of, _)), Ok((b, by, _))) => a == b && of == by,
                    (Err(_), Err(_)) => true,
                    _ => false,
                };
                if stays {
                    continue;
                }
                let maker = made.driver.as_ref().map(|driver| driver.name.as_str());
                let (to, replace, problem) = match is {
                    Ok((name, provider, digest)) => {
                        let same = match &provider {
                            Some(Provider::Driver(driver)) => Some(driver.as_str()) == maker,
                            Some(lender) => made.driver.is_none() && *lender == made.node.provider,
                            None => false,
                        };
                        (Some(DefinitionRef { name, digest }), !same, None)
                    }
                    Err(error) => (None, false, Some(error.to_string())),
                };
                // It comes from where it came from when it was made.
                if to.as_ref().is_some_and(|to| to.name == made.node.definition) && !replace {
                    continue;
                }
                affected.push(AffectedResource {
                    environment: id.clone(),
                    uid,
                    name: made.node.key.to_string(),
                    from: DefinitionRef {
                        name: made.node.definition,
                        digest: made.node.definition_digest,
                    },
                    to,
                    replace,
                    problem,
                });
            }
        }
        Ok(affected)
    }

    /// What an environment borrows by what is deployed in it.
    async fn borrowed(&self, state: &EnvironmentState) -> Result<Vec<(Uid, Made)>, EngineError> {
        let Some(deployed) = &state.deployed else { return Ok(Vec::new()) };
        let plan: Plan = content(&*self.ports.store, "plan", deployed.plan).await?;
        let nodes = plan.graph.nodes.into_iter();
        let of_others = nodes.filter(|(uid, _)| plan.borrowed.contains_key(uid));
        Ok(of_others.map(|(uid, node)| (uid, Made { node, driver: None, effect: None })).collect())
    }

    /// Resources that are there and that a plugin has made: to take them away
    /// later needs a version of it.
    async fn made_by_plugin(&self, plugin: &Name) -> Result<Vec<AffectedResource>, EngineError> {
        let mut affected = Vec::new();
        for environment in self.environments_ever().await? {
            let entry = self.environment(&environment).await?;
            for (uid, made) in self.made(&entry.state).await? {
                if made.driver.as_ref().is_some_and(|driver| driver.name == plugin.as_str()) {
                    affected.push(AffectedResource {
                        environment: environment.clone(),
                        uid,
                        name: made.node.key.to_string(),
                        from: DefinitionRef {
                            name: made.node.definition,
                            digest: made.node.definition_digest,
                        },
                        to: None,
                        replace: false,
                        problem: Some(format!("its driver {plugin} is removed")),
                    });
                }
            }
        }
        Ok(affected)
    }
}

/// Whether resources may come from elsewhere.
pub(crate) fn confirmed(affected: &[AffectedResource], force: bool) -> Result<(), EngineError> {
    if affected.is_empty() || force {
        return Ok(());
    }
    Err(EngineError::Affects { resources: affected.to_vec() })
}

type Found = (Name, Option<Provider>, Digest);

/// The definition for a resource that is there.
fn found(
    configuration: &Configuration,
    id: &EnvironmentId,
    environment_type: &Name,
    made: &Made,
) -> Result<Found, MatchError> {
    let key = &made.node.key;
    let subject = Subject {
        resource_type: &key.resource_type,
        class: &key.class,
        id: &key.id,
        application: id.application.as_str(),
        environment: id.environment.as_str(),
        environment_type: environment_type.as_str(),
        values: &configuration.values(id),
    };
    let (name, definition) = matching::best(&configuration.definitions, &subject)?;
    // A definition that can't be hashed is refused elsewhere.
    let digest = Digest::of_json(definition).unwrap_or_else(|_| Digest::of(b""));
    Ok((name.clone(), definition.provider(), digest))
}

impl Configuration {
    /// The values of an environment, its type's included; none where there is none.
    pub(crate) fn values(&self, id: &EnvironmentId) -> BTreeMap<String, Value> {
        let Some(spec) = self.environments.get(id) else { return BTreeMap::new() };
        let shared = self.environment_types.get(&spec.environment_type);
        let mut values = shared.map(|shared| shared.values.clone()).unwrap_or_default();
        values.extend(spec.values.clone());
        values
    }

    /// The documents that name a plugin.
    fn users_of_plugin(&self, plugin: &Name) -> Vec<String> {
        let mut users = BTreeSet::new();
        for (name, definition) in &self.definitions {
            if definition.driver.as_ref() == Some(plugin) {
                users.insert(format!("ResourceDefinition {name}"));
            }
        }
        for (name, spec) in &self.environment_types {
            let mut checks = spec.checks.values().map(|check| &check.plugin);
            let named = [&spec.templater.plugin, &spec.strategy.plugin].contains(&plugin);
            if named || checks.any(|check| check == plugin) {
                users.insert(format!("EnvironmentType {name}"));
            }
        }
        for (name, spec) in &self.subscriptions {
            if spec.notifier == *plugin {
                users.insert(format!("Subscription {name}"));
            }
        }
        for (name, spec) in &self.hooks {
            if spec.receiver.plugin == *plugin {
                users.insert(format!("Hook {name}"));
            }
        }
        for (name, spec) in &self.policies {
            if spec.plugin == *plugin {
                users.insert(format!("Policy {name}"));
            }
        }
        users.into_iter().collect()
    }

    /// The same with documents over those of the same name.
    pub(crate) fn with(&self, documents: &[Document]) -> Self {
        let mut after = self.clone();
        after.add(documents.iter().cloned());
        after
    }
}
