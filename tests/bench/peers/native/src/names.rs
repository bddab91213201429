//! Names, by a native program with a library for DNS: signed updates (RFC 2136,
//! RFC 8945) as `nsupdate` sends them, over a connection for each name.
//!
//! It does what the driver does: it looks whose the name is, adds address and
//! note if nobody has it, and asks the server for what came of it.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype, Ttl, UnknownRecordData};
use domain::rdata::tsig::Time48;
use domain::rdata::{A, Txt};
use domain::tsig::{Algorithm, ClientTransaction, Key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where names lead to.
const ADDRESS: [u8; 4] = [192, 0, 2, 10];

const TTL: Ttl = Ttl::from_secs(300);

pub(crate) struct Native {
    port: u16,
    key: Arc<Key>,
    zone: Name<Vec<u8>>,
}

impl Native {
    /// For a server at this port, and a key of this zone by name and secret.
    pub(crate) fn new(port: u16, zone: &str, key: &str, secret: &str) -> anyhow::Result<Self> {
        let secret = STANDARD.decode(secret)?;
        let key = Key::new(Algorithm::Sha256, &secret, key.parse()?, None, None)?;
        Ok(Self { port, key: Arc::new(key), zone: zone.parse()? })
    }

    /// Makes a name that leads to the address.
    pub(crate) async fn make(&self, host: &str) -> anyhow::Result<()> {
        let name: Name<Vec<u8>> = format!("{host}.{}", self.zone).parse()?;
        let note: Name<Vec<u8>> = format!("_deployd.{host}.{}", self.zone).parse()?;
        let mut server = TcpStream::connect(("127.0.0.1", self.port)).await?;
        server.set_nodelay(true)?;
        for (name, kind) in [(&note, Rtype::TXT), (&name, Rtype::A)] {
            ensure!(self.count(&mut server, name, kind).await? == 0, "{name} is there already");
        }
        self.update(&mut server, &name, &note).await?;
        for (name, kind) in [(&note, Rtype::TXT), (&name, Rtype::A)] {
            ensure!(self.count(&mut server, name, kind).await? == 1, "{name} is not there");
        }
        Ok(())
    }

    /// How many records of this type the name has.
    async fn count(
        &self,
        server: &mut TcpStream,
        name: &Name<Vec<u8>>,
        kind: Rtype,
    ) -> anyhow::Result<u16> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_random_id();
        let mut question = builder.question();
        question.push((name, kind))?;
        let answer = self.exchange(server, question.additional()).await?;
        Ok(answer.header_counts().ancount())
    }

    async fn update(
        &self,
        server: &mut TcpStream,
        name: &Name<Vec<u8>>,
        note: &Name<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_random_id();
        builder.header_mut().set_opcode(Opcode::UPDATE);
        let mut zone = builder.question();
        zone.push((&self.zone, Rtype::SOA))?;
        let mut prerequisites = zone.answer();
        for free in [name, note] {
            let nothing = UnknownRecordData::from_octets(Rtype::ANY, Vec::<u8>::new())?;
            prerequisites.push((free, Class::NONE, Ttl::ZERO, nothing))?;
        }
        let mut changes = prerequisites.authority();
        let [a, b, c, d] = ADDRESS;
        changes.push((name, Class::IN, TTL, A::from_octets(a, b, c, d)))?;
        let text = Txt::<Vec<u8>>::build_from_slice(b"deployd installation=default types=A");
        let text = text.ok().context("it is no text")?;
        changes.push((note, Class::IN, TTL, text))?;
        let answer = self.exchange(server, changes.additional()).await?;
        ensure!(answer.header().rcode() == Rcode::NOERROR, "{}", answer.header().rcode());
        Ok(())
    }

    /// Signs and sends; reads the answer, and checks its signature.
    async fn exchange(
        &self,
        server: &mut TcpStream,
        mut message: domain::base::message_builder::AdditionalBuilder<Vec<u8>>,
    ) -> anyhow::Result<Message<Vec<u8>>> {
        let signed = ClientTransaction::request(self.key.clone(), &mut message, Time48::now())?;
        let bytes = message.finish();
        let length = u16::try_from(bytes.len())?;
        server.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
        let mut answer = vec![0; usize::from(server.read_u16().await?)];
        server.read_exact(&mut answer).await?;
        let mut answer = Message::from_octets(answer).ok().context("it is no message")?;
        signed.answer(&mut answer, Time48::now())?;
        Ok(answer)
    }
}
