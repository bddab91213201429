//! Notifier `email`: a mail for each event, which the host hands to a mail server.
//!
//! ```yaml
//! notifier: email
//! events: ["*.failed", "deployment.rolled-back", "deployment.needs-operator"]
//! config:
//!   url: smtp://mail.example.com:587
//!   from: deployd@example.com
//!   to: [shop@example.com]
//! hosts:
//!   - {host: mail.example.com, port: 587, scheme: smtp,
//!      credential: {secret: mail, form: basic, user: deployd}}
//! ```
//!
//! All mails about a deployment refer to it (RFC 5322, 3.6.4), so that mail programs
//! show them together; and the same mail has the same id, however often it is sent.

mod mail;
#[cfg(test)]
mod tests;

use deployd_plugin_sdk::notifier::{Event, HttpRequest, Notifier};
use deployd_plugin_sdk::{Fault, Log, export_notifier};
use mail::Mail;
use notices::{Data, Notice};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

struct Email;

export_notifier!(Email);

/// From whom to whom, and by which server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<String>,
    from: String,
    to: Vec<String>,
}

impl Notifier for Email {
    type Config = Config;

    fn format(event: &Event, config: &Config, _: &impl Log) -> Result<Vec<HttpRequest>, Fault> {
        let domain = domain("/config/from", &config.from)?;
        if config.to.is_empty() {
            return Err(Fault::invalid("/config/to", "found an empty list, expected addresses"));
        }
        for (index, to) in config.to.iter().enumerate() {
            self::domain(&format!("/config/to/{index}"), to)?;
        }
        let notice = Notice::of(event)?;
        let date = OffsetDateTime::parse(&event.time, &Rfc3339)
            .map_err(|error| Fault::invalid("/event/time", error.to_string()))?;
        let to = config.to.join(", ");
        let conversation = Data::of(event)?.deployment;
        let mail = Mail {
            from: &config.from,
            to: &config.to,
            // One line: what others have written may have several.
            subject: &notice.title.replace('\n', " "),
            date,
            id: &format!("{}@{domain}", local(&event.id)),
            about: conversation.map(|deployment| format!("{}@{domain}", local(&deployment))),
            text: &text(&notice),
        };
        let body = mail
            .written()
            .map_err(|error| Fault::permanent(format!("the mail can't be written: {error}")))?;
        Ok(vec![HttpRequest {
            method: "POST".to_owned(),
            // Without one, the host goes to the subscription's secret address.
            url: config.url.clone().unwrap_or_default(),
            headers: vec![
                ("mail-from".to_owned(), config.from.clone()),
                ("mail-to".to_owned(), to),
            ],
            body: body.into_bytes(),
            thread: None,
        }])
    }
}

/// The domain of an address.
fn domain<'a>(at: &str, address: &'a str) -> Result<&'a str, Fault> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_graphic() && !"<>@,;:\"()[]\\".contains(c))
    };
    match address.split_once('@') {
        Some((local, domain)) if plain(local) && plain(domain) => Ok(domain),
        _ => Err(Fault::invalid(
            at,
            format!("found {address:?}, expected an address such as shop@example.com"),
        )),
    }
}

/// What an id may have in it (RFC 5322, 3.2.3): ours are of letters, digits, `-` and `/`.
fn local(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '.' }).collect()
}

fn text(notice: &Notice) -> String {
    let mut body = format!("{}.\n", notice.title);
    for text in [&notice.message, &notice.advice].into_iter().flatten() {
        body.push_str(&format!("\n{text}\n"));
    }
    if !notice.facts.is_empty() {
        body.push('\n');
    }
    for (name, value) in &notice.facts {
        body.push_str(&format!("{name}: {value}\n"));
    }
    if let Some(link) = &notice.link {
        body.push_str(&format!("\n{link}\n"));
    }
    body
}
