//! Driver `object-store`: a bucket on an S3-compatible server, and credentials
//! that are good for nothing else.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: object-store }
//! spec:
//!   kind: driver
//!   source: { shipped: object-store }
//!   grant:
//!     hosts:
//!       - { host: s3.internal.example, port: 8333, scheme: https, privateAddress: true }
//!     secrets: { admin: s3-admin-secret-key }
//!     # A signature can't be made without the key. Each use is in the journal.
//!     reveal: [admin]
//! ---
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata: { name: bucket }
//! spec:
//!   type: s3
//!   driver: object-store
//!   whenUnused: destroy
//!   inputs:
//!     endpoint: https://s3.internal.example:8333
//!     region: us-east-1
//!     bucket: ${context.application}-${context.environment}-uploads # or made up
//!     admin: { access_key_id: AKIAADMIN, secret_key_secret: admin }
//!     credentials: { mode: iam } # a user of its own
//!     versioning: true
//!     expire_days: 90
//!     on_destroy: refuse-if-not-empty # or keep, delete
//! ```
//!
//! Outputs, as Score's type `s3` has them: `endpoint`, `region`, `bucket`,
//! `aws_access_key_id` and, as a reference, `aws_secret_key`.
//!
//! **Whose a bucket is** stands in its tag `deployd.dev/uid`. A bucket of the
//! account that has no such tag, or another's, is a conflict; whoever wants it
//! taken over sets the tag. A crash between making a bucket and tagging it leaves
//! no doubt: that the bucket was not there is recorded before it is made.
//!
//! **Credentials.** With `mode: iam` the bucket has a user `deployd-UID` by the IAM
//! API (Amazon, SeaweedFS, Ceph), whose policy names this bucket only; `actions`
//! adds to what it may do with objects. A new value of `rotation` makes a new key;
//! the one before stays good until the next deployment, because pods that have it
//! run until then. With `mode: given` there is a key already (Garage, MinIO, whose
//! ways to make users are their own): `access_key_id` and `secret_key_secret`.
//! Temporary credentials (STS) are not supported: they would expire under a
//! workload that runs.
//!
//! **Destroying** takes the user away in any case. `refuse-if-not-empty`, the
//! default, and `delete` look into the bucket before they remove it, earlier
//! versions included: servers exist that remove a full one without a word.
//! `keep` leaves the bucket with its tag, so that the same resource, deployed
//! again, has its objects again.
//!
//! Requests are signed with Signature Version 4, and address a bucket by its path,
//! since a grant names hosts. Redirects to another region's endpoint are a fault
//! that names the region.

mod account;
mod answer;
mod bucket;
mod inputs;
mod lasting;
mod user;

use account::{Account, Service};
use bucket::{Bucket, Made, Owner};
use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, Ignored, Pending, export_driver};
use inputs::{Inputs, OnDestroy};
use lasting::{State, Users};
use serde_json::{Value, json};
use std::time::Duration;

struct ObjectStore;

export_driver!(ObjectStore);

/// What the token begins with that says: there was no such bucket.
const ABSENT: &str = "absent:";

/// What the token is while objects are removed.
const EMPTYING: &str = "emptying";

/// Pages of objects that one call removes: ten thousand objects, some seconds.
const PAGES_AT_ONCE: usize = 10;

/// Until the next pages: others want their turn too.
const EMPTYING_PAUSE: Duration = Duration::from_millis(500);

impl Driver for ObjectStore {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, _: &impl Host) -> Result<Planned, Fault> {
        let inputs = &request.inputs;
        let bucket = inputs::bucket(request)?;
        let endpoint = inputs::origin("/inputs/endpoint", &inputs.endpoint)?;
        let planned = match &request.state {
            None => Planned::new(Action::Create).line(format!("bucket {bucket} at {endpoint}")),
            Some(state) if !state.is_at(endpoint, &bucket) => Planned::new(Action::Replace)
                .line(format!("bucket {bucket} at {endpoint} instead of {state}")),
            Some(state) => {
                let lines = state.changes(inputs);
                let action = if lines.is_empty() { Action::None } else { Action::Update };
                lines.into_iter().fold(Planned::new(action), Planned::line)
            }
        };
        Ok(planned
            .output("endpoint", endpoint)
            .output("region", inputs.region.clone())
            .output("bucket", bucket))
    }

    fn provision(
        request: &Request<Self>,
        token: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let inputs = &request.inputs;
        let name = inputs::bucket(request)?;
        let endpoint = inputs::origin("/inputs/endpoint", &inputs.endpoint)?;
        if let Some(state) = request.state.as_ref().filter(|state| !state.is_at(endpoint, &name)) {
            return Err(Fault::invalid(
                "/inputs/bucket",
                format!(
                    "this resource has {state}, and a bucket can't be moved to {name} at \
                     {endpoint}; give the resource another id, or copy the objects and destroy it \
                     first"
                ),
            ));
        }
        let account = Account::open(host, &inputs.admin, Service::S3, endpoint, &inputs.region)?;
        let bucket = Bucket { account: &account, name: &name };
        if let Some(pending) = own(&bucket, request, token)? {
            return Ok(Progress::Pending(pending));
        }
        if let Some(enabled) = inputs.versioning
            && bucket.versioning()? != enabled
        {
            bucket.set_versioning(enabled)?;
        }
        let had_rule = request.state.as_ref().is_some_and(|state| state.expire_days.is_some());
        if (inputs.expire_days.is_some() || had_rule) && bucket.expire_days()? != inputs.expire_days
        {
            bucket.set_expire_days(inputs.expire_days)?;
        }
        let issued = Users { request, host }.issue(&name)?;
        let mut provisioned = Provisioned::new(State {
            endpoint: endpoint.to_owned(),
            bucket: name.clone(),
            versioning: inputs.versioning,
            expire_days: inputs.expire_days,
            key: issued.kept,
        })
        .output("endpoint", endpoint)
        .output("region", inputs.region.clone())
        .output("bucket", name)
        .output("aws_access_key_id", issued.access_key_id);
        provisioned = match issued.secret_key {
            lasting::SecretKey::New(value) => provisioned.secret_output(lasting::SECRET_KEY, value),
            lasting::SecretKey::Known(reference) => {
                provisioned.output(lasting::SECRET_KEY, reference)
            }
        };
        Ok(provisioned.into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let Some(state) = &request.state else { return Ok(None) };
        let inputs = &request.inputs;
        let account =
            Account::open(host, &inputs.admin, Service::S3, &state.endpoint, &inputs.region)?;
        let bucket = Bucket { account: &account, name: &state.bucket };
        match bucket.owner()? {
            Owner::Absent => return Ok(None),
            Owner::Resource(uid) if uid == request.uid => {}
            other => return Err(foreign(&state.bucket, &other, &request.uid)),
        }
        let mut found = json!({
            "endpoint": state.endpoint,
            "region": inputs.region,
            "bucket": state.bucket,
        });
        let put = |found: &mut Value, name: &str, value: Value| {
            if let Some(fields) = found.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        if state.versioning.is_some() {
            put(&mut found, "versioning", json!(bucket.versioning()?));
        }
        if state.expire_days.is_some() {
            put(&mut found, "expire_days", json!(bucket.expire_days()?));
        }
        let (id, secret) = Users { request, host }.observed()?;
        put(&mut found, "aws_access_key_id", json!(id));
        put(&mut found, lasting::SECRET_KEY, json!(secret));
        Ok(Some(found))
    }

    fn destroy(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Removal, Fault> {
        let inputs = &request.inputs;
        let (endpoint, name) = match &request.state {
            Some(state) => (state.endpoint.clone(), state.bucket.clone()),
            // What was begun and never recorded.
            None => {
                let endpoint = inputs::origin("/inputs/endpoint", &inputs.endpoint)?;
                (endpoint.to_owned(), inputs::bucket(request)?)
            }
        };
        let account = Account::open(host, &inputs.admin, Service::S3, &endpoint, &inputs.region)?;
        let bucket = Bucket { account: &account, name: &name };
        let users = Users { request, host };
        match bucket.owner()? {
            Owner::Resource(uid) if uid == request.uid => {}
            // Gone, or never ours.
            Owner::Absent => return users.remove().map(|()| Removal::Done),
            other if request.state.is_none() => {
                host.warn(&format!("{}; it stays", foreign(&name, &other, &request.uid)));
                return users.remove().map(|()| Removal::Done);
            }
            other => return Err(foreign(&name, &other, &request.uid)),
        }
        match inputs.on_destroy {
            OnDestroy::Keep => host.info(&format!("bucket {name} stays, with what is in it")),
            OnDestroy::RefuseIfNotEmpty => {
                if !bucket.is_empty()? || !bucket.remove()? {
                    return Err(Fault::conflict(format!(
                        "bucket {name} holds objects, and on_destroy is refuse-if-not-empty; \
                         empty it, or set on_destroy to delete or keep"
                    )));
                }
            }
            OnDestroy::Delete => {
                if let Some(pending) = empty(&bucket)? {
                    return Ok(Removal::Pending(pending));
                }
            }
        }
        users.remove().map(|()| Removal::Done)
    }
}

/// Makes sure that the bucket is there and is this resource's.
fn own<H: Host>(
    bucket: &Bucket<'_, H>,
    request: &Request<ObjectStore>,
    token: Option<&str>,
) -> Result<Option<Pending>, Fault> {
    let name = bucket.name;
    let was_absent =
        token.and_then(|token| token.strip_prefix(ABSENT)).is_some_and(|absent| absent == name);
    match bucket.owner()? {
        Owner::Resource(uid) if uid == request.uid => Ok(None),
        Owner::Absent if was_absent => match bucket.create(&request.inputs.region)? {
            Made::Ours => bucket.mark(&request.uid, &[]).map(|()| None),
            Made::OfOthers => Err(Fault::conflict(format!(
                "somebody else has a bucket {name} on this server; names are shared by all \
                 accounts, choose another"
            ))),
        },
        // Recorded before it is made, so that after a crash nobody need guess
        // whether a bucket without a tag is ours.
        Owner::Absent => Ok(Some(Pending {
            token: format!("{ABSENT}{name}"),
            poll_after: Duration::ZERO,
            message: format!("making bucket {name}"),
        })),
        Owner::Nobody(tags) if was_absent && bucket.is_empty()? => {
            bucket.mark(&request.uid, &tags).map(|()| None)
        }
        other => Err(foreign(name, &other, &request.uid)),
    }
}

fn foreign(name: &str, owner: &Owner, uid: &str) -> Fault {
    let whose = match owner {
        Owner::Resource(other) => format!("belongs to the resource {other}"),
        _ => "was not made by deployd".to_owned(),
    };
    let tag = bucket::OWNER_TAG;
    Fault::conflict(format!(
        "bucket {name} {whose}; choose another name, or hand it over by its tag {tag}={uid}"
    ))
}

/// Removes what is in a bucket, and then the bucket, as far as one call goes.
fn empty<H: Host>(bucket: &Bucket<'_, H>) -> Result<Option<Pending>, Fault> {
    let mut removed = 0;
    let mut page = Vec::new();
    for _ in 0..PAGES_AT_ONCE {
        let next = bucket.empty_some()?;
        if next.is_empty() {
            if bucket.remove()? {
                return Ok(None);
            }
            break;
        }
        if next == page {
            return Err(Fault::permanent(format!(
                "bucket {}: the server says that objects were removed, and lists them all the same",
                bucket.name
            )));
        }
        removed += next.len();
        page = next;
    }
    Ok(Some(Pending {
        token: EMPTYING.to_owned(),
        poll_after: EMPTYING_PAUSE,
        message: format!("emptying bucket {}: {removed} more objects are gone", bucket.name),
    }))
}

#[cfg(test)]
mod tests;
