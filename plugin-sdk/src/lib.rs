//! What the author of a deployd plugin depends on.
//!
//! A plugin implements one trait and calls one macro; everything else is plain
//! Rust and serde. Turn on the feature of the plugin's kind:
//!
//! | feature | trait | macro |
//! | --- | --- | --- |
//! | `driver` | [`driver::Driver`] | [`export_driver!`] |
//! | `templater` | [`templater::Templater`] | [`export_templater!`] |
//! | `strategy` | [`strategy::Strategy`] | [`export_strategy!`] |
//! | `notifier` | [`notifier::Notifier`] | [`export_notifier!`] |
//! | `teller` (a notifier that reads answers) | [`teller::Teller`] | [`export_teller!`] |
//! | `receiver` | [`receiver::Receiver`] | [`export_receiver!`] |
//! | `check` | [`check::Check`] | [`export_check!`] |
//! | `policy` | [`policy::Policy`] | [`export_policy!`] |
//!
//! ```
//! use deployd_plugin_sdk::driver::{Driver, Progress, Provisioned, Removal, Request};
//! use deployd_plugin_sdk::{Fault, Host, Ignored};
//!
//! #[derive(serde::Deserialize)]
//! struct Inputs {
//!     endpoint: String,
//! }
//!
//! struct Bucket;
//!
//! impl Driver for Bucket {
//!     type Params = Ignored;
//!     type Inputs = Inputs;
//!     type State = ();
//!
//!     fn provision(
//!         request: &Request<Self>,
//!         _token: Option<&str>,
//!         _host: &impl Host,
//!     ) -> Result<Progress<()>, Fault> {
//!         let url = format!("{}/{}", request.inputs.endpoint, request.id);
//!         Ok(Provisioned::new(()).output("url", url).into())
//!     }
//!
//!     fn destroy(_: &Request<Self>, _: Option<&str>, _: &impl Host) -> Result<Removal, Fault> {
//!         Ok(Removal::Done)
//!     }
//! }
//!
//! deployd_plugin_sdk::export_driver!(Bucket);
//! ```
//!
//! Natively the macros only check the type, so `cargo test` needs no Wasm
//! toolchain: [`testing`] has a host to run a plugin against.
//!
//! A call that can't be fulfilled returns a [`Fault`]. A document that does not
//! fit the plugin's types becomes one before the plugin sees it. A panic is a
//! bug: the host counts it as a strike, and its message goes to the log.

pub mod check;
mod document;
pub mod driver;
mod fault;
pub mod guest;
mod host;
pub mod http;
mod installation;
mod memory;
pub mod name;
pub mod net;
pub mod notifier;
pub mod policy;
pub mod receiver;
mod scope;
pub mod secret;
pub mod strategy;
pub mod teller;
pub mod templater;
pub mod testing;

pub use document::{fit, is_known_later};
pub use fault::{Fault, FieldFault, shown};
pub use host::{Host, Level, Log, Recipe, Secret};
pub use installation::Installation;
pub use memory::discard;
pub use scope::{Pending, Scope};

/// For a document that a plugin takes no notice of.
pub type Ignored = serde::de::IgnoredAny;
