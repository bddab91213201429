//! Sessions: what somebody gets for a token of an issuer, for a while.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::access::{LEEWAY_MS, Narrowed, NotIdentified, identify};
use deployd_core::config::IssuerSpec;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Index, KeyRange, Order, Put};
use deployd_core::views::{ExchangeRequest, LoginView, NewSession};
use deployd_core::{Actor, Digest, Fault, Name, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::until_no_conflict;
use crate::records::{encode, get, put};
use crate::rights::Bearer;
use crate::{Caller, Engine, EngineError, Inner};

/// What every session's token begins with, so that scanners of leaked secrets know it.
const SESSION_PREFIX: &str = "dps_";

/// Sessions: digest of the token -> `Session`.
const SESSIONS: Index = Index("sessions");
/// What is over at a time: time, and what it is the key of -> in which index it is.
const ENDS: Index = Index("session-ends");
/// Tokens of issuers that were exchanged: what is the same only for one -> until when it
/// could be shown again.
const SPENT: Index = Index("spent-tokens");

/// What is over and is taken away when a session begins: more than begins.
const SWEPT_AT_ONCE: usize = 20;

/// Issuers that are asked about one token: those whose URL it names.
const CANDIDATES_MAX: usize = 10;

/// Bytes of a token of an issuer. Those of GitHub have 2 KiB; with many groups, 10.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    actor: Actor,
    issuer: Name,
    groups: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    narrowed: Option<Narrowed>,
    created: Timestamp,
    expires: Timestamp,
}

/// What is kept of the answer: enough to give it again, and not the token.
#[derive(Serialize, Deserialize)]
struct Begun {
    session: Session,
    salt: Digest,
}

fn refused(why: impl Into<String>) -> EngineError {
    Fault::denied("token-refused", why).into()
}

impl Engine {
    /// A session for a token of an issuer, which counts once.
    ///
    /// Fails with the fault `token-refused` where the token is not believed.
    pub async fn exchange(
        &self,
        caller: &Caller,
        request: &ExchangeRequest,
    ) -> Result<NewSession, EngineError> {
        if let Some(begun) = self.inner.replayed(caller).await? {
            return self.inner.shown_session(begun).await;
        }
        let (issuer, spec, claims) = self.inner.verified_by_issuer(request).await?;
        let now = self.inner.ports.clock.now();
        let found = identify(&issuer, &spec, &request.token, &claims, now);
        let found = found.map_err(|error: NotIdentified| refused(format!("{issuer}: {error}")))?;
        let lasts = u64::from(spec.session_minutes).saturating_mul(60_000);
        let session = Session {
            actor: found.actor,
            issuer,
            groups: found.groups,
            narrowed: request.narrowed(),
            created: now,
            expires: now.plus_ms(lasts),
        };
        let mut bytes = [0u8; 32];
        self.inner.ports.random.fill(&mut bytes);
        let salt = Digest::from_bytes(bytes);
        let key = Digest::of(self.inner.session_text(salt).await?.as_bytes());
        let who = Caller { actor: session.actor.clone(), ..caller.clone() };
        let begun = until_no_conflict(|| async {
            let version = self.inner.version(&StreamId::access()).await?;
            let store = &*self.inner.ports.store;
            let spent: Option<Timestamp> = get(store, SPENT, found.once.as_bytes()).await?;
            if spent.is_some() {
                return Err(refused("it was exchanged before; each counts once").into());
            }
            let mut puts = vec![
                put(SESSIONS, key.as_bytes().to_vec(), &session)?,
                put(ENDS, end(session.expires, &key), &SESSIONS.0)?,
                put(SPENT, found.once.as_bytes().to_vec(), &found.until)?,
                put(ENDS, end(found.until, &found.once), &SPENT.0)?,
            ];
            puts.extend(self.inner.swept(now).await?);
            let body = json!({
                "type": "session-began", "issuer": session.issuer, "groups": session.groups,
                "narrowed": session.narrowed, "expires": session.expires,
            });
            let begun = Begun { session: session.clone(), salt };
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.inner.note(StreamId::access(), version, &who, body, batch)?;
            // In the journal it is theirs; a repeat comes from nobody who is known.
            self.inner.commit(caller, begun, batch, &[]).await
        })
        .await?;
        self.inner.shown_session(begun).await
    }

    /// Ends a session before its time, by the digest of its token. Where there is none,
    /// nothing is done.
    pub async fn end_session(
        &self,
        caller: &Caller,
        session: Option<&Digest>,
    ) -> Result<(), EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let Some(session) = session else { return self.inner.keep_answer(caller, &()).await };
        until_no_conflict(|| async {
            let key = session.as_bytes().to_vec();
            let puts = vec![Put { index: SESSIONS, key, value: None }];
            let body = json!({"type": "session-ended"});
            self.inner.record(caller, (), body, puts).await
        })
        .await
    }

    /// How people can log in.
    pub async fn logins(&self) -> Result<Vec<LoginView>, EngineError> {
        let configuration = self.inner.configuration().await?;
        let with_login = configuration.issuers.iter().filter_map(|(name, spec)| {
            let login = spec.login.as_ref()?;
            Some(LoginView {
                name: name.clone(),
                issuer: spec.issuer.clone(),
                client_id: spec.audience.clone(),
                scopes: login.scopes.clone(),
            })
        });
        Ok(with_login.collect())
    }
}

/// A key that sorts by time.
fn end(at: Timestamp, of: &Digest) -> Vec<u8> {
    let mut key = at.0.to_be_bytes().to_vec();
    key.extend_from_slice(of.as_bytes());
    key
}

impl Inner {
    /// Whose session a token is of, while it lasts and its issuer has a document.
    pub(crate) async fn session(&self, secret: &str) -> Result<Option<Bearer>, EngineError> {
        if !secret.starts_with(SESSION_PREFIX) {
            return Ok(None);
        }
        let key = Digest::of(secret.as_bytes());
        let found: Option<Session> = get(&*self.ports.store, SESSIONS, key.as_bytes()).await?;
        let Some(session) = found.filter(|found| found.expires > self.ports.clock.now()) else {
            return Ok(None);
        };
        let configuration = self.configuration().await?;
        if !configuration.issuers.contains_key(&session.issuer) {
            return Ok(None);
        }
        Ok(Some(Bearer {
            actor: session.actor,
            claimed: session.groups,
            issuer: Some(session.issuer),
            scope: None,
            narrowed: session.narrowed,
            created_by: None,
            created: session.created,
            expires: Some(session.expires),
            session: Some(key),
        }))
    }

    /// The claims of a token, and the issuer that has signed it.
    async fn verified_by_issuer(
        &self,
        request: &ExchangeRequest,
    ) -> Result<(Name, IssuerSpec, Value), EngineError> {
        if request.token.len() > TOKEN_BYTES_MAX {
            return Err(refused(format!("it is longer than {TOKEN_BYTES_MAX} bytes")));
        }
        let configuration = self.configuration().await?;
        let named = named_issuer(&request.token);
        let candidates =
            configuration.issuers.iter().filter(|(name, spec)| match &request.issuer {
                Some(wanted) => *name == wanted,
                None => named.as_deref() == Some(spec.issuer.as_str()),
            });
        let mut last = None;
        for (name, spec) in candidates.take(CANDIDATES_MAX) {
            match self.ports.issuers.claims(spec, &request.token).await {
                Ok(claims) => {
                    let now = self.ports.clock.now();
                    let fits = identify(name, spec, &request.token, &claims, now).is_ok();
                    let found = (name.clone(), spec.clone(), claims);
                    if fits {
                        return Ok(found);
                    }
                    last = Some(Ok(found));
                }
                Err(fault) => last = Some(Err(EngineError::from(fault))),
            }
        }
        last.unwrap_or_else(|| {
            let what = match (&request.issuer, named) {
                (Some(name), _) => format!("there is no Issuer {name}"),
                (None, Some(url)) => format!("no Issuer has the URL {url:?}"),
                (None, None) => "it is no JSON Web Token that names its issuer".to_owned(),
            };
            Err(refused(what))
        })
    }

    /// What is over, taken away: a few with each session that begins.
    async fn swept(&self, now: Timestamp) -> Result<Vec<Put>, EngineError> {
        let until = Timestamp(now.0.saturating_sub(LEEWAY_MS));
        let range = KeyRange { start: Vec::new(), end: Some(until.0.to_be_bytes().to_vec()) };
        let over = self.ports.store.scan(ENDS, range, Order::Ascending, SWEPT_AT_ONCE).await?;
        let mut puts = Vec::new();
        for (key, value) in over.entries {
            let Some(of) = key.get(8..) else { continue };
            let index = if value == encode(&SESSIONS.0)? { SESSIONS } else { SPENT };
            puts.push(Put { index, key: of.to_vec(), value: None });
            puts.push(Put { index: ENDS, key, value: None });
        }
        Ok(puts)
    }

    async fn shown_session(
        &self,
        Begun { session, salt }: Begun,
    ) -> Result<NewSession, EngineError> {
        Ok(NewSession {
            secret: self.session_text(salt).await?,
            name: session.actor,
            issuer: session.issuer,
            groups: session.groups,
            expires: session.expires,
        })
    }

    async fn session_text(&self, salt: Digest) -> Result<String, EngineError> {
        let body = self.keyed("session", salt.as_bytes()).await?.hex();
        let check = Digest::of(body.as_bytes()).short();
        Ok(format!("{SESSION_PREFIX}{body}_{check}"))
    }
}

/// The issuer that a token says it is of, which nobody has verified yet.
fn named_issuer(token: &str) -> Option<String> {
    let claims = unverified(token)?;
    Some(claims.get("iss")?.as_str()?.chars().take(300).collect())
}

fn unverified(token: &str) -> Option<Value> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}
