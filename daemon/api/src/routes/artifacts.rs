//! Artifacts: CI says that an image is there.

use deployd_core::access::Action;
use deployd_core::views::Announced;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Artifacts;
use crate::operation::{Operation, Operations, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const ANNOUNCE: Operation = Operation::new(
    Post,
    "/v1/artifacts",
    Needs(Action::Announce, Target::ToAnnounce),
    "announceArtifacts",
    "Announces one artifact or several; says where they go",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(ANNOUNCE, announce)
}

async fn announce(
    api: Api,
    asked: Asked<Nothing, Nothing, Artifacts>,
) -> Result<Found<Announced>, Box<Problem>> {
    Ok(Found(api.engine().announce(&asked.caller, asked.body.0).await?))
}
