//! Credentials that grants name: fetched for each use, sent to the host of
//! their grant, and kept from everybody else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::{CredentialForm, HostGrant, HttpCredential};
use deployd_core::ports::{Destination, EgressError, Exchanged, Vault};
use deployd_core::secret::{OPERATOR, SecretRef};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A secret of fewer bytes is not looked for in answers: it could be there by chance.
const FINDABLE_BYTES: usize = 8;

/// The operator's secrets, as far as grants name them.
#[derive(Clone)]
pub(crate) struct Secrets(pub(crate) Arc<dyn Vault>);

impl Secrets {
    /// The value of one.
    pub(crate) async fn get(&self, name: &str) -> Result<Vec<u8>, String> {
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_owned() };
        let value = self.0.get(&secret).await.map_err(|error| error.to_string())?;
        Ok(value.expose().to_vec())
    }
}

/// A header that is ready to be sent.
pub(crate) struct Credential<'a> {
    of: &'a HttpCredential,
    name: HeaderName,
    value: HeaderValue,
    /// What must not come back: the secret, and what was made of it.
    private: [Vec<u8>; 2],
}

impl<'a> Credential<'a> {
    /// The credential of a grant, if it has one, for a request with these headers.
    pub(crate) async fn of(
        grant: &'a HostGrant,
        destination: &Destination,
        headers: &HeaderMap,
        secrets: &Secrets,
    ) -> Result<Option<Self>, EgressError> {
        let Some(of) = &grant.credential else { return Ok(None) };
        let unusable = |reason: String| EgressError::Credential {
            what: "credential",
            destination: destination.clone(),
            reason,
        };
        let name = HeaderName::from_bytes(of.header().as_bytes())
            .map_err(|_| unusable("its header is none".to_owned()))?;
        if headers.contains_key(&name) {
            return Err(EgressError::CredentialHeader {
                destination: destination.clone(),
                header: name.to_string(),
            });
        }
        let secret = secrets.get(&of.secret).await.map_err(unusable)?;
        let secret = without_line_end(&secret);
        let (before, encoded) = match of.form {
            CredentialForm::Bearer => ("Bearer ", secret.to_vec()),
            CredentialForm::Raw => (of.prefix.as_deref().unwrap_or_default(), secret.to_vec()),
            CredentialForm::Basic => {
                let user = of.user.as_deref().unwrap_or_default();
                ("Basic ", STANDARD.encode([user.as_bytes(), secret].join(&b':')).into_bytes())
            }
        };
        // Without the value in the reason.
        let mut value = HeaderValue::from_bytes(&[before.as_bytes(), &encoded].concat())
            .map_err(|_| unusable("it has a line break or another control character".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(Self { of, name, value, private: [secret.to_vec(), encoded] }))
    }

    /// Adds it to a request, which goes to this address.
    pub(crate) fn add(
        &self,
        headers: &mut HeaderMap,
        destination: &Destination,
        plain_to: Option<std::net::IpAddr>,
    ) -> Result<(), EgressError> {
        if plain_to.is_some_and(|address| !self.of.may_go_plain(address)) {
            return Err(EgressError::CredentialInPlainText { destination: destination.clone() });
        }
        headers.insert(self.name.clone(), self.value.clone());
        Ok(())
    }

    /// Whether an answer has it in it, as that of a server that shows what it was asked.
    pub(crate) fn is_in(&self, answer: &Exchanged) -> bool {
        self.private.iter().filter(|private| private.len() >= FINDABLE_BYTES).any(|private| {
            let has = |bytes: &[u8]| bytes.windows(private.len()).any(|part| part == private);
            has(&answer.body) || answer.headers.iter().any(|(_, value)| has(value.as_bytes()))
        })
    }
}

/// Files end with a line, and secrets come from files.
fn without_line_end(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}
