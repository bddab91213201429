//! `deployd:host/secrets`: references to secrets; the values only where the
//! operator grants it, and never without a record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::ports::{PluginRef, Recipe, Scope, Vault, VaultError};
use deployd_core::secret::{OPERATOR, SecretRef};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Resource, ResourceTableError};

use crate::audit::{Audit, Reveal};
use crate::bindings::host_v0_1::deployd::host::secrets;
use crate::bindings::host_v0_1::deployd::types::types as wit;
use crate::limits;
use crate::record::LimitHit;
use crate::store::CallState;

/// What a generated secret is made of when the plugin does not say.
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The longest name of a secret: it becomes part of a key and of references.
const NAME_BYTES: usize = 128;

/// What a call may do with secrets.
pub(crate) struct SecretAccess {
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) plugin: PluginRef,
    pub(crate) scope: Scope,
    /// The resource of this call, which owns what is generated; none for pure plugins.
    pub(crate) uid: Option<String>,
    /// Whether secrets may be generated at all.
    pub(crate) may_generate: bool,
    /// Whether this call may change anything. When it may not, a reference to a
    /// secret that is not there yet is still a good one: its text is known.
    pub(crate) has_effects: bool,
    /// When nothing is waited for any more.
    pub(crate) ends: Instant,
    /// Granted names, and the operator's secrets behind them.
    pub(crate) granted: Arc<BTreeMap<String, String>>,
    /// Which of them may be revealed.
    pub(crate) reveal: Arc<BTreeSet<String>>,
}

/// A secret that a guest has opened.
#[expect(unreachable_pub, reason = "the generated bindings name it in public")]
pub struct OpenSecret {
    name: String,
    secret: SecretRef,
}

/// Whether a name can be part of a reference.
pub(crate) fn name_fits(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

impl secrets::Host for CallState {
    async fn generate(
        &mut self,
        name: String,
        recipe: secrets::Recipe,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        Ok(self.generate_secret(name, recipe).await)
    }
}

impl CallState {
    async fn generate_secret(
        &mut self,
        name: String,
        recipe: secrets::Recipe,
    ) -> Result<String, wit::Fault> {
        let access = &self.secrets;
        let Some(uid) = access.uid.clone().filter(|_| access.may_generate) else {
            return Err(wit::Fault::Denied(
                "the operator's grant has no generateSecrets for this plugin, \
                 or its plugin.toml does not ask for generate_secrets"
                    .to_owned(),
            ));
        };
        if !name_fits(&name) {
            return Err(invalid("/name", "a name of a secret has 1 to 128 of A-Z a-z 0-9 - _ ."));
        }
        let recipe = checked(recipe)?;
        let secret = SecretRef { owner: uid, name };
        if access.has_effects {
            within(access.ends, access.vault.generate(&secret, &recipe)).await?;
        }
        Ok(secret.to_string())
    }
}

impl secrets::HostSecret for CallState {
    async fn open(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<OpenSecret>, wit::Fault>> {
        let Some(of_operator) = self.secrets.granted.get(&name) else {
            let names: Vec<_> = self.secrets.granted.keys().map(String::as_str).collect();
            return Ok(Err(wit::Fault::Denied(format!(
                "no secret {:?} is granted; granted are: {}",
                self.record.message(name),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
            ))));
        };
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: of_operator.clone() };
        match within(self.secrets.ends, self.secrets.vault.contains(&secret)).await {
            Ok(true) => {}
            Ok(false) => return Ok(Err(from_vault(VaultError::NotFound(secret)))),
            Err(fault) => return Ok(Err(fault)),
        }
        match self.table.push(OpenSecret { name, secret }) {
            Ok(handle) => Ok(Ok(handle)),
            Err(error) => {
                if matches!(error, ResourceTableError::Full) {
                    self.record.hit(LimitHit::Handles);
                }
                Err(error.into())
            }
        }
    }

    async fn reference(&mut self, handle: Resource<OpenSecret>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.secret.to_string())
    }

    async fn reveal(
        &mut self,
        handle: Resource<OpenSecret>,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::Fault>> {
        let open = self.table.get(&handle)?;
        let access = &self.secrets;
        if !access.reveal.contains(&open.name) {
            return Ok(Err(wit::Fault::Denied(format!(
                "the operator's grant does not let this plugin reveal {:?}",
                open.name
            ))));
        }
        let value = match within(access.ends, access.vault.get(&open.secret)).await {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        };
        // First the record, then the value: what can't be recorded is not shown.
        let reveal = Reveal {
            plugin: access.plugin.clone(),
            scope: access.scope.clone(),
            resource: access.uid.clone(),
            name: open.name.clone(),
            secret: open.secret.clone(),
        };
        if let Err(reason) = access.audit.revealed(&reveal).await {
            return Ok(Err(unavailable(format!("the reveal can't be recorded: {reason}"))));
        }
        self.record.keep_secret(value.expose());
        Ok(Ok(value.expose().to_vec()))
    }

    async fn drop(&mut self, handle: Resource<OpenSecret>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn checked(recipe: secrets::Recipe) -> Result<Recipe, wit::Fault> {
    let length = usize::try_from(recipe.length).unwrap_or(usize::MAX);
    if !(Recipe::LENGTH_MIN..=Recipe::LENGTH_MAX).contains(&length) {
        return Err(invalid(
            "/recipe/length",
            &format!("{length} is not between {} and {}", Recipe::LENGTH_MIN, Recipe::LENGTH_MAX),
        ));
    }
    let alphabet = if recipe.alphabet.is_empty() { ALPHABET.to_owned() } else { recipe.alphabet };
    let different: BTreeSet<char> = alphabet.chars().collect();
    if different.len() < 2 || alphabet.chars().count() > limits::ALPHABET_CHARACTERS {
        return Err(invalid(
            "/recipe/alphabet",
            &format!("an alphabet has 2 to {} characters", limits::ALPHABET_CHARACTERS),
        ));
    }
    Ok(Recipe { length, alphabet })
}

/// A call to the vault has a time of its own: the epoch does not stop what the
/// host does. It ends with the call's.
async fn within<T>(
    ends: Instant,
    call: impl Future<Output = Result<T, VaultError>>,
) -> Result<T, wit::Fault> {
    match timeout_at(ends.min(Instant::now() + limits::HOST_CALL_WALL), call).await {
        Ok(outcome) => outcome.map_err(from_vault),
        Err(_) => Err(unavailable("the store of secrets does not answer".to_owned())),
    }
}

fn from_vault(error: VaultError) -> wit::Fault {
    match error {
        VaultError::NotFound(_) => wit::Fault::NotFound(error.to_string()),
        VaultError::Recipe(reason) => invalid("/recipe", &reason),
        VaultError::Store(_) => unavailable(error.to_string()),
        VaultError::Unresolved { ref fault, .. } if fault.is_transient() => {
            let after_ms = fault.retry_after_ms;
            wit::Fault::Unavailable(wit::Retry { message: error.to_string(), after_ms })
        }
        // What else a vault may say: asking again will not help.
        _ => wit::Fault::Permanent(error.to_string()),
    }
}

fn invalid(path: &str, message: &str) -> wit::Fault {
    wit::Fault::Invalid(vec![wit::FieldFault {
        path: path.to_owned(),
        message: message.to_owned(),
    }])
}

fn unavailable(message: String) -> wit::Fault {
    wit::Fault::Unavailable(wit::Retry { message, after_ms: None })
}
