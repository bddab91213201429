//! What the engine says, as problems.

use deployd_core::ports::{StoreError, VaultError};
use deployd_core::{Fault, FaultClass};
use deployd_engine::EngineError;

use super::{Code, Problem, ProblemItem};
use crate::limits::RETRY_AFTER_SECONDS;

impl From<EngineError> for Box<Problem> {
    fn from(error: EngineError) -> Self {
        let problem = of_engine(&error);
        if problem.status >= 500 {
            tracing::error!(code = %problem.code, %error, "a request failed");
        }
        problem
    }
}

/// The problem of an error. What is inside the daemon stays there.
fn of_engine(error: &EngineError) -> Box<Problem> {
    match error {
        EngineError::NotFound { .. } => Problem::new(Code::NotFound, sentence(error)),
        EngineError::Invalid { problems } => {
            let detail = match problems.as_slice() {
                [one] => one.message.clone(),
                many => format!("{} things are wrong with it.", many.len()),
            };
            let items = problems.iter().map(|problem| ProblemItem {
                field: Some(problem.place.clone()).filter(|place| !place.is_empty()),
                message: problem.message.clone(),
                ..ProblemItem::default()
            });
            Problem::new(Code::InvalidRequest, detail).with_errors(items.collect())
        }
        EngineError::Conflict { .. } => Problem::new(Code::Conflict, sentence(error)),
        EngineError::Affects { resources } => {
            let detail = format!(
                "{} of those that are there would come from another definition or driver, or from none; nothing was changed.",
                match resources.len() {
                    1 => "1 resource".to_owned(),
                    many => format!("{many} resources"),
                }
            );
            let items = resources.iter().map(|resource| ProblemItem {
                field: Some(format!("{} {}", resource.environment, resource.name)),
                found: Some(resource.from.to_string()),
                expected: None,
                message: resource.to_string(),
                ..ProblemItem::default()
            });
            Problem::new(Code::ResourcesAffected, detail).with_errors(items.collect())
        }
        EngineError::Unmerged { conflicts } => {
            let detail = format!(
                "Both sides have changed {}, and differently; prefer `ours` (what is there) or `theirs` (what the change brings), or make them the same first.",
                match conflicts.len() {
                    1 => "the same field".to_owned(),
                    many => format!("the same {many} fields"),
                }
            );
            let items = conflicts.iter().map(|conflict| ProblemItem {
                field: Some(conflict.path.clone()),
                found: Some(side(conflict.ours.as_ref())),
                expected: Some(side(conflict.theirs.as_ref())),
                message: format!(
                    "it was {}; here it is {}; the change makes it {}",
                    side(conflict.base.as_ref()),
                    side(conflict.ours.as_ref()),
                    side(conflict.theirs.as_ref())
                ),
                ..ProblemItem::default()
            });
            Problem::new(Code::Unmerged, detail).with_errors(items.collect())
        }
        EngineError::KeyReuse => Problem::new(Code::IdempotencyKeyReuse, sentence(error)),
        EngineError::Fault(fault) => of_fault(fault),
        EngineError::Store(error) => of_store(error),
        EngineError::Vault(error) => of_vault(error),
        _ => Problem::internal(),
    }
}

/// One side of a conflict, as much of it as can be read in a line.
fn side(value: Option<&serde_json::Value>) -> String {
    const SHOWN_CHARS: usize = 200;
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}

fn of_fault(fault: &Fault) -> Box<Problem> {
    let code = match fault.class {
        FaultClass::Transient => Code::Unavailable,
        FaultClass::Conflict => Code::Conflict,
        FaultClass::Invalid => Code::InvalidRequest,
        FaultClass::Denied => Code::Denied,
        FaultClass::Permanent => Code::Failed,
        FaultClass::Bug => return Problem::internal(),
    };
    let mut problem = Problem::new(code, fault.message.clone());
    problem.reason = Some(fault.code.clone());
    if code == Code::Unavailable {
        let asked = fault.retry_after_ms.map(|ms| ms.div_ceil(1000));
        let asked = asked.and_then(|seconds| u32::try_from(seconds).ok());
        problem.retry_after = Some(asked.unwrap_or(RETRY_AFTER_SECONDS));
    }
    problem
}

fn of_store(error: &StoreError) -> Box<Problem> {
    let later = |code, detail: &str| Problem::new(code, detail).retry_after(RETRY_AFTER_SECONDS);
    match error {
        StoreError::KeyReuse => of_engine(&EngineError::KeyReuse),
        StoreError::Conflict { .. } => {
            Problem::new(Code::Conflict, "Somebody else was quicker; look again, and try again.")
        }
        StoreError::Fenced { .. } | StoreError::Claimed { .. } => {
            later(Code::Unavailable, "Another process works on this; come back later.")
        }
        StoreError::InvalidBatch(_) => {
            let detail = "What was sent is too large, or too deep, to be kept in one piece.";
            Problem::new(Code::InvalidRequest, detail)
        }
        StoreError::Full(_) => {
            Problem::new(Code::Full, "deployd has no room to store anything; nothing was changed.")
        }
        StoreError::Busy => later(Code::Busy, "Too much is waiting already; come back later."),
        StoreError::Stopped(_) => {
            later(Code::Unavailable, "deployd has stopped accepting anything; it restarts.")
        }
        // An administrator's own path, and what is wrong with it.
        StoreError::Backup(why) => {
            Problem::new(Code::Failed, format!("No backup was made: {why}."))
        }
        _ => Problem::internal(),
    }
}

fn of_vault(error: &VaultError) -> Box<Problem> {
    match error {
        VaultError::NotFound(_) => Problem::new(Code::NotFound, sentence(error)),
        VaultError::Unresolved { fault, .. } => {
            of_fault(&Fault { message: sentence(error), ..(**fault).clone() })
        }
        VaultError::Key(_) => Problem::new(Code::Failed, sentence(error)),
        VaultError::Recipe(_) => Problem::new(Code::InvalidRequest, sentence(error)),
        VaultError::Store(error) => of_store(error),
        _ => Problem::internal(),
    }
}

/// An error's text as a sentence.
/// The text as a sentence. Names stay as they are: `shop/development` is no other
/// environment at the beginning of one.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let word = text.split(' ').next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if word.chars().all(|c| c.is_ascii_alphabetic() || c == '\'') => {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        }
        Some(_) => format!("{text}."),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::journal::{Head, StreamId, Version};
    use deployd_core::secret::SecretRef;
    use deployd_core::{Digest, Fault};

    /// Stands for whatever must not reach a client.
    const INSIDE: &str = "/var/lib/deployd/store.redb";

    fn fault(class: FaultClass) -> EngineError {
        EngineError::Fault(Fault::new(class, "some-code", "a sentence"))
    }

    #[test]
    fn every_error_has_its_problem() {
        let stream = StreamId("s".into());
        let head = Head { version: Version(1), hash: Digest::of(b"") };
        let secret = SecretRef { owner: "o".into(), name: "n".into() };
        let store = EngineError::Store;
        let table = [
            (EngineError::NotFound { what: "deployment x".into() }, 404, "not-found"),
            (EngineError::Invalid { problems: vec![] }, 422, "invalid-request"),
            (EngineError::Conflict { message: "it is there".into() }, 409, "conflict"),
            (EngineError::Affects { resources: vec![] }, 409, "resources-affected"),
            (EngineError::Unmerged { conflicts: vec![] }, 409, "unmerged"),
            (EngineError::KeyReuse, 422, "idempotency-key-reuse"),
            (fault(FaultClass::Transient), 503, "unavailable"),
            (fault(FaultClass::Conflict), 409, "conflict"),
            (fault(FaultClass::Invalid), 422, "invalid-request"),
            (fault(FaultClass::Denied), 403, "denied"),
            (fault(FaultClass::Permanent), 422, "failed"),
            (EngineError::Fault(Fault::bug("internal", INSIDE)), 500, "internal"),
            (store(StoreError::KeyReuse), 422, "idempotency-key-reuse"),
            (store(StoreError::Conflict { stream: stream.clone(), head }), 409, "conflict"),
            (store(StoreError::Fenced { stream: stream.clone() }), 503, "unavailable"),
            (store(StoreError::Claimed { stream, owner: INSIDE.into() }), 503, "unavailable"),
            (store(StoreError::InvalidBatch(INSIDE.into())), 422, "invalid-request"),
            (store(StoreError::Full(INSIDE.into())), 507, "full"),
            (store(StoreError::Damaged(INSIDE.into())), 500, "internal"),
            (store(StoreError::Backup("the file is there".into())), 422, "failed"),
            (store(StoreError::Busy), 503, "busy"),
            (store(StoreError::Stopped(INSIDE.into())), 503, "unavailable"),
            (EngineError::Vault(VaultError::NotFound(secret.clone())), 404, "not-found"),
            (
                EngineError::Vault(VaultError::Unreadable { secret, reason: INSIDE.into() }),
                500,
                "internal",
            ),
            (
                EngineError::Vault(VaultError::Unresolved {
                    secret: SecretRef { owner: "o".into(), name: "n".into() },
                    link: Box::new("env:A".parse().unwrap()),
                    fault: Box::new(Fault::denied("secret-variable-denied", "not allowed")),
                }),
                403,
                "denied",
            ),
            (EngineError::Vault(VaultError::Key("no new key".into())), 422, "failed"),
            (EngineError::Vault(VaultError::Recipe("short".into())), 422, "invalid-request"),
            (EngineError::Vault(VaultError::Store(StoreError::Busy)), 503, "busy"),
        ];
        for (error, status, code) in table {
            let problem = of_engine(&error);
            assert_eq!((problem.status, problem.code.as_str()), (status, code), "{error}");
            let text = serde_json::to_string(&problem).unwrap();
            assert!(!text.contains(INSIDE), "{text}");
            assert_eq!(problem.retry_after.is_some(), status == 503, "{error}");
        }
    }

    #[test]
    fn codes_are_what_serde_says() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(code.problem_type().ends_with(code.as_str()));
        }
    }

    #[test]
    fn a_receiver_s_wish_is_passed_on() {
        let fault = Fault::transient("throttled", "later").with_retry_after_ms(Some(4_100));
        assert_eq!(of_engine(&EngineError::Fault(fault)).retry_after, Some(5));
        let error = EngineError::NotFound { what: "deployment x".into() };
        assert_eq!(of_engine(&error).detail, "There is no deployment x.");
    }
}
