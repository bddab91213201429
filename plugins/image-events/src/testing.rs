//! What each receiver is held to, whatever is delivered.

use crate::{commit, digest, millis, repository, tag};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::{Artifact, Commit, Delivery, Received};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Deliveries of each kind: random bytes, and real ones with something changed.
const CASES: u32 = 256;

/// Holds a receiver to what must be true of all: it never panics, and what it tells
/// of are images with a repository, and a tag or a digest, as others write them, and
/// commits of branches.
/// `real` are headers and bodies that were delivered.
///
/// # Errors
/// The delivery for which it is not true, as small as it could be made.
pub fn holds(
    real: &[(&[(&str, &str)], &str)],
    decode: impl Fn(&Delivery) -> Result<Vec<Received>, Fault>,
) -> Result<(), String> {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let real: Vec<Delivery> = real.iter().map(|(headers, body)| delivery(headers, body)).collect();
    let check = |delivery: &Delivery| -> Result<(), TestCaseError> {
        let told = decode(delivery).unwrap_or_default();
        told.iter().try_for_each(is_sound).map_err(TestCaseError::fail)
    };
    let which = 0..real.len();
    let at = |index: usize| real.get(index).cloned().unwrap_or_default();

    let noise = (which.clone(), any::<Vec<u8>>());
    let run = TestRunner::new(config.clone())
        .run(&noise, |(index, body)| check(&Delivery { body, ..at(index) }));
    run.map_err(|error| error.to_string())?;

    let bytes = (which.clone(), prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4));
    let run = TestRunner::new(config.clone()).run(&bytes, |(index, changes)| {
        let mut delivery = at(index);
        for (place, byte) in changes {
            let length = delivery.body.len().max(1);
            if let Some(old) = delivery.body.get_mut(place.index(length)) {
                *old = byte;
            }
        }
        check(&delivery)
    });
    run.map_err(|error| error.to_string())?;

    let values = (which, any::<prop::sample::Index>(), 0..odd().len(), any::<bool>());
    let run = TestRunner::new(config).run(&values, |(index, place, odd_one, in_header)| {
        let mut delivery = at(index);
        let odd = odd().into_iter().nth(odd_one).unwrap_or_default();
        if in_header && !delivery.headers.is_empty() {
            let length = delivery.headers.len();
            if let Some((_, value)) = delivery.headers.get_mut(place.index(length)) {
                *value = odd.as_str().unwrap_or_default().to_owned();
            }
        } else if let Ok(mut body) = serde_json::from_slice::<Value>(&delivery.body) {
            let mut left = place.index(count(&body));
            replace(&mut body, &mut left, &odd);
            delivery.body = body.to_string().into_bytes();
        }
        check(&delivery)
    });
    run.map_err(|error| error.to_string())
}

/// A delivery with these headers and this body.
pub fn delivery(headers: &[(&str, &str)], body: &str) -> Delivery {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Delivery { headers: headers.collect(), body: body.as_bytes().to_vec() }
}

/// The images of what was told.
pub fn artifacts(told: Vec<Received>) -> Vec<Artifact> {
    let artifact = |one| match one {
        Received::Artifact(artifact) => Some(artifact),
        _ => None,
    };
    told.into_iter().filter_map(artifact).collect()
}

/// The commits of what was told.
pub fn commits(told: Vec<Received>) -> Vec<Commit> {
    let commit = |one| match one {
        Received::Commit(commit) => Some(commit),
        _ => None,
    };
    told.into_iter().filter_map(commit).collect()
}

/// Holds what was told to that.
///
/// # Errors
/// What is told, and why it is no image as others write them.
pub fn is_sound(told: &Received) -> Result<(), String> {
    let image = match told {
        Received::Artifact(image) => image,
        Received::Commit(one) => {
            return is_sound_commit(one).map_err(|why| format!("{one:?}: {why}"));
        }
        _ => return Ok(()),
    };
    let is = |text: &Option<String>, check: fn(&str, &str) -> Result<String, Fault>| match text {
        Some(text) => check("/", text).map(drop),
        None => Ok(()),
    };
    let whole = repository("/", &image.repository).map(drop);
    let sound = whole
        .and_then(|()| is(&image.tag, tag))
        .and_then(|()| is(&image.digest, digest))
        .and_then(|()| is(&image.commit, commit))
        .and_then(|()| image.committed_at.as_ref().map_or(Ok(()), |at| millis("/", at).map(drop)));
    sound.map_err(|fault| format!("{image:?}: {fault}"))?;
    let has_version = image.tag.is_some() || image.digest.is_some();
    let has_ref = image.git_ref.as_ref().is_none_or(|name| name.starts_with("refs/"));
    if has_version && has_ref { Ok(()) } else { Err(format!("no version or no ref: {image:?}")) }
}

fn is_sound_commit(told: &Commit) -> Result<(), String> {
    commit("/", &told.commit).map_err(|fault| fault.to_string())?;
    let time = told.committed_at.as_ref().map_or(Ok(None), |at| millis("/", at));
    time.map_err(|fault| fault.to_string())?;
    let has_ref = told.git_ref.as_ref().is_none_or(|name| name.starts_with("refs/heads/"));
    if has_ref { Ok(()) } else { Err("its ref is no branch's".to_owned()) }
}

/// Values that nobody expects.
fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!("a b"),
        json!("A"),
        json!("r.example/x@sha256:0a"),
        json!("r.example:1:2/x:y:z"),
        json!("${commit}"),
        json!("%"),
        json!("\"%c3\\"),
        json!("é\u{0}\u{202e}"),
        json!("/".repeat(3)),
        json!("9".repeat(4000)),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(true),
        json!([]),
        json!([[], {}, null]),
        json!({}),
    ]
}

fn count(value: &Value) -> usize {
    let below: usize = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    };
    below.saturating_add(1)
}

/// Replaces the value that is the `left`th on the way through the document.
fn replace(value: &mut Value, left: &mut usize, odd: &Value) {
    let Some(fewer) = left.checked_sub(1) else {
        *value = odd.clone();
        *left = usize::MAX;
        return;
    };
    *left = fewer;
    let below: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for one in below {
        if *left == usize::MAX {
            return;
        }
        replace(one, left, odd);
    }
}
