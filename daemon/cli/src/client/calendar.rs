//! Calendars, asked of a daemon.

use deployd_core::calendar::{Slot, SlotAct, Span, Stop};
use deployd_core::views::{
    CalendarCheck, CalendarView, ResumeRequest, SlotReply, SlotRequest, StopRequest,
};
use deployd_core::{EnvironmentId, Name, SlotId, Timestamp};

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

    /// Asks for a slot.
    pub async fn request_slot(&self, request: &SlotRequest) -> Result<Slot, CliError> {
        self.ask(self.post(&["v1", "calendar", "slots"])?.json(request)?).await
    }

    /// Says something to a slot.
    pub async fn answer_slot(
        &self,
        id: &SlotId,
        act: SlotAct,
        reply: &SlotReply,
    ) -> Result<Slot, CliError> {
        let verb = match act {
            SlotAct::Grant => "grant",
            SlotAct::Refuse => "refuse",
            SlotAct::Withdraw => "withdraw",
        };
        self.ask(self.post(&["v1", "calendar", "slots", &id.0, verb])?.json(reply)?).await
    }

    /// Slots that are open, or all.
    pub async fn slots(
        &self,
        environment: Option<&EnvironmentId>,
        application: Option<&Name>,
        all: bool,
    ) -> Result<Vec<Slot>, CliError> {
        let asked = self.get(&["v1", "calendar", "slots"])?.query("environment", environment);
        self.ask(asked.query("application", application).query("all", all.then_some(true))).await
    }

    /// Has the line go on.
    pub async fn resume_line(&self, request: &ResumeRequest) -> Result<Stop, CliError> {
        self.ask(self.post(&["v1", "calendar", "resume"])?.json(request)?).await
    }
}
