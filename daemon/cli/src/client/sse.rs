//! Reads server-sent events (the HTML standard, section 9.2.6) from bytes as
//! they come.

use crate::error::CliError;

/// The longest event: a record of a thousand steps and five hundred lines of a
/// log is a few megabytes.
const EVENT_BYTES_MAX: usize = 32 << 20;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RawEvent {
    /// Its name; empty is `message`.
    pub(super) name: String,
    /// Its data.
    pub(super) data: String,
    /// The last id that was sent, with this event or before.
    pub(super) id: Option<String>,
}

/// Bytes that have come, and the event that they will make.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    name: String,
    data: String,
    id: Option<String>,
    /// A line break after CR belongs to it.
    after_return: bool,
}

impl Parser {
    /// Takes bytes, gives the events that are complete with them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<RawEvent>, CliError> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.buffer);
                    events.extend(self.line(&String::from_utf8_lossy(&line)));
                }
                other => self.buffer.push(*other),
            }
        }
        if self.buffer.len().saturating_add(self.data.len()) > EVENT_BYTES_MAX {
            return Err(CliError::Failed(format!(
                "an event has more than {EVENT_BYTES_MAX} bytes"
            )));
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<RawEvent> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let mut data = std::mem::take(&mut self.data);
            if data.is_empty() {
                return None;
            }
            // Each line of data has ended with one.
            data.pop();
            return Some(RawEvent { name, data, id: self.id.clone() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // `retry`, comments, and what is not known.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str, chunk: usize) -> Vec<(String, String, Option<String>)> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for bytes in text.as_bytes().chunks(chunk) {
            found.extend(parser.push(bytes).unwrap());
        }
        found.into_iter().map(|event| (event.name, event.data, event.id)).collect()
    }

    #[test]
    fn however_bytes_are_cut() {
        let text = ": hello\n\nevent: update\nid: 3\ndata: {\"a\":\ndata: 1}\n\ndata:x\r\n\r\nevent: nothing\n\nid: 4\rdata: ä\r\rdata: cut off";
        let expected = [
            ("update".to_owned(), "{\"a\":\n1}".to_owned(), Some("3".to_owned())),
            (String::new(), "x".to_owned(), Some("3".to_owned())),
            (String::new(), "ä".to_owned(), Some("4".to_owned())),
        ];
        for chunk in [1, 2, 3, 7, 1000] {
            assert_eq!(events(text, chunk), expected, "{chunk}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let bytes = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert!(parser.push(&bytes).is_err());
    }
}
