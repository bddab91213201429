//! Signatures of messages (TSIG, RFC 8945).

use crate::definition::{Algorithm, KeyInput};
use crate::hostname::{self, DnsName};
use crate::message::{HEADER, Malformed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::{Fault, Host, Secret};
use domain::base::iana::{Class, Rtype, TsigRcode};
use domain::base::{Message, Name, ParsedName, ToName, Ttl};
use domain::rdata::Tsig;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// Seconds that clocks may be apart: what RFC 8945 recommends.
pub const FUDGE: u16 = 300;
/// The most that a signature adds to a message: two names, its fixed fields, the
/// longest MAC and a time.
pub const RECORD_MAX: usize = 255 + 255 + 10 + 16 + 64 + 6;

/// A key that messages are signed with. Has no `Debug`: nothing prints it.
pub struct Key {
    pub(crate) name: DnsName,
    algorithm: Algorithm,
    secret: Vec<u8>,
}

/// What the signature of an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the server's, and of this moment.
    Genuine,
    /// There is none.
    Unsigned,
    /// The server does not know the key.
    UnknownKey,
    /// The server has another secret for the key.
    OtherSecret,
    /// The server's clock is apart from ours; so many seconds, if it says so:
    /// more than none if it is ahead.
    OtherTime(Option<i64>),
    /// It is signed with another key, or the signature is wrong: it is not from
    /// the server, or not for this request.
    Forged,
}

impl Key {
    /// Reads the key of a definition.
    pub(crate) fn open(input: &KeyInput, host: &impl Host) -> Result<Self, Fault> {
        let name = hostname::parse("/inputs/key/name", &input.name)?;
        let value = host.open_secret(&input.secret)?.reveal()?;
        // Not a word of the value: neither does the decoder's error go out.
        let secret = STANDARD.decode(value.trim_ascii()).ok().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| {
            Fault::invalid(
                "/inputs/key/secret",
                format!(
                    "the value of the secret {:?} is not base64: set it to what stands as `secret` \
                     in the server's key statement",
                    input.secret
                ),
            )
        })?;
        Ok(Self { name, algorithm: input.algorithm, secret })
    }

    /// A key of HMAC-SHA256, for the fuzzer.
    #[doc(hidden)]
    pub fn sha256(name: &str, secret: &[u8]) -> Option<Self> {
        let name = DnsName::vec_from_str(name).ok()?;
        Some(Self { name, algorithm: Algorithm::Sha256, secret: secret.to_vec() })
    }

    /// Signs a message, and gives its MAC, which the answer's depends on.
    pub fn sign(&self, message: &mut Vec<u8>, now: u64) -> Result<Vec<u8>, Malformed> {
        let short = Malformed("it is shorter than a header");
        let id: [u8; 2] = message.first_chunk().copied().ok_or(short.clone())?;
        let variables = self.variables(now, FUDGE, 0, &[]);
        let mac = self.mac(&[message, &variables]);
        message.extend(self.name.to_canonical_name::<Vec<u8>>().as_slice());
        message.extend(Rtype::TSIG.to_int().to_be_bytes());
        message.extend(Class::ANY.to_int().to_be_bytes());
        message.extend(0_u32.to_be_bytes());
        let mut data = self.algorithm.name().to_vec();
        data.extend(time48(now));
        data.extend(FUDGE.to_be_bytes());
        data.extend(length(&mac));
        data.extend(&mac);
        data.extend(id);
        // No error, no other data.
        data.extend([0; 4]);
        message.extend(length(&data));
        message.extend(data);
        let count = arcount(message).ok_or(short.clone())?;
        set_arcount(message, count.saturating_add(1)).ok_or(short)?;
        Ok(mac)
    }

    /// Looks at the signature of an answer to a request with this MAC.
    pub fn verify(
        &self,
        answer: &[u8],
        request_mac: &[u8],
        now: u64,
    ) -> Result<Verdict, Malformed> {
        let Some((start, tsig)) = find(answer)? else { return Ok(Verdict::Unsigned) };
        match tsig.error {
            TsigRcode::BADKEY => return Ok(Verdict::UnknownKey),
            TsigRcode::BADSIG => return Ok(Verdict::OtherSecret),
            _ => {}
        }
        let other_key = tsig.key != self.name || tsig.algorithm.as_slice() != self.algorithm.name();
        let signed = self.unsigned(answer, start, tsig.original_id)?;
        let variables = self.variables(tsig.time, tsig.fudge, tsig.error.to_int(), &tsig.other);
        let parts = [&length(request_mac), request_mac, &signed, &variables];
        if other_key || !self.is_mac(&parts, &tsig.mac) {
            return Ok(Verdict::Forged);
        }
        // The server repeats our time, and adds its own.
        if tsig.error == TsigRcode::BADTIME {
            let theirs = <[u8; 6]>::try_from(tsig.other.as_slice()).ok().map(from_time48);
            return Ok(Verdict::OtherTime(theirs.map(|theirs| apart(theirs, now))));
        }
        if tsig.error != TsigRcode::NOERROR {
            return Ok(Verdict::Forged);
        }
        if tsig.time.abs_diff(now) > u64::from(tsig.fudge.min(FUDGE)) {
            return Ok(Verdict::OtherTime(Some(apart(tsig.time, now))));
        }
        Ok(Verdict::Genuine)
    }

    /// The message as it was before it was signed.
    fn unsigned(&self, answer: &[u8], start: usize, id: u16) -> Result<Vec<u8>, Malformed> {
        let garbled = Malformed("its signature is garbled");
        let mut message = answer.get(..start).ok_or(garbled.clone())?.to_vec();
        let place = message.first_chunk_mut().ok_or(garbled.clone())?;
        *place = id.to_be_bytes();
        let count = arcount(&message).and_then(|count| count.checked_sub(1));
        set_arcount(&mut message, count.ok_or(garbled.clone())?).ok_or(garbled)?;
        Ok(message)
    }

    /// What is signed beside the message (RFC 8945, 4.3.3).
    fn variables(&self, time: u64, fudge: u16, error: u16, other: &[u8]) -> Vec<u8> {
        let mut bytes = self.name.to_canonical_name::<Vec<u8>>().into_octets();
        bytes.extend(Class::ANY.to_int().to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(self.algorithm.name());
        bytes.extend(time48(time));
        bytes.extend(fudge.to_be_bytes());
        bytes.extend(error.to_be_bytes());
        bytes.extend(length(other));
        bytes.extend(other);
        bytes
    }

    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self.algorithm {
            Algorithm::Sha256 => digest::<Hmac<Sha256>>(&self.secret, parts)
                .map(|mac| mac.finalize().into_bytes().to_vec()),
            Algorithm::Sha384 => digest::<Hmac<Sha384>>(&self.secret, parts)
                .map(|mac| mac.finalize().into_bytes().to_vec()),
            Algorithm::Sha512 => digest::<Hmac<Sha512>>(&self.secret, parts)
                .map(|mac| mac.finalize().into_bytes().to_vec()),
        }
        .unwrap_or_default()
    }

    /// Compares in constant time, and the whole MAC: a shorter one is none.
    fn is_mac(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Sha256 => digest::<Hmac<Sha256>>(&self.secret, parts)
                .is_some_and(|own| own.verify_slice(mac).is_ok()),
            Algorithm::Sha384 => digest::<Hmac<Sha384>>(&self.secret, parts)
                .is_some_and(|own| own.verify_slice(mac).is_ok()),
            Algorithm::Sha512 => digest::<Hmac<Sha512>>(&self.secret, parts)
                .is_some_and(|own| own.verify_slice(mac).is_ok()),
        }
    }
}

impl Algorithm {
    /// Its name, as messages have it.
    fn name(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }
}

/// The signature of a message.
struct Signature {
    key: Name<Vec<u8>>,
    algorithm: Name<Vec<u8>>,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    original_id: u16,
    error: TsigRcode,
    other: Vec<u8>,
}

/// Finds the signature, which is the last record of all, and where it begins.
fn find(answer: &[u8]) -> Result<Option<(usize, Signature)>, Malformed> {
    let garbled = |_| Malformed("its signature is garbled");
    let message =
        Message::from_slice(answer).map_err(|_| Malformed("it is shorter than a header"))?;
    let mut section = message.additional().map_err(garbled)?;
    let mut found = None;
    loop {
        let start = section.pos();
        let Some(record) = section.next() else { break };
        let record = record.map_err(garbled)?;
        if found.is_some() {
            return Err(Malformed("there is something after its signature"));
        }
        if record.rtype() != Rtype::TSIG {
            continue;
        }
        let tsig = record.to_record::<Tsig<&[u8], ParsedName<&[u8]>>>().map_err(garbled)?;
        let tsig = tsig.ok_or(Malformed("its signature is garbled"))?;
        // Neither is part of what is signed: both are constants there.
        if tsig.class() != Class::ANY || tsig.ttl() != Ttl::ZERO {
            return Err(Malformed("its signature is garbled"));
        }
        let data = tsig.data();
        let signature = Signature {
            key: tsig.owner().to_canonical_name(),
            algorithm: data.algorithm().to_canonical_name(),
            time: data.time_signed().into(),
            fudge: data.fudge(),
            mac: data.mac().to_vec(),
            original_id: data.original_id(),
            error: data.error(),
            other: data.other().to_vec(),
        };
        found = Some((start, signature));
    }
    Ok(found)
}

fn digest<M: Mac + hmac::digest::KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Option<M> {
    let mut mac = <M as Mac>::new_from_slice(secret).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

/// Seconds that they are ahead.
fn apart(theirs: u64, ours: u64) -> i64 {
    let seconds = i64::try_from(theirs.abs_diff(ours)).unwrap_or(i64::MAX);
    if theirs >= ours { seconds } else { -seconds }
}

fn time48(seconds: u64) -> [u8; 6] {
    let [_, _, time @ ..] = seconds.to_be_bytes();
    time
}

fn from_time48([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// Lengths here are of a MAC or of a record with one.
fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

fn arcount(message: &[u8]) -> Option<u16> {
    message.get(HEADER - 2..HEADER)?.first_chunk().map(|count| u16::from_be_bytes(*count))
}

fn set_arcount(message: &mut [u8], count: u16) -> Option<()> {
    *message.get_mut(HEADER - 2..HEADER)?.first_chunk_mut()? = count.to_be_bytes();
    Some(())
}
