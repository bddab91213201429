//! Messages: queries and updates as bytes, and answers out of bytes that a
//! server has sent. Names are read by the crate `domain`, which takes pointers
//! that lead backwards only.

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::message_builder::PushError;
use domain::base::{
    Message, MessageBuilder, Name, ParsedName, Rtype, ToName, Ttl, UnknownRecordData,
};
use domain::rdata::Cname;
use std::collections::BTreeSet;
use std::fmt;

/// The longest message over TCP: its length has two bytes.
pub const MESSAGE_MAX: usize = 65_535;
/// Bytes before the first section.
pub const HEADER: usize = 12;
/// Records that an answer may have: more than fit into one that is meant well
/// (the smallest record with a name takes 12 bytes, an answer to us a few).
pub const RECORDS_MAX: usize = 2048;

/// What has to hold for an update to be done (RFC 2136, 2.4).
#[derive(Debug, Clone, PartialEq)]
pub enum Prerequisite {
    /// There is no record at the name.
    NameNotInUse(Name<Vec<u8>>),
    /// There is none of this type.
    Absent(Name<Vec<u8>>, Rtype),
    /// Those of this type are exactly these.
    Exactly(Name<Vec<u8>>, Rtype, BTreeSet<Vec<u8>>),
}

/// One change of an update (RFC 2136, 2.5).
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Takes all records of a type away.
    RemoveAll(Name<Vec<u8>>, Rtype),
    /// Takes one record away.
    Remove(Name<Vec<u8>>, Rtype, Vec<u8>),
    /// Adds a record with a time to live.
    Add(Name<Vec<u8>>, Rtype, u32, Vec<u8>),
}

/// Why bytes are no answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a server has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What came of the request.
    pub rcode: Rcode,
    /// Whether the server says so of its own.
    pub authoritative: bool,
    /// Records of the answer section.
    pub records: Vec<Record>,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The name that has it.
    pub name: Name<Vec<u8>>,
    /// Its type.
    pub rtype: Rtype,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// Its data; a name in it is whole and in lower case.
    pub data: Vec<u8>,
}

/// A query, which asks for no recursion. Fails when it does not fit a message.
pub fn query(id: u16, name: &Name<Vec<u8>>, rtype: Rtype) -> Result<Vec<u8>, PushError> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    let mut question = builder.question();
    question.push((name, rtype))?;
    Ok(question.finish())
}

/// An update. Fails when it does not fit a message.
pub fn update(
    id: u16,
    zone: &Name<Vec<u8>>,
    prerequisites: &[Prerequisite],
    changes: &[Change],
) -> Result<Vec<u8>, PushError> {
    let mut builder = MessageBuilder::new_vec();
    // The rest is for the signature.
    builder.set_push_limit(MESSAGE_MAX - crate::tsig::RECORD_MAX);
    builder.header_mut().set_id(id);
    builder.header_mut().set_opcode(Opcode::UPDATE);
    let mut section = builder.question();
    section.push((zone, Rtype::SOA))?;
    let mut section = section.answer();
    let bare = |rtype| bare_data(rtype, &[]);
    for prerequisite in prerequisites {
        match prerequisite {
            Prerequisite::NameNotInUse(name) => {
                section.push((name, Class::NONE, Ttl::ZERO, bare(Rtype::ANY)))?;
            }
            Prerequisite::Absent(name, rtype) => {
                section.push((name, Class::NONE, Ttl::ZERO, bare(*rtype)))?;
            }
            Prerequisite::Exactly(name, rtype, set) => {
                for data in set {
                    section.push((name, Class::IN, Ttl::ZERO, bare_data(*rtype, data)))?;
                }
            }
        }
    }
    let mut section = section.authority();
    for change in changes {
        match change {
            Change::RemoveAll(name, rtype) => {
                section.push((name, Class::ANY, Ttl::ZERO, bare(*rtype)))?;
            }
            Change::Remove(name, rtype, data) => {
                section.push((name, Class::NONE, Ttl::ZERO, bare_data(*rtype, data)))?;
            }
            Change::Add(name, rtype, ttl, data) => {
                let ttl = Ttl::from_secs(*ttl);
                section.push((name, Class::IN, ttl, bare_data(*rtype, data)))?;
            }
        }
    }
    Ok(section.finish())
}

/// Data is at most a text of [`crate::record`] or a name, far from the 64 KiB
/// that can't be written.
fn bare_data(rtype: Rtype, data: &[u8]) -> Bare<'_> {
    Bare { rtype, data }
}

/// Reads what a server has answered to a request. All of it has to make sense.
pub fn read(request: &[u8], bytes: &[u8]) -> Result<Answer, Malformed> {
    let short = |_| Malformed("it is shorter than a header");
    let message = Message::from_slice(bytes).map_err(short)?;
    let request = Message::from_slice(request).map_err(short)?;
    let (header, asked) = (message.header(), request.header());
    if header.id() != asked.id() {
        return Err(Malformed("it is for another request"));
    }
    if !header.qr() || header.opcode() != asked.opcode() {
        return Err(Malformed("it is no answer"));
    }
    if header.tc() {
        return Err(Malformed("it says that it was cut, and over TCP none is"));
    }
    check_question(message, request)?;
    let garbled = |_| Malformed("a record in it is garbled");
    let mut records = Vec::new();
    let mut section = message.answer().map_err(garbled)?;
    for record in &mut section {
        let record = record.map_err(garbled)?;
        if records.len() >= RECORDS_MAX {
            return Err(Malformed("it has more records than any answer should"));
        }
        if record.class() != Class::IN {
            continue;
        }
        let data = if record.rtype() == Rtype::CNAME {
            let alias = record.to_record::<Cname<ParsedName<&[u8]>>>().map_err(garbled)?;
            let alias = alias.ok_or(Malformed("a record in it is garbled"))?;
            alias.data().cname().to_canonical_name::<Vec<u8>>().into_octets()
        } else {
            let raw = record.to_record::<UnknownRecordData<&[u8]>>().map_err(garbled)?;
            let raw = raw.ok_or(Malformed("a record in it is garbled"))?;
            raw.data().data().to_vec()
        };
        records.push(Record {
            name: record.owner().to_canonical_name(),
            rtype: record.rtype(),
            ttl: record.ttl().as_secs(),
            data,
        });
    }
    let end = end_of_message(message)?;
    if end != bytes.len() {
        return Err(Malformed("there is something after its end"));
    }
    Ok(Answer { rcode: header.rcode(), authoritative: header.aa(), records })
}

/// An answer repeats the question, but for one that says that it was not
/// understood.
fn check_question(message: &Message<[u8]>, request: &Message<[u8]>) -> Result<(), Malformed> {
    let garbled = Malformed("its question is garbled");
    let count = message.header_counts().qdcount();
    let is_query = message.header().opcode() == Opcode::QUERY;
    if count == 0 && (!is_query || message.header().rcode() != Rcode::NOERROR) {
        return Ok(());
    }
    let theirs = message.sole_question().map_err(|_| garbled.clone())?;
    let ours = request.sole_question().map_err(|_| garbled)?;
    if theirs == ours { Ok(()) } else { Err(Malformed("it is for another question")) }
}

fn end_of_message(message: &Message<[u8]>) -> Result<usize, Malformed> {
    let garbled = |_| Malformed("a record in it is garbled");
    let mut section = message.additional().map_err(garbled)?;
    for record in &mut section {
        record.map_err(garbled)?;
    }
    Ok(section.pos())
}

/// Data as bytes.
struct Bare<'a> {
    rtype: Rtype,
    data: &'a [u8],
}

impl domain::base::RecordData for Bare<'_> {
    fn rtype(&self) -> Rtype {
        self.rtype
    }
}

impl domain::base::rdata::ComposeRecordData for Bare<'_> {
    fn rdlen(&self, _: bool) -> Option<u16> {
        u16::try_from(self.data.len()).ok()
    }

    fn compose_rdata<Target: domain::base::wire::Composer + ?Sized>(
        &self,
        target: &mut Target,
    ) -> Result<(), Target::AppendError> {
        target.append_slice(self.data)
    }

    fn compose_canonical_rdata<Target: domain::base::wire::Composer + ?Sized>(
        &self,
        target: &mut Target,
    ) -> Result<(), Target::AppendError> {
        self.compose_rdata(target)
    }
}
