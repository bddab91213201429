//! When it may be deployed: what calendars say, the feed of them, and the switch that
//! stops the line.

use deployd_core::access::Action;
use deployd_core::calendar::{Span, Stop, feed};
use deployd_core::subject::Moment;
use deployd_core::views::{CalendarCheck, CalendarView, ResumeRequest, StopRequest};
use deployd_core::{EnvironmentId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::environments::Place;
use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::{Calendar, Found, Text};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3_600_000;

/// What is told of when nobody says until when: a month.
const SPAN_MS: u64 = 31 * DAY_MS;

/// What the feed tells of: the last month, and the next quarter.
const FEED_BEFORE_MS: u64 = 31 * DAY_MS;
const FEED_AFTER_MS: u64 = 92 * DAY_MS;

const VIEW: Operation = Operation::new(
    Get,
    "/v1/calendar",
    Needs(Action::Read, Target::InQuery("environment")),
    "getCalendar",
    "What is closed, planned and done within a time",
)
.looks_up();

const FEED: Operation = Operation::new(
    Get,
    "/v1/calendar.ics",
    Needs(Action::Read, Target::InQuery("environment")),
    "getCalendarFeed",
    "The same of the last month and the next quarter, as iCalendar (RFC 5545)",
)
.looks_up();

const CHECK: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/calendar",
    Needs(Action::Read, Target::Environment),
    "checkCalendar",
    "Whether something may begin in an environment, now or at a time, until when, and why not",
);

const STOP: Operation = Operation::new(
    Post,
    "/v1/calendar/stop",
    Needs(Action::StopLine, Target::Installation),
    "stopLine",
    "Stops the line: nothing begins anywhere, until somebody has it go on",
);

const RESUME: Operation = Operation::new(
    Post,
    "/v1/calendar/resume",
    Needs(Action::StopLine, Target::Installation),
    "resumeLine",
    "Has the line go on",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(VIEW, view).add(FEED, ics).add(CHECK, check).add(STOP, stop).add(RESUME, resume)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ViewQuery {
    /// Only of this environment.
    environment: Option<EnvironmentId>,
    /// From when: now, when not given.
    from: Option<Written<Moment>>,
    /// Until when, a year later at most: 31 days later, when not given.
    to: Option<Written<Moment>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    /// Only of this environment.
    environment: Option<EnvironmentId>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckQuery {
    /// When: now, when not given.
    at: Option<Written<Moment>>,
}

async fn view(
    api: Api,
    asked: Asked<Nothing, ViewQuery>,
) -> Result<Found<CalendarView>, Box<Problem>> {
    let ViewQuery { environment, from, to } = asked.query;
    let from = Written::optional(from.as_ref(), "from")?;
    let to = Written::optional(to.as_ref(), "to")?;
    let from = from.map_or_else(|| api.engine().now(), |from| from.0);
    let to = to.map_or(from.plus_ms(SPAN_MS), |to| to.0);
    Ok(Found(api.engine().calendar(environment.as_ref(), Span { from, to }).await?))
}

async fn ics(api: Api, asked: Asked<Nothing, FeedQuery>) -> Result<Text<Calendar>, Box<Problem>> {
    let now = api.engine().now();
    let from = Timestamp(now.0.saturating_sub(FEED_BEFORE_MS));
    let span = Span { from, to: now.plus_ms(FEED_AFTER_MS) };
    let view = api.engine().calendar(asked.query.environment.as_ref(), span).await?;
    Ok(Text::new(feed(&view, now)))
}

async fn check(
    api: Api,
    asked: Asked<Place, CheckQuery>,
) -> Result<Found<CalendarCheck>, Box<Problem>> {
    let at = Written::optional(asked.query.at.as_ref(), "at")?.map(|at| at.0);
    Ok(Found(api.engine().calendar_check(&asked.path.into(), at).await?))
}

async fn stop(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<StopRequest>>,
) -> Result<Found<Stop>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().stop_line(&asked.caller, request).await?))
}

async fn resume(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<ResumeRequest>>,
) -> Result<Found<Stop>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().resume_line(&asked.caller, request).await?))
}
