//! Where the daemon may connect to: pure decisions about hosts, addresses and
//! grants. The broker that connects asks them before it does.

mod address;
mod credential;
mod grant;
mod host;

pub use address::{AddressClass, classify};
pub use credential::{
    AUTHORIZATION, CONNECTION_HEADERS, CredentialProblem, MAIL_SCHEMES, credential_problems,
    is_this_machine,
};
pub use grant::{NotGranted, Passage, Refused, find, find_for_method};
pub use host::{Host, HostError};
