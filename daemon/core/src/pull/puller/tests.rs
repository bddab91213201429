//! Objects as Argo CD and Flux write them, and what is made of them.

mod argo_cd;
mod flux;

use serde_json::Value;

use super::*;

/// A name, an object, and what is expected of it: a case, and what is said of it.
type Case<'a> = (&'a str, Value, (&'a str, &'a [&'a str]));

/// What was committed.
const OURS: &str = "3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c";
/// What was there before.
const BEFORE: &str = "aaaaaaaaaaaa7f8091a2b3c4d5e6f708192a3b4c";
/// What somebody else has committed after ours.
const LATER: &str = "cccccccccccc7f8091a2b3c4d5e6f708192a3b4c";

/// A minute and more after all that the objects tell.
const NOW: &str = "2026-11-23T10:10:00Z";

fn now() -> Timestamp {
    serde_json::from_value(NOW.into()).unwrap()
}

/// A commit has what was committed if it is ours or a later one.
fn ours(commit: &str) -> Option<bool> {
    match commit {
        "unknown" => None,
        commit => Some(OURS.starts_with(commit) || LATER.starts_with(commit)),
    }
}

/// Changes of a document, each of what is at a pointer; null takes it away.
fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut place = &mut object;
        for step in parent.split('/').skip(1) {
            place = match place {
                Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
                place => &mut place[step],
            };
        }
        match place {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            place if value.is_null() => {
                place.as_object_mut().unwrap().remove(key);
            }
            place => place[key] = value.clone(),
        }
    }
    object
}

/// What is expected of a verdict: its case, and what is in its sentence.
fn expect(name: &str, verdict: &Verdict, (case, parts): (&str, &[&str])) {
    let (found, sentence) = match verdict {
        Verdict::There => ("there", String::new()),
        Verdict::Waiting(sentence) => ("waiting", sentence.clone()),
        Verdict::Failed(fault) => ("failed", format!("{}: {}", fault.code, fault.message)),
    };
    assert_eq!(found, case, "{name}: {sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{name}: {part:?} in {sentence}");
    }
}

#[test]
fn objects_have_the_identities_of_their_kinds() {
    for (kind, version, object) in [
        (PullerKind::ArgoCd, "argoproj.io/v1alpha1", "Application"),
        (PullerKind::FluxKustomization, "kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
        (PullerKind::FluxHelmRelease, "helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    ] {
        let (name, namespace) = ("shop".to_owned(), "gitops".to_owned());
        let spec = PullerSpec { kind, name, namespace, kubeconfig_secret: None };
        let found = reference(&spec);
        assert_eq!((found.api_version.as_str(), found.kind.as_str()), (version, object));
        assert_eq!(found.namespace.as_deref(), Some("gitops"));
        assert_eq!(kind_of(&found), Some(kind));
        expect("absent", &absent(&found), ("waiting", &["gitops/shop is not there"]));
    }
}

#[test]
fn whatever_an_object_holds_is_read_without_a_fault() {
    let odd = [
        Value::Null,
        serde_json::json!([]),
        serde_json::json!({"metadata": 1, "spec": [], "status": "x"}),
        serde_json::json!({"status": {"conditions": {}, "history": [1, null], "sync": []}}),
        serde_json::json!({"spec": {"sources": "x", "syncPolicy": {"automated": 1}}}),
    ];
    for object in odd {
        for kind in [PullerKind::ArgoCd, PullerKind::FluxKustomization, PullerKind::FluxHelmRelease]
        {
            let state = PullerState::of(kind, &object, "https://git.example.com/x.git");
            assert_eq!(state.synced, None, "{object}");
            assert!(matches!(judge(&state, ours, now()), Verdict::Waiting(_)), "{object}");
        }
    }
}

#[test]
fn messages_are_kept_in_bounds() {
    let trouble = Trouble::new(About::Attempt, "BuildFailed", &"ä".repeat(10_000));
    assert!(trouble.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
}
