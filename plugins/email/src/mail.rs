//! A mail as it is sent (RFC 5322), with any text in it.

use email_encoding::body::{Encoding, base64};
use email_encoding::headers::rfc2047;
use email_encoding::headers::writer::EmailWriter;
use std::fmt::{self, Write as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A mail of one text. Addresses and ids are of ASCII, and checked by whoever gives them.
pub(crate) struct Mail<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a [String],
    pub(crate) subject: &'a str,
    pub(crate) date: OffsetDateTime,
    pub(crate) id: &'a str,
    /// The id of what all mails of a conversation refer to.
    pub(crate) about: Option<String>,
    pub(crate) text: &'a str,
}

impl Mail<'_> {
    /// The mail in bytes that each server takes: 7 bits, and short lines.
    pub(crate) fn written(&self) -> Result<String, fmt::Error> {
        let mut mail = String::new();
        write!(mail, "From: {}\r\nTo: {}\r\n", self.from, self.to.join(",\r\n "))?;
        write!(mail, "Subject: ")?;
        encoded(self.subject, "Subject: ".len(), &mut mail)?;
        let date = self.date.format(&Rfc2822).map_err(|_| fmt::Error)?;
        write!(mail, "\r\nDate: {date}\r\nMessage-ID: <{}>\r\n", self.id)?;
        if let Some(about) = &self.about {
            write!(mail, "In-Reply-To: <{about}>\r\nReferences: <{about}>\r\n")?;
        }
        // RFC 3834: nobody's absence is announced to us.
        mail.push_str("Auto-Submitted: auto-generated\r\n");
        mail.push_str("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
        let text = self.text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        if Encoding::choose(text.as_str(), false) == Encoding::SevenBit {
            write!(mail, "Content-Transfer-Encoding: 7bit\r\n\r\n{text}")?;
        } else {
            mail.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
            base64::encode(text.as_bytes(), &mut mail)?;
            mail.push_str("\r\n");
        }
        Ok(mail)
    }
}

/// A text of a header, on a line that has some characters already. What is short, of
/// ASCII, and can't be taken for an encoded word stays as it is.
fn encoded(text: &str, taken: usize, mail: &mut String) -> fmt::Result {
    const LINE: usize = 76;
    let is_plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
        && text.trim() == text
        && !text.contains("=?")
        && text.len().saturating_add(taken) <= LINE;
    if is_plain {
        mail.push_str(text);
        return Ok(());
    }
    rfc2047::encode(text, &mut EmailWriter::new(mail, taken, 0, false))
}
