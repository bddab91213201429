//! The files of `deployd policy test`.

use std::path::Path;

use deployd_core::config::{DocumentKind, Envelope, PolicySpec};
use deployd_core::policy::PolicyCase;
use serde::Deserialize;
use serde_json::Value;

use crate::args::PolicyTestArgs;
use crate::error::CliError;

/// Bytes of one file: as much as all documents of one request may have.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Policies, and what they should find.
#[derive(Debug)]
pub struct PolicyTest {
    /// The policies, as their documents have them.
    pub policies: Vec<Envelope<PolicySpec>>,
    /// The cases, with their inputs read.
    pub cases: Vec<PolicyCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesFile {
    cases: Vec<PolicyCase>,
}

/// Reads all files that are named.
///
/// Fails when one can't be read, when no policy is in them, and when a case has no
/// input.
pub fn read(args: &PolicyTestArgs) -> Result<PolicyTest, CliError> {
    let mut policies = Vec::new();
    for file in &args.files {
        let text = text(file)?;
        let wrong = |error: &dyn std::fmt::Display| CliError::Input(format!("{file}: {error}"));
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| wrong(&error))?;
        for document in documents {
            if document.get("kind") != Some(&serde_json::json!(DocumentKind::Policy)) {
                continue;
            }
            let policy = serde_json::from_value(document).map_err(|error| wrong(&error))?;
            policies.push(policy);
        }
    }
    if policies.is_empty() {
        let files = args.files.join(", ");
        return Err(CliError::Input(format!("{files}: expected a Policy document: there is none")));
    }
    let file = &args.cases;
    let wrong = |error: &dyn std::fmt::Display| CliError::Input(format!("{file}: {error}"));
    let CasesFile { mut cases } =
        serde_saphyr::from_str(&text(file)?).map_err(|error| wrong(&error))?;
    for case in &mut cases {
        if let Some(named) = &case.input_file {
            let beside = Path::new(file).parent().unwrap_or(Path::new(""));
            let path = beside.join(named);
            let text = text(&path.display().to_string())?;
            let said = |error: &dyn std::fmt::Display| {
                CliError::Input(format!("{}: {error}", path.display()))
            };
            case.input = serde_saphyr::from_str(&text).map_err(|error| said(&error))?;
        }
        if !case.input.is_object() {
            let name = &case.name;
            return Err(wrong(&format!("case {name:?}: expected an input, or an inputFile")));
        }
    }
    Ok(PolicyTest { policies, cases })
}

fn text(path: &str) -> Result<String, CliError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text),
        path => std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| CliError::Input(format!("{path}: {error}")))?;
    Ok(text)
}
