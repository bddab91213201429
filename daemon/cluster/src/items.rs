//! Lists, read item by item: a page of hundreds of objects takes many times the
//! room of its text once all are read.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Shows the items of a list in its text, one after the other. Returns where the
/// next page begins, empty after the last, or `None` where there are no items.
/// What was shown before an error was no list.
pub(crate) fn show(text: &[u8], show: impl FnMut(Value)) -> serde_json::Result<Option<String>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let found = List(show).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    r#continue: Option<String>,
}

struct List<F>(F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for List<F> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for List<F> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut has_items, mut next) = (false, None);
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "items" => has_items |= fields.next_value_seed(Items(&mut self.0))?,
                "metadata" => {
                    next = fields.next_value::<Option<Metadata>>()?.unwrap_or_default().r#continue
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(has_items.then(|| next.unwrap_or_default()))
    }
}

struct Items<'f, F>(&'f mut F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for Items<'_, F> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Items<'_, F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("items")
    }

    /// An empty list may be null.
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(text: &str) -> (Vec<Value>, Result<Option<String>, usize>) {
        let mut items = Vec::new();
        let next = show(text.as_bytes(), |item| items.push(item));
        (items, next.map_err(|error| error.line()))
    }

    #[test]
    fn items_are_shown_in_their_order() {
        let list = |items: &str| {
            format!(
                r#"{{"kind": "L", "metadata": {{"resourceVersion": "1", "continue": "n"}},
                "items": {items}, "more": [{{}}]}}"#
            )
        };
        let two = (vec![json!({"a": [1]}), json!({"b": null})], Ok(Some("n".to_owned())));
        assert_eq!(shown(&list(r#"[{"a": [1]}, {"b": null}]"#)), two);
        assert_eq!(shown(&list("null")), (vec![], Ok(Some("n".to_owned()))));
        assert_eq!(shown(&list(r#"[1, }"#)), (vec![json!(1)], Err(2)));
        assert!(shown(&list("1")).1.is_err());
    }

    #[test]
    fn what_has_no_items_is_no_list() {
        assert_eq!(shown(r#"{"kind": "Status", "metadata": {}}"#), (vec![], Ok(None)));
        assert_eq!(shown(r#"{"metadata": null, "items": []}"#), (vec![], Ok(Some(String::new()))));
        for text in ["[]", "1", "", "{", r#"{"items": []} x"#] {
            assert!(shown(text).1.is_err(), "{text}");
        }
    }
}
