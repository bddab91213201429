//! Calendars, asked of a daemon.

use deployd_core::calendar::{Span, Stop};
use deployd_core::views::{CalendarCheck, CalendarView, ResumeRequest, StopRequest};
use deployd_core::{EnvironmentId, Timestamp};

use super::Client;
use crate::error::CliError;

impl Client {
    /// What is closed, planned and done within a span.
    pub async fn calendar(
        &self,
        of: Option<&EnvironmentId>,
        span: Span,
    ) -> Result<CalendarView, CliError> {
        let asked = self.get(&["v1", "calendar"])?.query("environment", of);
        self.ask(asked.query("from", Some(span.from)).query("to", Some(span.to))).await
    }

    /// The same as iCalendar.
    pub async fn calendar_feed(&self, of: Option<&EnvironmentId>) -> Result<String, CliError> {
        let asked = self.get(&["v1", "calendar.ics"])?.query("environment", of);
        let body = self.send(asked).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Whether something may begin in an environment.
    pub async fn calendar_check(
        &self,
        id: &EnvironmentId,
        at: Option<Timestamp>,
    ) -> Result<CalendarCheck, CliError> {
        let (application, environment) = (id.application.as_str(), id.environment.as_str());
        let path = ["v1", "environments", application, environment, "calendar"];
        self.ask(self.get(&path)?.query("at", at)).await
    }

    /// Stops the line.
    pub async fn stop_line(&self, request: &StopRequest) -> Result<Stop, CliError> {
        self.ask(self.post(&["v1", "calendar", "stop"])?.json(request)?).await
    }

    /// Has the line go on.
    pub async fn resume_line(&self, request: &ResumeRequest) -> Result<Stop, CliError> {
        self.ask(self.post(&["v1", "calendar", "resume"])?.json(request)?).await
    }
}
