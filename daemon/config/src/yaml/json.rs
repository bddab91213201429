//! The one thing that JSON has and YAML has not: characters beyond U+FFFF as two
//! escapes of half a character each, `\ud83e\udd80`. Whoever writes JSON in ASCII
//! writes them so.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The same text with whole characters, if it is JSON. Places after one in the
/// same line move to the left.
pub(super) fn whole_characters(text: &str) -> Cow<'_, str> {
    let may_have = text.contains("\\ud") || text.contains("\\uD");
    if !may_have || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    // In JSON a backslash stands in strings only, and begins an escape.
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        whole.push_str(before);
        // The pair, or the backslash and the character after it.
        let taken = if let Some(character) = pair(escape) {
            whole.push(character);
            PAIR_BYTES
        } else {
            let taken = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
            whole.push_str(escape.get(..taken).unwrap_or(escape));
            taken
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// Two escapes of six bytes.
const PAIR_BYTES: usize = 12;

fn pair(escape: &str) -> Option<char> {
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?, 16).ok();
    let units = [unit(escape.get(..6)?)?, unit(escape.get(6..PAIR_BYTES)?)?];
    // A character of one unit is no pair.
    match char::decode_utf16(units).collect::<Result<Vec<char>, _>>().ok()?.as_slice() {
        [character] => Some(*character),
        _ => None,
    }
}
