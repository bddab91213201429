//! What a server refuses, as faults that say what to do.

use crate::hostname::DnsName;
use crate::session::Server;
use crate::tsig::{FUDGE, Verdict};
use deployd_plugin_sdk::Fault;
use domain::base::iana::Rcode;

/// Puts the server before what is wrong with it.
pub(crate) fn at(server: &Server, fault: Fault) -> Fault {
    let told = |message: String| {
        // The host names it in its own faults.
        if message.contains(&server.host) { message } else { format!("{server}: {message}") }
    };
    match fault {
        Fault::Unavailable { message, after } => {
            Fault::Unavailable { message: told(message), after }
        }
        Fault::Denied(message) => Fault::Denied(told(message)),
        Fault::Permanent(message) => Fault::Permanent(told(message)),
        other => other,
    }
}

/// Refusals that servers may send without a signature.
pub(crate) fn may_be_unsigned(rcode: Rcode) -> bool {
    matches!(
        rcode,
        Rcode::FORMERR | Rcode::SERVFAIL | Rcode::NOTIMP | Rcode::REFUSED | Rcode::NOTAUTH
    )
}

/// Who refused, and whom.
pub(crate) struct Refused<'a> {
    pub(crate) server: &'a Server,
    pub(crate) key: Option<&'a DnsName>,
}

impl Refused<'_> {
    fn key(&self) -> String {
        self.key.map_or_else(|| "no key".to_owned(), |key| format!("the key {key}"))
    }

    /// An update, but for prerequisites that did not hold.
    pub(crate) fn update(&self, rcode: Rcode, zone: &DnsName) -> Fault {
        let (server, key) = (self.server, self.key());
        match rcode {
            Rcode::REFUSED => Fault::denied(format!(
                "{server} refuses changes with {key}: the zone {zone} needs an update-policy that \
                 allows it, such as `grant {} subdomain {zone}. A AAAA CNAME TXT;`, and the server \
                 has to be the zone's primary",
                self.key.map(ToString::to_string).unwrap_or_default()
            )),
            Rcode::NOTAUTH => Fault::invalid(
                "/inputs/zone",
                format!(
                    "{server} has no zone {zone}: name the zone as the server has it, and the \
                     zone's primary as `server`"
                ),
            ),
            Rcode::NOTZONE => Fault::invalid(
                "/inputs/name",
                format!("{server} says that the name is not in the zone {zone}"),
            ),
            Rcode::NOTIMP => Fault::permanent(format!(
                "{server} takes no dynamic updates of {zone}: is it the zone's primary, and does \
                 the zone allow updates?"
            )),
            rcode => self.other(rcode, &format!("an update of {zone}")),
        }
    }

    /// A query.
    pub(crate) fn query(&self, rcode: Rcode, name: &DnsName) -> Fault {
        let (server, key) = (self.server, self.key());
        match rcode {
            Rcode::REFUSED | Rcode::NOTAUTH => Fault::denied(format!(
                "{server} refuses to answer for {name} to {key}: it has to be a server of the \
                 zone, whose allow-query lets us ask"
            )),
            rcode => self.other(rcode, &format!("a query for {name}")),
        }
    }

    fn other(&self, rcode: Rcode, what: &str) -> Fault {
        let server = self.server;
        match rcode {
            Rcode::SERVFAIL => Fault::unavailable(format!(
                "{server} failed at {what} (SERVFAIL): its log has the reason"
            )),
            Rcode::FORMERR => Fault::permanent(format!(
                "{server} did not understand {what} (FORMERR): its log may have the reason"
            )),
            rcode => Fault::permanent(format!("{server} answered {what} with {rcode}")),
        }
    }

    /// A server that the answer is not certain to come from.
    pub(crate) fn signature(&self, verdict: Verdict) -> Fault {
        let (server, key) = (self.server, self.key());
        match verdict {
            Verdict::UnknownKey => Fault::denied(format!(
                "{server} does not know {key} (BADKEY): /inputs/key needs the name and the \
                 algorithm of a key statement in its configuration"
            )),
            Verdict::OtherSecret => Fault::denied(format!(
                "{server} has another secret for {key} (BADSIG): set the secret to what its key \
                 statement has"
            )),
            Verdict::OtherTime(Some(seconds)) => {
                let direction = if seconds < 0 { "behind" } else { "ahead of" };
                Fault::unavailable(format!(
                    "the clock of {server} is {} s {direction} ours, and signatures allow {FUDGE} \
                     (BADTIME): set both by NTP",
                    seconds.unsigned_abs()
                ))
            }
            Verdict::OtherTime(None) => Fault::unavailable(format!(
                "the clocks of {server} and of this machine are more than {FUDGE} s apart \
                 (BADTIME): set both by NTP"
            )),
            Verdict::Unsigned => Fault::denied(format!(
                "an answer of {server} is not signed with {key}: it does not know the key, or \
                 something between has changed the answer; nothing was believed"
            )),
            Verdict::Genuine | Verdict::Forged => Fault::denied(format!(
                "the signature of an answer of {server} is not that of {key}: it has another \
                 secret, or something between has changed the answer; nothing was believed"
            )),
        }
    }
}
