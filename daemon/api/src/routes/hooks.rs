//! Deliveries of forges and registries, and what became of them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Name;
use deployd_core::access::Action;
use deployd_core::delivery::{
    BODY_BYTES_MAX, Captured, DeliveryId, DeliveryStatus, HookDelivery, Received,
};
use deployd_engine::{Arriving, EngineError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use crate::access::Access::{Needs, Open};
use crate::access::journal_refusal;
use crate::answer::{Accepted, Found, Listed};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Raw;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem};
use crate::target::Target;

const RECEIVE: Operation = Operation::new(
    Post,
    "/v1/hooks/{hook}",
    Open,
    "receiveDelivery",
    "Takes a delivery of a forge or a registry, signed as the hook's document says",
)
.body_max(BODY_BYTES_MAX)
.by_delivery();

const LIST: Operation = Operation::new(
    Get,
    "/v1/hooks/{hook}/deliveries",
    Needs(Action::Read, Target::Installation),
    "listDeliveries",
    "Deliveries of a hook and what became of them, newest first",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/hooks/{hook}/deliveries/{id}",
    Needs(Action::Read, Target::Installation),
    "getDelivery",
    "A delivery and what became of it",
);

const CAPTURE: Operation = Operation::new(
    Get,
    "/v1/hooks/{hook}/deliveries/{id}/captured",
    Needs(Action::Read, Target::Installation),
    "getCapturedDelivery",
    "A delivery as it arrived, without headers that carry credentials",
);

const REPLAY: Operation = Operation::new(
    Post,
    "/v1/hooks/{hook}/deliveries/{id}/replay",
    Needs(Action::Redeliver, Target::Installation),
    "replayDelivery",
    "Has a delivery read again, as if it had just arrived",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(RECEIVE, receive)
        .add(LIST, list)
        .add(GET, get)
        .add(CAPTURE, capture)
        .add(REPLAY, replay)
}

#[derive(Deserialize, JsonSchema)]
struct Hook {
    /// The hook, by the name of its document.
    hook: Name,
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The hook, by the name of its document.
    hook: Name,
    /// The delivery.
    id: DeliveryId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Key {
    /// The hook's secret, for senders that can neither sign nor send headers.
    key: Option<String>,
}

async fn receive(
    api: Api,
    asked: Asked<Hook, Key, Raw>,
) -> Result<Accepted<Received>, Box<Problem>> {
    let hook = asked.path.hook;
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let source = asked.caller.source;
    let arriving = Arriving {
        headers: asked.headers.iter().filter_map(text).collect(),
        body: asked.body.0.to_vec(),
        key: asked.query.key,
        source: source.clone(),
    };
    let received = match api.engine().receive(&hook, arriving).await {
        Ok(received) => received,
        Err(error) => {
            let why = match &error {
                EngineError::Fault(fault) if fault.code == "delivery-refused" => &fault.message,
                EngineError::NotFound { .. } => "there is none of this name",
                _ => return Err(error.into()),
            };
            let what = format!("receiveDelivery: hook {hook}: {why}");
            journal_refusal(&api, None, source, &what).await;
            // The same for both: strangers do not learn which hooks there are.
            let detail = "There is no such hook, or the delivery is not signed with its secret, or too late.";
            return Err(Problem::new(Code::Denied, detail));
        }
    };
    let location = format!("/v1/hooks/{hook}/deliveries/{}", received.id);
    Ok(Accepted { value: received, location })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only deliveries that stand there.
    status: Option<DeliveryStatus>,
    /// Only deliveries older than this one.
    after: Option<DeliveryId>,
    /// Deliveries on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn list(
    api: Api,
    asked: Asked<Hook, Filter>,
) -> Result<Listed<Vec<HookDelivery>>, Box<Problem>> {
    let (hook, Filter { status, after, limit }) = (asked.path.hook, asked.query);
    let page = api.engine().deliveries(&hook, status, after.as_ref(), limit.0).await?;
    let status = status.map(|status| match status {
        DeliveryStatus::Pending => "status=pending&",
        DeliveryStatus::Read => "status=read&",
        DeliveryStatus::Dead => "status=dead&",
    });
    let path = format!("/v1/hooks/{hook}/deliveries?{}after=", status.unwrap_or_default());
    let next = limit.next(&page, &path, |delivery| delivery.id.to_string());
    Ok(Listed { page, next })
}

async fn get(api: Api, asked: Asked<Place>) -> Result<Found<HookDelivery>, Box<Problem>> {
    let Place { hook, id } = asked.path;
    Ok(Found(api.engine().delivery(&hook, &id).await?))
}

async fn capture(api: Api, asked: Asked<Place>) -> Result<Found<Captured>, Box<Problem>> {
    let Place { hook, id } = asked.path;
    let delivery = api.engine().delivery(&hook, &id).await?;
    let body = api.engine().delivery_body(&hook, &id).await?;
    let headers: BTreeMap<String, String> = delivery.headers.into_iter().collect();
    Ok(Found(match String::from_utf8(body) {
        Ok(text) => Captured { headers, body: Some(text), body_base64: None },
        Err(error) => {
            let encoded = STANDARD.encode(error.as_bytes());
            Captured { headers, body: None, body_base64: Some(encoded) }
        }
    }))
}

async fn replay(
    api: Api,
    asked: Asked<Place, Nothing>,
) -> Result<Accepted<HookDelivery>, Box<Problem>> {
    let Place { hook, id } = asked.path;
    let delivery = api.engine().replay_delivery(&asked.caller, &hook, &id).await?;
    let location = format!("/v1/hooks/{hook}/deliveries/{id}");
    Ok(Accepted { value: delivery, location })
}
