//! Telling by notifiers that read answers: request by request, each of which
//! follows from what came back of the one before.

use deployd_core::advice::advice;
use deployd_core::config::SubscriptionSpec;
use deployd_core::image::Image;
use deployd_core::outbox::{Attempt, Message, together};
use deployd_core::ports::{Call, CallLog, Order, PluginInfo, Telling};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest, Fault};
use serde_json::{Value, json};

use super::turns::Turn;
use super::{LEASE_MS, Tried, scope};
use crate::records::content;
use crate::{EngineError, Inner};

/// Requests of one attempt: a service makes something, and says something of it;
/// twice as many as the longest of ours has.
const STEPS_MAX: usize = 4;

/// Images that a notifier is told of. Texts for people name a few, and an event of
/// delivery for each is what an application has of them.
const IMAGES_MAX: usize = 100;

impl Inner {
    /// Tells a message, when its turn has come.
    pub(super) async fn tell(
        &self,
        notifier: &PluginInfo,
        message: &mut Message,
        others: &[Message],
        spec: &SubscriptionSpec,
        attempt: &mut Attempt,
    ) -> Result<Tried, EngineError> {
        // What is told together is of no thread.
        if spec.group.is_none() {
            match self.turn(message).await? {
                Turn::Now(memory) => message.memory = memory,
                Turn::Later => return Ok(Tried::NotYet),
            }
        }
        let (scope, log) = (scope(message), CallLog::default());
        let call = Call { plugin: &notifier.plugin, scope: &scope, log: &log };
        let (event, config) = (self.event_with(message, others, spec).await?, json!(spec.config));
        let mut answer = None;
        for _ in 0..STEPS_MAX {
            let memory = message.memory.clone();
            let telling = Telling {
                event: &event,
                config: &config,
                memory: memory.as_ref(),
                answer: answer.as_ref(),
            };
            let step = self.ports.notifiers.tell(call, &telling).await?;
            let learned = step.memory != memory;
            message.memory = step.memory;
            let Some(request) = step.send else { return Ok(Tried::Told) };
            if learned && answer.is_some() && !seeded(Bug::MemoryAfterRequest) {
                // What the answer has brought is on stable storage before anything
                // follows from it. Until this attempt has ended, nobody else begins one.
                let mut known = message.clone();
                known.due = self.ports.clock.now().plus_ms(LEASE_MS);
                self.ports.store.outbox_settle(known).await?;
            }
            answer = Some(self.send(message, spec, request, attempt).await?);
        }
        let text = format!("{} wants more than {STEPS_MAX} requests of one event", spec.notifier);
        Err(Fault::bug("notifier-endless", text).into())
    }

    /// The event of a message, or that of several which are told together.
    pub(super) async fn event_with(
        &self,
        message: &Message,
        others: &[Message],
        spec: &SubscriptionSpec,
    ) -> Result<Value, EngineError> {
        let own = self.event(message, spec).await?;
        if others.is_empty() {
            return Ok(own);
        }
        let mut events = vec![own];
        for other in others {
            events.push(self.event(other, spec).await?);
        }
        let mut event = together(message, events);
        if let (Some(fields), Some(base)) = (event.as_object_mut(), self.reached_at.get()) {
            fields.insert("link".to_owned(), json!(base));
        }
        Ok(event)
    }

    /// The event of a message, with what is found out when it is told: a link to look
    /// at, what to do about its fault, and the images that are deployed.
    async fn event(
        &self,
        message: &Message,
        spec: &SubscriptionSpec,
    ) -> Result<Value, EngineError> {
        let mut event = message.event.clone();
        let (Some(fields), Some(deployment)) = (event.as_object_mut(), message.deployment()) else {
            return Ok(event);
        };
        if let Some(base) = self.reached_at.get() {
            let base = base.trim_end_matches('/');
            fields.insert("link".to_owned(), json!(format!("{base}/#deployment={deployment}")));
        }
        if let Some(approver) = &spec.approver {
            let link = self.approves(message, approver).await?;
            // Where they look at it, and approve.
            fields.extend(link.map(|link| ("link".to_owned(), json!(link))));
        }
        let fault = message.event.pointer("/data/fault").cloned();
        if let Some(fault) = fault.and_then(|fault| serde_json::from_value::<Fault>(fault).ok()) {
            fields.insert("advice".to_owned(), json!(advice(&fault)));
        }
        let set = message.event.pointer("/data/set").and_then(Value::as_str);
        if let Some(set) = set.and_then(|set| set.parse().ok()) {
            match self.images_of(set).await {
                Ok(images) => {
                    fields.insert("images".to_owned(), images);
                }
                Err(error) => tracing::warn!(message = %message.id, %error, "told without images"),
            }
        }
        Ok(event)
    }

    /// The link by which a person approves what a message asks for; none where it asks
    /// for nothing. Made when it is told, so that nobody finds it among what is kept.
    async fn approves(
        &self,
        message: &Message,
        approver: &str,
    ) -> Result<Option<String>, EngineError> {
        let text = |path: &str| message.event.pointer(path).and_then(Value::as_str);
        let (Some("approval.requested"), Some(deployment), Some(plan)) =
            (text("/type"), message.deployment(), text("/data/plan"))
        else {
            return Ok(None);
        };
        let (deployment, plan) = (DeploymentId(deployment.to_owned()), plan.parse());
        let Ok(plan) = plan else { return Ok(None) };
        self.approval_link(approver, &deployment, plan, message.created).await
    }

    /// The images of a set, with what was announced of them last.
    async fn images_of(&self, set: Digest) -> Result<Value, EngineError> {
        let set: DeploymentSet = content(&*self.ports.store, "set", set).await?;
        let mut told = Vec::new();
        for ((workload, container), image) in set.images().into_iter().take(IMAGES_MAX) {
            let mut one = json!({"workload": workload, "container": container, "image": image});
            let last = self.announcement(&Image::of(&image), Order::Descending).await?;
            if let (Some(last), Some(fields)) = (last, one.as_object_mut()) {
                let artifact = last.artifact;
                for (name, known) in [
                    ("tag", artifact.tag),
                    ("ref", artifact.git_ref),
                    ("commit", artifact.commit),
                    ("buildUrl", artifact.build_url),
                ] {
                    fields.extend(known.map(|known| (name.to_owned(), json!(known))));
                }
            }
            told.push(one);
        }
        Ok(Value::Array(told))
    }
}
