//! What an operation is about, and how that is found in a request: by the layer that
//! all requests pass, so that no handler can forget to ask.
//!
//! Only who may not do something everywhere is asked for it.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::RequestPartsExt as _;
use axum::extract::{Query, RawPathParams};
use deployd_core::access::{Action, Resource};
use deployd_core::artifact::Artifact;
use deployd_core::config::{DocumentKey, DocumentKind};
use deployd_core::subject::Subject;
use deployd_core::{DeploymentId, Digest, EnvironmentId, Name, SlotId};
use deployd_engine::{Engine, EngineError, Rights};
use http::request::Parts;
use serde_json::Value;

use crate::problem::{Code, Problem};

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The installation: it is for those who may do it everywhere.
    Installation,
    /// What every identity may see that may do it anywhere.
    Anywhere,
    /// A list, in which the handler leaves out what somebody may not see.
    Listed,
    /// The environment of the path.
    Environment,
    /// All of the application of the path.
    Application,
    /// The deployment `{id}` of the path.
    Deployment,
    /// The draft `{id}` of the path.
    Draft,
    /// The slot `{id}` of the path.
    Slot,
    /// The set `{digest}` of the path.
    Set,
    /// The document of the path.
    Document,
    /// The environment that this parameter of the query names.
    InQuery(&'static str),
    /// All of the application of the environment that this parameter names.
    WholeOf(&'static str),
    /// All of the application that this parameter names.
    ApplicationInQuery(&'static str),
    /// What the environments of the application have in common that this names.
    CommonInQuery(&'static str),
    /// The deployment that this parameter names.
    DeploymentInQuery(&'static str),
    /// The deployments or sets that these parameters name.
    SubjectsInQuery(&'static [&'static str]),
    /// The deployments or sets that these fields of the body name.
    SubjectsInBody(&'static [&'static str]),
    /// The environment that this field of the body names.
    InBody(&'static str),
    /// A deployment: where the body says, and a promotion where it brings what runs
    /// elsewhere.
    ToDeploy,
    /// An environment like the one of the path, with the name and type of the body.
    ToClone,
    /// What takes images of the repositories that the body announces.
    ToAnnounce,
}

/// What somebody has to be allowed to do, and to what.
pub(crate) type Needed = Vec<(Action, Resource)>;

/// A request, as far as its target is to be found in it.
pub(crate) struct Request<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) rights: &'a Rights,
    pub(crate) action: Action,
    path: BTreeMap<String, String>,
    query: Vec<(String, String)>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) async fn read(
        engine: &'a Engine,
        rights: &'a Rights,
        action: Action,
        parts: &mut Parts,
        body: &'a [u8],
    ) -> Result<Self, Box<Problem>> {
        let invalid = |text: String| Problem::new(Code::InvalidParameter, text);
        let path = parts.extract::<RawPathParams>().await;
        let path = path.map_err(|rejection| invalid(rejection.body_text()))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
        Ok(Self { engine, rights, action, path, query, body })
    }

    /// What is needed for an operation; nothing where what is named is not there, or can't
    /// be read, which the handler says.
    pub(crate) async fn needs(&self, target: Target) -> Result<Needed, Box<Problem>> {
        let found = match target {
            Target::Installation => vec![Resource::Installation],
            Target::Anywhere | Target::Listed => Vec::new(),
            Target::Environment => self.place().into_iter().collect(),
            Target::Application => {
                self.in_path("application").map(Resource::Application).into_iter().collect()
            }
            Target::Deployment => self.deployment(self.in_path("id")).await?,
            Target::Draft => match self.path.get("id") {
                Some(id) => there(self.engine.draft(id).await)?
                    .map(|draft| self.rights.environment(draft.environment))
                    .into_iter()
                    .collect(),
                None => Vec::new(),
            },
            Target::Slot => match self.in_path::<SlotId>("id") {
                Some(id) => there(self.engine.slot(&id).await)?
                    .map(|slot| self.rights.environment(slot.environment))
                    .into_iter()
                    .collect(),
                None => Vec::new(),
            },
            Target::Set => match self.in_path::<Digest>("digest") {
                Some(digest) => self.common_of(digest).await?,
                None => Vec::new(),
            },
            Target::Document => self.document().into_iter().collect(),
            Target::InQuery(name) => {
                self.or_all(self.asked::<EnvironmentId>(name)?, |id| self.rights.environment(id))
            }
            Target::WholeOf(name) => self.or_all(self.asked::<EnvironmentId>(name)?, |id| {
                Resource::Application(id.application)
            }),
            Target::ApplicationInQuery(name) => {
                self.or_all(self.asked(name)?, Resource::Application)
            }
            Target::CommonInQuery(name) => self.or_all(self.asked(name)?, Resource::Common),
            Target::DeploymentInQuery(name) => match self.asked::<DeploymentId>(name)? {
                Given::Nothing => vec![Resource::Installation],
                Given::Unreadable => Vec::new(),
                Given::One(id) => self.deployment(Some(id)).await?,
            },
            Target::SubjectsInQuery(names) => {
                let mut all = Vec::new();
                for name in names {
                    all.extend(self.subject(self.asked(name)?).await?);
                }
                all
            }
            Target::SubjectsInBody(fields) => {
                let body = self.json();
                let mut all = Vec::new();
                for field in fields {
                    all.extend(self.subject(field_of(&body, field)).await?);
                }
                all
            }
            Target::InBody(field) => self
                .or_all(field_of::<EnvironmentId>(&self.json(), field), |id| {
                    self.rights.environment(id)
                }),
            Target::ToDeploy => return self.to_deploy().await,
            Target::ToClone => self.to_clone(),
            Target::ToAnnounce => self.to_announce(),
        };
        Ok(found.into_iter().map(|resource| (self.action, resource)).collect())
    }

    fn in_path<T: FromStr>(&self, name: &str) -> Option<T> {
        self.path.get(name)?.parse().ok()
    }

    fn place(&self) -> Option<Resource> {
        let (application, environment) =
            (self.in_path("application")?, self.in_path("environment")?);
        Some(self.rights.environment(EnvironmentId { application, environment }))
    }

    /// A parameter of the query, which is there once.
    fn asked<T: FromStr>(&self, name: &str) -> Result<Given<T>, Box<Problem>> {
        let mut values = self.query.iter().filter(|(known, _)| known == name);
        let Some((_, first)) = values.next() else { return Ok(Given::Nothing) };
        if values.next().is_some() {
            let detail = format!("The query has {name} more than once.");
            return Err(Problem::new(Code::InvalidParameter, detail));
        }
        Ok(first.parse().map_or(Given::Unreadable, Given::One))
    }

    /// What is named; everything, where nothing is.
    fn or_all<T>(&self, given: Given<T>, resource: impl Fn(T) -> Resource) -> Vec<Resource> {
        match given {
            Given::One(one) => vec![resource(one)],
            Given::Nothing => vec![Resource::Installation],
            Given::Unreadable => Vec::new(),
        }
    }

    async fn deployment(&self, id: Option<DeploymentId>) -> Result<Vec<Resource>, Box<Problem>> {
        let Some(id) = id else { return Ok(Vec::new()) };
        let place = there(self.engine.place_of(&id).await)?;
        Ok(place.map(|id| self.rights.environment(id)).into_iter().collect())
    }

    async fn common_of(&self, set: Digest) -> Result<Vec<Resource>, Box<Problem>> {
        let application = there(self.engine.application_of(set).await)?;
        Ok(application.map(Resource::Common).into_iter().collect())
    }

    async fn subject(&self, given: Given<Subject>) -> Result<Vec<Resource>, Box<Problem>> {
        let subject = match given {
            Given::One(subject) => subject,
            Given::Nothing => return Ok(vec![Resource::Installation]),
            Given::Unreadable => return Ok(Vec::new()),
        };
        let resolved = match self.engine.resolve(&subject).await {
            Ok(resolved) => resolved,
            // The handler says it, in the same words.
            Err(EngineError::NotFound { .. } | EngineError::Invalid { .. }) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        match resolved.deployment {
            Some(record) => Ok(vec![self.rights.environment(record.environment)]),
            None => self.common_of(resolved.set).await,
        }
    }

    fn document(&self) -> Option<Resource> {
        let kind: DocumentKind =
            serde_json::from_value(Value::from(self.path.get("kind")?.as_str())).ok()?;
        let (application, name) = (self.in_path("application"), self.in_path("name")?);
        Some(self.rights.of_document(&DocumentKey { kind, application, name }))
    }

    /// The body; null where it is none that can be read.
    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    async fn to_deploy(&self) -> Result<Needed, Box<Problem>> {
        let body = self.json();
        let given = field_of::<EnvironmentId>(&body, "/environment");
        let from = field_of::<Name>(&body, "/promote");
        let action = if matches!(from, Given::Nothing) { self.action } else { Action::Promote };
        let mut needed: Needed = Vec::new();
        if let (Given::One(id), Given::One(from)) = (&given, from) {
            let (application, environment) = (id.application.clone(), from);
            let from = self.rights.environment(EnvironmentId { application, environment });
            needed.push((Action::Read, from));
        }
        if let Given::One(id) = field_of::<DeploymentId>(&body, "/redeploy") {
            let earlier = self.deployment(Some(id)).await?;
            needed.extend(earlier.into_iter().map(|resource| (Action::Read, resource)));
        }
        let there = self.or_all(given, |id| self.rights.environment(id));
        needed.extend(there.into_iter().map(|resource| (action, resource)));
        Ok(needed)
    }

    fn to_clone(&self) -> Vec<Resource> {
        let body = self.json();
        let (Some(Resource::Environment(from, its_type)), Given::One(environment)) =
            (self.place(), field_of::<Name>(&body, "/name"))
        else {
            return vec![Resource::Installation];
        };
        let environment_type = match field_of(&body, "/type") {
            Given::One(other) => Some(other),
            Given::Nothing => its_type.clone(),
            Given::Unreadable => return vec![Resource::Installation],
        };
        let application = from.application.clone();
        let to = EnvironmentId { application, environment };
        // What it is made from as well: the new one has its values and its secrets.
        vec![Resource::Environment(from, its_type), Resource::Environment(to, environment_type)]
    }

    fn to_announce(&self) -> Vec<Resource> {
        let artifacts: Vec<Artifact> = match self.json() {
            list @ Value::Array(_) => serde_json::from_value(list).unwrap_or_default(),
            one => serde_json::from_value(one).into_iter().collect(),
        };
        let all =
            artifacts.iter().flat_map(|artifact| self.rights.of_repository(&artifact.repository));
        let all: Vec<Resource> = all.collect();
        if all.is_empty() { vec![Resource::Installation] } else { all }
    }
}

/// What a request has where it could name something.
enum Given<T> {
    Nothing,
    Unreadable,
    One(T),
}

fn field_of<T: FromStr>(body: &Value, pointer: &str) -> Given<T> {
    match body.pointer(pointer) {
        None | Some(Value::Null) => Given::Nothing,
        Some(Value::String(text)) => text.parse().map_or(Given::Unreadable, Given::One),
        Some(_) => Given::Unreadable,
    }
}

/// What is not there is none.
fn there<T>(found: Result<T, EngineError>) -> Result<Option<T>, Box<Problem>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
