//! What we send.

/// Asks for TLS; the answer is one byte, `S` or `N`.
pub(crate) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Says goodbye.
pub(crate) const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// Version 3.0 of the protocol.
const VERSION: [u8; 4] = [0, 3, 0, 0];

/// The first message: who we are, and which database it is about. What it sets goes
/// before what a database's owner has set for it, which could otherwise end the first
/// statement already. Texts have no zero byte in them; the rest of one that has is
/// left out.
pub(crate) fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = VERSION.to_vec();
    let parameters = [
        ("user", user),
        ("database", database),
        ("client_encoding", "UTF8"),
        ("application_name", "deployd"),
        ("statement_timeout", "0"),
    ];
    for (name, value) in parameters {
        text(&mut body, name);
        text(&mut body, value);
    }
    body.push(0);
    [&length(&body), body.as_slice()].concat()
}

/// The answer to a question for a password in the clear or as MD5.
pub(crate) fn password(password: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, password);
    message(b'p', &body)
}

/// Begins SASL.
pub(crate) fn sasl_initial(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, mechanism);
    body.extend_from_slice(&count(response.len()));
    body.extend_from_slice(response);
    message(b'p', &body)
}

/// Goes on with SASL.
pub(crate) fn sasl_response(response: &[u8]) -> Vec<u8> {
    message(b'p', response)
}

/// One statement with its parameters, all as text: parse, bind, execute, sync.
pub(crate) fn query(statement: &str, parameters: &[&str]) -> Vec<u8> {
    let mut parse = vec![0];
    text(&mut parse, statement);
    // The server works out the types of the parameters.
    parse.extend_from_slice(&[0, 0]);

    let mut bind = vec![0, 0];
    bind.extend_from_slice(&[0, 0]);
    // There are a handful; the server counts and refuses what does not fit.
    bind.extend_from_slice(&u16::try_from(parameters.len()).unwrap_or(u16::MAX).to_be_bytes());
    for parameter in parameters {
        bind.extend_from_slice(&count(parameter.len()));
        bind.extend_from_slice(parameter.as_bytes());
    }
    bind.extend_from_slice(&[0, 0]);

    // The portal without a name, and all of its rows.
    let execute = [0, 0, 0, 0, 0];
    [message(b'P', &parse), message(b'B', &bind), message(b'E', &execute), message(b'S', &[])]
        .concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length(body), body].concat()
}

/// The length of a message: it counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    count(body.len().saturating_add(4))
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().take_while(|byte| *byte != 0));
    body.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_not_begin_another() {
        let bytes = startup("app\0database\0other", "db");
        assert!(!bytes.windows(5).any(|window| window == b"other"));
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), bytes.len());
    }

    #[test]
    fn a_query_is_four_messages() {
        let bytes = query("select $1", &["x"]);
        let mut tags = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((tag, after)) = rest.split_first() {
            tags.push(*tag);
            let length = u32::from_be_bytes(after[..4].try_into().unwrap());
            rest = &after[usize::try_from(length).unwrap()..];
        }
        assert_eq!(tags, b"PBES");
    }
}
