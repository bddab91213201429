//! The tokens of service accounts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::User;
use crate::cluster::Cluster;
use crate::json;

/// Tokens kept; the oldest end first.
const MOST_TOKENS: usize = 4096;

#[derive(Debug)]
struct Token {
    text: String,
    namespace: String,
    name: String,
    uid: String,
    expires: jiff::Timestamp,
}

/// The tokens that were given.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: Mutex<VecDeque<Token>>,
}

impl Tokens {
    /// A new token of an account. It looks as a real one does; what it stands
    /// for is remembered here, so nothing need be signed.
    pub(crate) fn give(
        &self,
        account: &Value,
        audiences: &Value,
        expires: jiff::Timestamp,
    ) -> String {
        let (namespace, name, uid) =
            (json::namespace(account), json::name(account), json::uid(account));
        let claims = json!({
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "aud": audiences,
            "exp": expires.as_second(),
            "iat": jiff::Timestamp::now().as_second(),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({"alg": "RS256", "kid": "practice"}));
        let end = URL_SAFE_NO_PAD.encode(crate::random::token());
        let text = format!("{head}.{}.{end}", part(&claims));
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() >= MOST_TOKENS {
            given.pop_front();
        }
        given.push_back(Token {
            text: text.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            expires,
        });
        text
    }

    fn find(&self, text: &str) -> Option<(String, String, String)> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let token = given.iter().find(|token| token.text == text)?;
        (token.expires > jiff::Timestamp::now())
            .then(|| (token.namespace.clone(), token.name.clone(), token.uid.clone()))
    }
}

impl Cluster {
    /// Whom a token stands for; none if it is wrong, has expired, or its
    /// account is gone.
    pub(crate) fn user_of(&self, token: &str) -> Option<User> {
        if token == self.token {
            return Some(User::admin());
        }
        let (namespace, name, uid) = self.tokens.find(token)?;
        let account = self.get("serviceaccounts", &namespace, &name)?;
        (json::uid(&account) == uid).then(|| User::account(&namespace, &name, &uid))
    }
}
