//! What a server sends.

use super::ProtocolError;

/// The longest message: rows of catalogues have some hundred bytes, and errors
/// some thousand.
pub(crate) const MESSAGE_BYTES: usize = 1024 * 1024;
/// Columns of a row: our widest query has a dozen.
const COLUMNS: usize = 64;
/// Fields of an error: the protocol knows eighteen.
const ERROR_FIELDS: usize = 64;
/// Mechanisms of authentication in one offer: there are two.
const MECHANISMS: usize = 32;

/// A message, as far as it is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Authentication(Authentication),
    ReadyForQuery,
    /// A row, its values as text; none is null.
    Row(Vec<Option<String>>),
    CommandComplete,
    Error(ServerError),
    /// Parameters, notices, confirmations: nothing that a decision hangs on.
    Other,
}

/// What a server wants before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authentication {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    /// Names of mechanisms.
    Sasl(Vec<String>),
    SaslContinue(Vec<u8>),
    SaslFinal(Vec<u8>),
    /// Kerberos, GSSAPI, SSPI: the number of it.
    Unsupported(u32),
}

/// An error that a server reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// `ERROR`, `FATAL` or `PANIC`.
    pub(crate) severity: String,
    /// SQLSTATE.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

impl ServerError {
    /// Whether the server closes the connection after it.
    pub(crate) fn is_fatal(&self) -> bool {
        self.severity != "ERROR"
    }
}

/// Takes bytes as they come, and gives whole messages.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes what was received.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; none when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, ProtocolError> {
        let Some((head, _)) = self.buffer.split_first_chunk::<5>() else { return Ok(None) };
        let [tag, length @ ..] = *head;
        // The length counts itself, and not the tag.
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length < 4 {
            return Err(ProtocolError("a message is shorter than its own length"));
        }
        if length > MESSAGE_BYTES {
            return Err(ProtocolError("a message has more than 1 MiB; is it a PostgreSQL server?"));
        }
        let Some(body) = self.buffer.get(5..=length) else { return Ok(None) };
        let message = read(tag, body)?;
        self.buffer.drain(..=length);
        Ok(Some(message))
    }
}

fn read(tag: u8, body: &[u8]) -> Result<Message, ProtocolError> {
    let mut body = Body(body);
    Ok(match tag {
        b'R' => Message::Authentication(authentication(&mut body)?),
        b'Z' => Message::ReadyForQuery,
        b'D' => Message::Row(row(&mut body)?),
        b'C' => Message::CommandComplete,
        b'E' => Message::Error(error(&mut body)?),
        // Parse and bind complete, parameters, keys, notices, notifications,
        // row and parameter descriptions, no data, a suspended portal, an empty
        // query, a close, another minor version of the protocol.
        b'1' | b'2' | b'3' | b'A' | b'I' | b'K' | b'N' | b'S' | b'T' | b'n' | b's' | b't'
        | b'v' => Message::Other,
        b'G' | b'H' | b'W' | b'V' | b'c' | b'd' => {
            return Err(ProtocolError(
                "a message of a copy or function call, which nobody asked for",
            ));
        }
        _ => return Err(ProtocolError("a message of an unknown kind; is it a PostgreSQL server?")),
    })
}

fn authentication(body: &mut Body<'_>) -> Result<Authentication, ProtocolError> {
    Ok(match body.u32()? {
        0 => Authentication::Ok,
        3 => Authentication::CleartextPassword,
        5 => Authentication::Md5Password { salt: body.array()? },
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    break;
                }
                if mechanisms.len() == MECHANISMS {
                    return Err(ProtocolError("too many mechanisms of authentication"));
                }
                mechanisms.push(name);
            }
            Authentication::Sasl(mechanisms)
        }
        11 => Authentication::SaslContinue(body.rest()),
        12 => Authentication::SaslFinal(body.rest()),
        other => Authentication::Unsupported(other),
    })
}

fn row(body: &mut Body<'_>) -> Result<Vec<Option<String>>, ProtocolError> {
    let columns = usize::from(u16::from_be_bytes(body.array()?));
    if columns > COLUMNS {
        return Err(ProtocolError("a row has more columns than were asked for"));
    }
    (0..columns)
        .map(|_| {
            // -1 is null; what else is negative is far too much.
            let length = body.u32()?;
            if length == u32::MAX {
                return Ok(None);
            }
            let bytes = body.take(usize::try_from(length).unwrap_or(usize::MAX))?;
            let text =
                std::str::from_utf8(bytes).map_err(|_| ProtocolError("a value is no UTF-8"))?;
            Ok(Some(text.to_owned()))
        })
        .collect()
}

fn error(body: &mut Body<'_>) -> Result<ServerError, ProtocolError> {
    let mut error = ServerError::default();
    for _ in 0..ERROR_FIELDS {
        let [kind] = body.array()?;
        if kind == 0 {
            return Ok(error);
        }
        let text = body.text()?;
        match kind {
            // Not translated, and not there before 9.6; `S` may be.
            b'V' => error.severity = text,
            b'S' if error.severity.is_empty() => error.severity = text,
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            _ => {}
        }
    }
    Err(ProtocolError("an error has too many fields"))
}

/// What is left of a message.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(ProtocolError("a message ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let (taken, rest) =
            self.0.split_first_chunk().ok_or(ProtocolError("a message ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, ProtocolError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Up to a zero byte. Errors come before the encoding is agreed upon, so
    /// what is no UTF-8 is made readable.
    fn text(&mut self) -> Result<String, ProtocolError> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or(ProtocolError("a text has no end"))?)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn one(tag: u8, body: &[u8]) -> Result<Option<Message>, ProtocolError> {
        let mut decoder = Decoder::default();
        decoder.feed(&message(tag, body));
        decoder.next()
    }

    #[test]
    fn messages_come_in_any_pieces() {
        let bytes = [
            message(b'R', &[0, 0, 0, 0]),
            message(b'S', b"server_version\x0015.4\0"),
            message(b'D', b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff"),
            message(b'E', b"SFEHLER\0VFATAL\0C28P01\0Mno\0Dwhy\0Qx\0\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        let wanted = [
            Message::Authentication(Authentication::Ok),
            Message::Other,
            Message::Row(vec![Some("ab".to_owned()), None]),
            Message::Error(ServerError {
                severity: "FATAL".to_owned(),
                code: "28P01".to_owned(),
                message: "no".to_owned(),
                detail: Some("why".to_owned()),
            }),
            Message::ReadyForQuery,
        ];
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.feed(piece);
                while let Some(message) = decoder.next().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for (tag, body) in [
            (b'?', &b""[..]),
            (b'H', b"TP/1.1 400"),
            (b'R', b"\0\0"),
            (b'R', b"\0\0\0\x05abc"),
            (b'R', b"\0\0\0\x0aSCRAM"),
            (b'D', b"\0"),
            (b'D', b"\xff\xff"),
            (b'D', b"\0\x01\0\0\0\x05abcd"),
            (b'D', b"\0\x01\x80\0\0\0"),
            (b'D', b"\0\x01\0\0\0\x01\xff"),
            (b'E', b"Cno end"),
            (b'E', b"Ccode\0"),
            (b'E', "Mx\0".repeat(100).as_bytes()),
        ] {
            assert!(one(tag, body).is_err(), "{:?} {body:?}", char::from(tag));
        }
        for length in [[0, 0, 0, 0], [0, 0, 0, 3], [0, 0x10, 0, 1], [0xff; 4]] {
            let mut decoder = Decoder::default();
            decoder.feed(b"Z");
            decoder.feed(&length);
            assert!(decoder.next().is_err(), "{length:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes: Vec<u8>, tag in "[RZDCE1SN]") {
            for bytes in [bytes.clone(), message(tag.as_bytes()[0], &bytes)] {
                let mut decoder = Decoder::default();
                decoder.feed(&bytes);
                while let Ok(Some(_)) = decoder.next() {}
            }
        }
    }
}
