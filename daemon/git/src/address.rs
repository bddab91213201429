//! Where a repository is.

use deployd_core::Fault;
use deployd_core::config::HostGrant;
use url::Url;

use crate::fault;

/// The port of SSH.
const SSH_PORT: u16 = 22;
/// Who logs in where nobody is named: the name that all forges use.
const SSH_USER: &str = "git";
/// The longest address.
const ADDRESS_BYTES_MAX: usize = 2_048;

/// An address that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// Over HTTP.
    Http {
        /// Without a slash at its end.
        url: String,
        host: String,
        port: u16,
        /// `http` or `https`.
        scheme: &'static str,
    },
    /// Over SSH.
    Ssh { user: String, host: String, port: u16, path: String },
}

impl Address {
    /// Reads `https://host/path`, `http://…` or `ssh://user@host:port/path`.
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        // Without the text, where a password may be in it.
        let wrong = |why: String| {
            fault::invalid(format!(
                "it is no address of a repository: {why}; expected https://host/path.git or \
                 ssh://user@host:port/path.git"
            ))
        };
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(wrong(format!("it has more than {ADDRESS_BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(wrong(
                "it has a space, a control character or a backslash in it".to_owned(),
            ));
        }
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if url.password().is_some() {
            return Err(wrong("it has a password in it, which belongs into a grant".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment".to_owned()));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it has no host".to_owned()))?.to_owned();
        let path = url.path().trim_end_matches('/');
        if path.is_empty() {
            return Err(wrong("it has no path".to_owned()));
        }
        match url.scheme() {
            scheme @ ("http" | "https") => {
                if !url.username().is_empty() {
                    return Err(wrong(
                        "it has a user in it, which belongs into a grant".to_owned(),
                    ));
                }
                let (scheme, usual) = if scheme == "http" { ("http", 80) } else { ("https", 443) };
                let port = url.port().unwrap_or(usual);
                let url = text.trim_end_matches('/').to_owned();
                Ok(Self::Http { url, host, port, scheme })
            }
            "ssh" => {
                let path = decoded(path).ok_or_else(|| wrong("its path is no text".to_owned()))?;
                let user = match url.username() {
                    "" => SSH_USER.to_owned(),
                    user => decoded(user).ok_or_else(|| wrong("its user is no text".to_owned()))?,
                };
                // `~` is for the server's own shell to expand.
                let path = match path.strip_prefix("/~") {
                    Some(rest) => format!("~{rest}"),
                    None => path,
                };
                if path.chars().any(char::is_control) || user.chars().any(char::is_control) {
                    return Err(wrong("it has a control character in it".to_owned()));
                }
                Ok(Self::Ssh { user, host, port: url.port().unwrap_or(SSH_PORT), path })
            }
            other => Err(wrong(format!("its scheme is {other:?}"))),
        }
    }

    /// Host and port, as people write them.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Http { host, port: 443, scheme: "https", .. }
            | Self::Http { host, port: 80, scheme: "http", .. }
            | Self::Ssh { host, port: SSH_PORT, .. } => host.clone(),
            Self::Http { host, port, .. } | Self::Ssh { host, port, .. } => {
                format!("{host}:{port}")
            }
        }
    }

    /// The grants for it: those that were given, and for HTTPS one for the host at its
    /// public addresses, without a credential, where none of them names it.
    pub(crate) fn grants(&self, given: &[HostGrant]) -> Vec<HostGrant> {
        let mut grants = given.to_vec();
        if let Self::Http { host, port, scheme: "https", .. } = self
            && !given.iter().any(|grant| {
                grant.scheme == "https"
                    && grant.port == *port
                    && grant.host.eq_ignore_ascii_case(host)
            })
        {
            grants.push(HostGrant {
                host: host.clone(),
                port: *port,
                scheme: "https".to_owned(),
                ..HostGrant::default()
            });
        }
        grants
    }
}

/// What percent signs stand for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let http = Address::read("https://git.example.com:8443/a/b.git/").unwrap();
        assert_eq!(http.place(), "git.example.com:8443");
        assert!(matches!(http, Address::Http { url, .. } if url.ends_with("/a/b.git")));
        let ssh = Address::read("ssh://deploy@git.example.com:2222/a%20b.git").unwrap();
        let expected = Address::Ssh {
            user: "deploy".to_owned(),
            host: "git.example.com".to_owned(),
            port: 2222,
            path: "/a b.git".to_owned(),
        };
        assert_eq!(ssh, expected);
        let ssh = Address::read("ssh://git.example.com/~me/x").unwrap();
        assert!(matches!(ssh, Address::Ssh { user, path, .. } if user == "git" && path == "~me/x"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_shown() {
        for text in [
            "",
            "git@github.com:a/b.git",
            "https://github.com",
            "file:///etc",
            "https://me@host/x",
            "https://host/x?y",
            "ssh://host/a\nb",
            "ssh://host/%0a",
            "ext::sh -c x",
        ] {
            assert_eq!(Address::read(text).unwrap_err().code, "git-invalid", "{text}");
        }
        let fault = Address::read("https://me:hush@host/x").unwrap_err();
        assert!(!fault.message.contains("hush"), "{fault}");
    }

    #[test]
    fn a_public_host_needs_no_grant_over_https() {
        let address = Address::read("https://git.example.com/a.git").unwrap();
        assert_eq!(address.grants(&[]).len(), 1);
        let own = HostGrant {
            host: "git.example.com".to_owned(),
            port: 443,
            scheme: "https".to_owned(),
            private_address: true,
            ..HostGrant::default()
        };
        assert_eq!(address.grants(std::slice::from_ref(&own)), [own]);
        assert_eq!(Address::read("http://git.example.com/a.git").unwrap().grants(&[]), []);
        assert_eq!(Address::read("ssh://git@git.example.com/a.git").unwrap().grants(&[]), []);
    }
}
