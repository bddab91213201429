//! Waiting until all authoritative servers have what was changed. The host
//! waits; a call only asks.

use crate::definition::Inputs;
use crate::session::Server;
use deployd_plugin_sdk::{Fault, Host, Pending};
use std::time::Duration;

/// The first time to ask again: a secondary that is notified has it by then.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// How long we have been waiting.
pub(crate) struct Wait {
    since_ms: u64,
    now_ms: u64,
    longest_ms: u64,
    servers: Vec<Server>,
}

/// What a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// What it should.
    AsWanted,
    /// Something else yet, in words.
    NotYet(String),
}

impl Wait {
    /// The token says since when; none, or one that is not ours, means now.
    pub(crate) fn since(token: Option<&str>, host: &impl Host, inputs: &Inputs) -> Self {
        let now_ms = host.now_ms();
        let since_ms = token.and_then(|token| token.parse().ok()).unwrap_or(now_ms);
        Self {
            since_ms,
            now_ms,
            longest_ms: u64::from(inputs.propagation_seconds).saturating_mul(1000),
            servers: inputs.authoritative(),
        }
    }

    /// Asks one server after the other, and stops at the first that is not there
    /// yet: one that hangs takes most of a call's time.
    pub(crate) fn for_all(
        &self,
        seen: impl Fn(&Server) -> Result<Seen, Fault>,
    ) -> Result<Option<Pending>, Fault> {
        for server in &self.servers {
            let why = match seen(server) {
                Ok(Seen::AsWanted) => continue,
                Ok(Seen::NotYet(why)) => why,
                Err(Fault::Unavailable { message, .. }) => message,
                Err(fault) => return Err(fault),
            };
            return self.pending(server, &why).map(Some);
        }
        Ok(None)
    }

    fn pending(&self, server: &Server, why: &str) -> Result<Pending, Fault> {
        let waited = self.now_ms.saturating_sub(self.since_ms);
        if waited >= self.longest_ms {
            return Err(Fault::unavailable(format!(
                "after {} s, {server} still does not have the change: {why}; is it notified and \
                 allowed to transfer the zone?",
                waited / 1000
            )));
        }
        Ok(Pending {
            token: self.since_ms.to_string(),
            // Half as long again as until now.
            poll_after: Duration::from_millis(waited / 2).clamp(FIRST, LONGEST),
            message: format!("{server} does not have the change yet: {why}"),
        })
    }
}
