//! One bucket: made, marked as ours, set up, emptied, removed.

use deployd_plugin_sdk::{Fault, Host, Installation};

use crate::account::{Account, Body};
use crate::answer::{Answer, children, document, text_of};

/// The tag that says whose bucket it is.
pub(crate) const OWNER_TAG: &str = "deployd.dev/uid";

/// The tag that says of which installation that resource is; of the default one
/// without it.
pub(crate) const INSTALLATION_TAG: &str = "deployd.dev/installation";

/// The id of the one lifecycle rule.
const RULE: &str = "deployd-expire";

/// Versions of objects that are listed, and removed, at once: what S3 allows.
const PAGE: usize = 1_000;

/// Unfinished uploads that are ended in one call, each by a request of its own.
const UPLOADS: usize = 20;

/// The most tags of a bucket that S3 takes.
const TAGS_MAX: usize = 50;

/// A bucket at an endpoint, by its path: a grant names one host, and a bucket's
/// own host name would be another.
pub(crate) struct Bucket<'a, H> {
    pub(crate) account: &'a Account<'a, H>,
    pub(crate) name: &'a str,
}

/// Whose a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// There is no bucket.
    Absent,
    /// No tag says.
    Nobody(Vec<(String, String)>),
    /// The resource with this uid, of this installation.
    Resource { uid: String, installation: String },
}

impl Owner {
    /// Whether it is this resource.
    pub(crate) fn is(&self, installation: &Installation, uid: &str) -> bool {
        matches!(self, Self::Resource { uid: theirs, installation: of }
            if theirs == uid && of == installation.as_str())
    }
}

/// The tags that say that a bucket is a resource's.
fn own_tags(installation: &Installation, uid: &str) -> Vec<(String, String)> {
    let mut tags = vec![(OWNER_TAG.to_owned(), uid.to_owned())];
    if !installation.is_default() {
        tags.push((INSTALLATION_TAG.to_owned(), installation.to_string()));
    }
    tags
}

/// What making a bucket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It is there now, or was before, in the same account.
    Ours,
    /// Another account has it.
    OfOthers,
}

impl<H: Host> Bucket<'_, H> {
    fn send(&self, method: &str, query: &str, body: Body) -> Result<Answer, Fault> {
        self.account.send(method, &format!("/{}{query}", self.name), body)
    }

    fn what(&self, what: &str) -> String {
        format!("{what} bucket {}", self.name)
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> Result<Owner, Fault> {
        let what = self.what("reading the tags of");
        match self.send("GET", "?tagging", Body::none())? {
            Answer::Refused(refusal) if refusal.code == "NoSuchTagSet" => {
                Ok(Owner::Nobody(Vec::new()))
            }
            Answer::Refused(refusal) if refusal.code == "NoSuchBucket" => Ok(Owner::Absent),
            answer => {
                let tags = document(&answer.done(&what)?, &what, |root| {
                    let set = children(root, "TagSet").next()?;
                    let tag = |tag| Some((text_of(&tag, "Key")?, text_of(&tag, "Value")?));
                    let tags = children(&set, "Tag").map(|node| {
                        tag(node).map(|(key, value)| (key.to_owned(), value.to_owned()))
                    });
                    tags.collect::<Option<Vec<_>>>()
                })?;
                let tag = |name: &str| {
                    let found = tags.iter().find(|(key, _)| key == name);
                    found.map(|(_, value)| value.clone())
                };
                let default = || Installation::default().to_string();
                match tag(OWNER_TAG) {
                    Some(uid) => Ok(Owner::Resource {
                        uid,
                        installation: tag(INSTALLATION_TAG).unwrap_or_else(default),
                    }),
                    None => Ok(Owner::Nobody(tags)),
                }
            }
        }
    }

    /// Makes it, unless it is there.
    pub(crate) fn create(&self, region: &str) -> Result<Made, Fault> {
        // The one region that has no name for this purpose.
        let body = match region {
            "us-east-1" => Body::none(),
            region => Body::xml(format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
                escaped(region)
            )),
        };
        match self.send("PUT", "", body)? {
            Answer::Refused(refusal) if refusal.code == "BucketAlreadyOwnedByYou" => Ok(Made::Ours),
            Answer::Refused(refusal) if refusal.code == "BucketAlreadyExists" => Ok(Made::OfOthers),
            answer => answer.done(&self.what("making")).map(|_| Made::Ours),
        }
    }

    /// Marks it as a resource's, beside the tags that it has.
    pub(crate) fn mark(
        &self,
        installation: &Installation,
        uid: &str,
        tags: &[(String, String)],
    ) -> Result<(), Fault> {
        let own = own_tags(installation, uid);
        if tags.len() + own.len() > TAGS_MAX {
            return Err(Fault::conflict(format!(
                "bucket {} has {} tags, so that there is no room for the one that says whose it is",
                self.name,
                tags.len()
            )));
        }
        let set: String = tags
            .iter()
            .filter(|(key, _)| key != INSTALLATION_TAG)
            .chain(&own)
            .map(|(key, value)| {
                format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escaped(key), escaped(value))
            })
            .collect();
        let body = Body::xml(format!("<Tagging><TagSet>{set}</TagSet></Tagging>"));
        self.send("PUT", "?tagging", body)?.done(&self.what("tagging")).map(|_| ())
    }

    /// Whether it keeps earlier versions.
    pub(crate) fn versioning(&self) -> Result<bool, Fault> {
        let what = self.what("reading the versioning of");
        let response = self.send("GET", "?versioning", Body::none())?.done(&what)?;
        document(&response, &what, |root| Some(text_of(root, "Status") == Some("Enabled")))
    }

    /// Has it keep earlier versions from now on, or no longer.
    pub(crate) fn set_versioning(&self, enabled: bool) -> Result<(), Fault> {
        let status = if enabled { "Enabled" } else { "Suspended" };
        let body = Body::xml(format!(
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Status>{status}</Status></VersioningConfiguration>"
        ));
        let what = self.what("setting the versioning of");
        self.send("PUT", "?versioning", body)?.done(&what).map(|_| ())
    }

    /// After how many days objects go away by our rule.
    pub(crate) fn expire_days(&self) -> Result<Option<u32>, Fault> {
        let what = self.what("reading the lifecycle of");
        match self.send("GET", "?lifecycle", Body::none())? {
            Answer::Refused(refusal) if refusal.code == "NoSuchLifecycleConfiguration" => Ok(None),
            answer => document(&answer.done(&what)?, &what, |root| {
                let ours = children(root, "Rule").find(|rule| text_of(rule, "ID") == Some(RULE));
                let days = ours
                    .and_then(|rule| children(&rule, "Expiration").next())
                    .and_then(|expiration| text_of(&expiration, "Days")?.trim().parse().ok());
                Some(days)
            }),
        }
    }

    /// Has objects go away after so many days, or stay.
    pub(crate) fn set_expire_days(&self, days: Option<u32>) -> Result<(), Fault> {
        let what = self.what("setting the lifecycle of");
        let answer = match days {
            None => self.send("DELETE", "?lifecycle", Body::none())?,
            Some(days) => {
                let body = Body::xml(format!(
                    "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                     <Rule><ID>{RULE}</ID><Status>Enabled</Status>\
                     <Filter><Prefix></Prefix></Filter>\
                     <Expiration><Days>{days}</Days></Expiration></Rule></LifecycleConfiguration>"
                ));
                self.send("PUT", "?lifecycle", body)?
            }
        };
        answer.done(&what).map(|_| ())
    }

    /// Some of what is in it, earlier versions included: keys and versions.
    pub(crate) fn some_contents(&self, most: usize) -> Result<Vec<(String, String)>, Fault> {
        let what = self.what("listing");
        let query = format!("?encoding-type=url&max-keys={}&versions=", most.min(PAGE));
        let response = self.send("GET", &query, Body::none())?.done(&what)?;
        document(&response, &what, |root| {
            // Not every server encodes keys when it is asked to; who does says so.
            let encoded = text_of(root, "EncodingType") == Some("url");
            let versions = children(root, "Version").chain(children(root, "DeleteMarker"));
            versions
                .map(|version| {
                    let key = text_of(&version, "Key")?;
                    let key = if encoded { decoded(key)? } else { key.to_owned() };
                    let id = text_of(&version, "VersionId").unwrap_or("null");
                    Some((key, id.to_owned()))
                })
                .collect()
        })
    }

    /// Whether nothing is in it. Asked before it is removed: not every server
    /// refuses to remove a bucket that has something in it.
    pub(crate) fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.some_contents(1)?.is_empty())
    }

    /// Removes a page of what is in it. Returns what it was; nothing when it is
    /// empty.
    pub(crate) fn empty_some(&self) -> Result<Vec<(String, String)>, Fault> {
        let contents = self.some_contents(PAGE)?;
        if contents.is_empty() {
            return Ok(contents);
        }
        let objects: String = contents
            .iter()
            .map(|(key, version)| {
                format!(
                    "<Object><Key>{}</Key><VersionId>{}</VersionId></Object>",
                    escaped(key),
                    escaped(version)
                )
            })
            .collect();
        let body = Body::xml(format!("<Delete><Quiet>true</Quiet>{objects}</Delete>"));
        let what = self.what("emptying");
        let response = self.send("POST", "?delete=", body)?.done(&what)?;
        let refused = document(&response, &what, |root| {
            let first = children(root, "Error").next();
            Some(first.map(|error| {
                let code = text_of(&error, "Code").unwrap_or_default().to_owned();
                let key = text_of(&error, "Key").unwrap_or_default().to_owned();
                (code, key)
            }))
        })?;
        match refused {
            None => Ok(contents),
            Some((code, key)) if code == "AccessDenied" => Err(Fault::denied(format!(
                "{what}: object {key:?} may not be removed; a legal hold or retention may keep it"
            ))),
            Some((code, key)) => {
                Err(Fault::unavailable(format!("{what}: object {key:?} was not removed ({code})")))
            }
        }
    }

    /// Ends uploads that were begun in parts and never finished: they are not
    /// listed among the objects, and some servers keep a bucket for them. Returns
    /// those that were there; there may be more.
    pub(crate) fn end_some_uploads(&self) -> Result<Vec<(String, String)>, Fault> {
        let what = self.what("listing unfinished uploads in");
        let query = format!("?encoding-type=url&max-uploads={UPLOADS}&uploads=");
        let response = match self.send("GET", &query, Body::none())? {
            Answer::Refused(refusal) if refusal.code == "NoSuchUpload" => return Ok(Vec::new()),
            answer => answer.done(&what)?,
        };
        let uploads = document(&response, &what, |root| {
            let encoded = text_of(root, "EncodingType") == Some("url");
            let upload = |node| {
                let key = text_of(&node, "Key")?;
                let key = if encoded { decoded(key)? } else { key.to_owned() };
                Some((key, text_of(&node, "UploadId")?.to_owned()))
            };
            children(root, "Upload").map(upload).collect::<Option<Vec<_>>>()
        })?;
        for (key, id) in uploads.iter().take(UPLOADS) {
            let (key, id) = (in_path(key), in_path(id).replace('/', "%2F"));
            match self.send("DELETE", &format!("/{key}?uploadId={id}"), Body::none())? {
                Answer::Refused(refusal) if refusal.code == "NoSuchUpload" => {}
                answer => answer.done(&self.what("ending an upload in")).map(|_| ())?,
            }
        }
        Ok(uploads)
    }

    /// Removes it. False when it was not empty after all.
    pub(crate) fn remove(&self) -> Result<bool, Fault> {
        match self.send("DELETE", "", Body::none())? {
            Answer::Refused(refusal) if refusal.code == "NoSuchBucket" => Ok(true),
            Answer::Refused(refusal) if refusal.code == "BucketNotEmpty" => Ok(false),
            answer => answer.done(&self.what("removing")).map(|_| true),
        }
    }
}

/// A text inside XML. Control characters are written as numbers, so that a key
/// with a carriage return in it is that key still.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => {
                escaped.push_str(&format!("&#{};", u32::from(control)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A key as a part of a path, encoded as signatures want it (RFC 3986).
fn in_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// A key that a listing has encoded as in a URL.
fn decoded(key: &str) -> Option<String> {
    // A form of one name and no value: `+` is a blank there, as in these listings.
    let form = format!("{}=", key.replace('=', "%3D").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_way_there_and_back() {
        assert_eq!(decoded("a%2Fb+c%26d=e").unwrap(), "a/b c&d=e");
        assert_eq!(in_path("a/b c+ä~"), "a/b%20c%2B%C3%A4~");
        assert_eq!(escaped("a<b>&\"\r"), "a&lt;b&gt;&amp;&quot;&#13;");
    }
}
