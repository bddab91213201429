//! What a PostgreSQL server sends, to the driver's protocol: whatever it is, it
//! is messages or an error, the same in any pieces; and nobody who does not know
//! the password passes for the server.
#![no_main]

// The files themselves: the rest of the plugin is for its sandbox.
#[path = "../../../plugins/postgres/src/protocol/mod.rs"]
#[allow(dead_code)]
mod protocol;

use libfuzzer_sys::fuzz_target;
use protocol::ProtocolError;
use protocol::backend::{Authentication, Decoder, Message};
use protocol::scram::{Client, Salted};

/// Messages until the end or an error, of bytes that come in pieces.
fn messages(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<ProtocolError>) {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let whole = messages(bytes, usize::MAX);
    assert_eq!(whole, messages(bytes, usize::from(*piece)));

    // Worked out once, as it takes long: the salt and iterations of the corpus.
    thread_local! {
        static SALTED: Salted = Salted::new("pencil", b"0123456789abcdef", 4096);
    }
    let (first, hello) = Client::begin("", b"nonce");
    drop(first);
    let nonce = String::from_utf8_lossy(&hello).split_once("r=").map(|(_, nonce)| nonce.to_owned());
    let nonce = nonce.expect("a hello has a nonce");
    for message in &whole.0 {
        let Message::Authentication(
            Authentication::SaslContinue(said) | Authentication::SaslFinal(said),
        ) = message
        else {
            continue;
        };
        // Once as it is, and once with what a server gets from us.
        let with_nonce = [b"r=", nonce.as_bytes(), said].concat();
        for said in [said, &with_nonce] {
            let (client, _) = Client::begin("", b"nonce");
            let mut known = Some(SALTED.with(Clone::clone));
            if let Ok((proof, _)) = client.answer(said, "pencil", 4096, &mut known) {
                assert!(proof.check(said).is_err());
            }
        }
    }
});
