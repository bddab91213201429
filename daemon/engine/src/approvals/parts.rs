//! Who has had a part in what is to be deployed.

use std::collections::BTreeSet;

use deployd_core::Digest;
use deployd_core::announcement::{ANNOUNCEMENTS, Announcement, announcements_of};
use deployd_core::approval::{Excluded, aliases, rules};
use deployd_core::config::{DocumentKey, DocumentKind, Exclusion};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::image::Image;
use deployd_core::journal::{EventRecord, StreamId, Version};
use deployd_core::plan::Plan;
use deployd_core::ports::Order;
use deployd_core::set::DeploymentSet;
use serde_json::Value;

use crate::records::{content, decode, head_of_deployment};
use crate::{EngineError, Inner};

/// Events of the configuration's stream that are looked through for who has changed
/// something: years of it. Who changed something before is not left out.
const EVENTS_MAX: u64 = 20_000;

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 500;

/// Announcements of one image that are asked who has made its commit.
const ANNOUNCEMENTS_MAX: usize = 20;

impl Inner {
    /// Who has had a part in a plan that waits for approvals, as far as any of its
    /// rules leaves out such people.
    pub(super) async fn parts(
        &self,
        record: &DeploymentRecord,
        plan: &Plan,
    ) -> Result<Excluded, EngineError> {
        let asked: BTreeSet<Exclusion> =
            rules(&plan.gates).flat_map(|rule| rule.exclude.iter().copied()).collect();
        let mut excluded = Excluded::default();
        if asked.contains(&Exclusion::Requester) {
            excluded.add(&record.actor.0, Exclusion::Requester);
        }
        if asked.contains(&Exclusion::Committer) {
            self.committers(plan, &mut excluded).await?;
        }
        if asked.contains(&Exclusion::ConfigAuthor) || asked.contains(&Exclusion::PluginPublisher) {
            self.authors(plan, &mut excluded).await?;
        }
        Ok(excluded)
    }

    /// The authors of the commits that images of a set come from, as they were
    /// announced: of images that run there already, too, for a set is approved whole.
    async fn committers(&self, plan: &Plan, excluded: &mut Excluded) -> Result<(), EngineError> {
        let store = &self.ports.store;
        let set: DeploymentSet = content(&**store, "set", plan.set).await?;
        let images: BTreeSet<String> = set.images().into_values().collect();
        for image in images {
            let image = Image::of(&image);
            let Some(digest) = image.digest else { continue };
            let range = announcements_of(&image.repository, digest);
            let page =
                store.scan(ANNOUNCEMENTS, range, Order::Descending, ANNOUNCEMENTS_MAX).await?;
            for (_, bytes) in &page.entries {
                let known: Announcement = decode(ANNOUNCEMENTS.0, bytes)?;
                for name in known.artifact.author.iter().flat_map(|author| aliases(author)) {
                    excluded.add(&name, Exclusion::Committer);
                }
            }
        }
        Ok(())
    }

    /// Who has changed documents that the plan follows from since what runs there
    /// began, and who has brought its plugins.
    async fn authors(&self, plan: &Plan, excluded: &mut Excluded) -> Result<(), EngineError> {
        let since = match &plan.previous {
            Some(previous) => {
                let before = head_of_deployment(&*self.ports.store, &previous.deployment).await?;
                before.work.map(|work| work.started)
            }
            None => None,
        };
        let stream = StreamId::configuration();
        let head = self.version(&stream).await?;
        let mut from = Version(head.0.saturating_sub(EVENTS_MAX).saturating_add(1));
        while from <= head {
            let page = self.ports.store.read(&stream, from, EVENTS_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            from = last.version.next();
            for record in page.iter().filter(|one| since.is_none_or(|since| one.event.at > since)) {
                if let Some(part) = part(record, plan) {
                    excluded.add(&record.event.actor.0, part);
                }
            }
        }
        Ok(())
    }
}

/// The part that an event of the configuration's stream is in a plan; none where it is
/// about something else.
fn part(record: &EventRecord, plan: &Plan) -> Option<Exclusion> {
    let body = &record.event.body;
    if record.event.kind == "plugin-uploaded" {
        let digest: Digest = serde_json::from_value(body.get("digest")?.clone()).ok()?;
        let uses = plugins(plan).any(|(_, used)| used == digest);
        return uses.then_some(Exclusion::PluginPublisher);
    }
    if !matches!(record.event.kind.as_str(), "document-applied" | "document-removed") {
        return None;
    }
    let key: Value = body.get("key")?.clone();
    let DocumentKey { kind, application, name } = serde_json::from_value(key).ok()?;
    let own = &plan.environment;
    let concerns = match kind {
        DocumentKind::Plugin => {
            let uses = plugins(plan).any(|(used, _)| used == name.as_str());
            return uses.then_some(Exclusion::PluginPublisher);
        }
        DocumentKind::Application => name == own.application,
        DocumentKind::Workload => application.as_ref() == Some(&own.application),
        DocumentKind::Environment => {
            application.as_ref() == Some(&own.application) && name == own.environment
        }
        DocumentKind::EnvironmentType => name == plan.environment_type,
        DocumentKind::ResourceDefinition => {
            plan.graph.nodes.values().any(|node| node.definition == name)
        }
        // Who is told, and who may say what, is no part of the plan.
        _ => false,
    };
    concerns.then_some(Exclusion::ConfigAuthor)
}

/// Plugins of a plan, by name and content.
fn plugins(plan: &Plan) -> impl Iterator<Item = (&str, Digest)> {
    let templater = plan.templater.iter().map(|one| &one.plugin);
    let strategy = plan.strategy.iter().map(|one| &one.plugin);
    let drivers = plan.resources.values().map(|one| &one.driver);
    let checks = plan.checks.values().map(|one| &one.plugin);
    templater
        .chain(strategy)
        .chain(drivers)
        .chain(checks)
        .map(|plugin| (plugin.name.as_str(), plugin.digest))
}
