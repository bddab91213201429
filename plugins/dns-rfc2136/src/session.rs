//! A connection to a server: requests go out and answers come in, signed if
//! there is a key.

use crate::hostname::DnsName;
use crate::message::{self, Answer, Change, HEADER, MESSAGE_MAX, Prerequisite};
use crate::refusal::{self, Refused};
use crate::tsig::{Key, Verdict};
use deployd_plugin_sdk::net::{Connection, Security};
use deployd_plugin_sdk::{Fault, Host};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use std::fmt;

/// A server of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What came of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done, all of it.
    Done,
    /// A prerequisite did not hold, and nothing was done.
    NotAsAssumed,
}

/// A connection to a server.
pub(crate) struct Session<'a, H: Host> {
    pub(crate) host: &'a H,
    pub(crate) server: Server,
    key: Option<&'a Key>,
    connection: H::Connection,
}

impl<'a, H: Host> Session<'a, H> {
    pub(crate) fn open(host: &'a H, server: &Server, key: Option<&'a Key>) -> Result<Self, Fault> {
        let connected = host.connect(&server.host, server.port, &Security::Plaintext);
        let connection = connected.map_err(|fault| refusal::at(server, fault))?;
        Ok(Self { host, server: server.clone(), key, connection })
    }

    /// Asks for the records of a type at a name. The answer may be that there is
    /// no such name.
    pub(crate) fn query(&mut self, name: &DnsName, rtype: Rtype) -> Result<Answer, Fault> {
        let request = message::query(self.id(), name, rtype);
        let request = request.map_err(|_| Fault::permanent("a query does not fit a message"))?;
        let answer = self.exchange(request)?;
        match answer.rcode {
            Rcode::NOERROR | Rcode::NXDOMAIN => Ok(answer),
            rcode => Err(self.refused().query(rcode, name)),
        }
    }

    /// Changes a zone, if all prerequisites hold.
    pub(crate) fn update(
        &mut self,
        zone: &DnsName,
        prerequisites: &[Prerequisite],
        changes: &[Change],
    ) -> Result<Outcome, Fault> {
        let request = message::update(self.id(), zone, prerequisites, changes).map_err(|_| {
            Fault::invalid("/inputs/records", "they do not fit one message of 64 KiB together")
        })?;
        let answer = self.exchange(request)?;
        match answer.rcode {
            Rcode::NOERROR => Ok(Outcome::Done),
            Rcode::YXDOMAIN | Rcode::YXRRSET | Rcode::NXRRSET | Rcode::NXDOMAIN => {
                Ok(Outcome::NotAsAssumed)
            }
            rcode => Err(self.refused().update(rcode, zone)),
        }
    }

    fn refused(&self) -> Refused<'_> {
        Refused { server: &self.server, key: self.key.map(|key| &key.name) }
    }

    /// Nobody can guess the next one.
    fn id(&self) -> u16 {
        let random = self.host.random(2);
        random.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    fn exchange(&mut self, mut request: Vec<u8>) -> Result<Answer, Fault> {
        let now = self.host.now_ms() / 1000;
        let malformed = |server: &Server, why| {
            Fault::unavailable(format!("{server} has sent what is no answer to the request: {why}"))
        };
        let plain = request.clone();
        let mac = match self.key {
            Some(key) => key.sign(&mut request, now).map_err(|why| malformed(&self.server, why))?,
            None => Vec::new(),
        };
        let bytes = self.send(&request).map_err(|fault| refusal::at(&self.server, fault))?;
        let answer = message::read(&plain, &bytes).map_err(|why| malformed(&self.server, why))?;
        if let Some(key) = self.key {
            let verdict =
                key.verify(&bytes, &mac, now).map_err(|why| malformed(&self.server, why))?;
            self.judge(verdict, answer.rcode)?;
        }
        Ok(answer)
    }

    fn judge(&self, verdict: Verdict, rcode: Rcode) -> Result<(), Fault> {
        match verdict {
            Verdict::Genuine => Ok(()),
            // Some refusals come before the server looks at the key. All that
            // follows from one is a fault.
            Verdict::Unsigned if refusal::may_be_unsigned(rcode) => Ok(()),
            verdict => Err(self.refused().signature(verdict)),
        }
    }

    /// Sends a message, and waits for the next that comes.
    fn send(&mut self, request: &[u8]) -> Result<Vec<u8>, Fault> {
        let length = u16::try_from(request.len())
            .map_err(|_| Fault::permanent("a request does not fit a message"))?;
        let mut framed = Vec::with_capacity(request.len() + 2);
        framed.extend(length.to_be_bytes());
        framed.extend(request);
        self.connection.write(&framed)?;
        let length = self.receive(2)?;
        let length = length.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let length = usize::from(length);
        if !(HEADER..=MESSAGE_MAX).contains(&length) {
            return Err(Fault::unavailable(format!("it has sent a message of {length} bytes")));
        }
        self.receive(length)
    }

    fn receive(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let missing = u32::try_from(count - bytes.len()).unwrap_or(u32::MAX);
            let more = self.connection.read(missing)?;
            if more.is_empty() {
                return Err(Fault::unavailable("it has closed the connection before its answer"));
            }
            bytes.extend(more);
        }
        Ok(bytes)
    }
}
