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

    /// What is left to wait for until all have what they should. Fails when the
    /// time for it is over.
    pub(crate) fn for_all(
        &self,
        seen: impl Fn(&Server) -> Result<Seen, Fault>,
    ) -> Result<Option<Pending>, Fault> {
        let Some((server, why)) = self.first_without(seen)? else { return Ok(None) };
        if self.is_over() {
            return Err(Fault::unavailable(self.too_long(server, &why)));
        }
        Ok(Some(self.pending(server, &why)))
    }

    /// The same for what is taken away. It is gone where it is made: who does not
    /// hear of that within the time keeps nobody waiting, and only a warning is left.
    pub(crate) fn for_all_or_warn(
        &self,
        host: &impl Host,
        seen: impl Fn(&Server) -> Result<Seen, Fault>,
    ) -> Result<Option<Pending>, Fault> {
        let Some((server, why)) = self.first_without(seen)? else { return Ok(None) };
        if self.is_over() {
            host.warn(&self.too_long(server, &why));
            return Ok(None);
        }
        Ok(Some(self.pending(server, &why)))
    }

    /// Asks one server after the other, and stops at the first that is not there
    /// yet: one that hangs takes most of a call's time.
    fn first_without(
        &self,
        seen: impl Fn(&Server) -> Result<Seen, Fault>,
    ) -> Result<Option<(&Server, String)>, Fault> {
        for server in &self.servers {
            match seen(server) {
                Ok(Seen::AsWanted) => {}
                Ok(Seen::NotYet(why)) => return Ok(Some((server, why))),
                Err(Fault::Unavailable { message, .. }) => return Ok(Some((server, message))),
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    fn waited_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.since_ms)
    }

    fn is_over(&self) -> bool {
        self.waited_ms() >= self.longest_ms
    }

    fn too_long(&self, server: &Server, why: &str) -> String {
        format!(
            "after {} s, {server} still does not have the change: {why}; is it notified and \
             allowed to transfer the zone?",
            self.waited_ms() / 1000
        )
    }

    fn pending(&self, server: &Server, why: &str) -> Pending {
        Pending {
            token: self.since_ms.to_string(),
            // Half as long again as until now.
            poll_after: Duration::from_millis(self.waited_ms() / 2).clamp(FIRST, LONGEST),
            message: format!("{server} does not have the change yet: {why}"),
        }
    }
}
