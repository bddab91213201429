//! The page for people: environments, latest deployments, and one of them live.
//!
//! It is a client of the interface as any other: it holds no data, and asks
//! with the token that its user gives.

use crate::access::Access::Open;
use crate::answer::{Css, Html, JavaScript, Text};
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;

const PAGE: Operation = Operation::new(Get, "/", Open, "getPage", "The page for people");

const SCRIPT: Operation =
    Operation::new(Get, "/page.js", Open, "getPageScript", "What the page does");

const ROLLOUT: Operation =
    Operation::new(Get, "/rollout.js", Open, "getPageRollout", "How the page shows a rollout");

const STYLE: Operation =
    Operation::new(Get, "/page.css", Open, "getPageStyle", "How the page looks");

const APPROVE: Operation = Operation::new(
    Get,
    "/approve",
    Open,
    "getApprovalPage",
    "The page to which links of messages lead; it shows what would be approved",
);

const APPROVE_SCRIPT: Operation =
    Operation::new(Get, "/approve.js", Open, "getApprovalPageScript", "What that page does");

pub(crate) fn operations(operations: Operations) -> Operations {
    operations
        .add(PAGE, page)
        .add(SCRIPT, script)
        .add(ROLLOUT, rollout)
        .add(STYLE, style)
        .add(APPROVE, approve)
        .add(APPROVE_SCRIPT, approve_script)
}

async fn page(_: Api, _: Asked) -> Result<Text<Html>, Box<Problem>> {
    Ok(Text::new(include_str!("page/page.html")))
}

async fn script(_: Api, _: Asked) -> Result<Text<JavaScript>, Box<Problem>> {
    Ok(Text::new(include_str!("page/page.js")))
}

async fn rollout(_: Api, _: Asked) -> Result<Text<JavaScript>, Box<Problem>> {
    Ok(Text::new(include_str!("page/rollout.js")))
}

async fn approve(_: Api, _: Asked) -> Result<Text<Html>, Box<Problem>> {
    Ok(Text::new(include_str!("page/approve.html")))
}

async fn approve_script(_: Api, _: Asked) -> Result<Text<JavaScript>, Box<Problem>> {
    Ok(Text::new(include_str!("page/approve.js")))
}

async fn style(_: Api, _: Asked) -> Result<Text<Css>, Box<Problem>> {
    Ok(Text::new(include_str!("page/page.css")))
}
