//! Which credentials of a grant can be sent, told before anything is.

use std::net::IpAddr;

use super::address::AddressClass;
use super::host::Host;
use crate::config::{CredentialForm, HostGrant, HttpCredential};
use crate::ports::Scheme;

/// The header of a credential that names none.
pub const AUTHORIZATION: &str = "authorization";

/// Headers that speak of the connection, which is the host's.
pub const CONNECTION_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Schemes by which mails are sent, in a `Subscription`: with TLS once both sides
/// have said so (STARTTLS), and in TLS from the beginning.
pub const MAIL_SCHEMES: [&str; 2] = ["smtp", "smtps"];

impl HttpCredential {
    /// The header that it goes into.
    pub fn header(&self) -> &str {
        self.header.as_deref().unwrap_or(AUTHORIZATION)
    }
}

/// What is wrong with the credential of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialProblem {
    /// The field of the credential; none when it is the credential itself.
    pub field: Option<&'static str>,
    /// What is there.
    pub found: String,
    /// What could be.
    pub expected: &'static str,
}

/// Everything that is wrong with the credential of a grant.
pub fn credential_problems(grant: &HostGrant) -> Vec<CredentialProblem> {
    let Some(credential) = &grant.credential else { return Vec::new() };
    let mut problems = Vec::new();
    let mut problem = |field, found: String, expected| {
        problems.push(CredentialProblem { field, found, expected });
    };
    let https = grant.scheme == Scheme::Https.as_str();
    let http = grant.scheme == Scheme::Http.as_str();
    let mail = MAIL_SCHEMES.contains(&grant.scheme.as_str());
    if !http && !https && !mail {
        let found = format!("a credential for the scheme {:?}", grant.scheme);
        problem(None, found, "none: only HTTP requests have headers");
    }
    if mail && credential.form != CredentialForm::Basic {
        let found = "another form than basic".to_owned();
        problem(Some("form"), found, "basic: mail servers want a user and a password");
    }
    if mail && credential.header.is_some() {
        problem(Some("header"), "a header".to_owned(), "none: SMTP has no headers");
    }
    if http && !credential.plaintext && !is_this_machine(&grant.host) {
        let found = "a credential in plain text".to_owned();
        problem(None, found, "the scheme https, a loopback address, or `plaintext: true`");
    }
    if credential.secret.is_empty() {
        problem(Some("secret"), "nothing".to_owned(), "the name of an operator's secret");
    }
    let header = credential.header();
    if !is_token(header) {
        problem(Some("header"), format!("{header:?}"), "the name of an HTTP header");
    } else if CONNECTION_HEADERS.iter().any(|ours| ours.eq_ignore_ascii_case(header)) {
        problem(
            Some("header"),
            format!("{header:?}"),
            "a header that does not speak of the connection",
        );
    }
    match (&credential.user, credential.form) {
        (None, CredentialForm::Basic) => {
            problem(Some("user"), "nothing".to_owned(), "the user whose password the secret is");
        }
        // RFC 7617: the first colon ends the user.
        (Some(user), CredentialForm::Basic)
            if user.contains(|c: char| c == ':' || c.is_control()) =>
        {
            problem(Some("user"), format!("{user:?}"), "a user without a colon");
        }
        (Some(user), CredentialForm::Bearer | CredentialForm::Raw) => {
            problem(Some("user"), format!("{user:?}"), "none: only the form basic has one");
        }
        _ => {}
    }
    match (&credential.prefix, credential.form) {
        (Some(prefix), CredentialForm::Raw) if !prefix.chars().all(|c| matches!(c, ' '..='~')) => {
            problem(
                Some("prefix"),
                format!("{prefix:?}"),
                "letters, digits, signs and spaces of ASCII",
            );
        }
        (Some(prefix), CredentialForm::Bearer | CredentialForm::Basic) => {
            problem(Some("prefix"), format!("{prefix:?}"), "none: only the form raw has one");
        }
        _ => {}
    }
    problems
}

/// Whether what is sent there stays on this machine, as far as can be told
/// before the name is resolved.
pub fn is_this_machine(host: &str) -> bool {
    host.parse::<Host>().is_ok_and(|host| match &host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(_) => host.local_name() == Some(AddressClass::Loopback),
    })
}

impl HttpCredential {
    /// Whether it may go to this address in plain text.
    pub fn may_go_plain(&self, address: IpAddr) -> bool {
        self.plaintext || address.is_loopback()
    }
}

/// RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fields(scheme: &str, host: &str, credential: &Value) -> Vec<Option<&'static str>> {
        let grant = json!({"scheme": scheme, "host": host, "port": 443, "credential": credential});
        let grant = serde_json::from_value(grant).unwrap();
        credential_problems(&grant).into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn credentials_that_can_be_sent() {
        for credential in [
            json!({"secret": "s"}),
            json!({"secret": "s", "form": "basic", "user": "ci"}),
            json!({"secret": "s", "form": "raw", "prefix": "Token ", "header": "x-api-key"}),
        ] {
            assert_eq!(fields("https", "api.example", &credential), []);
            for host in ["127.0.0.1", "[::1]", "localhost"] {
                assert_eq!(fields("http", host, &credential), []);
            }
        }
        assert_eq!(fields("http", "api.example", &json!({"secret": "s", "plaintext": true})), []);
    }

    #[test]
    fn credentials_that_can_not() {
        assert_eq!(fields("tls", "db", &json!({"secret": "s"})), [None]);
        for host in ["api.example", "10.0.0.1", "::ffff:127.0.0.1"] {
            assert_eq!(fields("http", host, &json!({"secret": "s"})), [None], "{host}");
        }
        for (credential, field) in [
            (json!({"secret": ""}), "secret"),
            (json!({"secret": "s", "header": "Host"}), "header"),
            (json!({"secret": "s", "header": "a b"}), "header"),
            (json!({"secret": "s", "header": ""}), "header"),
            (json!({"secret": "s", "form": "basic"}), "user"),
            (json!({"secret": "s", "form": "basic", "user": "a:b"}), "user"),
            (json!({"secret": "s", "user": "ci"}), "user"),
            (json!({"secret": "s", "prefix": "Token "}), "prefix"),
            (json!({"secret": "s", "form": "raw", "prefix": "a\r\nb"}), "prefix"),
        ] {
            assert_eq!(fields("https", "api.example", &credential), [Some(field)], "{credential}");
        }
    }
}
