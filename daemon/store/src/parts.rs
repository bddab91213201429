//! From version 1 to 2: environments and deployments, which were one value
//! each, are kept in parts.
//!
//! This reads what older versions wrote, as JSON: the types of today are none
//! of its business.

use std::ops::Bound;

use deployd_core::ports::StoreError;
use redb::{ReadableTable, Table, WriteTransaction};
use serde_json::{Map, Value, json};

use crate::error::Failure;
use crate::tables::INDEXES;

/// Entries that are read before any is changed: a bound for memory.
const PAGE: usize = 500;

type Indexes<'t> = Table<'t, (&'static str, &'static [u8]), &'static [u8]>;

/// Splits all environments and deployments.
pub(crate) fn split(transaction: &WriteTransaction) -> Result<(), Failure> {
    let mut indexes = transaction.open_table(INDEXES)?;
    each(&mut indexes, "environments", environment)?;
    each(&mut indexes, "deployments", deployment)
}

/// What an entry becomes: its new value, and other entries.
struct Parts {
    value: Value,
    others: Vec<(&'static str, Vec<u8>, Value)>,
}

fn each(
    indexes: &mut Indexes<'_>,
    index: &'static str,
    split: fn(&[u8], Map<String, Value>) -> Parts,
) -> Result<(), Failure> {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let mut page: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        {
            let start = match &last {
                Some(key) => Bound::Excluded((index, key.as_slice())),
                None => Bound::Included((index, [].as_slice())),
            };
            for entry in indexes.range((start, Bound::Unbounded))?.take(PAGE) {
                let (key, value) = entry?;
                let (of, key) = key.value();
                if of != index {
                    break;
                }
                page.push((key.to_vec(), value.value().to_vec()));
            }
        }
        for (key, bytes) in &page {
            // What can't be read stays as it is: whoever reads it sets it aside.
            let Ok(Value::Object(value)) = serde_json::from_slice(bytes) else { continue };
            let parts = split(key, value);
            put(indexes, index, key, &parts.value)?;
            for (other, key, value) in &parts.others {
                put(indexes, other, key, value)?;
            }
        }
        match page.pop() {
            Some((key, _)) => last = Some(key),
            None => return Ok(()),
        }
    }
}

fn put(indexes: &mut Indexes<'_>, index: &str, key: &[u8], value: &Value) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| StoreError::Damaged(format!("an entry of {index}: {error}")))?;
    indexes.insert((index, key), bytes.as_slice())?;
    Ok(())
}

/// The key of a part: whose it is, a zero byte, and which.
fn part_key(of: &[u8], part: &[u8]) -> Vec<u8> {
    [of, &[0], part].concat()
}

fn environment(key: &[u8], mut entry: Map<String, Value>) -> Parts {
    let mut head = Map::new();
    head.insert("version".to_owned(), entry.remove("version").unwrap_or_default());
    let mut others = Vec::new();
    let Some(Value::Object(state)) = entry.remove("state") else {
        return Parts { value: Value::Object(head), others };
    };
    for (field, value) in state {
        let value = match (field.as_str(), value) {
            ("active", Value::Object(active)) => active.get("id").cloned().unwrap_or_default(),
            ("queue", Value::Array(queue)) => {
                queue.iter().map(|queued| json!(queued.get("id"))).collect()
            }
            ("resources", Value::Object(resources)) => {
                for (uid, resource) in resources {
                    others.push(("resources", part_key(key, uid.as_bytes()), resource));
                }
                continue;
            }
            (_, value) => value,
        };
        head.insert(field, value);
    }
    Parts { value: Value::Object(head), others }
}

fn deployment(key: &[u8], mut record: Map<String, Value>) -> Parts {
    let steps = match record.get_mut("work") {
        Some(Value::Object(work)) => work.remove("steps"),
        _ => None,
    };
    let mut others = Vec::new();
    if let Some(Value::Array(steps)) = steps {
        for (place, step) in (0u32..).zip(steps) {
            others.push(("steps", part_key(key, &place.to_be_bytes()), step));
        }
    }
    Parts { value: Value::Object(record), others }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase};

    use super::*;

    #[test]
    fn what_was_one_value_is_parts_afterwards() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let step = |id: &str| json!({"id": id, "status": "running"});
        let active = json!({"id": "d2", "number": 2, "steps": [step("plan"), step("render")]});
        let state = json!({
            "accepted": 3,
            "active": active,
            "queue": [{"id": "d3", "number": 3}],
            "deployed": {"deployment": "d1"},
            "resources": {"a": {"name": "dns#a"}, "b": {"name": "dns#b"}},
            "applied": ["x"],
        });
        let entries = [
            ("deployments", "d2", json!({"id": "d2", "work": active}).to_string()),
            ("deployments", "d3", json!({"id": "d3"}).to_string()),
            ("environments", "a/b", json!({"version": 7, "state": state}).to_string()),
            ("environments", "a/c", "no JSON".to_owned()),
            ("logs", "d2", "as it is".to_owned()),
        ];
        let transaction = database.begin_write().unwrap();
        {
            let mut indexes = transaction.open_table(INDEXES).unwrap();
            for (index, key, value) in &entries {
                indexes.insert((*index, key.as_bytes()), value.as_bytes()).unwrap();
            }
        }
        split(&transaction).unwrap();
        transaction.commit().unwrap();

        let view = database.begin_read().unwrap().open_table(INDEXES).unwrap();
        let found: Vec<(String, String, String)> = view
            .iter()
            .unwrap()
            .map(|entry| {
                let (key, value) = entry.unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (key.value().0.to_owned(), text(key.value().1), text(value.value()))
            })
            .collect();
        let head = json!({
            "version": 7,
            "accepted": 3,
            "active": "d2",
            "queue": ["d3"],
            "deployed": {"deployment": "d1"},
            "applied": ["x"],
        });
        let expected = [
            (
                "deployments",
                "d2",
                json!({"id": "d2", "work": {"id": "d2", "number": 2}}).to_string(),
            ),
            ("deployments", "d3", json!({"id": "d3"}).to_string()),
            ("environments", "a/b", head.to_string()),
            ("environments", "a/c", "no JSON".to_owned()),
            ("logs", "d2", "as it is".to_owned()),
            ("resources", "a/b\0a", json!({"name": "dns#a"}).to_string()),
            ("resources", "a/b\0b", json!({"name": "dns#b"}).to_string()),
            ("steps", "d2\0\0\0\0\0", step("plan").to_string()),
            ("steps", "d2\0\0\0\0\u{1}", step("render").to_string()),
        ];
        let expected: Vec<(String, String, String)> = expected
            .into_iter()
            .map(|(index, key, value)| (index.to_owned(), key.to_owned(), value))
            .collect();
        assert_eq!(found, expected);
    }
}
