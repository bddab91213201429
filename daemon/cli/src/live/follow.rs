//! Follows a deployment to its end, however often the connection is lost.

use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::views::WatchUpdate;

use super::bars::Bars;
use super::lines::{Lines, Renderer, Silent};
use super::view::View;
use crate::client::{Client, ServerEvent};
use crate::error::CliError;
use crate::output::{Paint, colours_wanted};

/// How a deployment is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Rows that change in place, on standard error.
    Live(Paint),
    /// Lines, on standard output.
    Lines(Paint),
    /// Not at all.
    Silent,
}

impl Style {
    /// Live where both standard output and standard error are a terminal,
    /// lines elsewhere.
    pub fn detect() -> Self {
        use std::io::IsTerminal as _;
        let out = std::io::stdout().is_terminal();
        let colours = colours_wanted();
        if out && std::io::stderr().is_terminal() {
            Self::Live(Paint::new(colours))
        } else {
            Self::Lines(Paint::new(colours && out))
        }
    }
}

/// Follows a deployment to its end and shows it. Returns its record, whatever
/// the outcome: [`crate::exit::of_outcome`] has its exit code.
pub async fn follow(
    client: &Client,
    id: &DeploymentId,
    style: Style,
) -> Result<DeploymentRecord, CliError> {
    match style {
        Style::Live(paint) => follow_with(client, id, &mut Bars::new(paint)).await,
        Style::Lines(paint) => {
            let mut out = std::io::stdout();
            follow_with(client, id, &mut Lines::new(&mut out, paint)).await
        }
        Style::Silent => follow_with(client, id, &mut Silent).await,
    }
}

/// Follows a deployment to its end and has a renderer show it.
pub async fn follow_with(
    client: &Client,
    id: &DeploymentId,
    renderer: &mut dyn Renderer,
) -> Result<DeploymentRecord, CliError> {
    let mut following =
        Following { client, id, renderer, view: View::default(), last_id: None, failed: 0 };
    loop {
        match following.stream().await {
            Ok(()) => following.failed = 0,
            Err(lost) => following.patience(lost).await?,
        }
        let Some(record) = following.view.record().filter(|record| record.outcome.is_some()) else {
            continue;
        };
        let record = record.clone();
        following.renderer.finish(&following.view)?;
        return Ok(record);
    }
}

/// Why a stream ended too early.
struct Lost {
    error: CliError,
    retry_after: Option<Duration>,
}

impl From<CliError> for Lost {
    fn from(error: CliError) -> Self {
        Self { error, retry_after: None }
    }
}

struct Following<'a> {
    client: &'a Client,
    id: &'a DeploymentId,
    renderer: &'a mut dyn Renderer,
    view: View,
    last_id: Option<String>,
    /// Attempts in a row that brought nothing.
    failed: u32,
}

impl Following<'_> {
    /// One stream, from where the last one was lost. Ends well only when the
    /// deployment has ended.
    async fn stream(&mut self) -> Result<(), Lost> {
        let opened = self.client.events(self.id, self.last_id.as_deref()).await;
        let stream = opened.map_err(|(error, retry_after)| Lost { error, retry_after })?;
        let Some(mut stream) = stream else {
            // All was sent before; the record says how it ended.
            let record = Some(Box::new(self.client.deployment(self.id).await?));
            self.take(WatchUpdate { record, rollout: None, logs: Vec::new() })?;
            return if self.view.outcome().is_some() { Ok(()) } else { Err(early(self.client)) };
        };
        loop {
            match stream.next(self.client).await {
                Ok(Some(ServerEvent::Update(update))) => {
                    self.take(*update)?;
                    self.failed = 0;
                    self.last_id = stream.last_id().map(ToOwned::to_owned);
                }
                Ok(Some(ServerEvent::Problem(problem))) => {
                    return Err(CliError::Problem(problem).into());
                }
                // What comes after the outcome is a few more lines at most.
                Ok(None) | Err(CliError::Unreachable { .. }) if self.view.outcome().is_some() => {
                    return Ok(());
                }
                Ok(None) => return Err(early(self.client)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, update: WatchUpdate) -> Result<(), CliError> {
        let news = self.view.apply(update);
        self.renderer.update(&self.view, &news)
    }

    /// Waits before the next stream, or gives up.
    async fn patience(&mut self, lost: Lost) -> Result<(), CliError> {
        let passes = match &lost.error {
            CliError::Unreachable { .. } => true,
            CliError::Problem(problem) => matches!(problem.status, 429 | 500 | 502..=504),
            _ => false,
        };
        self.failed = self.failed.saturating_add(1);
        let backoff = self.client.backoff();
        match backoff.wait(self.failed, backoff.stream_attempts, lost.retry_after) {
            Some(wait) if passes => {
                if self.failed == 1 {
                    self.renderer.note(&format!("{}; trying again", lost.error))?;
                }
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(lost.error),
        }
    }
}

/// The daemon has ended the stream, and the deployment goes on: it restarts.
fn early(client: &Client) -> Lost {
    CliError::Unreachable {
        server: client.server().to_owned(),
        reason: "it closed the connection".to_owned(),
    }
    .into()
}
