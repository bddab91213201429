//! What lasts between calls, and the credentials that it speaks of.

use std::fmt;

use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Host, Secret, secret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ObjectStore;
use crate::account::{Account, Service};
use crate::inputs::{self, Credentials, Inputs};
use crate::user::{self, User};

/// The output with the reference to the secret half of the key.
pub(crate) const SECRET_KEY: &str = "aws_secret_key";

/// The output with the other half.
pub(crate) const KEY_ID: &str = "aws_access_key_id";

/// What the driver remembers of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) versioning: Option<bool>,
    pub(crate) expire_days: Option<u32>,
    /// The key of the bucket's own user.
    pub(crate) key: Option<KeptKey>,
}

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptKey {
    pub(crate) id: String,
    /// How many there were. Its secret half is a secret of its own, so that a
    /// deployment that is rolled back has both halves of the key before.
    pub(crate) serial: u32,
    pub(crate) rotation: Option<String>,
    /// The one before, which pods that still run may have.
    pub(crate) before: Option<String>,
}

impl KeptKey {
    /// The name of the secret half.
    pub(crate) fn secret(&self) -> String {
        format!("{SECRET_KEY}-{}", self.serial)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket {} at {}", self.bucket, self.endpoint)
    }
}

impl State {
    pub(crate) fn is_at(&self, endpoint: &str, bucket: &str) -> bool {
        self.endpoint == endpoint && self.bucket == bucket
    }

    /// What would change, one line each.
    pub(crate) fn changes(&self, inputs: &Inputs) -> Vec<String> {
        let mut lines = Vec::new();
        if inputs.versioning.is_some() && inputs.versioning != self.versioning {
            let on = inputs.versioning == Some(true);
            lines.push(format!("versioning {}", if on { "on" } else { "off" }));
        }
        if inputs.expire_days != self.expire_days {
            lines.push(match inputs.expire_days {
                Some(days) => format!("objects expire after {days} days"),
                None => "objects do not expire any more".to_owned(),
            });
        }
        match (&self.key, &inputs.credentials) {
            (Some(key), Credentials::Iam { rotation, .. }) => {
                if key.rotation != *rotation {
                    lines.push("a new access key".to_owned());
                } else if key.before.is_some() {
                    lines.push("the access key before is taken away".to_owned());
                }
            }
            (None, Credentials::Iam { .. }) => lines.push("a user of its own".to_owned()),
            (_, Credentials::Given { .. }) => {}
        }
        lines
    }
}

/// What workloads get.
pub(crate) struct Issued {
    pub(crate) outputs: Map<String, Value>,
    /// The secret half of a key that was just made, by its name.
    pub(crate) made: Option<(String, String)>,
    pub(crate) kept: Option<KeptKey>,
}

/// The credentials of one resource.
pub(crate) struct Users<'a, H> {
    pub(crate) request: &'a Request<ObjectStore>,
    pub(crate) host: &'a H,
}

impl<H: Host> Users<'_, H> {
    /// Makes sure that there are credentials.
    pub(crate) fn issue(&self, bucket: &str) -> Result<Issued, Fault> {
        let known = self.request.state.as_ref().and_then(|state| state.key.clone());
        let (rotation, actions) = match &self.request.inputs.credentials {
            Credentials::Given { access_key_id, secret_key_secret } => {
                return Ok(Issued {
                    outputs: self.given(access_key_id, secret_key_secret)?,
                    made: None,
                    // Pods that still run may have it; it goes with the bucket.
                    kept: known,
                });
            }
            Credentials::Iam { rotation, actions, .. } => (rotation.clone(), actions),
        };
        self.with_user(|user| {
            user.set_up(bucket, actions)?;
            let there = user.keys()?.unwrap_or_default();
            let known = known.filter(|key| there.contains(&key.id));
            let goes_on = known.as_ref().filter(|key| key.rotation == rotation);
            // A key whose secret half nobody has, because a crash came between its
            // making and its recording, is good for nobody. Neither is the one
            // before last.
            let kept = known.as_ref().map(|key| key.id.as_str());
            for id in there.iter().filter(|id| Some(id.as_str()) != kept) {
                user.remove_key(id)?;
            }
            if let Some(key) = goes_on {
                let kept = KeptKey { before: None, ..key.clone() };
                return Ok(Issued { outputs: self.own(&kept), made: None, kept: Some(kept) });
            }
            let made = user.new_key()?;
            let kept = KeptKey {
                id: made.id,
                // Also after one that is gone: its reference is not another key's.
                serial: self.last_serial().saturating_add(1),
                rotation,
                before: known.map(|key| key.id),
            };
            let secret = Some((kept.secret(), made.secret));
            Ok(Issued { outputs: self.own(&kept), made: secret, kept: Some(kept) })
        })
    }

    /// The key that is there; nothing where it should be when it is gone.
    pub(crate) fn observed(&self) -> Result<Map<String, Value>, Fault> {
        match &self.request.inputs.credentials {
            Credentials::Given { access_key_id, secret_key_secret } => {
                self.given(access_key_id, secret_key_secret)
            }
            Credentials::Iam { .. } => {
                let known = self.request.state.as_ref().and_then(|state| state.key.as_ref());
                let there = self.with_user(|user| user.keys())?.unwrap_or_default();
                let found = known.filter(|key| there.contains(&key.id));
                Ok(found.map(|key| self.own(key)).unwrap_or_else(|| {
                    let gone = |name: &str| (name.to_owned(), Value::Null);
                    Map::from_iter([gone(KEY_ID), gone(SECRET_KEY)])
                }))
            }
        }
    }

    /// What stands for a key that a provision has made.
    fn own(&self, key: &KeptKey) -> Map<String, Value> {
        let reference = secret::reference(&self.request.uid, &key.secret());
        Map::from_iter([
            (KEY_ID.to_owned(), key.id.as_str().into()),
            (SECRET_KEY.to_owned(), reference.as_str().into()),
            // The host makes an output of each secret that a call gives it; so it is
            // there after other calls, too.
            (key.secret(), reference.into()),
        ])
    }

    fn given(&self, id: &str, secret: &str) -> Result<Map<String, Value>, Fault> {
        let reference = self.host.open_secret(secret)?.reference();
        Ok(Map::from_iter([
            (KEY_ID.to_owned(), id.into()),
            (SECRET_KEY.to_owned(), reference.into()),
        ]))
    }

    fn last_serial(&self) -> u32 {
        let known = self.request.state.as_ref().and_then(|state| state.key.as_ref());
        known.map_or(0, |key| key.serial)
    }

    /// Takes the user away, if there can be one.
    pub(crate) fn remove(&self) -> Result<(), Fault> {
        let was_made = self.request.state.as_ref().is_some_and(|state| state.key.is_some());
        match &self.request.inputs.credentials {
            Credentials::Given { .. } if !was_made => Ok(()),
            _ => self.with_user(|user| user.remove()),
        }
    }

    fn with_user<T>(
        &self,
        work: impl FnOnce(&User<'_, H>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let inputs = &self.request.inputs;
        let (endpoint, region) = match &inputs.credentials {
            Credentials::Iam { endpoint, region, .. } => (endpoint.as_deref(), region.as_str()),
            Credentials::Given { .. } => (None, inputs.region.as_str()),
        };
        let origin = match endpoint {
            Some(endpoint) => inputs::origin("/inputs/credentials/endpoint", endpoint)?,
            None => inputs::origin("/inputs/endpoint", &inputs.endpoint)?,
        };
        let account = Account::open(self.host, &inputs.admin, Service::Iam, origin, region)?;
        let name = user::name(&inputs.installation, &self.request.uid);
        work(&User { account: &account, name })
    }
}
