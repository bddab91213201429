//! One attempt to sign in: what is asked of the identity provider's page, and what the
//! browser may bring back (RFC 6749, RFC 7636, RFC 9207, OpenID Connect Core 1.0).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::Digest;
use deployd_core::views::LoginView;
use reqwest::Url;
use serde_json::Value;

use crate::error::CliError;

/// The path that the browser is led back to: `http://127.0.0.1/callback`, at any port,
/// is what the client is registered with.
const PATH: &str = "/callback";

/// Bytes that nobody guesses.
const RANDOM_BYTES: usize = 32;

/// What is made up for one attempt, and forgotten after it.
pub(super) struct Attempt {
    issuer: String,
    state: String,
    nonce: String,
    verifier: String,
}

/// What a browser has come back with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// It asks for something else, such as an icon.
    Elsewhere,
    /// Whoever sent it does not know what only this attempt does.
    Strange,
    /// The provider's page has sent it, with what a token is given for.
    Code(String),
    /// The provider's page has sent it, with the reason why there is no token.
    Refused(String),
}

/// A text of 43 characters.
fn random() -> Result<String, CliError> {
    let mut bytes = [0u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::Failed(format!("no randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Attempt {
    /// An attempt at this issuer.
    pub(super) fn new(issuer: &str) -> Result<Self, CliError> {
        let issuer = issuer.to_owned();
        Ok(Self { issuer, state: random()?, nonce: random()?, verifier: random()? })
    }

    /// Where the browser comes back to, at a port of this machine.
    pub(super) fn redirect(port: u16) -> String {
        format!("http://127.0.0.1:{port}{PATH}")
    }

    /// What proves to the provider that who has the code is who has asked for it.
    pub(super) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The address to open: the provider's page.
    pub(super) fn address(&self, page: &Url, login: &LoginView, redirect: &str) -> Url {
        let mut scopes = vec!["openid"];
        scopes.extend(login.scopes.iter().map(String::as_str));
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(self.verifier.as_bytes()).as_bytes());
        let mut address = page.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        address
    }

    /// What a request of a browser, by its path and query, has brought.
    pub(super) fn returned(&self, target: &str) -> Returned {
        let Ok(url) = Url::parse(&format!("http://127.0.0.1{target}")) else {
            return Returned::Elsewhere;
        };
        if url.path() != PATH {
            return Returned::Elsewhere;
        }
        // One that is there twice could be read in two ways.
        let only = |name: &str| {
            let mut values = url.query_pairs().filter(|(found, _)| found == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Some(value.into_owned()),
                _ => None,
            }
        };
        let is_ours = only("state").is_some_and(|state| state == self.state);
        // Where providers say who they are, the answer of another one is no answer.
        let is_theirs = only("iss").is_none_or(|issuer| issuer == self.issuer);
        if !is_ours || !is_theirs {
            return Returned::Strange;
        }
        match (only("error"), only("code")) {
            (Some(error), _) => Returned::Refused(match only("error_description") {
                Some(why) => format!("{error}: {why}"),
                None => error,
            }),
            (None, Some(code)) => Returned::Code(code),
            (None, None) => Returned::Strange,
        }
    }

    /// Whether a token was given for this attempt. Who has signed it, for whom and until
    /// when is the daemon's to judge: the nonce is all that it does not know.
    pub(super) fn has_asked_for(&self, token: &str) -> bool {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        claims
            .is_some_and(|claims| claims.get("nonce").and_then(Value::as_str) == Some(&self.nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            issuer: "https://login.example.com".to_owned(),
            state: "S".to_owned(),
            nonce: "N".to_owned(),
            // The example of RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        }
    }

    #[test]
    fn the_page_is_asked_for_a_code_that_only_we_can_use() {
        let page = Url::parse("https://login.example.com/authorize?tenant=7").unwrap();
        let login = LoginView {
            name: "corp".parse().unwrap(),
            issuer: "https://login.example.com".to_owned(),
            client_id: "deployd cli".to_owned(),
            scopes: vec!["email".to_owned(), "groups".to_owned()],
        };
        let address = attempt().address(&page, &login, &Attempt::redirect(4711));
        assert_eq!(
            address.as_str(),
            "https://login.example.com/authorize?tenant=7&response_type=code\
             &client_id=deployd+cli&redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback\
             &scope=openid+email+groups&state=S&nonce=N\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256"
        );
        let (one, other) = (Attempt::new("x").unwrap(), Attempt::new("x").unwrap());
        assert_ne!(one.state, other.state);
        assert_eq!(one.verifier.len(), 43);
        assert!(one.state != one.nonce && one.nonce != one.verifier);
    }

    #[test]
    fn only_the_page_that_was_asked_is_listened_to() {
        let code = Returned::Code("C".to_owned());
        let refused = |why: &str| Returned::Refused(why.to_owned());
        for (target, expected) in [
            ("/callback?code=C&state=S", code),
            ("/callback?code=C&state=S&iss=https%3A%2F%2Flogin.example.com", {
                Returned::Code("C".to_owned())
            }),
            ("/callback?error=access_denied&state=S", refused("access_denied")),
            ("/callback?error=x&error_description=not+you&state=S", refused("x: not you")),
            ("/callback?code=C&state=other", Returned::Strange),
            ("/callback?code=C", Returned::Strange),
            ("/callback?code=C&state=S&state=S", Returned::Strange),
            ("/callback?code=C&code=D&state=S", Returned::Strange),
            ("/callback?code=C&state=S&iss=https%3A%2F%2Fevil.example", Returned::Strange),
            ("/callback?error=access_denied", Returned::Strange),
            ("/callback", Returned::Strange),
            ("/favicon.ico", Returned::Elsewhere),
            ("/", Returned::Elsewhere),
            ("", Returned::Elsewhere),
        ] {
            assert_eq!(attempt().returned(target), expected, "{target}");
        }
    }

    #[test]
    fn a_token_that_was_given_for_something_else_is_not_taken() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert!(attempt().has_asked_for(&token(r#"{"nonce":"N"}"#)));
        for other in [r#"{"nonce":"M"}"#, r#"{"nonce":["N"]}"#, "{}", "no JSON"] {
            assert!(!attempt().has_asked_for(&token(other)), "{other}");
        }
        assert!(!attempt().has_asked_for("N"));
    }
}
