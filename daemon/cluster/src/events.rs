//! Kubernetes events as lines for a person: repeated ones once, the latest.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fields::{count, shortened, text_or_empty};
use crate::trouble::time;

/// Lines kept: a screenful.
const LINES: usize = 20;

/// Of one line: schedulers list every node.
const LINE_BYTES: usize = 400;

/// One line each, oldest first.
pub(crate) fn lines(events: &[Value]) -> Vec<String> {
    let mut merged: BTreeMap<(&str, &str, &str, &str), (String, i64)> = BTreeMap::new();
    for event in events {
        let key = (
            text_or_empty(event, "/involvedObject/kind"),
            text_or_empty(event, "/involvedObject/name"),
            text_or_empty(event, "/reason"),
            text_or_empty(event, "/message"),
        );
        let times = count(event, "/series/count").max(count(event, "/count")).max(1);
        let entry = merged.entry(key).or_insert_with(|| (String::new(), 0));
        entry.0 = comparable(time(event)).max(std::mem::take(&mut entry.0));
        entry.1 += times;
    }
    let mut ordered: Vec<_> = merged.into_iter().collect();
    ordered.sort_by(|a, b| a.1.0.cmp(&b.1.0));
    let passed_over = ordered.len().saturating_sub(LINES);
    ordered
        .into_iter()
        .skip(passed_over)
        .map(|((kind, name, reason, message), (_, times))| {
            let often = if times > 1 { format!(" ({times} times)") } else { String::new() };
            let said = shortened(&message.replace('\n', " "), LINE_BYTES);
            format!("{kind} {name}: {reason}: {said}{often}")
        })
        .collect()
}

/// Times with and without fractions of a second in a form that sorts.
fn comparable(time: &str) -> String {
    let whole = time.trim_end_matches('Z');
    match whole.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}.{fraction:0<9}"),
        None => format!("{whole}.000000000"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(name: &str, message: &str, last: &str, times: i64) -> Value {
        json!({"involvedObject": {"kind": "Pod", "name": name}, "reason": "Failed",
            "message": message, "lastTimestamp": last, "count": times})
    }

    #[test]
    fn repeated_events_are_one_line_in_order() {
        let events = [
            event("b", "late", "2026-01-01T00:00:09Z", 1),
            event("a", "pull", "2026-01-01T00:00:05Z", 2),
            event("a", "pull", "2026-01-01T00:00:01Z", 1),
            json!({"involvedObject": {"kind": "Pod", "name": "c"}, "reason": "New",
                "message": "m", "eventTime": "2026-01-01T00:00:05.500000Z"}),
        ];
        assert_eq!(
            lines(&events),
            ["Pod a: Failed: pull (3 times)", "Pod c: New: m", "Pod b: Failed: late"]
        );
    }

    #[test]
    fn bounded() {
        let events: Vec<Value> = (0..50)
            .map(|n| {
                event(
                    "a",
                    &format!("{n:02}{}", "x".repeat(1_000)),
                    &format!("2026-01-01T00:00:{n:02}Z"),
                    1,
                )
            })
            .collect();
        let lines = lines(&events);
        assert_eq!(lines.len(), LINES);
        assert!(lines[0].contains("30x"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.len() < 500));
    }
}
