//! SCRAM-SHA-256 (RFC 5802, RFC 7677), as PostgreSQL has it: without channel
//! binding, and with the user's name left to the startup message.

use super::ProtocolError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// What makes a password costly to guess, and each use a few milliseconds:
/// what RFC 7677 asks for at least, and PostgreSQL's default.
pub(crate) const ITERATIONS: u32 = 4096;
/// The most iterations that a server gets: they are our processor's time.
const ITERATIONS_MAX: u32 = 200_000;
/// The longest message of a server: it has a nonce, a salt and a number.
const MESSAGE_BYTES: usize = 4096;
/// Bytes of a salt; PostgreSQL's have 16.
const SALT_BYTES_MAX: usize = 1024;
/// We can't bind to a channel: TLS is the daemon's.
const NO_CHANNEL_BINDING: &str = "n,,";

type Key = [u8; 32];

/// What a password becomes with a salt; kept, because it takes long to find.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Salted {
    salt: Vec<u8>,
    iterations: u32,
    key: Key,
}

impl Salted {
    /// Works it out.
    pub(crate) fn new(password: &str, salt: &[u8], iterations: u32) -> Self {
        // Passwords that RFC 4013 does not allow are taken as they are, as
        // PostgreSQL does.
        let prepared = stringprep::saslprep(password);
        let password = prepared.as_deref().unwrap_or(password);
        let key = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations);
        Self { salt: salt.to_vec(), iterations, key }
    }

    /// What a server keeps in the place of the password.
    pub(crate) fn verifier(&self) -> String {
        let stored = Sha256::digest(mac(&self.key, &[b"Client Key"]));
        let server = mac(&self.key, &[b"Server Key"]);
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(stored),
            STANDARD.encode(server),
        )
    }
}

/// A client that has said hello.
pub(crate) struct Client {
    nonce: String,
    first: String,
}

/// What is to be proven by the server.
pub(crate) struct Proof {
    server_key: Key,
    authenticated: String,
}

impl Client {
    /// Begins, with random bytes that nobody can guess. The second is the first
    /// message.
    pub(crate) fn begin(user: &str, random: &[u8]) -> (Self, Vec<u8>) {
        Self::with_nonce(user, STANDARD.encode(random))
    }

    fn with_nonce(user: &str, nonce: String) -> (Self, Vec<u8>) {
        let first = format!("n={user},r={nonce}");
        let message = format!("{NO_CHANNEL_BINDING}{first}").into_bytes();
        (Self { nonce, first }, message)
    }

    /// Answers the server's first message. `known` is what the password became
    /// the last time, and is set to what it becomes now. Fewer iterations than
    /// `at_least` are refused: who listens could guess the password.
    pub(crate) fn answer(
        self,
        message: &[u8],
        password: &str,
        at_least: u32,
        known: &mut Option<Salted>,
    ) -> Result<(Proof, Vec<u8>), ProtocolError> {
        let message = text(message)?;
        let (nonce, salt, iterations) = first(message)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ProtocolError("SCRAM: the server's nonce does not begin with ours"));
        }
        if iterations < at_least {
            return Err(ProtocolError(
                "SCRAM: the server wants too few iterations for a connection without TLS",
            ));
        }
        let salted = known
            .take()
            .filter(|known| known.salt == salt && known.iterations == iterations)
            .unwrap_or_else(|| Salted::new(password, &salt, iterations));
        let binding = STANDARD.encode(NO_CHANNEL_BINDING);
        let without_proof = format!("c={binding},r={nonce}");
        let authenticated = format!("{},{message},{without_proof}", self.first);
        let client_key = mac(&salted.key, &[b"Client Key"]);
        let stored: Key = Sha256::digest(client_key).into();
        let mut proof = mac(&stored, &[authenticated.as_bytes()]);
        proof.iter_mut().zip(client_key).for_each(|(byte, key)| *byte ^= key);
        let answer = format!("{without_proof},p={}", STANDARD.encode(proof));
        let server_key = mac(&salted.key, &[b"Server Key"]);
        *known = Some(salted);
        Ok((Proof { server_key, authenticated }, answer.into_bytes()))
    }
}

impl Proof {
    /// Checks the server's last message: that it knows the password too.
    pub(crate) fn check(self, message: &[u8]) -> Result<(), ProtocolError> {
        let message = text(message)?;
        let signature = message
            .split(',')
            .next()
            .and_then(|field| field.strip_prefix("v="))
            .ok_or(ProtocolError("SCRAM: the server's last message has no signature"))?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| ProtocolError("SCRAM: the server's signature is no base 64"))?;
        keyed(&self.server_key, &[self.authenticated.as_bytes()])
            .verify_slice(&signature)
            .map_err(|_| ProtocolError("SCRAM: the server does not know the password"))
    }
}

/// Nonce, salt and iterations of the server's first message.
fn first(message: &str) -> Result<(&str, Vec<u8>, u32), ProtocolError> {
    let malformed = ProtocolError("SCRAM: the server's first message is malformed");
    let mut fields = message.split(',');
    let mut field = |name: &str| {
        let field = fields.next().and_then(|field| field.strip_prefix(name));
        field.ok_or_else(|| malformed.clone())
    };
    let nonce = field("r=")?;
    let salt = field("s=")?;
    let iterations = field("i=")?;
    let salt = STANDARD.decode(salt).map_err(|_| malformed.clone())?;
    if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
        return Err(ProtocolError("SCRAM: the server's salt is empty or far too long"));
    }
    // A parser of numbers takes a sign, too.
    if !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed);
    }
    match iterations.parse() {
        Ok(iterations @ 1..=ITERATIONS_MAX) => Ok((nonce, salt, iterations)),
        _ => Err(ProtocolError("SCRAM: the server wants no or far too many iterations")),
    }
}

fn text(message: &[u8]) -> Result<&str, ProtocolError> {
    if message.len() > MESSAGE_BYTES {
        return Err(ProtocolError("SCRAM: a message is far too long"));
    }
    std::str::from_utf8(message).map_err(|_| ProtocolError("SCRAM: a message is no UTF-8"))
}

fn mac(key: &Key, parts: &[&[u8]]) -> Key {
    keyed(key, parts).finalize().into_bytes().into()
}

fn keyed(key: &Key, parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key of a block's length is a valid one, and this one is shorter.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const ANSWER: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                          p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn client() -> Client {
        Client::with_nonce("user", NONCE.to_owned()).0
    }

    #[test]
    fn the_vector_of_rfc_7677() {
        let (client, hello) = Client::with_nonce("user", NONCE.to_owned());
        assert_eq!(hello, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let mut known = None;
        let (proof, answer) =
            client.answer(FIRST.as_bytes(), "pencil", ITERATIONS, &mut known).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), ANSWER);
        proof.check(LAST.as_bytes()).unwrap();
        // What is known already gives the same, whatever the password.
        let (proof, answer) =
            super::tests::client().answer(FIRST.as_bytes(), "", ITERATIONS, &mut known).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), ANSWER);
        let wrong = LAST.replace('6', "7");
        assert!(proof.check(wrong.as_bytes()).is_err());
    }

    #[test]
    fn a_verifier_is_what_postgresql_keeps() {
        // Of the vector's password and salt.
        let salted =
            Salted::new("pencil", &STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
        assert_eq!(
            salted.verifier(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn what_a_server_must_not_say_is_refused() {
        for message in [
            "",
            "r=other,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=+4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=2147483647",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999",
            "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=W22Z",
            "m=must,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096",
            "e=other-error",
        ] {
            let answered = client().answer(message.as_bytes(), "pencil", 4096, &mut None);
            assert!(answered.is_err(), "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_taken_or_refused(message: Vec<u8>, tail in "[ -~]{0,40}") {
            let first = format!("r={NONCE}{tail}");
            for message in [&message, first.as_bytes()] {
                let _ = client().answer(message, "pencil", 0, &mut None);
                let proof = Proof { server_key: [0; 32], authenticated: String::new() };
                prop_assert!(proof.check(message).is_err());
            }
        }
    }
}
