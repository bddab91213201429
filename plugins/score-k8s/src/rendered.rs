//! What a baseline has rendered.
//!
//! Most of it is values, printed as JSON. To read them as that takes a fraction
//! of what a YAML parser takes, so they are kept beside the text, and the parser
//! is given a text in which a short *mark* stands for each. Where that does not
//! come out even (a value within a text or a comment, a mistake), the text as it
//! is is parsed, and what it says holds.

use std::io;

use deployd_plugin_sdk::Fault;
use serde_json::Value;

use crate::yaml;

/// What a mark begins and ends with: a character for private use.
const MARK: char = '\u{e000}';

/// Room for the text of a few workloads.
const TEXT_BYTES: usize = 16 * 1024;

/// Shorter ones gain nothing.
const MARKED_MIN: usize = 12;

/// A text in the making, as the template engine writes it.
#[derive(Debug)]
pub(crate) struct Rendered {
    text: String,
    /// The same, with marks.
    short: String,
    values: Vec<Option<Value>>,
}

impl Rendered {
    /// With room for what most applications come to.
    pub(crate) fn new() -> Self {
        let text = || String::with_capacity(TEXT_BYTES);
        Self { text: text(), short: text(), values: Vec::new() }
    }

    /// Whether a reference to a secret can be in it: only where its first
    /// character is written, or can be written with an escape.
    pub(crate) fn may_refer_to_secrets(&self) -> bool {
        self.text.contains(['\u{27e6}', '\\'])
    }

    /// The documents in it, in order; empty ones are left out.
    pub(crate) fn documents(self) -> Result<Vec<Value>, Fault> {
        let Self { text, short, mut values } = self;
        // Whoever writes the character himself is not taken for us.
        if !values.is_empty() && !text.contains(MARK) {
            let documents = yaml::documents(&short, |plain| {
                let index: usize = plain.strip_prefix(MARK)?.strip_suffix(MARK)?.parse().ok()?;
                values.get_mut(index)?.take()
            });
            if let (Ok(documents), true) = (documents, values.iter().all(Option::is_none)) {
                return Ok(documents);
            }
        }
        yaml::documents(&text, |_| None)
    }

    fn add(&mut self, piece: &str) {
        self.text.push_str(piece);
        match value(piece) {
            Some(value) => {
                self.short.push(MARK);
                self.short.push_str(&self.values.len().to_string());
                self.short.push(MARK);
                self.values.push(Some(value));
            }
            None => self.short.push_str(piece),
        }
    }
}

/// A list or an object that is written as this program writes it, so that the
/// text has nothing that the value has not, such as a key a second time.
fn value(piece: &str) -> Option<Value> {
    if piece.len() < MARKED_MIN || !piece.starts_with(['{', '[']) {
        return None;
    }
    let value: Value = serde_json::from_str(piece).ok()?;
    let mut rest = Rest(piece.as_bytes());
    serde_json::to_writer(&mut rest, &value).ok()?;
    rest.0.is_empty().then_some(value)
}

/// What of a text has not been written yet; it takes nothing else.
struct Rest<'a>(&'a [u8]);

impl io::Write for Rest<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(written).ok_or(io::ErrorKind::InvalidData)?;
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The engine writes each value that it prints at once.
impl io::Write for Rendered {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(piece)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.add(text);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OBJECT: &str = r#"{"a":{"b":[1,2.5,null]},"c":"x: y"}"#;

    fn rendered(pieces: &[&str]) -> Rendered {
        let mut rendered = Rendered::new();
        pieces.iter().for_each(|piece| rendered.add(piece));
        rendered
    }

    /// What the pieces mean, which is what their text means to the parser.
    fn documents(pieces: &[&str]) -> Result<Vec<Value>, String> {
        let whole = yaml::documents(&pieces.concat(), |_| None).map_err(|fault| fault.to_string());
        let documents = rendered(pieces).documents().map_err(|fault| fault.to_string());
        assert_eq!(documents, whole, "{pieces:?}");
        documents
    }

    #[test]
    fn values_are_read_as_they_are() {
        let object: Value = serde_json::from_str(OBJECT).unwrap();
        let pieces = ["x: ", OBJECT, "\ny:\n  - ", OBJECT, "\n  - [", OBJECT, ", ", OBJECT, "]\n"];
        assert_eq!(
            documents(&pieces).unwrap(),
            [json!({"x": object, "y": [object, [object, object]]})]
        );
        assert_eq!(documents(&["a: &a ", OBJECT, "\nb: *a\n"]).unwrap()[0]["b"], object);
        assert_eq!(
            documents(&["---\n", OBJECT, "\n---\n", OBJECT]).unwrap(),
            [object.clone(), object]
        );
    }

    #[test]
    fn values_inside_of_texts_are_texts() {
        let text = documents(&["x: |\n  ", OBJECT, "\n"]).unwrap();
        assert_eq!(text, [json!({"x": format!("{OBJECT}\n")})]);
        documents(&["x: '", OBJECT, "' # ", OBJECT, "\n"]).unwrap();
        documents(&["x: a", r#"["beginning"]"#, "\n"]).unwrap();
        documents(&["x: 1 # ", OBJECT, "\ny: ", OBJECT, "\n"]).unwrap();
    }

    #[test]
    fn a_mistake_is_told_as_the_text_has_it() {
        for pieces in [
            &["x: ", OBJECT, OBJECT, "\n"][..],
            &["x: ", OBJECT, "1\n"],
            &["x: \"", OBJECT, "\"\n"],
            &["x: !tag ", OBJECT, "\n"],
            &["? ", OBJECT, "\n: 1\n"],
            &["x: ", r#"{"twice":1,"twice":2}"#, "\n"],
        ] {
            assert!(documents(pieces).is_err(), "{pieces:?}");
        }
    }

    #[test]
    fn a_mark_that_somebody_else_writes_is_a_text() {
        let mark = format!("{MARK}0{MARK}");
        let object: Value = serde_json::from_str(OBJECT).unwrap();
        let documents = documents(&["x: ", &mark, "\ny: ", OBJECT, "\n"]).unwrap();
        assert_eq!(documents, [json!({"x": mark, "y": object})]);
        let escaped = self::documents(&["x: \"\\ue0000\\ue000\"\ny: ", OBJECT, "\n"]).unwrap();
        assert_eq!(escaped, [json!({"x": mark, "y": object})]);
    }
}
