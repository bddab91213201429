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
//! `aws_access_key_id` and, as a reference, `aws_secret_key`; `versioning` and
//! `expire_days` where the definition sets them, so that drift of them is seen.
//!
//! **Whose a bucket is** stands in its tag `deployd.dev/uid`, and beside it in
//! `deployd.dev/installation` where the input `installation` is not `default`. A
//! bucket of the account that has no such tag, or another's, is a conflict; whoever
//! wants it taken over sets the tag. A crash between making a bucket and tagging it leaves
//! no doubt: that the bucket was not there is recorded before it is made.
//!
//! **Credentials.** With `mode: iam` the bucket has a user `deployd-UID` by the IAM
//! API (Amazon, SeaweedFS, Ceph), whose policy names this bucket only; `actions`
//! adds to what it may do with objects. A new value of `rotation` makes a new key,
//! whose secret half is another secret; the key before stays good until the next
//! deployment, because pods that have it run until then, and so do those of a
//! deployment that was rolled back. With `mode: given` there is a key already, for
//! servers whose ways to make users are their own: `access_key_id` and
//! `secret_key_secret`.
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
use deployd_plugin_sdk::{Fault, Host, Ignored, Pending, export_driver, name};
use inputs::{Inputs, OnDestroy};
use lasting::{State, Users};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

struct ObjectStore;

export_driver!(ObjectStore);

/// What the token begins with that says: there was no such bucket.
const ABSENT: &str = "absent:";

/// What the token begins with while objects are removed, one page of a thousand in
/// each call: a server may take ten seconds for a page, and a call has thirty.
const EMPTYING: &str = "emptying:";

/// What the token begins with when nothing is left and the bucket stays.
const REFUSED: &str = "refused:";

/// How often a bucket that seems empty is tried to be removed: servers that agree
/// among themselves later do so in seconds.
const REFUSALS: u32 = 10;

/// Until the next pages: others want their turn too.
const EMPTYING_PAUSE: Duration = Duration::from_millis(500);

impl Driver for ObjectStore {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, _: &impl Host) -> Result<Planned, Fault> {
        if request.is_preview() {
            return Ok(Planned::later(request));
        }
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
        let known = known(endpoint, inputs, &bucket);
        Ok(Planned { outputs: known, ..planned })
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
        let mut outputs = known(endpoint, inputs, &name);
        outputs.extend(issued.outputs);
        outputs.extend(settings(&inputs.versioning, &inputs.expire_days));
        Ok(Provisioned {
            outputs,
            secret_outputs: issued.made.into_iter().collect(),
            ..Provisioned::new(State {
                endpoint: endpoint.to_owned(),
                bucket: name,
                versioning: inputs.versioning,
                expire_days: inputs.expire_days,
                key: issued.kept,
            })
        }
        .into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let Some(state) = &request.state else { return Ok(None) };
        let inputs = &request.inputs;
        let account =
            Account::open(host, &inputs.admin, Service::S3, &state.endpoint, &inputs.region)?;
        let bucket = Bucket { account: &account, name: &state.bucket };
        match bucket.owner()? {
            Owner::Absent => return Ok(None),
            owner if owner.is(&inputs.installation, &request.uid) => {}
            other => return Err(foreign(&state.bucket, &other, request)),
        }
        let mut found = known(&state.endpoint, inputs, &state.bucket);
        let versioning = state.versioning.map(|_| bucket.versioning()).transpose()?;
        // A rule that is gone is drift as well as one that is another.
        let expire_days = state.expire_days.map(|_| bucket.expire_days()).transpose()?;
        found.extend(settings(&versioning, &expire_days));
        found.extend(Users { request, host }.observed()?);
        Ok(Some(Value::Object(found)))
    }

    fn destroy(
        request: &Request<Self>,
        token: Option<&str>,
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
            owner if owner.is(&inputs.installation, &request.uid) => {}
            // Gone, or never ours.
            Owner::Absent => return users.remove().map(|()| Removal::Done),
            other if request.state.is_none() => {
                host.warn(&format!("{}; it stays", foreign(&name, &other, request)));
                return users.remove().map(|()| Removal::Done);
            }
            other => return Err(foreign(&name, &other, request)),
        }
        match inputs.on_destroy {
            OnDestroy::Keep => host.info(&format!("bucket {name} stays, with what is in it")),
            OnDestroy::RefuseIfNotEmpty => {
                if !bucket.is_empty()? || !bucket.remove()? {
                    return Err(Fault::conflict(format!(
                        "bucket {name} holds objects, or uploads that were not finished, and \
                         on_destroy is refuse-if-not-empty; empty it, or set on_destroy to delete or keep"
                    )));
                }
            }
            OnDestroy::Delete => {
                if let Some(pending) = empty(&bucket, token)? {
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
        owner if owner.is(&request.inputs.installation, &request.uid) => Ok(None),
        Owner::Absent if was_absent => match bucket.create(&request.inputs.region)? {
            Made::Ours => {
                bucket.mark(&request.inputs.installation, &request.uid, &[]).map(|()| None)
            }
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
            bucket.mark(&request.inputs.installation, &request.uid, &tags).map(|()| None)
        }
        other => Err(foreign(name, &other, request)),
    }
}

fn foreign(name: &str, owner: &Owner, request: &Request<ObjectStore>) -> Fault {
    let installation = &request.inputs.installation;
    let whose = match owner {
        Owner::Resource { uid, installation: of } if of != installation.as_str() => {
            format!("belongs to the resource {uid} of another installation of deployd, {of:?}")
        }
        Owner::Resource { uid, .. } => format!("belongs to the resource {uid}"),
        _ => "was not made by deployd".to_owned(),
    };
    let mut tag = format!("{}={}", bucket::OWNER_TAG, request.uid);
    if !installation.is_default() {
        tag.push_str(&format!(" and {}={installation}", bucket::INSTALLATION_TAG));
    }
    Fault::conflict(format!(
        "bucket {name} {whose}; choose another name, or hand it over by its tag {tag}"
    ))
}

/// The outputs that need no server.
fn known(endpoint: &str, inputs: &Inputs, bucket: &str) -> Map<String, Value> {
    let outputs = [("endpoint", endpoint), ("region", &inputs.region), ("bucket", bucket)];
    outputs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Settings of a bucket that a definition has set.
fn settings(versioning: &Option<bool>, expire_days: &Option<impl Serialize>) -> Map<String, Value> {
    let set = [
        ("versioning", versioning.map(Value::from)),
        ("expire_days", expire_days.as_ref().map(|days| json!(days))),
    ];
    set.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Removes what is in a bucket, and then the bucket, as far as one call goes.
fn empty<H: Host>(bucket: &Bucket<'_, H>, token: Option<&str>) -> Result<Option<Pending>, Fault> {
    let name = bucket.name;
    let pending = |token: String, message: String| {
        Some(Pending { token, poll_after: EMPTYING_PAUSE, message })
    };
    // What stands for a page: the token is no place for a thousand names.
    let emptying = |what: &str, page: &[(String, String)]| {
        let short = name::short(&format!("{page:?}"));
        format!("{EMPTYING}{what}:{short}")
    };
    let still_there = |next: &str| match token == Some(next) {
        false => Ok(()),
        true => Err(Fault::permanent(format!(
            "bucket {name}: the server says that objects were removed, and lists them all the same"
        ))),
    };
    let objects = bucket.empty_some()?;
    if !objects.is_empty() {
        let next = emptying("objects", &objects);
        still_there(&next)?;
        let removed = objects.len();
        return Ok(pending(
            next,
            format!("emptying bucket {name}: {removed} more objects are gone"),
        ));
    }
    if bucket.remove()? {
        return Ok(None);
    }
    let uploads = bucket.end_some_uploads()?;
    if !uploads.is_empty() {
        let next = emptying("uploads", &uploads);
        still_there(&next)?;
        let ended = uploads.len();
        return Ok(pending(next, format!("bucket {name}: {ended} unfinished uploads are ended")));
    }
    let before = token.and_then(|token| token.strip_prefix(REFUSED)?.parse().ok());
    let times = before.unwrap_or(0_u32).saturating_add(1);
    if times > REFUSALS {
        return Err(Fault::conflict(format!(
            "bucket {name} lists neither objects nor unfinished uploads, and the server does not \
             remove it ({times} times); see what the server says of it, or set on_destroy to keep"
        )));
    }
    let message = format!("bucket {name} seems empty, and the server does not remove it yet");
    Ok(pending(format!("{REFUSED}{times}"), message))
}

#[cfg(test)]
mod tests;
