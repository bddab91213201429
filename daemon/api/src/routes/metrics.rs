//! Metrics in Prometheus' text format.

use deployd_core::access::Action;

use crate::access::Access;
use crate::answer::{PrometheusText, Text};
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

pub(super) fn behind_token(operations: Operations) -> Operations {
    operations.add(operation(Access::Needs(Action::Read, Target::Installation)), metrics)
}

pub(super) fn open(operations: Operations) -> Operations {
    operations.add(operation(Access::Open), metrics)
}

const fn operation(access: Access) -> Operation {
    Operation::new(Get, "/metrics", access, "getMetrics", "Metrics, for Prometheus")
}

async fn metrics(api: Api, _: Asked) -> Result<Text<PrometheusText>, Box<Problem>> {
    let mut text = (api.shared().options.metrics)();
    text.push_str(&api.shared().requests.text());
    text.push_str(&api.shared().dora.text(api.engine()).await);
    Ok(Text::new(text))
}
