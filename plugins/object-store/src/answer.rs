//! What servers answer: XML, read within limits, and faults.

use std::time::Duration;

use deployd_plugin_sdk::http::Response;
use deployd_plugin_sdk::{Fault, Host, shown};
use roxmltree::{Document, Node, ParsingOptions};

/// The most elements and texts of an answer. A page of a thousand versions of
/// objects has some fifteen thousand.
const NODES_MAX: u32 = 100_000;

/// The deepest that elements stand inside each other. No answer of S3 or IAM
/// needs ten.
const DEPTH_MAX: usize = 32;

/// How long until a request is worth another try when the clocks differ: until
/// somebody has set one of them.
const CLOCK_PAUSE: Duration = Duration::from_secs(60);

/// An answer: what it holds, or what the server says is wrong.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Response),
    Refused(Refusal),
}

/// What a server says is wrong.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// `NoSuchBucket`; empty when the server says none.
    pub(crate) code: String,
    message: String,
    /// The region that the bucket is in, when that is what is wrong.
    region: Option<String>,
    /// What the server's clock shows.
    date: Option<String>,
    after: Option<Duration>,
}

/// Takes an answer apart. What passes by itself is a fault at once, whatever the
/// request was.
pub(crate) fn read(host: &impl Host, response: Response) -> Result<Answer, Fault> {
    if response.is_success() {
        return Ok(Answer::Done(response));
    }
    let header = |name: &str| response.header(name).map(shown);
    let mut refusal = Refusal {
        status: response.status,
        region: header("x-amz-bucket-region"),
        date: header("date"),
        after: response.retry_after(),
        ..Refusal::default()
    };
    // An answer to HEAD has no body, and a proxy's may be anything.
    if let Ok(text) = std::str::from_utf8(&response.body)
        && let Ok(document) = parse(text)
    {
        let error = document.descendants().find(|node| is(node, "Error"));
        let error = error.unwrap_or_else(|| document.root_element());
        refusal.code = shown(text_of(&error, "Code").unwrap_or_default());
        refusal.message = shown(text_of(&error, "Message").unwrap_or_default());
        refusal.region = refusal.region.or(text_of(&error, "Region").map(shown));
    }
    if let Some(fault) = passing(host, &refusal) {
        return Err(fault);
    }
    match response.passing("the request") {
        Some(Fault::Unavailable { after, .. }) => Err(Fault::Unavailable {
            message: format!("the server fails, or asks for fewer requests ({refusal})"),
            after,
        }),
        _ => Ok(Answer::Refused(refusal)),
    }
}

/// What may be gone the next time.
fn passing(host: &impl Host, refusal: &Refusal) -> Option<Fault> {
    let unavailable =
        |message: String, after: Option<Duration>| Some(Fault::Unavailable { message, after });
    match (refusal.status, refusal.code.as_str()) {
        (_, "RequestTimeTooSkewed" | "RequestExpired") => {
            let theirs = refusal.date.as_deref().unwrap_or("unknown");
            let ours = host.now_ms() / 1_000;
            unavailable(
                format!(
                    "the clocks of the server ({theirs}) and of deployd ({ours} s since 1970) are \
                     too far apart for signatures; set the wrong one"
                ),
                Some(refusal.after.unwrap_or(CLOCK_PAUSE)),
            )
        }
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded") => {
            unavailable(format!("the server asks for fewer requests ({refusal})"), refusal.after)
        }
        // Somebody else changes the same thing at this moment.
        (_, "OperationAborted" | "ConcurrentModification" | "BucketAlreadyBeingDeleted") => {
            unavailable(format!("the server asks for another try ({refusal})"), refusal.after)
        }
        (_, "RequestTimeout") => {
            unavailable(format!("the server fails ({refusal})"), refusal.after)
        }
        // What stands before the server, an ingress without a backend, says that too:
        // it must not be taken for the end of a bucket.
        (404, "") => unavailable(
            format!("the answer is not that of an S3 server ({refusal}); is it the endpoint?"),
            refusal.after,
        ),
        _ => None,
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, ", {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// The fault, for a request that this ends. `what` was to be done.
    pub(crate) fn fault(&self, what: &str) -> Fault {
        let say = |advice: &str| format!("{what}: {advice} ({self})");
        match (self.status, self.code.as_str()) {
            (300..=399, _)
            | (
                _,
                "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => {
                let place = match &self.region {
                    Some(region) => format!("region {region:?}"),
                    None => "another region or at another endpoint".to_owned(),
                };
                Fault::invalid(
                    "/inputs/region",
                    say(&format!(
                        "the bucket is in {place}; set region and endpoint, redirects are not followed"
                    )),
                )
            }
            (_, "SignatureDoesNotMatch") => {
                Fault::denied(say("the secret key is not that of the access key id"))
            }
            (_, "InvalidAccessKeyId" | "InvalidClientTokenId") => {
                Fault::denied(say("the server knows no such access key id"))
            }
            (_, "ExpiredToken" | "TokenRefreshRequired") => {
                Fault::denied(say("the access key has expired"))
            }
            (401 | 403, _) => Fault::denied(say("the access key does not allow it")),
            (_, "InvalidBucketName") => Fault::invalid("/inputs/bucket", say("not a good name")),
            (404, _) => Fault::not_found(say("it is not there")),
            (409, _) => Fault::conflict(say("somebody else has it, or has changed it")),
            (501, _) | (_, "NotImplemented") => {
                Fault::unsupported(say("the server does not do this"))
            }
            (400..=499, _) => Fault::permanent(say("the server refuses it")),
            _ => Fault::permanent(say("the server answers as none of its kind")),
        }
    }
}

impl Answer {
    /// What the answer holds, or the fault. `what` was to be done.
    pub(crate) fn done(self, what: &str) -> Result<Response, Fault> {
        match self {
            Self::Done(response) => Ok(response),
            Self::Refused(refusal) => Err(refusal.fault(what)),
        }
    }
}

/// Reads the XML of an answer with a function. What is no such XML may be gone the
/// next time, and is never quoted.
pub(crate) fn document<T>(
    response: &Response,
    what: &str,
    read: impl FnOnce(&Node<'_, '_>) -> Option<T>,
) -> Result<T, Fault> {
    let unreadable = || {
        Fault::unavailable(format!(
            "{what}: the answer (status {}) is not the XML that was expected",
            response.status
        ))
    };
    let text = std::str::from_utf8(&response.body).map_err(|_| unreadable())?;
    let document = parse(text).map_err(|()| unreadable())?;
    read(&document.root_element()).ok_or_else(unreadable)
}

/// Without a DTD there are no entities, so nothing grows and nothing is fetched.
fn parse(text: &str) -> Result<Document<'_>, ()> {
    if deeper_than(text, DEPTH_MAX) {
        return Err(());
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..Default::default() };
    Document::parse_with_options(text, options).map_err(|_| ())
}

/// Whether elements stand deeper inside each other: a bound on what the parser's
/// stack grows to. Counts begun and ended tags; in comments it may count too many,
/// which servers do not send.
fn deeper_than(text: &str, max: usize) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let Some(after) = rest.get(at + 1..) else { break };
        let end = after.find('>').unwrap_or(after.len());
        let tag = after.get(..end).unwrap_or_default();
        match tag.chars().next() {
            Some('/') => depth = depth.saturating_sub(1),
            Some('?' | '!') | None => {}
            Some(_) if tag.ends_with('/') => {}
            Some(_) => depth += 1,
        }
        if depth > max {
            return true;
        }
        rest = after.get(end..).unwrap_or_default();
    }
    false
}

/// Whether a node is an element of this name, in whatever namespace.
pub(crate) fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// The children of this name.
pub(crate) fn children<'a, 'input>(
    node: &Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> + use<'a, 'input> {
    node.children().filter(move |child| is(child, name))
}

/// The text of the first child of this name; empty when it has none.
pub(crate) fn text_of<'a>(node: &Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    children(node, name).next().map(|child| child.text().unwrap_or_default())
}
