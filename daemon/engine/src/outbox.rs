//! Delivers messages: at least once, with a stable id, along the schedule of
//! Standard Webhooks, until they are delivered or dead.

mod groups;
mod telling;
mod turns;

pub(crate) use turns::Turns;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::{PluginKind, SubscriptionSpec};
use deployd_core::journal::StreamId;
use deployd_core::outbox::{Attempt, Message, MessageId, MessageStatus, RETRY_AFTER_MS_MAX};
use deployd_core::ports::{
    Answer, Batch, Call, CallLog, NotifierRequest, Outgoing, PluginInfo, Scope, StoreError,
};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::{DeploymentId, Fault, Timestamp};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

use crate::journal::until_no_conflict;
use crate::records::{PLUGINS, get};
use crate::signature::sign;
use crate::{Caller, Counts, Engine, EngineError, Inner};

/// Messages in delivery at the same time: a slow receiver holds up none but a
/// few others.
const AT_ONCE: usize = 16;

/// For so long a message that is being delivered is not given to anybody else;
/// longer than the longest attempt.
const LEASE_MS: u64 = 120_000;

/// The longest that a message is put off: a day, and a tenth to spread it.
const PUT_OFF_MS_MAX: u64 = RETRY_AFTER_MS_MAX + RETRY_AFTER_MS_MAX / 10;

/// Messages that are read at once at the start.
const PAGE: usize = 500;

/// The longest attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// How long a stop waits for deliveries: what an honest receiver takes.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// The shortest sleep: a store that says something is due, and gives nothing,
/// is asked again without haste.
const SLEEP_MIN: Duration = Duration::from_millis(10);

/// The longest sleep without looking again.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Begins to deliver.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        if let Err(error) = inner.end_leases().await {
            tracing::warn!(%error, "deliveries that were interrupted go on when their lease ends");
        }
        inner.deliver_all().await;
    });
}

impl Engine {
    /// At most `max` messages with a status, after a message.
    pub async fn messages(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, EngineError> {
        Ok(self.inner.ports.store.outbox_list(status, after, max).await?)
    }

    /// At most `max` messages about a deployment, those to one subscription together.
    pub async fn messages_about(
        &self,
        deployment: &DeploymentId,
        status: Option<MessageStatus>,
        max: usize,
    ) -> Result<Vec<Message>, EngineError> {
        self.deployment(deployment).await?;
        let mut messages = self.inner.messages_of(deployment).await?;
        messages.retain(|message| status.is_none_or(|status| message.status == status));
        messages.truncate(max);
        Ok(messages)
    }

    /// A message.
    pub async fn message(&self, id: &MessageId) -> Result<Message, EngineError> {
        let message = self.inner.ports.store.outbox_get(id).await?;
        message.ok_or_else(|| EngineError::not_found(format!("message {id}")))
    }

    /// Has a message delivered again, from the start of the schedule.
    pub async fn redeliver(&self, caller: &Caller, id: &MessageId) -> Result<Message, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let message = self.message(id).await?;
        if message.status == MessageStatus::Pending {
            let message = format!("message {id} is on its way already; due {}", message.due);
            return Err(EngineError::Conflict { message });
        }
        let message = message.redelivered(self.inner.ports.clock.now());
        self.inner.ports.store.outbox_settle(message.clone()).await?;
        self.inner.outbox.ring();
        // Only now: a repeat that finds it recorded does nothing any more.
        let body = json!({"type": "message-redelivered", "message": id});
        until_no_conflict(|| async {
            let stream = StreamId::access();
            let version = self.inner.version(&stream).await?;
            let batch = Batch::default();
            let batch = self.inner.note(stream, version, caller, body.clone(), batch)?;
            self.inner.commit(caller, message.clone(), batch, &[]).await
        })
        .await
    }
}

impl Inner {
    pub(crate) fn is_stopping(&self) -> bool {
        self.workers.is_stopping()
    }

    /// Ends the leases of the last process: nobody but this one delivers from
    /// the embedded store, and what was interrupted need not wait.
    async fn end_leases(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let status = Some(MessageStatus::Pending);
            let page = self.ports.store.outbox_list(status, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            // Together: one commit takes them all.
            let settled = page.into_iter().map(|message| self.ports.store.outbox_settle(message));
            futures::future::try_join_all(settled).await?;
        }
    }

    /// Delivers what is due, as soon as there is a place free, until the engine
    /// stops. A receiver that is slow keeps a place, and nobody waiting.
    async fn deliver_all(&self) {
        let mut flying = FuturesUnordered::new();
        while !self.is_stopping() {
            let sleep = match self.take(AT_ONCE.saturating_sub(flying.len())).await {
                Ok((taken, sleep)) => {
                    flying.extend(taken.into_iter().map(|message| self.deliver(message)));
                    sleep
                }
                Err(error) => {
                    tracing::error!(%error, "deliveries pause");
                    STORE_PAUSE
                }
            };
            let full = flying.len() >= AT_ONCE;
            tokio::select! {
                biased;
                Some(result) = flying.next() => {
                    if let Err(error) = result {
                        tracing::error!(%error, "what came of a delivery could not be recorded; it is repeated");
                    }
                }
                () = self.outbox.rung() => {}
                () = tokio::time::sleep(sleep), if !full => {}
            }
        }
        // What is cut off here is delivered again by the next start.
        let rest = async { while flying.next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_WAIT, rest).await;
    }

    /// At most so many messages that are due, and how long until there is more.
    async fn take(&self, max: usize) -> Result<(Vec<Message>, Duration), StoreError> {
        let now = self.ports.clock.now();
        let store = &self.ports.store;
        let taken = match max {
            0 => Vec::new(),
            _ => store.outbox_take(now, now.plus_ms(LEASE_MS), max).await?,
        };
        let mut due = store.outbox_due().await?;
        if due.is_some_and(|due| due.ms_since(now) > PUT_OFF_MS_MAX) {
            self.bring_forward(now).await?;
            due = Some(now);
        }
        let sleep = due.map_or(SLEEP_MAX, |due| Duration::from_millis(due.ms_since(now)));
        Ok((taken, sleep.clamp(SLEEP_MIN, SLEEP_MAX)))
    }

    /// Has messages delivered now that are due later than any schedule says:
    /// they were put off before the clock was set back.
    async fn bring_forward(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let status = Some(MessageStatus::Pending);
            let page = self.ports.store.outbox_list(status, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for mut message in page {
                if message.due.ms_since(now) > PUT_OFF_MS_MAX {
                    message.due = now;
                    self.ports.store.outbox_settle(message).await?;
                }
            }
        }
    }

    /// Tries one message, and records what came of it.
    async fn deliver(&self, mut message: Message) -> Result<(), StoreError> {
        let at = self.ports.clock.now();
        let mut attempt =
            Attempt { at, duration_ms: 0, target: String::new(), status: None, fault: None };
        // A message that makes us panic must not end all deliveries.
        let tried = AssertUnwindSafe(self.attempt(&mut message, &mut attempt)).catch_unwind();
        attempt.fault = match tokio::time::timeout(ATTEMPT_MAX, tried).await {
            Ok(Ok(Ok(Tried::Told))) => None,
            Ok(Ok(Ok(Tried::NotYet))) => return Ok(()),
            Ok(Ok(Err(error))) => Some(error.into_fault()),
            Ok(Err(_)) => {
                tracing::error!(message = %message.id, "a delivery has panicked; please report it");
                Some(Fault::bug("delivery-panicked", "deployd itself failed; please report it"))
            }
            Err(_) => {
                Some(Fault::transient("timeout", format!("no answer within {ATTEMPT_MAX:?}")))
            }
        };
        let now = self.ports.clock.now();
        attempt.duration_ms = now.ms_since(at);
        Counts::count(match attempt.fault {
            None => &self.counts.delivered,
            Some(_) => &self.counts.delivery_failures,
        });
        let mut random = [0u8; 1];
        self.ports.random.fill(&mut random);
        let jitter = f64::from(random.first().copied().unwrap_or(0)) / 255.0;
        self.settle(message.after(attempt, now, jitter)).await?;
        self.changes.announce();
        Ok(())
    }

    async fn attempt(
        &self,
        message: &mut Message,
        attempt: &mut Attempt,
    ) -> Result<Tried, EngineError> {
        let configuration = self.configuration().await?;
        let Some(spec) = configuration.subscriptions.get(&message.subscription) else {
            let text = format!("there is no subscription {} any more", message.subscription);
            return Err(Fault::permanent("no-such-subscription", text).into());
        };
        let notifier = self.notifier(spec).await?;
        let told = match &spec.group {
            Some(grouping) => match self.gathered(message, grouping).await? {
                Some(others) => others,
                None => return Ok(Tried::NotYet),
            },
            None => Vec::new(),
        };
        if self.ports.notifiers.reads_answers(&notifier.plugin) {
            return self.tell(&notifier, message, &told, spec, attempt).await;
        }
        let (scope, log) = (scope(message), CallLog::default());
        let call = Call { plugin: &notifier.plugin, scope: &scope, log: &log };
        let event = self.event_with(message, &told, spec).await?;
        let config = json!(spec.config);
        for request in self.ports.notifiers.format(call, &event, &config).await? {
            let answer = self.send(message, spec, request, attempt).await?;
            judge(answer.status, answer.retry_after_ms)?;
        }
        Ok(Tried::Told)
    }

    /// The notifier of a subscription, loaded.
    async fn notifier(&self, spec: &SubscriptionSpec) -> Result<PluginInfo, EngineError> {
        let name = spec.notifier.as_str();
        let info: Option<PluginInfo> = get(&*self.ports.store, PLUGINS, name.as_bytes()).await?;
        let info = info.filter(|info| info.kind == PluginKind::Notifier).ok_or_else(|| {
            let text = format!("there is no notifier {name}");
            EngineError::from(Fault::transient("no-such-notifier", text))
        })?;
        self.need(&info.plugin).await?;
        Ok(info)
    }

    /// Sends a notifier's request, and notes where to and what came back.
    async fn send(
        &self,
        message: &Message,
        spec: &SubscriptionSpec,
        request: NotifierRequest,
        attempt: &mut Attempt,
    ) -> Result<Answer, EngineError> {
        let outgoing = self.outgoing(message, spec, request).await?;
        attempt.target = target(&outgoing.url);
        attempt.status = None;
        let answer = self.ports.sender.send(outgoing).await?;
        attempt.status = Some(answer.status);
        Ok(answer)
    }

    /// A notifier's request with id, time and signature.
    async fn outgoing(
        &self,
        message: &Message,
        spec: &SubscriptionSpec,
        request: NotifierRequest,
    ) -> Result<Outgoing, EngineError> {
        let seconds = self.ports.clock.now().0 / 1_000;
        let mut headers: Vec<(String, String)> = request.headers.into_iter().collect();
        headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("webhook-"));
        headers.push(("webhook-id".to_owned(), message.id.to_string()));
        headers.push(("webhook-timestamp".to_owned(), seconds.to_string()));
        if let Some(name) = &spec.signing_secret {
            let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
            let secret = self.ports.vault.get(&secret).await?;
            let signature = sign(secret.expose(), &message.id.0, seconds, &request.body)?;
            headers.push(("webhook-signature".to_owned(), signature));
        }
        Ok(Outgoing {
            method: request.method,
            url: self.address(spec, request.url).await?,
            headers,
            body: request.body,
            private_address: spec.private_address,
            hosts: spec.hosts.clone(),
        })
    }

    /// Where a request goes: where it says, or where the operator's secret says.
    /// Not both: a notifier that names another address than the operator means
    /// would get what is signed for that one.
    async fn address(&self, spec: &SubscriptionSpec, url: String) -> Result<String, EngineError> {
        let wrong = |message: String| EngineError::from(Fault::invalid("address-unclear", message));
        match &spec.url_secret {
            None if url.is_empty() => {
                Err(wrong("config: found no url, expected one, or urlSecret beside it".to_owned()))
            }
            None => Ok(url),
            Some(name) if url.is_empty() => {
                let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
                let value = self.ports.vault.get(&secret).await?;
                let text = std::str::from_utf8(value.expose()).map(str::trim).unwrap_or_default();
                Ok(text.to_owned())
            }
            Some(_) => {
                Err(wrong("config: found a url and urlSecret, expected one of both".to_owned()))
            }
        }
    }
}

/// What an attempt came to, unless it failed.
enum Tried {
    /// All of it is told.
    Told,
    /// An earlier message of the thread comes first.
    NotYet,
}

/// Where calls about a message belong.
fn scope(message: &Message) -> Scope {
    let text =
        |name: &str| message.event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Scope { application: text("application"), environment: text("environment"), ..Scope::default() }
}

/// What an answer means (Standard Webhooks, "Delivery").
fn judge(status: u16, retry_after_ms: Option<u64>) -> Result<(), Fault> {
    match status {
        200..=299 => Ok(()),
        410 => Err(Fault::permanent("receiver-gone", "the receiver answered 410: it is gone")),
        _ => Err(Fault::transient("receiver-refused", format!("the receiver answered {status}"))
            .with_retry_after_ms(retry_after_ms)),
    }
}

/// Where a request goes, as far as it can be shown: of some receivers (Slack's
/// among them) the path is the credential, so only its first part is kept.
fn target(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match path.split_once('/') {
        Some((first, _)) => format!("{scheme}://{host}/{first}/..."),
        None => format!("{scheme}://{host}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_as_standard_webhooks_says() {
        assert!(judge(204, None).is_ok());
        assert!(!judge(410, None).unwrap_err().is_transient());
        for status in [301, 400, 404, 429, 500, 503] {
            assert!(judge(status, Some(5)).unwrap_err().is_transient(), "{status}");
        }
    }

    #[test]
    fn targets_have_no_credentials() {
        assert_eq!(target("https://u:p@h.test:1/a/b?token=x#y"), "https://h.test:1/a/...");
        assert_eq!(target("http://h.test"), "http://h.test/");
    }
}
