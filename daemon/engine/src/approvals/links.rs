//! Links by which one person approves one plan, once.
//!
//! A link is in a message to that person alone (`Subscription.approver`). It says who
//! approves what until when (after `#`, so that no server and no proxy on the way has
//! it in a log), and is signed with a key that never leaves the vault;
//! nothing is stored of it but that it was used. Opening it shows what would be
//! approved, and approves nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::approval::{ApprovalRequest, LINK_CHARS_MAX, LinkDecision, LinkView};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::ports::{Batch, Index, Put};
use deployd_core::{Actor, DeploymentId, Digest, Fault, Timestamp};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::journal::until_no_conflict;
use crate::records::{get, put};
use crate::{Caller, Engine, EngineError, Inner};

/// Links that were used: their digest -> when.
const USED: Index = Index("approval-links-used");

/// How long a link can be used: as long as a message may be on its way, and somebody
/// away for a weekend.
const LINK_MS: u64 = 3 * 24 * 3_600_000;

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    /// Who approves.
    approver: Actor,
    /// Which deployment.
    deployment: DeploymentId,
    /// With which plan.
    plan: Digest,
    /// Until when.
    until: Timestamp,
}

/// That a link is used.
pub(super) struct Used {
    digest: Digest,
    at: Timestamp,
}

impl Engine {
    /// What a link would approve, for who has it. Nothing is approved by looking, and
    /// nothing stored but the answer, for a repeat.
    pub async fn approval_link(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<LinkView, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let link = inner.read_link(text).await?;
        inner.not_used(text).await?;
        let approver = Caller::new(link.approver.clone());
        let approval = self.approval(&approver, &link.deployment).await?;
        if approval.waiting.plan != link.plan {
            return Err(refused("its plan has changed since: another message has the new link"));
        }
        let view = LinkView { approver: link.approver, approval };
        until_no_conflict(|| inner.commit(caller, view.clone(), Batch::default(), &[])).await
    }

    /// Approves what a link says, once.
    pub async fn approve_by_link(
        &self,
        caller: &Caller,
        request: LinkDecision,
    ) -> Result<DeploymentRecord, EngineError> {
        let LinkDecision { link: text, decision, reason } = request;
        let link = self.inner.read_link(&text).await?;
        let used = self.inner.not_used(&text).await;
        let caller = Caller { actor: link.approver, ..caller.clone() };
        // A repeat has its answer from the moment at which the link is used.
        if let Some(answer) = self.inner.asked_before(&caller).await? {
            return Ok(answer);
        }
        let used = used?;
        let request = ApprovalRequest { plan: link.plan, decision, reason };
        Box::pin(self.decide_by(&caller, &link.deployment, request, Some(used))).await
    }
}

impl Inner {
    /// The link by which a person approves a plan; none where nobody has said how this
    /// daemon is reached.
    pub(crate) async fn approval_link(
        &self,
        approver: &str,
        deployment: &DeploymentId,
        plan: Digest,
        at: Timestamp,
    ) -> Result<Option<String>, EngineError> {
        let Some(base) = self.reached_at.get() else { return Ok(None) };
        let link = Link {
            approver: Actor(approver.to_owned()),
            deployment: deployment.clone(),
            plan,
            until: at.plus_ms(LINK_MS),
        };
        let says = serde_json::to_vec(&link).map_err(EngineError::bug)?;
        let mac = self.signs_links().await?.chain_update(&says).finalize().into_bytes();
        let text = [says.as_slice(), mac.as_slice()].map(|part| URL_SAFE_NO_PAD.encode(part));
        Ok(Some(format!("{}/approve#{}", base.trim_end_matches('/'), text.join("."))))
    }

    async fn read_link(&self, text: &str) -> Result<Link, EngineError> {
        let wrong = || refused("it is not one of ours, or not whole");
        let (says, mac) = text
            .split_once('.')
            .filter(|_| text.len() <= LINK_CHARS_MAX)
            .and_then(|(says, mac)| {
                Some((URL_SAFE_NO_PAD.decode(says).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?))
            })
            .ok_or_else(wrong)?;
        // In constant time.
        self.signs_links().await?.chain_update(&says).verify_slice(&mac).map_err(|_| wrong())?;
        let link: Link = serde_json::from_slice(&says).map_err(|_| wrong())?;
        if link.until <= self.ports.clock.now() {
            return Err(refused("its time is over; approve with `deployd approve`"));
        }
        Ok(link)
    }

    async fn signs_links(&self) -> Result<Hmac<Sha256>, EngineError> {
        let key = self.keyed("approval-links", b"key").await?;
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(EngineError::bug)
    }

    async fn not_used(&self, text: &str) -> Result<Used, EngineError> {
        let digest = Digest::of(text.as_bytes());
        let used: Option<Timestamp> = get(&*self.ports.store, USED, digest.as_bytes()).await?;
        match used {
            Some(at) => Err(refused(&format!("it was used at {at}, and counts once"))),
            None => Ok(Used { digest, at: self.ports.clock.now() }),
        }
    }

    /// What makes a link worthless, unless it was used meanwhile. Whoever uses it
    /// appends to its environment, so that two who do so at once meet there.
    pub(super) async fn used_once(&self, link: &Used) -> Result<Put, EngineError> {
        let key = link.digest.as_bytes();
        if let Some(at) = get::<Timestamp>(&*self.ports.store, USED, key).await? {
            return Err(refused(&format!("it was used at {at}, and counts once")));
        }
        put(USED, key.to_vec(), &link.at)
    }
}

fn refused(why: &str) -> EngineError {
    Fault::denied("link-refused", format!("this link approves nothing: {why}")).into()
}
