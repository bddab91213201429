//! What a component is built for, found in its bytes before anything is
//! compiled: which contract it exports, and what it imports.

use deployd_core::config::PluginKind;
use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, FuncValidatorAllocations, Parser, Payload, ValidPayload, Validator};
use wasmtime::component::Component;

use crate::bindings::{
    check_v0_1, driver_v0_1, notifier_v0_1, notifier_v0_2, policy_v0_1, receiver_v0_1,
    strategy_v0_1, templater_v0_1,
};
use crate::engine;
use crate::interfaces::{http, wasi};
use crate::limits;
use crate::plugin::Exports;

/// One track of one extension point.
pub(crate) struct Contract {
    pub(crate) kind: PluginKind,
    /// The interface that a plugin exports, without a version.
    interface: &'static str,
    /// The version that is hosted.
    version: &'static str,
    /// Interfaces of ours that it may import.
    imports: &'static [&'static str],
    /// Links a component; with WASI if asked.
    pub(crate) link: fn(&Component, bool) -> wasmtime::Result<Exports>,
}

const PURE: &[&str] = &["deployd:host/log@0.1.0", "deployd:types/types@0.1.0"];
const CONNECTED: &[&str] = &[
    "deployd:host/clock@0.1.0",
    "deployd:host/log@0.1.0",
    "deployd:host/net@0.1.0",
    "deployd:host/secrets@0.1.0",
    "deployd:types/types@0.1.0",
];

/// All that this daemon hosts. A second track of a kind is a second line.
const HOSTED: [Contract; 8] = [
    Contract {
        kind: PluginKind::Driver,
        interface: "deployd:driver/driver",
        version: "0.1.0",
        imports: CONNECTED,
        link: driver_v0_1::link,
    },
    Contract {
        kind: PluginKind::Templater,
        interface: "deployd:templater/templater",
        version: "0.1.0",
        imports: PURE,
        link: templater_v0_1::link,
    },
    Contract {
        kind: PluginKind::Strategy,
        interface: "deployd:strategy/strategy",
        version: "0.1.0",
        imports: PURE,
        link: strategy_v0_1::link,
    },
    Contract {
        kind: PluginKind::Notifier,
        interface: "deployd:notifier/notifier",
        version: "0.1.0",
        imports: PURE,
        link: notifier_v0_1::link,
    },
    Contract {
        kind: PluginKind::Notifier,
        interface: "deployd:notifier/notifier",
        version: "0.2.0",
        imports: PURE,
        link: notifier_v0_2::link,
    },
    Contract {
        kind: PluginKind::Receiver,
        interface: "deployd:receiver/receiver",
        version: "0.1.0",
        imports: PURE,
        link: receiver_v0_1::link,
    },
    Contract {
        kind: PluginKind::Check,
        interface: "deployd:check/check",
        version: "0.1.0",
        imports: CONNECTED,
        link: check_v0_1::link,
    },
    Contract {
        kind: PluginKind::Policy,
        interface: "deployd:policy/policy",
        version: "0.1.0",
        imports: PURE,
        link: policy_v0_1::link,
    },
];

/// Why a component is no plugin of this daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The bytes are no valid component.
    #[error("these bytes are no valid WebAssembly component: {0}")]
    Invalid(String),
    /// A core module.
    #[error(
        "this is a core module, not a component; \
         `cargo xtask plugin build` and `wasm-tools component new` make one of it"
    )]
    CoreModule,
    /// More core modules than anybody needs.
    #[error("it has more than {} core modules inside", limits::CORE_MODULES)]
    TooManyModules,
    /// It does not export what its kind exports.
    #[error("it is to be a {kind}, and does not export {expected}; it exports {}", list(exports))]
    MissingExport {
        /// The kind that it should be.
        kind: PluginKind,
        /// What it should export.
        expected: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// It is of another kind.
    #[error("it is to be a {expected}, and is a {found}: it exports {export}")]
    WrongKind {
        /// The kind that it should be.
        expected: PluginKind,
        /// The kind that it is.
        found: PluginKind,
        /// What it exports.
        export: String,
    },
    /// It was built for a track of the contract that is not hosted.
    #[error("it offers {offers}, this daemon hosts {hosted}")]
    WrongVersion {
        /// What it exports.
        offers: String,
        /// What is hosted.
        hosted: String,
    },
    /// It imports what nobody offers it.
    #[error(
        "it imports {}; this daemon offers to a {kind}: {}{}",
        list(unknown),
        list(offered),
        notes(unknown)
    )]
    UnknownImports {
        /// Its kind.
        kind: PluginKind,
        /// What it imports in vain.
        unknown: Vec<String>,
        /// What it could import.
        offered: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Says why some imports that one could expect are not there.
fn notes(unknown: &[String]) -> String {
    let mut notes = String::new();
    let has = |prefix: &str| unknown.iter().any(|name| name.starts_with(prefix));
    if has("wasi:sockets") {
        notes.push_str(
            ". Plugins have no sockets of their own: drivers and checks have deployd:host/net, and \
             wasi:http/outgoing-handler",
        );
    }
    if has("deployd:host/") || has("wasi:http/") {
        notes.push_str(
            ". Plugins of pure kinds have nothing but a log: the same input gives the same output",
        );
    }
    notes
}

/// Names that a component imports and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Surface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Validates all of a component, function bodies included: a compiler should
/// never see what is not valid.
pub(crate) fn validate(bytes: &[u8]) -> Result<Surface, ContractError> {
    let invalid = |error: wasmparser::BinaryReaderError| ContractError::Invalid(error.to_string());
    let mut validator = Validator::new_with_features(engine::features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut surface = Surface::default();
    let (mut depth, mut modules) = (0usize, 0usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 && modules == 0 => {
                return Err(ContractError::CoreModule);
            }
            Payload::ModuleSection { .. } => {
                depth += 1;
                modules += 1;
                if modules > limits::CORE_MODULES {
                    return Err(ContractError::TooManyModules);
                }
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports.clone() {
                    surface.imports.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports.clone() {
                    surface.exports.push(export.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(invalid)? {
            let mut function = function.into_validator(std::mem::take(&mut allocations));
            function.validate(&body).map_err(invalid)?;
            allocations = function.into_allocations();
        }
    }
    Ok(surface)
}

/// The contract that a component of this kind was built for.
pub(crate) fn find(
    kind: PluginKind,
    surface: &Surface,
) -> Result<&'static Contract, ContractError> {
    let hosted = || HOSTED.iter().filter(move |contract| contract.kind == kind);
    let mut other_version = None;
    for export in &surface.exports {
        let (interface, version) = split(export);
        for contract in hosted().filter(|contract| contract.interface == interface) {
            if same_track(version, contract.version) {
                return Ok(contract);
            }
            other_version.get_or_insert(export);
        }
    }
    let names: Vec<_> = hosted().map(Contract::name).collect();
    if let Some(offers) = other_version {
        return Err(ContractError::WrongVersion {
            offers: package(offers),
            hosted: hosted()
                .map(|contract| package(&contract.name()))
                .collect::<Vec<_>>()
                .join(", "),
        });
    }
    for export in &surface.exports {
        let interface = split(export).0;
        if let Some(other) = HOSTED.iter().find(|contract| contract.interface == interface) {
            return Err(ContractError::WrongKind {
                expected: kind,
                found: other.kind,
                export: export.clone(),
            });
        }
    }
    Err(ContractError::MissingExport {
        kind,
        expected: names.join(" or "),
        exports: surface.exports.clone(),
    })
}

impl Contract {
    /// `deployd:driver/driver@0.1.0`.
    fn name(&self) -> String {
        format!("{}@{}", self.interface, self.version)
    }

    /// `deployd:driver@0.1.0`.
    pub(crate) fn package(&self) -> String {
        package(&self.name())
    }

    /// Whether everything that is imported is there. Says whether WASI is needed.
    pub(crate) fn check_imports(&self, imports: &[String]) -> Result<bool, ContractError> {
        let (mut wasi, mut unknown) = (false, Vec::new());
        for import in imports {
            let (interface, version) = split(import);
            let ours = self.imports.iter().any(|offered| {
                let (name, hosted) = split(offered);
                name == interface && same_track(version, hosted)
            });
            let offered = wasi::OFFERED.contains(&interface)
                || (!limits::is_pure(self.kind) && http::OFFERED.contains(&interface));
            if offered && same_track(version, wasi::VERSION) {
                wasi = true;
            } else if !ours {
                unknown.push(import.clone());
            }
        }
        if unknown.is_empty() {
            return Ok(wasi);
        }
        Err(ContractError::UnknownImports {
            kind: self.kind,
            unknown,
            offered: self
                .imports
                .iter()
                .map(|name| (*name).to_owned())
                .chain([format!(
                    "wasi:cli, clocks, filesystem, {}io, random @{}",
                    if limits::is_pure(self.kind) { "" } else { "http, " },
                    wasi::VERSION
                )])
                .collect(),
        })
    }
}

/// `deployd:driver/driver@0.1.0` -> interface and version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// `deployd:driver/driver@0.1.0` -> `deployd:driver@0.1.0`.
fn package(name: &str) -> String {
    let (interface, version) = split(name);
    let package = interface.split('/').next().unwrap_or(interface);
    format!("{package}@{version}")
}

/// Whether two versions are of one track: what is right of the first number
/// that is not zero adds, and does not break.
fn same_track(one: &str, other: &str) -> bool {
    fn track(version: &str) -> Option<(u64, u64, u64)> {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        let major = numbers.next()??;
        let minor = numbers.next()??;
        let patch = numbers.next()??;
        Some(match (major, minor) {
            (0, 0) => (0, 0, patch),
            (0, minor) => (0, minor, 0),
            (major, _) => (major, 0, 0),
        })
    }
    track(one).is_some() && track(one) == track(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks() {
        assert!(same_track("0.1.7", "0.1.0"));
        assert!(same_track("0.2.12", "0.2.0"));
        assert!(same_track("1.4.0", "1.0.2"));
        for (one, other) in
            [("0.2.0", "0.1.0"), ("0.0.1", "0.0.2"), ("", ""), ("0.1.0-rc", "0.1.0")]
        {
            assert!(!same_track(one, other), "{one} {other}");
        }
    }

    #[test]
    fn bytes_that_are_no_component() {
        assert!(matches!(validate(b"hello, world"), Err(ContractError::Invalid(_))));
        assert_eq!(validate(b"\0asm\x01\0\0\0"), Err(ContractError::CoreModule));
        assert!(matches!(validate(b""), Err(ContractError::Invalid(_))));
    }
}
