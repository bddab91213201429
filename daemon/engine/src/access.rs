//! Tokens, secrets that operators set, and refusals.
//!
//! Only the digest of a token is kept. It is 256 random bits, so that a fast
//! hash is enough; and it is looked up by its digest, so that nothing is ever
//! compared byte by byte with what was guessed.

use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Put};
use deployd_core::secret::{OPERATOR, SecretRef, SecretValue};
use deployd_core::views::{NewToken, TokenScope, TokenView};
use deployd_core::{Actor, Digest, Name};
use serde_json::{Value, json};

use crate::journal::until_no_conflict;
use crate::records::{TOKEN_NAMES, TOKENS, all, get, put};
use crate::{Caller, Engine, EngineError};

/// What every token begins with, so that scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "dpl_";

impl Engine {
    /// Creates a token. Its text is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        caller: &Caller,
        name: &Name,
        scope: TokenScope,
    ) -> Result<NewToken, EngineError> {
        let mut bytes = [0u8; 32];
        self.inner.ports.random.fill(&mut bytes);
        let body = Digest::from_bytes(bytes).hex();
        let check = Digest::of(body.as_bytes()).short();
        let secret = format!("{TOKEN_PREFIX}{body}_{check}");
        let digest = Digest::of(secret.as_bytes());
        let token = TokenView {
            name: name.clone(),
            scope,
            created_by: caller.actor.clone(),
            created: self.inner.ports.clock.now(),
        };
        until_no_conflict(|| async {
            let store = &*self.inner.ports.store;
            let taken: Option<Digest> = get(store, TOKEN_NAMES, name.as_str().as_bytes()).await?;
            if taken.is_some() {
                let message = format!(
                    "there is a token named {name}; revoke it first, or choose another name"
                );
                return Err(EngineError::Conflict { message }.into());
            }
            let puts = vec![
                put(TOKENS, digest.as_bytes().to_vec(), &token)?,
                put(TOKEN_NAMES, name.as_str().as_bytes().to_vec(), &digest)?,
            ];
            let body = json!({"type": "token-created", "name": name, "scope": scope});
            self.record(&caller.actor, body, puts).await?;
            Ok(())
        })
        .await?;
        Ok(NewToken { token, secret })
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, EngineError> {
        let range = deployd_core::ports::KeyRange { start: Vec::new(), end: None };
        all(&*self.inner.ports.store, TOKENS, range).await
    }

    /// Makes a token worthless at once.
    pub async fn revoke_token(&self, caller: &Caller, name: &Name) -> Result<(), EngineError> {
        until_no_conflict(|| async {
            let store = &*self.inner.ports.store;
            let key = name.as_str().as_bytes().to_vec();
            let digest: Digest = get(store, TOKEN_NAMES, &key)
                .await?
                .ok_or_else(|| EngineError::not_found(format!("token {name}")))?;
            let puts = vec![
                Put { index: TOKENS, key: digest.as_bytes().to_vec(), value: None },
                Put { index: TOKEN_NAMES, key, value: None },
            ];
            let body = json!({"type": "token-revoked", "name": name});
            self.record(&caller.actor, body, puts).await?;
            Ok(())
        })
        .await
    }

    /// Whose token this is.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<TokenView>, EngineError> {
        let digest = Digest::of(secret.as_bytes());
        get(&*self.inner.ports.store, TOKENS, digest.as_bytes()).await
    }

    /// Records that something was refused.
    pub async fn refused(&self, actor: Option<Actor>, what: &str) {
        let actor = actor.unwrap_or_else(|| Actor("unknown".to_owned()));
        let result = until_no_conflict(|| async {
            let body = json!({"type": "request-refused", "what": what});
            self.record(&actor, body, Vec::new()).await?;
            Ok(())
        })
        .await;
        if let Err(error) = result {
            tracing::warn!(%actor, %error, "a refusal could not be recorded");
        }
    }

    /// Sets a secret that plugins and subscriptions are granted by name.
    pub async fn set_secret(
        &self,
        caller: &Caller,
        name: &Name,
        value: SecretValue,
    ) -> Result<(), EngineError> {
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
        self.inner.ports.vault.put(&secret, value).await?;
        until_no_conflict(|| async {
            let body = json!({"type": "secret-set", "name": name});
            self.record(&caller.actor, body, Vec::new()).await?;
            Ok(())
        })
        .await
    }

    /// Names of secrets that operators have set.
    pub async fn secrets(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.inner.ports.vault.list(OPERATOR).await?)
    }

    async fn record(&self, actor: &Actor, body: Value, puts: Vec<Put>) -> Result<(), EngineError> {
        let batch = Batch { puts, ..Batch::default() };
        let batch = self.inner.note(StreamId::access(), actor, body, batch).await?;
        self.inner.ports.store.append(batch).await?;
        Ok(())
    }
}
