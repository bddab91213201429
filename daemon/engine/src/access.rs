//! Tokens, and refusals.
//!
//! Only the digest of a token is kept. It is 256 bits that look random, so that a fast
//! hash is enough; and it is looked up by its digest, so that nothing is ever
//! compared byte by byte with what was guessed.

use std::collections::BTreeSet;

use deployd_core::access::{self, RESERVED};
use deployd_core::journal::{Source, StreamId, Version};
use deployd_core::ports::{Batch, Put};
use deployd_core::views::{NewToken, TokenScope, TokenView};
use deployd_core::{Actor, Digest, Name};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::{StoreOrEngine, until_no_conflict};
use crate::records::{TOKEN_NAMES, TOKENS, all, get, put};
use crate::rights::Bearer;
use crate::{Caller, Engine, EngineError, Inner};

/// What every token begins with, so that scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "dpl_";

/// What is kept of the answer to who makes a token: enough to give the same
/// answer again, and not the token. Its text is the keyed hash of the salt.
#[derive(Serialize, Deserialize)]
struct Made {
    token: TokenView,
    salt: Digest,
}

impl Engine {
    /// Creates a token. Its text is in the answer and nowhere else; a repeat
    /// with the same idempotency key is given it again.
    pub async fn create_token(
        &self,
        caller: &Caller,
        name: &Name,
        scope: TokenScope,
    ) -> Result<NewToken, EngineError> {
        if let Some(made) = self.inner.replayed(caller).await? {
            return self.inner.show(made).await;
        }
        if RESERVED.contains(&name.as_str()) {
            let message = format!(
                "found {name}, expected another name: what deployd does by itself is recorded as done by deployd, what comes from outside as by hook, and what nobody is known to have done as by unknown or anonymous"
            );
            return Err(EngineError::invalid("name", message));
        }
        let mut bytes = [0u8; 32];
        self.inner.ports.random.fill(&mut bytes);
        let salt = Digest::from_bytes(bytes);
        let digest = Digest::of(self.inner.token_text(salt).await?.as_bytes());
        let token = TokenView {
            name: name.clone(),
            scope,
            created_by: caller.actor.clone(),
            created: self.inner.ports.clock.now(),
        };
        let made = until_no_conflict(|| async {
            let store = &*self.inner.ports.store;
            let version = self.inner.version(&StreamId::access()).await?;
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
            let made = Made { token: token.clone(), salt };
            self.inner.record_at(version, caller, made, body, puts).await
        })
        .await?;
        self.inner.show(made).await
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, EngineError> {
        let range = deployd_core::ports::KeyRange { start: Vec::new(), end: None };
        all(&*self.inner.ports.store, TOKENS, range).await
    }

    /// Makes a token worthless at once.
    pub async fn revoke_token(&self, caller: &Caller, name: &Name) -> Result<(), EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        until_no_conflict(|| async {
            let store = &*self.inner.ports.store;
            let version = self.inner.version(&StreamId::access()).await?;
            let key = name.as_str().as_bytes().to_vec();
            let digest: Digest = get(store, TOKEN_NAMES, &key)
                .await?
                .ok_or_else(|| EngineError::not_found(format!("token {name}")))?;
            let puts = vec![
                Put { index: TOKENS, key: digest.as_bytes().to_vec(), value: None },
                Put { index: TOKEN_NAMES, key, value: None },
            ];
            let body = json!({"type": "token-revoked", "name": name});
            self.inner.record_at(version, caller, (), body, puts).await
        })
        .await
    }

    /// Whose token this is: one that was made here, or a session's.
    pub async fn authenticate(&self, secret: &str) -> Result<Option<Bearer>, EngineError> {
        let digest = Digest::of(secret.as_bytes());
        if let Some(bearer) = self.inner.session(secret).await? {
            return Ok(Some(bearer));
        }
        let token: Option<TokenView> =
            get(&*self.inner.ports.store, TOKENS, digest.as_bytes()).await?;
        Ok(token.map(|token| Bearer {
            actor: Actor(token.name.to_string()),
            claimed: BTreeSet::new(),
            issuer: None,
            scope: Some(token.scope),
            narrowed: None,
            created_by: Some(token.created_by),
            created: token.created,
            expires: None,
            session: None,
        }))
    }

    /// The groups that a caller is in: those that its issuer says, and the `Group`
    /// documents that name it or one of these.
    pub async fn groups_of(&self, caller: &Caller) -> Result<BTreeSet<String>, EngineError> {
        let configuration = self.inner.configuration().await?;
        Ok(access::groups_of(&caller.actor, &caller.groups, &configuration.groups))
    }

    /// Records that something was refused, and where it was asked from.
    pub async fn refused(&self, actor: Option<Actor>, source: Option<Source>, what: &str) {
        let actor = actor.unwrap_or_else(|| Actor("unknown".to_owned()));
        let caller = Caller { source, ..Caller::new(actor) };
        let body = json!({"type": "request-refused", "what": what});
        let result =
            until_no_conflict(|| self.inner.record(&caller, (), body.clone(), Vec::new())).await;
        if let Err(error) = result {
            let actor = &caller.actor;
            tracing::warn!(%actor, %error, "a refusal could not be recorded");
        }
    }
}

impl Inner {
    /// Journals what somebody did, with what it changes and the answer to it.
    pub(crate) async fn record<T: Serialize + DeserializeOwned>(
        &self,
        caller: &Caller,
        answer: T,
        body: Value,
        puts: Vec<Put>,
    ) -> Result<T, StoreOrEngine> {
        let version = self.version(&StreamId::access()).await?;
        self.record_at(version, caller, answer, body, puts).await
    }

    /// The same of what follows from what was read at a version.
    async fn record_at<T: Serialize + DeserializeOwned>(
        &self,
        version: Version,
        caller: &Caller,
        answer: T,
        body: Value,
        puts: Vec<Put>,
    ) -> Result<T, StoreOrEngine> {
        let batch = Batch { puts, ..Batch::default() };
        let batch = self.note(StreamId::access(), version, caller, body, batch)?;
        self.commit(caller, answer, batch, &[]).await
    }

    async fn show(&self, Made { token, salt }: Made) -> Result<NewToken, EngineError> {
        Ok(NewToken { token, secret: self.token_text(salt).await? })
    }

    /// The text of a token: 256 bits, and a check against typing errors.
    async fn token_text(&self, salt: Digest) -> Result<String, EngineError> {
        let body = self.keyed("token", salt.as_bytes()).await?.hex();
        let check = Digest::of(body.as_bytes()).short();
        Ok(format!("{TOKEN_PREFIX}{body}_{check}"))
    }
}
