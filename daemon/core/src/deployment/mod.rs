//! The heart: what may happen to deployments of an environment, and what should
//! happen next.
//!
//! [`transition`] is the only place where legality is decided, used live and on
//! replay. [`next`] says what should happen now. Both are pure.

mod action;
mod approved;
mod begun;
mod closing;
mod decided;
mod drift;
mod event;
mod gates;
mod hold;
pub mod jobs;
mod next;
mod observed;
pub mod projection;
mod pulled;
mod record;
mod request;
mod retry;
mod state;
pub mod stays;
mod steered;
mod step;
mod steps;
pub mod timeline;
mod transition;
mod turn;
mod yielding;

pub use action::Action;
pub use event::{DestroyStep, Event, ResourceStep};
pub use hold::Hold;
pub use next::{Intent, NotQueued, QUEUE_MAX, RUNNING_MAX, interrupted, next, queue};
pub use pulled::CLOSED;
pub use record::DeploymentRecord;
pub use request::{Mode, Origin, Request, Schedule, Skip, Teardown};
pub use retry::{ATTEMPTS_MAX, WAIT_MS_MAX, is_due, retry_at};
pub use state::{
    ActiveResource, BEGUN_MAX, BegunResource, Deferral, Deployed, Deployment, EnvironmentState,
    Outcome, Phase, Queued, ROUNDS_MAX, Rollout, Yielded,
};
pub use step::{Step, StepId, StepKind, StepStatus};
pub use steps::{Shared, Steps};
pub use transition::{Illegal, transition};

#[cfg(test)]
mod tests;
