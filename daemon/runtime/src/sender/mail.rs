//! Mails: one SMTP session for each, over the one way out.
//!
//! A client of its own, small as it is: those that there are open connections
//! themselves, and what leaves the daemon leaves by the broker, which looks at
//! addresses and certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Fault;
use deployd_core::config::{HostGrant, HttpCredential};
use deployd_core::egress::{MAIL_SCHEMES, is_this_machine};
use deployd_core::ports::{
    Access, Answer, Connection, Egress, EgressError, EgressLimits, Outgoing, Scheme, Security,
    TlsOptions, Vault,
};
use deployd_core::secret::{OPERATOR, SecretRef};
use reqwest::Url;

use super::{fault, uses};

/// How this side names itself (RFC 5321, 4.1.1.1): the name of the machine is nobody's
/// business. With STARTTLS after it, it fits into what may be said before TLS.
const EHLO: &str = "EHLO [127.0.0.1]";

/// The most that a server says at once: its extensions, a line each.
const REPLY_BYTES_MAX: usize = 8 * 1024;

/// Who gets one mail; servers take a hundred and more.
const RECIPIENTS_MAX: usize = 100;

/// Where submission is, by the scheme of the URL (RFC 6409, RFC 8314).
const PORTS: [u16; 2] = [587, 465];

/// Whether a URL is of a mail server.
pub(super) fn is_mail(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| MAIL_SCHEMES.contains(&scheme))
}

/// Hands a mail to the server that its URL names.
pub(super) async fn send(
    egress: &dyn Egress,
    vault: &dyn Vault,
    request: Outgoing,
) -> Result<Answer, Fault> {
    let server = Server::of(&request)?;
    let (from, recipients) = envelope(&request)?;
    let access = Access {
        grants: vec![server.grant.clone()].into(),
        limits: EgressLimits::default(),
        uses: uses(),
    };
    let tls = TlsOptions::default();
    let security = match server.is_tls {
        true => Security::Tls(tls),
        false => Security::Plaintext,
    };
    let connection = egress.connect(&access, &server.host, server.port, &security).await;
    let connection = connection.map_err(|error| fault(error, "Subscription"))?;
    let mut session = Session { connection, unread: Vec::new() };
    session.reply().await?.expect("220", "the greeting")?;
    let mut extensions = session.command(EHLO).await?.expect("250", "EHLO")?;
    if !server.is_tls {
        if extensions.has("STARTTLS") {
            session.command("STARTTLS").await?.expect("220", "STARTTLS")?;
            session.start_tls().await?;
            extensions = session.command(EHLO).await?.expect("250", "EHLO")?;
        } else if !is_this_machine(&server.host) {
            let message = format!(
                "{} offers no STARTTLS, and mails go in plain text to this machine alone: \
                 expected smtps://, or a server with TLS",
                server.host
            );
            return Err(Fault::denied("mail-plaintext", message));
        }
    }
    if let Some(credential) = &server.grant.credential {
        session.authenticate(credential, &extensions, vault).await?;
    }
    session.command(&format!("MAIL FROM:<{from}>")).await?.expect("250", "the sender")?;
    for recipient in &recipients {
        // To all or to none: a mail that some have got is not sent to them again.
        let reply = session.command(&format!("RCPT TO:<{recipient}>")).await?;
        reply.expect("25", &format!("the recipient {recipient}"))?;
    }
    session.command("DATA").await?.expect("354", "DATA")?;
    session.write(&stuffed(&request.body)).await?;
    let taken = session.reply().await?.expect("250", "the mail")?;
    // It is taken, whatever comes now.
    let _ = session.write(b"QUIT\r\n").await;
    Ok(Answer { status: 250, retry_after_ms: None, body: taken.text.into_bytes() })
}

/// Where a mail goes.
struct Server {
    host: String,
    port: u16,
    /// Whether it is TLS from the beginning.
    is_tls: bool,
    /// For the broker: with TLS, but to this machine.
    grant: HostGrant,
}

impl Server {
    fn of(request: &Outgoing) -> Result<Self, Fault> {
        // Without the URL, which may have a password in it.
        let wrong = |expected: &str| {
            let message = format!("the mail server's URL is none: expected {expected}");
            Fault::invalid("request-invalid", message)
        };
        let url = Url::parse(&request.url).map_err(|_| wrong("smtp://HOST or smtps://HOST"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let [_, smtps] = MAIL_SCHEMES;
        let [starttls_port, tls_port] = PORTS;
        let is_tls = url.scheme() == smtps;
        let port = url.port().unwrap_or(if is_tls { tls_port } else { starttls_port });
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "no user and password in it: they belong to a credential of `hosts`",
            ));
        }
        let is_meant = |grant: &&HostGrant| {
            grant.scheme == url.scheme()
                && grant.host.eq_ignore_ascii_case(&host)
                && grant.port == port
        };
        let grant = match request.hosts.iter().find(is_meant) {
            Some(grant) => grant.clone(),
            None if request.hosts.is_empty() => {
                HostGrant { private_address: request.private_address, ..HostGrant::default() }
            }
            None => {
                let message = format!(
                    "{}://{host}:{port} is not among the `hosts` of the Subscription",
                    url.scheme()
                );
                return Err(Fault::denied("host-not-granted", message));
            }
        };
        let may_stay_plain = !is_tls && is_this_machine(&host);
        let scheme = if may_stay_plain { Scheme::Tcp } else { Scheme::Tls };
        let scheme = scheme.as_str().to_owned();
        let grant = HostGrant { scheme, host: host.clone(), port, ..grant };
        Ok(Self { host, port, is_tls, grant })
    }
}

/// From whom and to whom, as the notifier says it.
fn envelope(request: &Outgoing) -> Result<(String, Vec<String>), Fault> {
    let header = |wanted: &str| {
        let mut headers = request.headers.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    };
    let address = |text: &str| {
        // Nothing that could end the command or begin another.
        let is_plain = |c: char| c.is_ascii_graphic() && c != '<' && c != '>';
        if text.contains('@') && text.chars().all(is_plain) {
            return Ok(text.to_owned());
        }
        let message = format!("found {text:?}, expected an address such as shop@example.com");
        Err(Fault::invalid("request-invalid", message))
    };
    let from = address(header("mail-from").unwrap_or_default())?;
    let to = header("mail-to").unwrap_or_default().split(',');
    let to: Vec<String> = to.map(|to| address(to.trim())).collect::<Result<_, _>>()?;
    if to.len() > RECIPIENTS_MAX {
        let message = format!("found {} recipients, expected at most {RECIPIENTS_MAX}", to.len());
        return Err(Fault::invalid("request-invalid", message));
    }
    Ok((from, to))
}

/// A mail with its end: lines end as they must, and none is the end by itself (RFC
/// 5321, 4.5.2).
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len().saturating_add(64));
    for line in mail.strip_suffix(b"\n").unwrap_or(mail).split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        // A lone CR is no end of a line, and some servers take it for one.
        stuffed.extend(line.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }));
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

struct Session {
    connection: Box<dyn Connection>,
    /// What has come after the last reply.
    unread: Vec<u8>,
}

impl Session {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.connection.write(bytes).await.map_err(|error| fault(error, "Subscription"))
    }

    async fn command(&mut self, command: &str) -> Result<Reply, Fault> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn start_tls(&mut self) -> Result<(), Fault> {
        // What somebody on the way has said in plain text must not count inside of TLS.
        if !self.unread.is_empty() {
            let message = "the mail server, or somebody on the way, spoke before TLS had begun";
            return Err(Fault::permanent("mail-injected", message));
        }
        let begun = self.connection.start_tls(&TlsOptions::default()).await;
        begun.map_err(|error: EgressError| fault(error, "Subscription"))
    }

    /// A reply, of one line or of several.
    async fn reply(&mut self) -> Result<Reply, Fault> {
        let mut lines = Vec::new();
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                let is_last = line.get(3..4).is_none_or(|mark| mark != "-");
                lines.push(line);
                if is_last {
                    return Ok(Reply::of(&lines));
                }
            }
            let so_far: usize = lines.iter().map(String::len).sum();
            if so_far.saturating_add(self.unread.len()) > REPLY_BYTES_MAX {
                let message = format!("the mail server said more than {REPLY_BYTES_MAX} bytes");
                return Err(Fault::permanent("mail-malformed", message));
            }
            let read = self.connection.read(REPLY_BYTES_MAX).await;
            let read = read.map_err(|error| fault(error, "Subscription"))?;
            if read.is_empty() {
                let message = "the mail server has hung up";
                return Err(Fault::transient("receiver-unreachable", message));
            }
            self.unread.extend(read);
        }
    }

    /// Says who sends (RFC 4954), by what the server offers.
    async fn authenticate(
        &mut self,
        credential: &HttpCredential,
        extensions: &Reply,
        vault: &dyn Vault,
    ) -> Result<(), Fault> {
        let user = credential.user.as_deref().unwrap_or_default();
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: credential.secret.clone() };
        let value = vault.get(&secret).await.map_err(|error| {
            Fault::permanent("credential-unusable", format!("the password: {error}"))
        })?;
        let password = without_line_end(value.expose());
        let offered = extensions.offered("AUTH");
        let offers = |way: &str| offered.iter().any(|offer| offer.eq_ignore_ascii_case(way));
        let reply = if offers("PLAIN") {
            let zero: &[u8] = &[0];
            let plain = STANDARD.encode([zero, user.as_bytes(), zero, password].concat());
            self.command(&format!("AUTH PLAIN {plain}")).await?
        } else if offers("LOGIN") {
            self.command("AUTH LOGIN").await?.expect("334", "AUTH LOGIN")?;
            self.command(&STANDARD.encode(user)).await?.expect("334", "the user")?;
            self.command(&STANDARD.encode(password)).await?
        } else {
            let message = format!(
                "the mail server offers {}, and expected were PLAIN or LOGIN",
                if offered.is_empty() { "no AUTH".to_owned() } else { offered.join(", ") }
            );
            return Err(Fault::permanent("mail-no-authentication", message));
        };
        reply.expect("235", "user and password")?;
        Ok(())
    }
}

/// Files end with a line, and secrets come from files.
fn without_line_end(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

/// What a server says.
#[derive(Debug)]
struct Reply {
    code: String,
    /// The lines, without their codes.
    lines: Vec<String>,
    /// All of it, in a line.
    text: String,
}

impl Reply {
    fn of(lines: &[String]) -> Self {
        let code = lines.last().and_then(|line| line.get(..3)).unwrap_or_default().to_owned();
        let said = |line: &String| line.get(4..).unwrap_or_default().trim().to_owned();
        let lines: Vec<String> = lines.iter().map(said).collect();
        let text = format!("{code} {}", lines.join(" "));
        Self { code, lines, text }
    }

    /// Whether an extension is offered.
    fn has(&self, extension: &str) -> bool {
        self.lines.iter().any(|line| {
            line.split(' ').next().is_some_and(|name| name.eq_ignore_ascii_case(extension))
        })
    }

    /// What is offered of an extension.
    fn offered(&self, extension: &str) -> Vec<String> {
        let words = self.lines.iter().map(|line| line.split(' '));
        let of_it = words.filter_map(|mut words| {
            words.next().filter(|name| name.eq_ignore_ascii_case(extension)).map(|_| words)
        });
        of_it.flatten().map(str::to_owned).collect()
    }

    /// The reply, if its code begins so. What the server can't do now is tried again;
    /// what it refuses is not.
    fn expect(self, code: &str, what: &str) -> Result<Self, Fault> {
        if self.code.starts_with(code) {
            return Ok(self);
        }
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let said: String = self.text.chars().map(clean).take(300).collect();
        let message = format!("the mail server refuses {what}: {said}");
        Err(match self.code.as_str() {
            code if code.starts_with('4') => Fault::transient("mail-refused-for-now", message),
            "530" | "534" | "535" | "538" => Fault::denied("mail-refused", message),
            code if code.starts_with('5') => Fault::permanent("mail-refused", message),
            _ => Fault::permanent("mail-malformed", message),
        })
    }
}

#[cfg(test)]
mod tests;
