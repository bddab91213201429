//! Hooks: deliveries of forges and registries, verified and durable before they are
//! answered, read by a plugin afterwards, and announced.

mod arrivals;
mod commits;
mod reading;
mod verify;

use deployd_core::config::HookSpec;
use deployd_core::delivery::{
    DELIVERIES, DELIVERIES_DUE, DELIVERY_BODIES, DeliveryId, DeliveryStatus, HEADER_BYTES_MAX,
    HEADERS_MAX, HookDelivery, Received, deliveries_of, delivery_key,
};
use deployd_core::journal::{Source, StreamId};
use deployd_core::ports::{Accepted, Batch, IdempotencyKey, KeyRange, Order, Put};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::{Actor, Digest, Fault, Name};
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{decode, encode, get, put};
use crate::{Caller, Engine, EngineError, Inner};

pub(crate) use arrivals::Arrivals;
pub(crate) use reading::start;

/// Deliveries that are looked at for one page: those of other states are passed over.
const LOOKED_AT_MAX: usize = 10_000;

/// Headers that carry credentials of some sender, whatever the hook says.
const CREDENTIALS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "x-gitlab-token", "x-api-key"];

/// A delivery as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arriving {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The key in its address.
    pub key: Option<String>,
    /// From where.
    pub source: Option<Source>,
}

impl Arriving {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Engine {
    /// Takes a delivery: it is durable when this returns, and read afterwards. The same
    /// body again is the same delivery, whatever its headers say, which nobody has
    /// signed; one that could not be read is read again.
    ///
    /// Fails when there is no such hook, and with a fault of class `denied` when the
    /// delivery is not from who knows its secret.
    pub async fn receive(&self, hook: &Name, arriving: Arriving) -> Result<Received, EngineError> {
        let configuration = self.inner.configuration().await?;
        let spec = configuration.hooks.get(hook);
        let spec = spec.ok_or_else(|| EngineError::not_found(format!("hook {hook}")))?;
        self.inner.verify(spec, &arriving).await?;
        let received = self.inner.keep_delivery(hook, spec, arriving).await?;
        self.inner.reading.ring();
        Ok(received)
    }

    /// At most `max` deliveries of a hook, the newest first, after one of them.
    pub async fn deliveries(
        &self,
        hook: &Name,
        status: Option<DeliveryStatus>,
        after: Option<&DeliveryId>,
        max: usize,
    ) -> Result<Vec<HookDelivery>, EngineError> {
        let mut range = deliveries_of(hook);
        if let Some(after) = after {
            range.end = Some(delivery_key(hook, after));
        }
        let store = &*self.inner.ports.store;
        let most = if status.is_some() { LOOKED_AT_MAX } else { max };
        let page = store.scan(DELIVERIES, range, Order::Descending, most).await?;
        if page.entries.is_empty() && after.is_none() {
            // A hook that was never applied is not the same as one without deliveries.
            let configuration = self.inner.configuration().await?;
            if !configuration.hooks.contains_key(hook) {
                return Err(EngineError::not_found(format!("hook {hook}")));
            }
        }
        let mut found = Vec::new();
        for (_, bytes) in page.entries {
            let delivery: HookDelivery = decode(DELIVERIES.0, &bytes)?;
            if found.len() < max && status.is_none_or(|status| status == delivery.status) {
                found.push(delivery);
            }
        }
        Ok(found)
    }

    /// A delivery.
    pub async fn delivery(
        &self,
        hook: &Name,
        id: &DeliveryId,
    ) -> Result<HookDelivery, EngineError> {
        let found = get(&*self.inner.ports.store, DELIVERIES, &delivery_key(hook, id)).await?;
        found.ok_or_else(|| EngineError::not_found(format!("delivery {id} of hook {hook}")))
    }

    /// The body of a delivery, as it arrived.
    pub async fn delivery_body(
        &self,
        hook: &Name,
        id: &DeliveryId,
    ) -> Result<Vec<u8>, EngineError> {
        let body = self.inner.ports.store.get(DELIVERY_BODIES, &delivery_key(hook, id)).await?;
        body.ok_or_else(|| EngineError::not_found(format!("delivery {id} of hook {hook}")))
    }

    /// Has a delivery read again, as if it had just arrived.
    pub async fn replay_delivery(
        &self,
        caller: &Caller,
        hook: &Name,
        id: &DeliveryId,
    ) -> Result<HookDelivery, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let answer = until_no_conflict(|| async {
            let stream = StreamId::access();
            let version = self.inner.version(&stream).await?;
            let delivery = self.delivery(hook, id).await?;
            if delivery.status == DeliveryStatus::Pending {
                let message = format!("delivery {id} is still to be read");
                return Err(EngineError::Conflict { message }.into());
            }
            let again = delivery.again(self.inner.ports.clock.now());
            let puts = kept(None, &again)?;
            let body = json!({"type": "delivery-replayed", "hook": hook, "delivery": id});
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.inner.note(stream, version, caller, body, batch)?;
            self.inner.commit(caller, again, batch, &[]).await
        })
        .await?;
        self.inner.reading.ring();
        Ok(answer)
    }
}

impl Inner {
    async fn verify(&self, spec: &HookSpec, arriving: &Arriving) -> Result<(), EngineError> {
        let mut secrets = Vec::new();
        for name in &spec.verify.secrets {
            let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
            let value = self.ports.vault.get(&secret).await.map_err(|error| {
                // Whoever sends it can't help that; they come again, and it may be there.
                tracing::error!(%error, "a delivery can't be verified");
                let message = "the hook's secret can't be had; the daemon's log says why";
                Fault::transient("hook-secret-missing", message)
            })?;
            secrets.push(value);
        }
        let now = self.ports.clock.now();
        match verify::verify(&spec.verify, &secrets, arriving, now)? {
            Ok(()) => Ok(()),
            Err(refused) => Err(Fault::denied("delivery-refused", refused.to_string()).into()),
        }
    }

    async fn keep_delivery(
        &self,
        hook: &Name,
        spec: &HookSpec,
        arriving: Arriving,
    ) -> Result<Received, EngineError> {
        let digest = Digest::of(&arriving.body);
        let mut random = [0u8; 10];
        self.ports.random.fill(&mut random);
        let (at, id) = self.arrivals.next(self.ports.clock.now(), random);
        let delivery = HookDelivery {
            id,
            hook: hook.clone(),
            at,
            source: arriving.source,
            headers: shown(arriving.headers, spec),
            digest,
            bytes: arriving.body.len(),
            status: DeliveryStatus::Pending,
            due: Some(at),
            attempts: 0,
            replays: 0,
            fault: None,
            artifacts: Vec::new(),
            routes: Vec::new(),
            notes: Vec::new(),
        };
        let mut puts = kept(None, &delivery)?;
        let body = Some(arriving.body);
        puts.push(Put { index: DELIVERY_BODIES, key: delivery.key(), value: body });
        let batch = Batch { puts, ..Batch::default() };
        let received = Received { id: delivery.id.clone() };
        let key = IdempotencyKey(format!("{}\0{digest}", actor(hook)));
        match self.ports.store.accept(key, digest, encode(&received)?, at, batch).await? {
            Accepted::New => Ok(received),
            Accepted::Replayed(bytes) => {
                let received: Received = decode("answer to a delivery", &bytes)?;
                self.revive(hook, &received.id, delivery.headers).await?;
                Ok(received)
            }
        }
    }

    /// Has a dead letter that was sent once more read again, with the headers of now:
    /// what was wrong with it may have been these, or somebody has mended it.
    async fn revive(
        &self,
        hook: &Name,
        id: &DeliveryId,
        headers: Vec<(String, String)>,
    ) -> Result<(), EngineError> {
        let found = get(&*self.ports.store, DELIVERIES, &delivery_key(hook, id)).await?;
        let dead = found.filter(|one: &HookDelivery| one.status == DeliveryStatus::Dead);
        let Some(dead) = dead else { return Ok(()) };
        let again = HookDelivery { headers, ..dead.again(self.ports.clock.now()) };
        let puts = kept(None, &again)?;
        self.ports.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }
}

/// As whom a hook announces. No token has such a name.
fn actor(hook: &Name) -> Actor {
    Actor(format!("hook:{hook}"))
}

/// What stores a delivery; over the one that it was.
fn kept(before: Option<&HookDelivery>, after: &HookDelivery) -> Result<Vec<Put>, EngineError> {
    let mut puts = vec![put(DELIVERIES, after.key(), after)?];
    let due = |delivery: &HookDelivery, value: Option<Vec<u8>>| {
        delivery.due_key().map(|key| Put { index: DELIVERIES_DUE, key, value })
    };
    let gone = before.filter(|before| before.due != after.due);
    puts.extend(gone.and_then(|before| due(before, None)));
    puts.extend(due(after, Some(Vec::new())));
    Ok(puts)
}

/// Headers that are kept and shown to the receiver.
fn shown(headers: Vec<(String, String)>, spec: &HookSpec) -> Vec<(String, String)> {
    let secret = spec.verify.token_header();
    let is_shown = |(name, value): &(String, String)| {
        !CREDENTIALS.contains(&name.as_str())
            && secret.as_ref() != Some(name)
            && value.len() <= HEADER_BYTES_MAX
    };
    headers.into_iter().filter(is_shown).take(HEADERS_MAX).collect()
}

/// All deliveries that are due until then, the first one first.
fn due_until(at: deployd_core::Timestamp) -> KeyRange {
    let end = at.0.saturating_add(1).to_be_bytes().to_vec();
    KeyRange { start: Vec::new(), end: Some(end) }
}
