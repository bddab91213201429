//! Secrets that operators set or link, and the keys that encrypt them.

use deployd_core::Name;
use deployd_core::secret::{KeyReport, Link, OPERATOR, SecretRef, SecretValue};
use deployd_core::views::{LinkedSecret, SecretView};
use serde_json::{Value, json};

use crate::journal::until_no_conflict;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Sets a secret that plugins and subscriptions are granted by name.
    pub async fn set_secret(
        &self,
        caller: &Caller,
        name: &Name,
        value: SecretValue,
    ) -> Result<(), EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        self.intend(caller, json!({"type": "secret-set-began", "name": name})).await?;
        self.inner.ports.vault.put(&of_operator(name), value).await?;
        let body = json!({"type": "secret-set", "name": name});
        until_no_conflict(|| self.inner.record(caller, (), body.clone(), Vec::new())).await
    }

    /// Has a secret's name stand for a value that is kept elsewhere. Whether it
    /// can be had from there is tried, and makes no difference.
    pub async fn link_secret(
        &self,
        caller: &Caller,
        name: &Name,
        from: &Link,
    ) -> Result<LinkedSecret, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let secret = of_operator(name);
        self.intend(caller, json!({"type": "secret-link-began", "name": name, "from": from}))
            .await?;
        self.inner.ports.vault_admin.link(&secret, from).await?;
        let problem = self.inner.ports.vault.get(&secret).await.err().map(|why| why.to_string());
        let linked = LinkedSecret { name: name.clone(), from: from.clone(), problem };
        let body = json!({"type": "secret-linked", "name": name, "from": from});
        until_no_conflict(|| self.inner.record(caller, linked.clone(), body.clone(), Vec::new()))
            .await
    }

    /// Journals what is about to be done with a secret. It counts from the moment
    /// when it is done, whatever ends then: who did it is known before.
    async fn intend(&self, caller: &Caller, body: Value) -> Result<(), EngineError> {
        // Without the key of the request: this is not its answer.
        let beginning = Caller::new(caller.actor.clone());
        until_no_conflict(|| self.inner.record(&beginning, (), body.clone(), Vec::new())).await
    }

    /// Secrets that operators have set or linked.
    pub async fn secrets(&self) -> Result<Vec<SecretView>, EngineError> {
        let links = self.inner.ports.vault_admin.links(OPERATOR).await?;
        Ok(links.into_iter().map(|(name, from)| SecretView { name, from }).collect())
    }

    /// How the keys of secrets are.
    pub async fn secret_keys(&self) -> Result<KeyReport, EngineError> {
        Ok(self.inner.ports.vault_admin.keys().await?)
    }

    /// Makes a new key and wraps every secret with it. That it was begun is
    /// journalled before it is: what a crash interrupts goes on with the next
    /// start, or when asked again.
    pub async fn rotate_secret_key(&self, caller: &Caller) -> Result<KeyReport, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        self.intend(caller, json!({"type": "secret-key-rotation-began"})).await?;
        let report = self.inner.ports.vault_admin.rotate_key().await?;
        let newest = report.keys.first().map(|key| key.id.as_str());
        let body = json!({"type": "secret-key-rotated", "key": newest});
        until_no_conflict(|| self.inner.record(caller, report.clone(), body.clone(), Vec::new()))
            .await
    }
}

fn of_operator(name: &Name) -> SecretRef {
    SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() }
}
