//! A user of the bucket's own, by the IAM API that Amazon, Ceph and SeaweedFS
//! have: with a policy for this bucket and nothing else.

use deployd_plugin_sdk::name::short;
use deployd_plugin_sdk::{Fault, Host, Installation};
use serde_json::json;

use crate::account::{Account, Body};
use crate::answer::{Answer, children, document, text_of};

/// The version that every request of the API names.
const VERSION: &str = "2010-05-08";

/// The name of the policy.
const POLICY: &str = "deployd-bucket";

/// What the user may do with the bucket as a whole, and with what is in it. Not
/// its settings: tags say whose it is, and a policy could let others in. Only what
/// every server of the kind knows: some refuse a policy with an action that they
/// do not.
const ON_BUCKET: [&str; 2] = ["s3:ListBucket", "s3:GetBucketLocation"];
const ON_OBJECTS: [&str; 4] =
    ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"];

/// A user by its name.
pub(crate) struct User<'a, H> {
    pub(crate) account: &'a Account<'a, H>,
    pub(crate) name: String,
}

/// A new key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The longest name of a user.
const NAME_MAX: usize = 64;

/// The user's name: the same for a resource of an installation for ever.
pub(crate) fn name(installation: &Installation, uid: &str) -> String {
    if installation.is_default() {
        return format!("deployd-{uid}");
    }
    let name = format!("deployd-{installation}-{uid}");
    if name.len() <= NAME_MAX {
        name
    } else {
        format!("deployd-{}-{uid}", short(installation.as_str()))
    }
}

impl<H: Host> User<'_, H> {
    fn ask(&self, action: &str, more: &[(&str, &str)]) -> Result<Answer, Fault> {
        let mut fields = vec![("Action", action), ("Version", VERSION), ("UserName", &self.name)];
        fields.extend(more);
        self.account.send("POST", "/", Body::form(&fields))
    }

    fn what(&self, what: &str) -> String {
        format!("{what} user {}", self.name)
    }

    /// Makes it, unless it is there, with what it may do.
    pub(crate) fn set_up(&self, bucket: &str, actions: &[String]) -> Result<(), Fault> {
        match self.ask("CreateUser", &[])? {
            Answer::Refused(refusal) if refusal.code == "EntityAlreadyExists" => {}
            answer => answer.done(&self.what("making")).map(|_| ())?,
        }
        let policy = policy(bucket, actions);
        let fields = [("PolicyName", POLICY), ("PolicyDocument", policy.as_str())];
        self.ask("PutUserPolicy", &fields)?.done(&self.what("setting the policy of")).map(|_| ())
    }

    /// The ids of its keys; none when there is no such user.
    pub(crate) fn keys(&self) -> Result<Option<Vec<String>>, Fault> {
        let what = self.what("listing the keys of");
        match self.ask("ListAccessKeys", &[])? {
            Answer::Refused(refusal) if refusal.code == "NoSuchEntity" => Ok(None),
            answer => document(&answer.done(&what)?, &what, |root| {
                let result = children(root, "ListAccessKeysResult").next()?;
                let list = children(&result, "AccessKeyMetadata").next()?;
                let ids = children(&list, "member")
                    .map(|key| text_of(&key, "AccessKeyId").map(str::to_owned));
                ids.collect::<Option<Vec<_>>>().map(Some)
            }),
        }
    }

    /// Makes a key. This is the only time that its secret half can be had.
    pub(crate) fn new_key(&self) -> Result<Key, Fault> {
        let what = self.what("making a key for");
        let response = self.ask("CreateAccessKey", &[])?.done(&what)?;
        document(&response, &what, |root| {
            let result = children(root, "CreateAccessKeyResult").next()?;
            let key = children(&result, "AccessKey").next()?;
            let text = |name| text_of(&key, name).filter(|text| !text.is_empty());
            Some(Key {
                id: text("AccessKeyId")?.to_owned(),
                secret: text("SecretAccessKey")?.to_owned(),
            })
        })
    }

    /// Takes a key away.
    pub(crate) fn remove_key(&self, id: &str) -> Result<(), Fault> {
        match self.ask("DeleteAccessKey", &[("AccessKeyId", id)])? {
            Answer::Refused(refusal) if refusal.code == "NoSuchEntity" => Ok(()),
            answer => answer.done(&self.what("removing a key of")).map(|_| ()),
        }
    }

    /// Takes it away with all that it has.
    pub(crate) fn remove(&self) -> Result<(), Fault> {
        let Some(keys) = self.keys()? else { return Ok(()) };
        for id in keys {
            self.remove_key(&id)?;
        }
        match self.ask("DeleteUserPolicy", &[("PolicyName", POLICY)])? {
            Answer::Refused(refusal) if refusal.code == "NoSuchEntity" => {}
            answer => answer.done(&self.what("removing the policy of")).map(|_| ())?,
        }
        match self.ask("DeleteUser", &[])? {
            Answer::Refused(refusal) if refusal.code == "NoSuchEntity" => Ok(()),
            answer => answer.done(&self.what("removing")).map(|_| ()),
        }
    }
}

fn policy(bucket: &str, actions: &[String]) -> String {
    let resource = format!("arn:aws:s3:::{bucket}");
    let inside = format!("{resource}/*");
    let more = actions.iter().map(String::as_str);
    let on_objects: Vec<&str> = ON_OBJECTS.into_iter().chain(more).collect();
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ON_BUCKET, "Resource": [resource]},
            {"Effect": "Allow", "Action": on_objects, "Resource": [inside]},
        ],
    })
    .to_string()
}
