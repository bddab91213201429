//! Slots: times in environments that somebody asks for, and somebody else grants.

use deployd_core::access::Action;
use deployd_core::calendar::{Slot, SlotAct};
use deployd_core::views::{SlotReply, SlotRequest};
use deployd_core::{EnvironmentId, Name, SlotId};
use deployd_engine::SlotFilter;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::{Created, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/calendar/slots",
    Needs(Action::Read, Target::Listed),
    "listSlots",
    "Slots that are open, by when they are; or all that were ever asked for, the newest first",
);

const REQUEST: Operation = Operation::new(
    Post,
    "/v1/calendar/slots",
    Needs(Action::Deploy, Target::InBody("/environment")),
    "requestSlot",
    "Asks for a slot: a time in an environment that is open for whoever asks, and closed for others",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/calendar/slots/{id}",
    Needs(Action::Read, Target::Slot),
    "getSlot",
    "A slot",
);

const GRANT: Operation = Operation::new(
    Post,
    "/v1/calendar/slots/{id}/grant",
    Needs(Action::Approve, Target::Slot),
    "grantSlot",
    "Grants a slot; not by who has asked for it",
);

const REFUSE: Operation = Operation::new(
    Post,
    "/v1/calendar/slots/{id}/refuse",
    Needs(Action::Approve, Target::Slot),
    "refuseSlot",
    "Refuses a slot, and ends what waits for it; not by who has asked for it",
);

const WITHDRAW: Operation = Operation::new(
    Post,
    "/v1/calendar/slots/{id}/withdraw",
    Needs(Action::Read, Target::Slot),
    "withdrawSlot",
    "Takes a slot back, and ends what waits for it: by who has asked for it, or who may grant it",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(LIST, list)
        .add(REQUEST, request)
        .add(GET, get)
        .add(GRANT, grant)
        .add(REFUSE, refuse)
        .add(WITHDRAW, withdraw)
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The slot.
    id: SlotId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only of this environment.
    environment: Option<EnvironmentId>,
    /// Only of environments of this application.
    application: Option<Name>,
    /// Also those that are over, were refused, or withdrawn.
    #[serde(default)]
    all: bool,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, ListQuery>,
) -> Result<Found<Vec<Slot>>, Box<Problem>> {
    let asker = asked.asker()?;
    let ListQuery { environment, application, all } = asked.query;
    let mut found = api.engine().slots(&SlotFilter { environment, application, all }).await?;
    found.retain(|slot| asker.sees(&slot.environment));
    Ok(Found(found))
}

async fn request(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<SlotRequest>>,
) -> Result<Created<Slot>, Box<Problem>> {
    let Json(request) = asked.body;
    let value = api.engine().request_slot(&asked.caller, request).await?;
    let location = Some(format!("/v1/calendar/slots/{}", value.id));
    Ok(Created { value, location })
}

async fn get(api: Api, asked: Asked<Id>) -> Result<Found<Slot>, Box<Problem>> {
    Ok(Found(api.engine().slot(&asked.path.id).await?))
}

type Answering = Asked<Id, Nothing, Json<SlotReply>>;

async fn grant(api: Api, asked: Answering) -> Result<Found<Slot>, Box<Problem>> {
    answer(api, asked, SlotAct::Grant).await
}

async fn refuse(api: Api, asked: Answering) -> Result<Found<Slot>, Box<Problem>> {
    answer(api, asked, SlotAct::Refuse).await
}

async fn withdraw(api: Api, asked: Answering) -> Result<Found<Slot>, Box<Problem>> {
    let slot = api.engine().slot(&asked.path.id).await?;
    if slot.by != asked.caller.actor {
        let asker = asked.asker()?;
        let place = api.engine().rights(&asker.bearer).await?.environment(slot.environment);
        asker.must(&api, Action::Approve, &place).await?;
    }
    answer(api, asked, SlotAct::Withdraw).await
}

async fn answer(api: Api, asked: Answering, act: SlotAct) -> Result<Found<Slot>, Box<Problem>> {
    let Json(reply) = asked.body;
    Ok(Found(api.engine().answer_slot(&asked.caller, &asked.path.id, act, reply).await?))
}
