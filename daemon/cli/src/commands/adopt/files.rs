//! The files of a proposal.

use std::io::Write as _;
use std::path::Path;

use deployd_config::{to_yaml, to_yaml_documents};
use deployd_core::adopt::Adoption;
use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;

/// The documents and the commands of a proposal, by their paths.
pub(super) fn of(adoption: &Adoption) -> Result<Vec<(String, String)>, CliError> {
    let mut files = vec![
        ("config/plugins.yaml".to_owned(), all(&adoption.plugins)?),
        ("config/environment-type.yaml".to_owned(), one(&adoption.environment_type)?),
        ("config/application.yaml".to_owned(), one(&adoption.application)?),
        ("config/environment.yaml".to_owned(), one(&adoption.environment)?),
    ];
    for (name, workload) in &adoption.workloads {
        files.push((format!("score/{name}.yaml"), one(workload)?));
    }
    for definition in &adoption.definitions {
        let name = &definition.metadata.name;
        files.push((format!("config/resources/{name}.yaml"), one(definition)?));
    }
    files.push(("secrets.sh".to_owned(), commands(adoption)));
    Ok(files)
}

fn one(document: &impl Serialize) -> Result<String, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let value = serde_json::to_value(document).map_err(|error| failed(&error))?;
    to_yaml(&value).map_err(|error| failed(&error))
}

fn all(documents: &[impl Serialize]) -> Result<String, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let values: Vec<Value> = documents
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&error))?;
    to_yaml_documents(&values).map_err(|error| failed(&error))
}

/// What sets the operator's secrets. It has no value of any.
fn commands(adoption: &Adoption) -> String {
    let mut text = String::from(
        "#!/bin/sh\n# Sets the secrets that the proposal names. Each value goes from the cluster to deployd\n# and is written nowhere.\nset -eu\n\n",
    );
    text.push_str("# How deployd reaches the cluster: a kubeconfig.\n");
    text.push_str(&format!(
        "deployd secret set {} --from-file \"${{KUBECONFIG_OF_DEPLOYD:?name a file}}\"\n",
        adoption.cluster_secret
    ));
    if !adoption.secrets.is_empty() {
        text.push('\n');
    }
    for secret in &adoption.secrets {
        text.push_str(&secret.command());
        text.push('\n');
    }
    text
}

/// Writes files below a directory. Where one is there with another text, none is
/// written, unless that is wanted.
pub(super) fn write(
    folder: &Path,
    files: &[(String, String)],
    force: bool,
) -> Result<(), CliError> {
    let mut others = Vec::new();
    for (path, text) in files {
        let path = folder.join(path);
        match std::fs::read(&path) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => others.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(CliError::file(&path, error)),
        }
    }
    if let (Some(first), false) = (others.first(), force) {
        let more = match others.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        return Err(CliError::Failed(format!(
            "{}{more}: there is another file already; --force writes over it, --out writes elsewhere. Nothing was written",
            first.display()
        )));
    }
    for (path, text) in files {
        let path = folder.join(path);
        let failed = |error| CliError::file(&path, error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = std::fs::File::create(&path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
    }
    Ok(())
}
