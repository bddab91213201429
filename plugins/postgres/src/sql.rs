//! Names and texts inside statements: the only two functions that put them
//! there. Values of queries travel as parameters.

use deployd_plugin_sdk::Fault;

/// The longest identifier, in bytes: a server would cut a longer one, and mean
/// another object.
pub(crate) const IDENTIFIER_BYTES: usize = 63;

/// A name as an identifier, whatever characters it has.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A text as a string constant, under either setting of
/// `standard_conforming_strings`.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\0', "").replace('\'', "''");
    if quoted.contains('\\') {
        // A space before, so that no letter in front of it becomes part of it.
        return format!(" E'{}'", quoted.replace('\\', "\\\\"));
    }
    format!("'{quoted}'")
}

/// Refuses what no identifier can be; `path` is where it stands in the request.
pub(crate) fn check_identifier(path: &str, name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > IDENTIFIER_BYTES {
        let length = name.len();
        let message = format!("a name has 1 to {IDENTIFIER_BYTES} bytes; this has {length}");
        return Err(Fault::invalid(path, message));
    }
    if name.chars().any(char::is_control) {
        return Err(Fault::invalid(path, "a name has no control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Where a constant that begins here ends, as PostgreSQL's scanner has it.
    fn end(text: &str, quote: char, escapes: bool) -> Option<usize> {
        let mut characters = text.char_indices().skip(1).peekable();
        while let Some((place, character)) = characters.next() {
            if escapes && character == '\\' {
                characters.next();
            } else if character == quote {
                match characters.peek() {
                    Some((_, next)) if *next == quote => {
                        characters.next();
                    }
                    _ => return Some(place + quote.len_utf8()),
                }
            }
        }
        None
    }

    proptest! {
        #[test]
        fn nothing_leaves_its_quotes(text in "[\\\\'\"a;\\-\0\n$é]{0,20}") {
            let name = identifier(&text);
            prop_assert_eq!(end(&name, '"', false), Some(name.len()));
            let inside = name[1..name.len() - 1].replace("\"\"", "\"");
            prop_assert_eq!(inside, text.replace('\0', ""));

            let constant = literal(&text);
            if let Some(escaped) = constant.strip_prefix(" E") {
                prop_assert_eq!(end(escaped, '\'', true), Some(escaped.len()));
            } else {
                // Without backslashes, both settings read the same.
                prop_assert!(!constant.contains('\\'));
                prop_assert_eq!(end(&constant, '\'', true), Some(constant.len()));
                prop_assert_eq!(end(&constant, '\'', false), Some(constant.len()));
            }
        }
    }

    #[test]
    fn what_a_server_would_cut_is_refused() {
        assert!(check_identifier("/inputs/name", &"é".repeat(31)).is_ok());
        for name in [String::new(), "é".repeat(32), "a\0b".to_owned(), "a\nb".to_owned()] {
            assert!(check_identifier("/inputs/name", &name).is_err(), "{name:?}");
        }
    }
}
