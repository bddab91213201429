//! Shows the Kubernetes objects of a deployment.

mod tree;

use std::collections::BTreeMap;

use deployd_config::{to_yaml, to_yaml_documents};
use serde_json::{Value, json};

use super::Context;
use super::named::{self, Alone};
use crate::args::{Format, ManifestsArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{counted, no_list};

pub(super) async fn manifests(
    context: &mut Context<'_>,
    args: ManifestsArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Runs).await?;
    let manifests = client.manifests(&id).await?;
    let objects = manifests.of(|_| true);
    let left = manifests.jobs.len() as u64;
    let output = &mut *context.output;
    if left > 0 {
        let jobs = counted(left, "Job");
        output.note(format!(
            "{jobs} that run once left out: `kubectl apply` would run what undoes them, too"
        ))?;
    }
    if let Some(directory) = &args.out {
        let mut files = BTreeMap::new();
        for (index, object) in objects.iter().enumerate() {
            let (text, extension) = match output.format {
                Format::Json => {
                    let text = serde_json::to_string_pretty(object)
                        .map_err(|error| CliError::Failed(error.to_string()))?;
                    (text, "json")
                }
                Format::Csv => return Err(no_list()),
                Format::Human | Format::Yaml => (to_yaml(object)?, "yaml"),
            };
            files.insert(file_name(index, object, extension), text);
        }
        tree::write(directory, &id, &files, args.force)?;
        let count = counted(objects.len() as u64, "object");
        let place = directory.display();
        output.note(format!("{count} in {place}, for namespace {}", manifests.namespace))?;
        return Ok(exit::OK);
    }
    match output.format {
        // What `kubectl apply -f -` takes.
        Format::Json => {
            output.document(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))?;
        }
        Format::Csv => return Err(no_list()),
        Format::Human | Format::Yaml => output.text(&to_yaml_documents(&objects)?)?,
    }
    Ok(exit::OK)
}

/// `003-deployment-frontend.yaml`: in the order in which objects are applied,
/// and never outside of the directory.
fn file_name(index: usize, object: &Value, extension: &str) -> String {
    const NAME_CHARS_MAX: usize = 100;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown");
    let name = format!("{}-{}", text("/kind"), text("/metadata/name"));
    let safe: String = name
        .chars()
        .take(NAME_CHARS_MAX)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    format!("{:03}-{safe}.{extension}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_their_directory() {
        let object = json!({"kind": "Deployment", "metadata": {"name": "../../etc/x.y"}});
        assert_eq!(file_name(2, &object, "yaml"), "003-deployment-------etc-x-y.yaml");
        assert_eq!(file_name(0, &json!({}), "json"), "001-unknown-unknown.json");
    }
}
