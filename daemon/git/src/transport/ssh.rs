//! Git over SSH: one connection, in which one program is started.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::Fault;
use deployd_core::ports::{Security, SshLogin};
use russh::client::{self, AuthResult, Handle};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred};

use super::pump::{self, Ending};
use super::{ANSWER_BYTES_MAX, Route, Service};
use crate::fault;
use crate::packet::{Next, Packet, next, refused};
use crate::signature::private_key;

/// How much is kept of what the program tells people.
const TOLD_BYTES_MAX: usize = 4 * 1024;
/// Keys of a host that are looked at.
const HOST_KEYS_MAX: usize = 32;

/// Where to.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) user: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

/// A program that was started, and what it has said.
pub(crate) struct SshSession {
    channel: Channel<client::Msg>,
    /// Ends the connection when it is dropped.
    _handle: Handle<Trust>,
    ending: Ending,
    place: String,
    received: Vec<u8>,
    told: Vec<u8>,
}

/// Looks at the host's key.
struct Trust {
    trusted: Vec<PublicKey>,
    /// The key that was shown, when it is not trusted.
    strange: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Trust {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        if self.trusted.iter().any(|trusted| trusted.key_data() == key.key_data()) {
            return Ok(true);
        }
        let words = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        *self.strange.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
        Ok(false)
    }
}

impl SshSession {
    /// Connects, looks at the host's key, logs in, starts the program, and gives what it
    /// tells of the repository.
    pub(super) async fn open(
        route: &Route,
        target: Target<'_>,
        service: Service,
    ) -> Result<(Self, Vec<u8>), Fault> {
        let place = route.address.place();
        let login = route.login.as_ref().ok_or_else(|| {
            fault::invalid(format!(
                "{place} is reached over SSH, and there is no key to log in with"
            ))
        })?;
        let key = private_key(&login.key)
            .map_err(|fault| fault.with_reason(format!("the key for {place}")))?;
        let trusted = trusted(login, &place)?;
        let connecting =
            route.egress.connect(&route.access, target.host, target.port, &Security::Plaintext);
        let (stream, ending) = pump::carry(connecting.await.map_err(fault::of_egress)?);
        let strange = Arc::<Mutex<Option<String>>>::default();
        let config = config(&trusted);
        let trust = Trust { trusted, strange: Arc::clone(&strange) };
        let failed = |error: russh::Error| {
            if let Some(shown) = strange.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return fault::denied(format!(
                    "{place} shows the host key {shown}, which is none of those that are trusted; if its \
                     operators have changed it, trust the new one"
                ));
            }
            broken(&place, &ending, &error)
        };
        let mut handle = Box::pin(client::connect_stream(Arc::new(config), stream, trust))
            .await
            .map_err(failed)?;
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256);
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let let_in = handle.authenticate_publickey(target.user, key).await.map_err(failed)?;
        if let AuthResult::Failure { remaining_methods, .. } = let_in {
            // Who refuses a key says what else is taken. Without that, the connection has ended.
            if remaining_methods.is_empty() {
                return Err(ending.take().map_or_else(
                    || {
                        fault::unreachable(format!(
                            "{place} ended the connection while the key {fingerprint} logged in"
                        ))
                    },
                    fault::of_egress,
                ));
            }
            return Err(fault::denied(format!(
                "{place} does not let the key {fingerprint} in as {:?}; is it known there, and has it \
                 the right to {} the repository?",
                target.user,
                service.verb()
            )));
        }
        let channel = handle.channel_open_session().await.map_err(failed)?;
        if service == Service::UploadPack {
            channel.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(failed)?;
        }
        // Quoted as Git does it: the server's side reads it as a shell would.
        let command = format!("{} '{}'", service.name(), target.path.replace('\'', r"'\''"));
        channel.exec(true, command).await.map_err(failed)?;
        let mut session = Self {
            channel,
            _handle: handle,
            ending,
            place,
            received: Vec::new(),
            told: Vec::new(),
        };
        let told = session.message().await?;
        Ok((session, told))
    }

    pub(super) async fn ask(&mut self, request: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let sent = self.channel.data_bytes(request).await;
        if let Err(error) = sent {
            return Err(broken(&self.place, &self.ending, &error));
        }
        self.message().await
    }

    /// All up to the end of a message.
    async fn message(&mut self) -> Result<Vec<u8>, Fault> {
        let mut read = 0;
        loop {
            match next(self.received.get(read..).unwrap_or_default()) {
                Next::Packet(packet, length) => {
                    read = read.saturating_add(length);
                    if packet == Packet::Flush {
                        let rest = self.received.split_off(read.min(self.received.len()));
                        return Ok(std::mem::replace(&mut self.received, rest));
                    }
                    // A refusal is the last that is said.
                    if let Packet::Data(line) = packet
                        && line.starts_with(b"ERR ")
                    {
                        return Ok(std::mem::take(&mut self.received));
                    }
                    continue;
                }
                Next::Nonsense => {
                    let shown = fault::quoted(self.received.get(..60).unwrap_or(&self.received));
                    return Err(fault::invalid(format!(
                        "{} answers what no Git server does: {shown}",
                        self.place
                    )));
                }
                Next::Incomplete => {}
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if self.received.len().saturating_add(data.len()) > ANSWER_BYTES_MAX {
                        return Err(fault::too_large(format!(
                            "{} answers with more than {ANSWER_BYTES_MAX} bytes",
                            self.place
                        )));
                    }
                    self.received.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let left = TOLD_BYTES_MAX.saturating_sub(self.told.len());
                    self.told.extend_from_slice(data.get(..left).unwrap_or(&data));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(fault::denied(format!("{} starts no program for Git", self.place)));
                }
                // What the program tells people may come after its end.
                Some(ChannelMsg::Close) | None => return Err(self.ended()),
                Some(_) => {}
            }
        }
    }

    fn ended(&self) -> Fault {
        if let Some(error) = self.ending.take() {
            return fault::of_egress(error);
        }
        if self.told.trim_ascii().is_empty() {
            return fault::unreachable(format!("{} ended the connection", self.place));
        }
        refused(&self.told).with_reason(&self.place)
    }
}

/// The host's keys that are trusted.
fn trusted(login: &SshLogin, place: &str) -> Result<Vec<PublicKey>, Fault> {
    let mut keys = Vec::new();
    for text in login.host_keys.iter().take(HOST_KEYS_MAX) {
        let key = PublicKey::from_openssh(text.trim()).map_err(|error| {
            let shown = fault::quoted(text.as_bytes());
            fault::invalid(format!(
                "{shown:?} is no key of a host ({error}); expected \"ssh-ed25519 AAAA…\", as \
                 `ssh-keyscan {place}` shows it"
            ))
        })?;
        keys.push(key);
    }
    let known =
        |key: &PublicKey| matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Ecdsa { .. });
    if !keys.iter().any(known) {
        return Err(fault::invalid(format!(
            "no key of the host {place} is trusted; expected at least one of ssh-ed25519 or ecdsa-sha2-nistp256"
        )));
    }
    Ok(keys)
}

fn config(trusted: &[PublicKey]) -> client::Config {
    let mut algorithms: Vec<Algorithm> = trusted.iter().map(PublicKey::algorithm).collect();
    algorithms.dedup();
    client::Config {
        // The host shows a key that can be compared, if it has one.
        preferred: Preferred { key: Cow::Owned(algorithms), ..Preferred::default() },
        ..client::Config::default()
    }
}

fn broken(place: &str, ending: &Ending, error: &russh::Error) -> Fault {
    if let Some(error) = ending.take() {
        return fault::of_egress(error);
    }
    match error {
        russh::Error::UnknownKey => fault::denied(format!(
            "{place} shows no host key of its own, but a certificate; expected one of the keys that are trusted"
        )),
        russh::Error::NoCommonAlgo { .. } => fault::invalid(format!(
            "{place} and deployd have no way to speak SSH in common: {error}; are keys of the host trusted of \
             a kind that it has?"
        )),
        _ => fault::unreachable(format!("SSH with {place} failed: {error}")),
    }
}
