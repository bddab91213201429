//! When a request is tried again, and after how long. Every request of this
//! crate may be repeated: applying sets values, deleting names a uid.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;

/// The first pause; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// No pause is longer, unless the server asks for it: a server that is back
/// should not wait for us.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Somebody changed the object between the server's read and write. Each try
/// is likely to succeed; what keeps losing so often has another problem.
const CONFLICT_TRIES: u32 = 12;

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// Try again after the pause.
    Again(Duration),
    /// Let it be.
    GiveUp,
}

/// Whether trying again may help at all.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) | Failure::Timeout(_) => true,
        Failure::Untrusted(_) | Failure::Credentials(_) | Failure::Unreadable(_) => false,
        Failure::Status(status) => match status.code {
            408 | 429 | 502 | 503 | 504 => true,
            500 => !status.is_schema_violation(),
            409 => !status.is_field_conflict() && !status.is_precondition(),
            403 => status.is_settling(),
            _ => false,
        },
    }
}

/// Decides after the `tries`th try (from 1), `elapsed` since the first.
/// `random` is in 0..1.
pub(crate) fn verdict(
    failure: &Failure,
    tries: u32,
    elapsed: Duration,
    budget: Duration,
    random: f64,
) -> Verdict {
    if !may_pass(failure) || (failure.code() == Some(409) && tries >= CONFLICT_TRIES) {
        return Verdict::GiveUp;
    }
    let advised = failure.status().and_then(|status| status.retry_after).unwrap_or_default();
    let pause = pause(tries, random).max(advised);
    if elapsed.saturating_add(pause) > budget { Verdict::GiveUp } else { Verdict::Again(pause) }
}

/// The pause after the `tries`th try: doubling, with the upper half at random
/// so that clients which failed together don't come back together.
pub(crate) fn pause(tries: u32, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10));
    let whole = doubled.min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// A number in 0..1, different for each caller. Spreading load needs no more
/// randomness than the standard library has.
pub(crate) fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// Tries until it succeeds or the verdict is to give up.
pub(crate) async fn persist<T, F, R>(budget: Duration, mut attempt: F) -> Result<T, Failure>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, Failure>>,
{
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        let failure = match attempt().await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        tries += 1;
        match verdict(&failure, tries, begun.elapsed(), budget, random()) {
            Verdict::GiveUp => return Err(failure),
            Verdict::Again(pause) => tokio::time::sleep(pause).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::failure::{ApiStatus, Cause};

    const BUDGET: Duration = Duration::from_secs(90);

    fn status(code: u16, message: &str) -> Failure {
        Failure::Status(Box::new(ApiStatus {
            code,
            message: message.to_owned(),
            ..ApiStatus::default()
        }))
    }

    fn with_cause(code: u16, reason: &str) -> Failure {
        let causes = vec![Cause { reason: reason.to_owned(), ..Cause::default() }];
        Failure::Status(Box::new(ApiStatus { code, causes, ..ApiStatus::default() }))
    }

    fn throttled(seconds: u64) -> Failure {
        Failure::Status(Box::new(ApiStatus {
            code: 429,
            retry_after: Some(Duration::from_secs(seconds)),
            ..ApiStatus::default()
        }))
    }

    #[test]
    fn what_may_pass() {
        let table = [
            (Failure::Unreachable("connection refused".into()), true),
            (Failure::Timeout(Duration::from_secs(30)), true),
            (Failure::Untrusted("unknown issuer".into()), false),
            (Failure::Credentials("no token".into()), false),
            (Failure::Unreadable("no JSON".into()), false),
            (status(400, ""), false),
            (status(401, ""), false),
            (status(403, "forbidden"), false),
            (status(403, "status unknown for quota: q, resources: pods"), true),
            (status(403, "error looking up service account a/default: not found"), true),
            (status(404, ""), false),
            (status(409, "the object has been modified"), true),
            (status(409, "Precondition failed: UID in precondition: a, UID in object: b"), false),
            (with_cause(409, "FieldManagerConflict"), false),
            (status(410, ""), false),
            (status(413, ""), false),
            (status(422, ""), false),
            (status(429, ""), true),
            (status(500, "etcdserver: leader changed"), true),
            (
                status(500, "failed to create typed patch object: .spec.x: field not declared"),
                false,
            ),
            (status(502, ""), true),
            (status(503, ""), true),
            (status(504, ""), true),
        ];
        for (failure, expected) in table {
            assert_eq!(may_pass(&failure), expected, "{failure:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses: Vec<u128> = (1..9).map(|tries| pause(tries, 1.0).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 6_400, 8_000, 8_000]);
        assert_eq!(pause(1, 0.0).as_millis(), 100);
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn the_server_says_when() {
        let wait = verdict(&throttled(20), 1, Duration::ZERO, BUDGET, 1.0);
        assert_eq!(wait, Verdict::Again(Duration::from_secs(20)));
        let short = verdict(&throttled(0), 5, Duration::ZERO, BUDGET, 1.0);
        assert_eq!(short, Verdict::Again(Duration::from_millis(3_200)));
        let too_long = verdict(&throttled(120), 1, Duration::ZERO, BUDGET, 1.0);
        assert_eq!(too_long, Verdict::GiveUp);
    }

    #[test]
    fn the_budget_ends_it() {
        let refused = Failure::Unreachable("refused".into());
        assert_eq!(verdict(&refused, 20, Duration::from_secs(85), BUDGET, 1.0), Verdict::GiveUp);
        let lost = status(409, "the object has been modified");
        assert_eq!(verdict(&lost, 12, Duration::ZERO, BUDGET, 1.0), Verdict::GiveUp);
    }

    #[test]
    fn random_numbers_differ_and_stay_in_range() {
        let numbers: Vec<f64> = (0..64).map(|_| random()).collect();
        assert!(numbers.iter().all(|n| (0.0..1.0).contains(n)));
        assert!(numbers.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_for_a_minute_is_waited_for() {
        let begun = Instant::now();
        let tries = Cell::new(0);
        let done = persist(BUDGET, || async {
            tries.set(tries.get() + 1);
            if begun.elapsed() < Duration::from_secs(60) {
                return Err(Failure::Unreachable("refused".into()));
            }
            Ok("back")
        })
        .await;
        assert_eq!(done, Ok("back"));
        assert!(begun.elapsed() < Duration::from_secs(70), "{:?}", begun.elapsed());
        assert!(tries.get() < 25, "{}", tries.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_away_is_given_up() {
        let begun = Instant::now();
        let failure = Failure::Unreachable("refused".into());
        let done: Result<(), _> = persist(BUDGET, || async { Err(failure.clone()) }).await;
        assert_eq!(done, Err(failure.clone()));
        assert!(begun.elapsed() > Duration::from_secs(75), "{:?}", begun.elapsed());
        assert!(begun.elapsed() <= BUDGET);
    }
}
