//! Between the Component Model's bindings and the traits. Only the `export_…!`
//! macros use what is here.
//!
//! Each kind has bindings of its own, under a feature of its own: a binary that
//! held the worlds of two kinds would become a component that must export both.

#[cfg(feature = "check")]
pub mod check;
#[cfg(any(feature = "check", feature = "driver"))]
mod connected;
#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "notifier")]
pub mod notifier;
#[cfg(feature = "policy")]
pub mod policy;
#[cfg(feature = "receiver")]
pub mod receiver;
#[cfg(feature = "strategy")]
pub mod strategy;
#[cfg(feature = "teller")]
pub mod teller;
#[cfg(feature = "templater")]
pub mod templater;
#[cfg(any(feature = "check", feature = "driver"))]
mod wasi;

/// The same few conversions for each kind: every world has Rust types of its own
/// for the WIT types that all share. `wit` and `wit_log` are its modules.
#[cfg(any(
    feature = "check",
    feature = "driver",
    feature = "notifier",
    feature = "policy",
    feature = "receiver",
    feature = "strategy",
    feature = "teller",
    feature = "templater"
))]
macro_rules! shared_conversions {
    () => {
        /// The log that the host offers.
        struct GuestLog;

        impl crate::Log for GuestLog {
            fn line(&self, level: crate::Level, message: &str) {
                let level = match level {
                    crate::Level::Debug => wit_log::Level::Debug,
                    crate::Level::Info => wit_log::Level::Info,
                    crate::Level::Warn => wit_log::Level::Warn,
                    crate::Level::Error => wit_log::Level::Error,
                };
                wit_log::line(level, message);
            }
        }

        /// Has a panic tell where and why before it traps.
        fn log_panics() {
            std::panic::set_hook(Box::new(|panic| {
                crate::Log::error(&GuestLog, &panic.to_string());
            }));
        }

        impl From<crate::Fault> for wit::Fault {
            fn from(fault: crate::Fault) -> Self {
                use crate::Fault;
                match fault {
                    Fault::Invalid(fields) => Self::Invalid(
                        fields
                            .into_iter()
                            .map(|field| wit::FieldFault {
                                path: field.path,
                                message: field.message,
                            })
                            .collect(),
                    ),
                    Fault::NotFound(message) => Self::NotFound(message),
                    Fault::Conflict(message) => Self::Conflict(message),
                    Fault::Denied(message) => Self::Denied(message),
                    Fault::Unavailable { message, after } => Self::Unavailable(wit::Retry {
                        message,
                        after_ms: after.map(crate::guest::milliseconds),
                    }),
                    Fault::Permanent(message) => Self::Permanent(message),
                    Fault::Unsupported(message) => Self::Unsupported(message),
                }
            }
        }
    };
}
#[cfg(any(
    feature = "check",
    feature = "driver",
    feature = "notifier",
    feature = "policy",
    feature = "receiver",
    feature = "strategy",
    feature = "teller",
    feature = "templater"
))]
use shared_conversions;

#[cfg(any(
    feature = "check",
    feature = "driver",
    feature = "notifier",
    feature = "policy",
    feature = "receiver",
    feature = "strategy",
    feature = "teller",
    feature = "templater"
))]
fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
