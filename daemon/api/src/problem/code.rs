//! The kinds of problems: stable, for programs.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// The kind of a problem.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl Code {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As programs see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The identifier that RFC 9457 calls `type`.
            pub(crate) fn problem_type(self) -> &'static str {
                match self { $(Self::$variant => concat!("https://deployd.dev/problems/", $code),)* }
            }

            /// The status that goes with it.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// For a person.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is no JSON.
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is no JSON";
    /// A parameter of path or query is not what it should be.
    InvalidParameter = "invalid-parameter", BAD_REQUEST, "A parameter is not valid";
    /// The idempotency key is too long, or twice there.
    InvalidIdempotencyKey = "invalid-idempotency-key", BAD_REQUEST, "The idempotency key is not valid";
    /// No body came, or not all of it.
    IncompleteBody = "incomplete-body", BAD_REQUEST, "The body did not arrive";
    /// There is no token, or it is not known.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A token is needed";
    /// The token may not do this.
    Forbidden = "forbidden", FORBIDDEN, "The token may not do this";
    /// What is asked for is not allowed to anybody.
    Denied = "denied", FORBIDDEN, "This is not allowed";
    /// There is no such operation.
    RouteNotFound = "route-not-found", NOT_FOUND, "There is no such operation";
    /// There is no such thing.
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// The path is known, the method is not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The path has no such method";
    /// The body took too long to arrive.
    BodyTimeout = "body-timeout", REQUEST_TIMEOUT, "The body took too long";
    /// It does not fit to how things are.
    Conflict = "conflict", CONFLICT, "It does not fit to how things are";
    /// The body is too large.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// Both sides of a merge have changed the same differently.
    Unmerged = "unmerged", CONFLICT, "Both sides have changed the same";
    /// Resources that are there would come from elsewhere.
    ResourcesAffected = "resources-affected", CONFLICT, "Resources that are there would come from elsewhere";
    /// Path and query are too long.
    UriTooLong = "uri-too-long", URI_TOO_LONG, "The address is too long";
    /// The body has another media type than the operation reads.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body's media type is not read here";
    /// What was sent can't be fulfilled as it is.
    InvalidRequest = "invalid-request", UNPROCESSABLE_ENTITY, "The request can't be fulfilled as it is";
    /// Documents have errors.
    InvalidDocuments = "invalid-documents", UNPROCESSABLE_ENTITY, "Documents have errors";
    /// The idempotency key came with another request before.
    IdempotencyKeyReuse = "idempotency-key-reuse", UNPROCESSABLE_ENTITY, "The idempotency key was used before";
    /// It failed, and would fail again.
    Failed = "failed", UNPROCESSABLE_ENTITY, "It failed";
    /// One identity asks too often; come back later.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests";
    /// deployd failed.
    Internal = "internal", INTERNAL_SERVER_ERROR, "deployd failed";
    /// Too much is going on; come back later.
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much is going on";
    /// Something that it needs is not there now; come back later.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Something is not there now";
    /// It is not known yet whether it succeeded.
    TimedOut = "timed-out", SERVICE_UNAVAILABLE, "It took too long";
    /// There is no room on the daemon's disk.
    Full = "full", INSUFFICIENT_STORAGE, "There is no room";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
