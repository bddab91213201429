//! Tags: those of the core schema say what a scalar is, others are refused.

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::Value;

use crate::scalar::{self, Unfit};

const CORE: &str = "tag:yaml.org,2002:";

/// What is wrong with a scalar or its tag: found and expected.
pub(super) type Wrong = (String, String);

fn name(tag: &Tag) -> String {
    let full = format!("{}{}", tag.handle, tag.suffix);
    match full.strip_prefix(CORE) {
        Some(core) => format!("!!{core}"),
        None => full,
    }
}

fn refused(name: &str) -> Wrong {
    (
        format!("the tag {}", crate::shown::shorten(name)),
        "no tags but !!str, !!int, !!float, !!bool, !!null, !!map and !!seq".to_owned(),
    )
}

/// Whether a list or a map may have this tag.
pub(super) fn collection(is_map: bool, tag: Option<&Tag>) -> Result<(), Wrong> {
    let Some(tag) = tag else { return Ok(()) };
    let name = name(tag);
    match (name.as_str(), is_map) {
        ("!", _) | ("!!map", true) | ("!!seq", false) => Ok(()),
        _ => Err(refused(&name)),
    }
}

/// What a scalar means.
pub(super) fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Wrong> {
    let plain = || {
        scalar::plain(text).map_err(|unfit| match unfit {
            Unfit::NotFinite => (crate::shown::shorten(text), "a finite number".to_owned()),
            Unfit::TooLarge => {
                (crate::shown::shorten(text), "a number that fits into 64 bits".to_owned())
            }
        })
    };
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => plain(),
            _ => Ok(Value::String(text.to_owned())),
        };
    };
    let name = name(tag);
    if matches!(name.as_str(), "!" | "!!str") {
        return Ok(Value::String(text.to_owned()));
    }
    let fits: fn(&Value) -> bool = match name.as_str() {
        "!!int" => |value| value.is_u64() || value.is_i64(),
        "!!float" => Value::is_number,
        "!!bool" => Value::is_boolean,
        "!!null" => Value::is_null,
        _ => return Err(refused(&name)),
    };
    let value = plain()?;
    if fits(&value) {
        return Ok(value);
    }
    Err((crate::shown::quoted(text), format!("what its tag {name} says")))
}
