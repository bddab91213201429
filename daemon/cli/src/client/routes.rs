//! What can be asked of a daemon, each a function.

use deployd_core::artifact::Artifact;
use deployd_core::config::DocumentKind;
use deployd_core::debug::DebugView;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::drift::DriftReport;
use deployd_core::journal::{EventRecord, StreamHead};
use deployd_core::outbox::{Message, MessageStatus};
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::{PluginInfo, VerifyReport};
use deployd_core::quarantine::{LiftRequest, Quarantined};
use deployd_core::replay::{PluginVersion, Replay};
use deployd_core::secret::{KeyReport, Link};
use deployd_core::set::DeploymentSet;
use deployd_core::steering::{PromoteRequest, SteerRequest, Steering};
use deployd_core::subject::Subject;
use deployd_core::views::{
    Announced, Applied, CloneRequest, DeployRequest, EnvironmentView, HistoryPage, LinkedSecret,
    LogEntry, NewToken, PlanView, RehearsalView, RehearseRequest, ResourceFilter, ResourceView,
    RollbackRequest, RollbackView, RolloutView, SecretView, StoredDocument, TeardownRequest,
    TokenScope, TokenView, WhoAmI,
};
use deployd_core::{DeploymentId, Digest, EnvironmentId, Name};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Client;
use super::request::Request;
use crate::error::CliError;

/// Documents to apply, and files that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentFiles {
    /// YAML or JSON.
    pub files: Vec<deployd_config::SourceFile>,
    /// Files that they name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesideFile>,
    /// Change nothing.
    pub dry_run: bool,
    /// Also where resources that are there come from elsewhere by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A file that a document names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BesideFile {
    /// From where the paths of documents begin.
    pub path: String,
    /// Base 64.
    pub content: String,
}

/// Which deployments to list.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// Only of this environment.
    pub environment: Option<EnvironmentId>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// Which notifications to list.
#[derive(Debug, Clone, Default)]
pub struct NotificationQuery {
    /// Only those that stand so.
    pub status: Option<MessageStatus>,
    /// Only those about this deployment.
    pub deployment: Option<String>,
    /// Only those after this one.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

/// An event of the journal and its place in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// 1 is the first event ever stored; none where one stream was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The event.
    #[serde(flatten)]
    pub record: EventRecord,
}

/// Where a copy of the store went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDone {
    /// On the daemon's machine.
    pub path: String,
}

impl Client {
    pub(super) fn get(&self, path: &[&str]) -> Result<Request, CliError> {
        Ok(Request::new(Method::GET, self.url(path.iter().copied())?))
    }

    pub(super) fn post(&self, path: &[&str]) -> Result<Request, CliError> {
        Ok(Request::new(Method::POST, self.url(path.iter().copied())?))
    }

    /// Applies documents: all, or none.
    pub async fn apply(&self, files: &DocumentFiles) -> Result<Applied, CliError> {
        self.ask(self.post(&["v1", "documents:apply"])?.json(files)?).await
    }

    /// Documents that are applied.
    pub async fn documents(
        &self,
        kind: Option<DocumentKind>,
    ) -> Result<Vec<StoredDocument>, CliError> {
        self.ask(self.get(&["v1", "documents"])?.query("kind", kind)).await
    }

    /// Removes a document that belongs to no application.
    pub async fn remove_document(
        &self,
        kind: DocumentKind,
        name: &Name,
        force: bool,
        dry_run: bool,
    ) -> Result<Applied, CliError> {
        let url = self.url(["v1", "documents", &kind.to_string(), name.as_str()])?;
        let asked = Request::new(Method::DELETE, url)
            .query("force", force.then_some(true))
            .query("dry_run", dry_run.then_some(true));
        self.ask(asked).await
    }

    /// Takes an environment away.
    pub async fn delete_environment(
        &self,
        id: &EnvironmentId,
        request: &TeardownRequest,
    ) -> Result<DeploymentRecord, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "delete"])?;
        self.ask(asked.json(request)?).await
    }

    /// What taking an environment away would do.
    pub async fn plan_of_deletion(
        &self,
        id: &EnvironmentId,
        request: &TeardownRequest,
    ) -> Result<PlanView, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "delete"])?;
        self.ask(asked.query("dry_run", Some(true)).json(request)?).await
    }

    /// Resources of all environments.
    pub async fn all_resources(
        &self,
        filter: &ResourceFilter,
    ) -> Result<Vec<ResourceView>, CliError> {
        let asked = self
            .get(&["v1", "resources"])?
            .query("application", filter.application.as_ref())
            .query("environment", filter.environment.as_ref())
            .query("type", filter.resource_type.as_ref())
            .query("definition", filter.definition.as_ref())
            .query("driver", filter.driver.as_ref());
        self.ask(asked).await
    }

    /// Announces artifacts.
    pub async fn announce(&self, artifacts: &[Artifact]) -> Result<Announced, CliError> {
        self.ask(self.post(&["v1", "artifacts"])?.json(&artifacts)?).await
    }

    /// Has a deployment accepted.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<DeploymentRecord, CliError> {
        self.ask(self.post(&["v1", "deployments"])?.json(request)?).await
    }

    /// What a deployment would do.
    pub async fn plan(&self, request: &DeployRequest) -> Result<PlanView, CliError> {
        let asked = self.post(&["v1", "deployments"])?.query("dry_run", Some(true));
        self.ask(asked.json(request)?).await
    }

    /// What a strategy would do of a deployment in a simulated world.
    pub async fn rehearse(
        &self,
        id: &EnvironmentId,
        request: &RehearseRequest,
    ) -> Result<RehearsalView, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "rehearse"])?;
        self.ask(asked.json(request)?).await
    }

    /// A page of history, newest first.
    pub async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, CliError> {
        let asked = self
            .get(&["v1", "deployments"])?
            .query("environment", query.environment.as_ref())
            .query("cursor", query.cursor.as_ref())
            .query("limit", query.limit);
        self.ask(asked).await
    }

    /// A deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<DeploymentRecord, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0])?).await
    }

    /// Lines of a deployment's log after one.
    pub async fn logs(
        &self,
        id: &DeploymentId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, CliError> {
        let asked = self
            .get(&["v1", "deployments", &id.0, "logs"])?
            .query("after", Some(after))
            .query("limit", Some(limit));
        self.ask(asked).await
    }

    /// How the rollout of a deployment stands.
    pub async fn rollout(&self, id: &DeploymentId) -> Result<RolloutView, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0, "rollout"])?).await
    }

    /// All that is known of a deployment, with so many lines of its log.
    pub async fn debug(&self, id: &DeploymentId, lines: u32) -> Result<DebugView, CliError> {
        let asked = self.get(&["v1", "deployments", &id.0, "debug"])?;
        self.ask(asked.query("lines", Some(lines))).await
    }

    /// A deployment's manifests; secrets are references.
    pub async fn manifests(&self, id: &DeploymentId) -> Result<Manifests, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0, "manifests"])?).await
    }

    /// The plan that a deployment executes.
    pub async fn plan_of(&self, id: &DeploymentId) -> Result<Plan, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0, "plan"])?).await
    }

    /// Ends a deployment.
    pub async fn cancel(
        &self,
        id: &DeploymentId,
        reason: Option<&str>,
    ) -> Result<DeploymentRecord, CliError> {
        let asked = self.post(&["v1", "deployments", &id.0, "cancel"])?;
        self.ask(asked.json(&json!({"reason": reason}))?).await
    }

    /// Has a rollout do something else than it would.
    pub async fn steer(
        &self,
        id: &DeploymentId,
        how: Steering,
        reason: Option<String>,
    ) -> Result<DeploymentRecord, CliError> {
        let (what, body) = match how {
            Steering::Pause => ("pause", serde_json::to_value(SteerRequest { reason })),
            Steering::Resume => ("resume", serde_json::to_value(SteerRequest { reason })),
            Steering::Retry => ("retry", serde_json::to_value(SteerRequest { reason })),
            Steering::Promote(skip) => {
                ("promote", serde_json::to_value(PromoteRequest { skip, reason }))
            }
        };
        let asked = self.post(&["v1", "deployments", &id.0, what])?;
        self.ask(asked.json(&body.unwrap_or_default())?).await
    }

    /// Images that have failed in an environment.
    pub async fn quarantine(&self, id: &EnvironmentId) -> Result<Vec<Quarantined>, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        self.ask(self.get(&["v1", "environments", application, environment, "quarantine"])?).await
    }

    /// Has automation bring one back.
    pub async fn lift(
        &self,
        id: &EnvironmentId,
        request: &LiftRequest,
    ) -> Result<Quarantined, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let path = ["v1", "environments", application, environment, "quarantine", "lift"];
        self.ask(self.post(&path)?.json(request)?).await
    }

    /// Has what ran before run again.
    pub async fn rollback(
        &self,
        id: &EnvironmentId,
        request: &RollbackRequest,
    ) -> Result<DeploymentRecord, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "rollback"])?;
        self.ask(asked.json(request)?).await
    }

    /// What that would do.
    pub async fn plan_of_rollback(
        &self,
        id: &EnvironmentId,
        request: &RollbackRequest,
    ) -> Result<RollbackView, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "rollback"])?;
        self.ask(asked.query("dry_run", Some(true)).json(request)?).await
    }

    /// Makes an environment like another one.
    pub async fn clone_environment(
        &self,
        id: &EnvironmentId,
        request: &CloneRequest,
    ) -> Result<DeploymentRecord, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let asked = self.post(&["v1", "environments", application, environment, "clone"])?;
        self.ask(asked.json(request)?).await
    }

    /// Makes a past deployment once more, and compares.
    pub async fn replay(
        &self,
        of: &Subject,
        with: Option<&PluginVersion>,
    ) -> Result<Replay, CliError> {
        let asked = self.get(&["v1", "replay"])?.query("of", Some(of)).query("with", with);
        self.ask(asked).await
    }

    /// All environments.
    pub async fn environments(&self) -> Result<Vec<EnvironmentView>, CliError> {
        self.ask(self.get(&["v1", "environments"])?).await
    }

    /// An environment.
    pub async fn environment(&self, id: &EnvironmentId) -> Result<EnvironmentView, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        self.ask(self.get(&["v1", "environments", application, environment])?).await
    }

    /// What the last check of an environment for drift has found.
    pub async fn drift(&self, id: &EnvironmentId) -> Result<DriftReport, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        self.ask(self.get(&["v1", "environments", application, environment, "drift"])?).await
    }

    /// Checks an environment for drift.
    pub async fn check_drift(&self, id: &EnvironmentId) -> Result<DriftReport, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        self.ask(self.post(&["v1", "environments", application, environment, "drift"])?).await
    }

    /// Deploys again what is deployed, taking fields over from others.
    pub async fn heal_drift(&self, id: &EnvironmentId) -> Result<DeploymentRecord, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let path = ["v1", "environments", application, environment, "drift", "heal"];
        self.ask(self.post(&path)?).await
    }

    /// A deployment set.
    pub async fn set(&self, digest: Digest) -> Result<DeploymentSet, CliError> {
        self.ask(self.get(&["v1", "sets", &digest.to_string()])?).await
    }

    /// What others are told.
    pub async fn notifications(&self, query: &NotificationQuery) -> Result<Vec<Message>, CliError> {
        let status = query.status.map(|status| match status {
            MessageStatus::Pending => "pending",
            MessageStatus::Delivered => "delivered",
            MessageStatus::Dead => "dead",
        });
        let asked = self
            .get(&["v1", "notifications"])?
            .query("status", status)
            .query("deployment", query.deployment.as_ref())
            .query("after", query.after.as_ref())
            .query("limit", query.limit);
        self.ask(asked).await
    }

    /// A notification.
    pub async fn notification(&self, id: &str) -> Result<Message, CliError> {
        self.ask(self.get(&["v1", "notifications", id])?).await
    }

    /// Delivers a notification again.
    pub async fn redeliver(&self, id: &str) -> Result<Message, CliError> {
        self.ask(self.post(&["v1", "notifications", id, "redeliver"])?).await
    }

    /// Sets a secret.
    pub async fn set_secret(&self, name: &Name, value: Vec<u8>) -> Result<(), CliError> {
        let url = self.url(["v1", "secrets", name.as_str()])?;
        let mut asked = Request::new(Method::PUT, url);
        asked.body = Some(("application/octet-stream", value.into()));
        self.tell(asked).await
    }

    /// Has a secret stand for a value that is kept elsewhere.
    pub async fn link_secret(&self, name: &Name, from: &Link) -> Result<LinkedSecret, CliError> {
        let url = self.url(["v1", "secrets", name.as_str(), "link"])?;
        let asked = Request::new(Method::PUT, url).json(&json!({"from": from}))?;
        self.ask(asked).await
    }

    /// Secrets, without their values.
    pub async fn secrets(&self) -> Result<Vec<SecretView>, CliError> {
        self.ask(self.get(&["v1", "secrets"])?).await
    }

    /// The keys that secrets are encrypted with, without the keys.
    pub async fn secret_keys(&self) -> Result<KeyReport, CliError> {
        self.ask(self.get(&["v1", "secret-keys"])?).await
    }

    /// Makes a new key and wraps every secret with it.
    pub async fn rotate_secret_key(&self) -> Result<KeyReport, CliError> {
        self.ask(self.post(&["v1", "secret-keys", "rotate"])?.long()).await
    }

    /// Plugins that are loaded.
    pub async fn plugins(&self) -> Result<Vec<PluginInfo>, CliError> {
        self.ask(self.get(&["v1", "plugins"])?).await
    }

    /// Uploads a plugin.
    pub async fn push_plugin(
        &self,
        component: &[u8],
        manifest: &str,
    ) -> Result<PluginInfo, CliError> {
        use base64::Engine as _;
        let component = base64::engine::general_purpose::STANDARD.encode(component);
        let body = json!({"manifest": manifest, "component": component});
        self.ask(self.post(&["v1", "plugins"])?.json(&body)?.long()).await
    }

    /// Creates a token.
    pub async fn create_token(&self, name: &Name, scope: TokenScope) -> Result<NewToken, CliError> {
        let body = json!({"name": name, "scope": scope});
        self.ask(self.post(&["v1", "tokens"])?.json(&body)?).await
    }

    /// Tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, CliError> {
        self.ask(self.get(&["v1", "tokens"])?).await
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, name: &Name) -> Result<(), CliError> {
        let url = self.url(["v1", "tokens", name.as_str()])?;
        self.tell(Request::new(Method::DELETE, url)).await
    }

    /// The token that is used.
    pub async fn whoami(&self) -> Result<WhoAmI, CliError> {
        self.ask(self.get(&["v1", "whoami"])?).await
    }

    /// Events of the journal after a position.
    pub async fn journal(&self, after: u64, limit: u32) -> Result<Vec<JournalEntry>, CliError> {
        let asked =
            self.get(&["v1", "journal"])?.query("after", Some(after)).query("limit", Some(limit));
        self.ask(asked).await
    }

    /// Events of one stream, from a version on.
    pub async fn stream(
        &self,
        stream: &str,
        (from, to): (u64, Option<u64>),
        limit: u32,
    ) -> Result<Vec<JournalEntry>, CliError> {
        let asked = self
            .get(&["v1", "journal"])?
            .query("stream", Some(stream))
            .query("from", Some(from))
            .query("to", to)
            .query("limit", Some(limit));
        self.ask(asked).await
    }

    /// Where a stream of the journal stands.
    pub async fn stream_head(&self, stream: &str) -> Result<StreamHead, CliError> {
        self.ask(self.get(&["v1", "journal", "head"])?.query("stream", Some(stream))).await
    }

    /// Has the journal verified.
    pub async fn verify(&self) -> Result<VerifyReport, CliError> {
        self.ask(self.post(&["v1", "journal", "verify"])?.long()).await
    }

    /// Has the store copied to a new file on the daemon's machine.
    pub async fn backup(&self, path: &str) -> Result<BackupDone, CliError> {
        let asked = self.post(&["v1", "backup"])?.json(&json!({"path": path}))?;
        self.ask(asked.long()).await
    }

    /// The OpenAPI document.
    pub async fn openapi(&self) -> Result<Value, CliError> {
        self.ask(self.get(&["openapi.json"])?).await
    }

    /// Whether the daemon can do its work.
    pub async fn ready(&self) -> Result<(), CliError> {
        self.tell(self.get(&["readyz"])?).await
    }
}
