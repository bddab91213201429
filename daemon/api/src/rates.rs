//! How often each identity may ask. Who is known is counted by name, at whatever address;
//! who is not, by address. A loop that has run away is slowed down before it is everybody's
//! concern, and pays for itself alone.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deployd_core::Actor;
use deployd_core::rate::{Buckets, Rate};
use http::request::Parts;

use crate::access::journal_refusal;
use crate::api::Api;
use crate::operation::{Counted, Operation};
use crate::problem::{Code, Problem};
use crate::source::{Peer, source};

/// Requests a second of one identity, in the long run. A company's CI with one token for
/// all of its jobs has a few, and a test that looks every 20 ms has 50; a loop without a
/// pause has a thousand.
pub const REQUESTS_PER_SECOND: u32 = 100;

/// Requests of one identity at once: as many as all jobs of a large company that begin in
/// the same second. A loop without a pause has used them up within a second.
pub const REQUESTS_AT_ONCE: u32 = 1_000;

/// The same for deliveries and answers to checks, which come from few addresses for all
/// that happens there: a registry tells of each tag of each image.
pub const DELIVERIES_PER_SECOND: u32 = 200;

/// As [`REQUESTS_AT_ONCE`]: a forge that was away tells everything at once.
pub const DELIVERIES_AT_ONCE: u32 = 2_000;

/// Identities that are remembered: each takes some hundred bytes, and who has done least
/// is forgotten first.
const IDENTITIES_MAX: usize = 10_000;

/// Between two notes in the journal about the same identity: that it began to ask too
/// often is worth knowing, and not each time that it does.
const TOLD: Rate = Rate { at_once: 1, each: Duration::from_secs(600) };

/// How often one identity may ask; as often as it likes where there is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests of whoever is known, else of an address.
    pub requests: Option<Rate>,
    /// Deliveries of forges and registries and answers to checks, of an address.
    pub deliveries: Option<Rate>,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second, at_once| Some(Rate::per_second(per_second, at_once));
        Self {
            requests: rate(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE),
            deliveries: rate(DELIVERIES_PER_SECOND, DELIVERIES_AT_ONCE),
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Known(Actor),
    Address(Option<IpAddr>),
    Sender(Option<IpAddr>),
}

/// What identities have asked lately.
#[derive(Debug)]
pub(crate) struct Counts {
    rates: Rates,
    started: Instant,
    asked: Mutex<Buckets<Who>>,
    told: Mutex<Buckets<Who>>,
}

impl Counts {
    pub(crate) fn new(rates: Rates) -> Self {
        let buckets = || Mutex::new(Buckets::new(IDENTITIES_MAX));
        Self { rates, started: Instant::now(), asked: buckets(), told: buckets() }
    }

    /// Counts a request; when to come back if it is one too many, and whether that is to
    /// be told.
    fn count(&self, who: &Who, rate: &Rate, now: Instant) -> Result<(), (Duration, bool)> {
        let now = now.saturating_duration_since(self.started);
        let take = |buckets: &Mutex<Buckets<Who>>, rate: &Rate| {
            buckets.lock().unwrap_or_else(PoisonError::into_inner).take(who.clone(), rate, now)
        };
        take(&self.asked, rate).map_err(|wait| (wait, take(&self.told, &TOLD).is_ok()))
    }
}

/// The part of an address that one client has to itself: of IPv6, all that a network
/// hands out to one.
fn client(parts: &Parts) -> Option<IpAddr> {
    let Peer(address) = parts.extensions.get::<Peer>()?;
    Some(match address.ip().to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    })
}

/// Counts a request of somebody, or of nobody who is known; refuses it where it is one
/// too many.
pub(crate) async fn count(
    api: &Api,
    operation: &Operation,
    actor: Option<&Actor>,
    parts: &Parts,
) -> Result<(), Box<Problem>> {
    let counts = &api.shared().counts;
    let (who, rate, what) = match (operation.counted, actor) {
        (Counted::Nobody, _) => return Ok(()),
        (Counted::Sender, _) => (Who::Sender(client(parts)), counts.rates.deliveries, "deliveries"),
        (Counted::Asker, Some(actor)) => {
            (Who::Known(actor.clone()), counts.rates.requests, "requests")
        }
        (Counted::Asker, None) => (Who::Address(client(parts)), counts.rates.requests, "requests"),
    };
    let Some(rate) = rate else { return Ok(()) };
    let Err((wait, tell)) = counts.count(&who, &rate, Instant::now()) else { return Ok(()) };
    let often = format!(
        "more than {:.0} {what} a second, after {} at once",
        1.0 / rate.each.as_secs_f64(),
        rate.at_once
    );
    if tell {
        let what = format!("{} {}: {often}", operation.verb.as_str(), operation.path);
        journal_refusal(api, actor.cloned(), Some(source(parts)), &what).await;
    }
    let whose = match &who {
        Who::Known(actor) => actor.0.clone(),
        Who::Address(_) | Who::Sender(_) => "This address".to_owned(),
    };
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    let detail = format!("{whose} sends {often}; come back in {seconds} s.");
    Err(Problem::new(Code::RateLimited, detail).retry_after(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_address_however_many_it_could_use() {
        let client = |address: &str| {
            let peer = Peer(address.parse().unwrap());
            let request = http::Request::builder().extension(peer).body(()).unwrap();
            client(&request.into_parts().0).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1:1"), "192.0.2.1");
        assert_eq!(client("[::ffff:192.0.2.1]:2"), "192.0.2.1");
        assert_eq!(client("[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2::");
        assert_eq!(client("[2001:db8:1:2:ffff::1]:1"), "2001:db8:1:2::");
        assert_ne!(client("[2001:db8:1:3::1]:1"), "2001:db8:1:2::");
    }

    #[test]
    fn who_asks_too_often_is_told_of_once() {
        let counts = Counts::new(Rates::default());
        let rate = Rate::per_second(1, 2);
        let ada = Who::Known(Actor("ada".to_owned()));
        let start = counts.started;
        let second = Duration::from_secs(1);
        assert_eq!(counts.count(&ada, &rate, start), Ok(()));
        assert_eq!(counts.count(&ada, &rate, start), Ok(()));
        assert_eq!(counts.count(&ada, &rate, start), Err((second, true)));
        assert_eq!(counts.count(&ada, &rate, start), Err((second, false)));
        assert_eq!(counts.count(&Who::Address(None), &rate, start), Ok(()));
        assert_eq!(counts.count(&ada, &rate, start + second), Ok(()));
    }
}
