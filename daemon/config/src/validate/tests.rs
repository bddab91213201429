use super::describe::{self, PATTERNS};
use super::*;

#[test]
fn every_schema_can_be_used() {
    for (kind, validator) in VALIDATORS.iter() {
        assert!(validator.is_ok(), "{kind}");
    }
}

#[test]
fn every_pattern_has_words() {
    fn patterns(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(pattern)) = fields.get("pattern") {
                    found.push(pattern.clone());
                }
                fields.values().for_each(|value| patterns(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| patterns(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    schemas().values().for_each(|schema| patterns(schema, &mut found));
    for pattern in &found {
        assert!(!describe::pattern(pattern).contains("matches"), "{pattern}");
    }
    for (pattern, _) in PATTERNS {
        assert!(found.iter().any(|known| known == pattern), "{pattern} is nowhere");
    }
}
