//! A connection to the server: opened, authenticated, asked.

use crate::fault::Trouble;
use crate::inputs::{Inputs, Tls};
use crate::protocol::backend::{Authentication, Decoder, Message};
use crate::protocol::scram::{self, Salted};
use crate::protocol::{ProtocolError, frontend};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::net::{Connection, Security, TlsOptions};
use deployd_plugin_sdk::{Fault, Host, Secret};
use md5::{Digest, Md5};
use std::cell::RefCell;

/// Bytes of one read.
const READ_BYTES: u32 = 16 * 1024;
/// Random bytes of a nonce: as many as PostgreSQL's own client takes.
const NONCE_BYTES: usize = 18;
/// Rows of an answer: there are no lists here that an operator would not call
/// long.
const ROWS: usize = 10_000;
/// All values of an answer together.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Messages before an answer ends, notices among them.
const MESSAGES: usize = 50_000;

/// The server, and the account that we have there.
pub(crate) struct Server<'a, H: Host> {
    host: &'a H,
    inputs: &'a Inputs,
    port: u16,
    password: String,
    /// Worked out once for all connections.
    salted: RefCell<Option<Salted>>,
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server itself sees to it that nothing is changed.
    ReadOnly,
    ReadWrite,
}

/// An open connection.
pub(crate) struct Session<C> {
    connection: C,
    decoder: Decoder,
    /// For messages.
    server: String,
    /// Not to be told.
    hidden: String,
}

/// A row of an answer.
pub(crate) struct Row(Vec<Option<String>>);

impl Row {
    /// A value; none when it is null.
    pub(crate) fn text(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    /// A value that is never null.
    pub(crate) fn owned(&self, column: usize) -> String {
        self.text(column).unwrap_or_default().to_owned()
    }

    /// A boolean; no when it is null.
    pub(crate) fn is(&self, column: usize) -> bool {
        self.text(column) == Some("t")
    }

    /// A number.
    pub(crate) fn number(&self, column: usize) -> Option<i64> {
        self.text(column)?.parse().ok()
    }
}

impl<'a, H: Host> Server<'a, H> {
    /// Reveals the password, which the daemon records.
    pub(crate) fn of(host: &'a H, inputs: &'a Inputs, port: u16) -> Result<Self, Fault> {
        let value = host.open_secret(&inputs.admin_password)?.reveal()?;
        let password = String::from_utf8(value).map_err(|_| {
            Fault::invalid("/inputs/admin_password", "the secret's value is no UTF-8")
        })?;
        // A file's last newline is no part of the password in it.
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() || password.contains('\0') {
            let message = "the secret's value is empty, or has a zero byte in it";
            return Err(Fault::invalid("/inputs/admin_password", message));
        }
        Ok(Self { host, inputs, port, password, salted: RefCell::new(None) })
    }

    /// `db.example.com:5432`
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.inputs.host, self.port)
    }

    /// Opens a session with one of its databases.
    pub(crate) fn open(&self, database: &str, mode: Mode) -> Result<Session<H::Connection>, Fault> {
        let doing = format!("connecting to the database {database:?}");
        let fault = |trouble: Trouble| trouble.fault(&self.name(), &doing, &self.password);
        let security = Security::Plaintext;
        let connection = self
            .host
            .connect(&self.inputs.host, self.port, &security)
            .map_err(|error| fault(error.into()))?;
        let mut session = Session {
            connection,
            decoder: Decoder::default(),
            server: self.name(),
            hidden: self.password.clone(),
        };
        let encrypted = self.encrypt(&mut session.connection).map_err(fault)?;
        self.authenticate(&mut session, database, encrypted).map_err(fault)?;
        session.settle(mode)?;
        Ok(session)
    }

    /// Asks for TLS. One byte is read, and no more: what comes after it in plain
    /// text could be from anybody.
    fn encrypt(&self, connection: &mut H::Connection) -> Result<bool, Trouble> {
        if self.inputs.tls == Tls::Disable {
            return Ok(false);
        }
        connection.write(&frontend::SSL_REQUEST)?;
        match (connection.read(1)?.as_slice(), self.inputs.tls) {
            (b"S", _) => {
                let server_name = self.inputs.server_name.clone();
                connection.start_tls(&TlsOptions { server_name })?;
                Ok(true)
            }
            (b"N", Tls::Prefer) => Ok(false),
            (b"N", _) => Err(Trouble::Host(Fault::permanent(
                "the server has no TLS (ssl = off); turn it on there, or set the input `tls`",
            ))),
            // Its text is not protected, so it is not told.
            (b"E", _) => Err(Trouble::Host(Fault::unavailable(
                "the server has an error before TLS; its log says which",
            ))),
            ([], _) => Err(closed()),
            _ => Err(ProtocolError("no answer to the request for TLS").into()),
        }
    }

    fn authenticate(
        &self,
        session: &mut Session<H::Connection>,
        database: &str,
        encrypted: bool,
    ) -> Result<(), Trouble> {
        let user = &self.inputs.admin_user;
        session.connection.write(&frontend::startup(user, database))?;
        let mut proof = None;
        let mut begun = false;
        for _ in 0..MESSAGES {
            let wants = match session.message()? {
                Message::ReadyForQuery => return Ok(()),
                Message::Error(error) => return Err(Trouble::Refused(error)),
                Message::Authentication(wants) => wants,
                Message::Other => continue,
                _ => return Err(ProtocolError("rows before a query").into()),
            };
            match wants {
                Authentication::Ok if !begun => {}
                // It did not prove that it knows the password.
                Authentication::Ok => {
                    return Err(ProtocolError("the server ends SCRAM too early").into());
                }
                Authentication::CleartextPassword if encrypted && !begun => {
                    session.connection.write(&frontend::password(&self.password))?;
                }
                Authentication::Md5Password { salt } if encrypted && !begun => {
                    let answer = md5_of(user, &self.password, salt);
                    session.connection.write(&frontend::password(&answer))?;
                }
                Authentication::CleartextPassword | Authentication::Md5Password { .. } => {
                    return Err(Trouble::Host(Fault::denied(
                        "the server wants the password in the clear or as MD5, which it gets \
                         inside TLS only; set its password_encryption to scram-sha-256",
                    )));
                }
                Authentication::Sasl(mechanisms) if !begun => {
                    if !mechanisms.iter().any(|name| name == scram::MECHANISM) {
                        return Err(Trouble::Host(Fault::unsupported(
                            "the server does not offer SCRAM-SHA-256",
                        )));
                    }
                    begun = true;
                    let random = self.host.random(NONCE_BYTES);
                    // The startup message has told the user.
                    let (client, hello) = scram::Client::begin("", &random);
                    let first = frontend::sasl_initial(scram::MECHANISM, &hello);
                    session.connection.write(&first)?;
                    proof = Some(Err(client));
                }
                Authentication::SaslContinue(message) => {
                    let Some(Err(client)) = proof.take() else {
                        return Err(ProtocolError("SCRAM out of turn").into());
                    };
                    // Who listens to what is encrypted can guess nothing.
                    let at_least = if encrypted { 1 } else { scram::ITERATIONS };
                    let mut salted = self.salted.borrow_mut();
                    let (waits, answer) =
                        client.answer(&message, &self.password, at_least, &mut salted)?;
                    session.connection.write(&frontend::sasl_response(&answer))?;
                    proof = Some(Ok(waits));
                }
                Authentication::SaslFinal(message) => {
                    let Some(Ok(waits)) = proof.take() else {
                        return Err(ProtocolError("SCRAM out of turn").into());
                    };
                    waits.check(&message)?;
                    begun = false;
                }
                Authentication::Sasl(_) => return Err(ProtocolError("SCRAM twice").into()),
                Authentication::Unsupported(_) => {
                    return Err(Trouble::Host(Fault::unsupported(
                        "the server wants Kerberos or the like; this driver knows passwords",
                    )));
                }
            }
        }
        Err(ProtocolError("authentication does not end").into())
    }
}

impl<C: Connection> Session<C> {
    /// Sets what statements depend on. The owner of a database can give it
    /// settings, a search path among them, so every name is written in full.
    fn settle(&mut self, mode: Mode) -> Result<(), Fault> {
        let read_only = if mode == Mode::ReadOnly { "on" } else { "off" };
        self.query(
            "setting up the session",
            "select pg_catalog.set_config('search_path', 'pg_catalog', false), \
             pg_catalog.set_config('standard_conforming_strings', 'on', false), \
             pg_catalog.set_config('row_security', 'off', false), \
             pg_catalog.set_config('lock_timeout', '5s', false), \
             pg_catalog.set_config('default_transaction_read_only', $1, false)",
            &[read_only],
        )?;
        Ok(())
    }

    /// One statement that gives rows. `doing` says what for, should it fail.
    pub(crate) fn query(
        &mut self,
        doing: &str,
        statement: &str,
        parameters: &[&str],
    ) -> Result<Vec<Row>, Fault> {
        let asked = self.ask(statement, parameters);
        asked.map_err(|trouble| trouble.fault(&self.server, doing, &self.hidden))
    }

    /// One statement that gives none.
    pub(crate) fn run(&mut self, doing: &str, statement: &str) -> Result<(), Fault> {
        self.query(doing, statement, &[]).map(drop)
    }

    /// Says goodbye. What has been done is done, whether it is heard or not.
    pub(crate) fn close(mut self) {
        let _ = self.connection.write(&frontend::TERMINATE);
    }

    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Result<Vec<Row>, Trouble> {
        self.connection.write(&frontend::query(statement, parameters))?;
        let (mut rows, mut bytes, mut refused) = (Vec::new(), 0_usize, None);
        for _ in 0..MESSAGES {
            match self.message()? {
                Message::ReadyForQuery => {
                    return refused.map_or(Ok(rows), |error| Err(Trouble::Refused(error)));
                }
                Message::Error(error) if error.is_fatal() => return Err(Trouble::Refused(error)),
                Message::Error(error) => refused = Some(error),
                Message::Row(row) => {
                    let values = row.iter().flatten().map(String::len);
                    bytes = values.fold(bytes, usize::saturating_add);
                    if rows.len() == ROWS || bytes > ANSWER_BYTES {
                        return Err(ProtocolError("an answer is far too long").into());
                    }
                    rows.push(Row(row));
                }
                Message::CommandComplete | Message::Other => {}
                Message::Authentication(_) => {
                    return Err(ProtocolError("authentication after it had ended").into());
                }
            }
        }
        Err(ProtocolError("an answer does not end").into())
    }

    fn message(&mut self) -> Result<Message, Trouble> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let bytes = self.connection.read(READ_BYTES)?;
            if bytes.is_empty() {
                return Err(closed());
            }
            self.decoder.feed(&bytes);
        }
    }
}

fn closed() -> Trouble {
    Trouble::Host(Fault::unavailable("the server has closed the connection"))
}

/// `md5` and the MD5 of (the MD5 of password and user) and the salt.
fn md5_of(user: &str, password: &str, salt: [u8; 4]) -> String {
    let hex = |parts: &[&[u8]]| {
        let mut digest = Md5::new();
        parts.iter().for_each(|part| digest.update(part));
        format!("{:x}", digest.finalize())
    };
    let inner = hex(&[password.as_bytes(), user.as_bytes()]);
    format!("md5{}", hex(&[inner.as_bytes(), &salt]))
}

/// A password that nobody has had before, and what the server gets of it: the
/// verifier, so that neither it nor its logs ever see the password.
pub(crate) fn new_password(host: &impl Host) -> (String, String) {
    // Letters and digits alone, which can stand in a URL. Two of the 64 digits of
    // base 64 become an x.
    let password = host.random(PASSWORD_BYTES);
    let password = STANDARD.encode(password).replace(['+', '/', '='], "x");
    let salt = host.random(SALT_BYTES);
    let verifier = Salted::new(&password, &salt, scram::ITERATIONS).verifier();
    (password, verifier)
}

/// Random bytes of a password: 32 characters.
const PASSWORD_BYTES: usize = 24;
/// Bytes of a salt, as PostgreSQL has them.
const SALT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;

    #[test]
    fn md5_is_as_postgresql_has_it() {
        // 'md5' || md5(md5('pencil' || 'user') || 'salt')
        assert_eq!(md5_of("user", "pencil", *b"salt"), "md5d3d9bcccbaa2fb5234570d4d0f22b055");
    }

    #[test]
    fn passwords_can_stand_in_a_url() {
        let host = FakeHost::new();
        let (one, verifier) = new_password(&host);
        let (two, _) = new_password(&host);
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:") && !verifier.contains(&one));
    }
}
