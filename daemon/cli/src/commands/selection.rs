//! What is to be deployed, from what the command line selects.

use std::collections::BTreeMap;

use deployd_core::set::Delta;
use deployd_core::subject::Subject;
use deployd_core::views::DeployRequest;
use deployd_core::{Digest, EnvironmentId};
use serde::de::DeserializeOwned;

use super::{Context, sources};
use crate::args::{ImageChange, Selection};
use crate::client::Client;
use crate::error::CliError;

/// The request that a selection stands for.
pub(super) async fn request(
    context: &mut Context<'_>,
    client: &Client,
    environment: &EnvironmentId,
    selection: &Selection,
) -> Result<DeployRequest, CliError> {
    let mut request =
        DeployRequest { environment: Some(environment.clone()), ..DeployRequest::default() };
    if let Some(set) = &selection.set {
        match set.parse::<Digest>() {
            Ok(digest) => request.set_digest = Some(digest),
            // A file of that name is what is meant: `shop/production` may be one.
            Err(_) if set == "-" || std::path::Path::new(set).is_file() => {
                request.set = Some(from_file(context, set)?);
            }
            Err(_) => {
                let named: Subject = set.parse().map_err(|error| {
                    CliError::Usage(format!("--set: there is no file {set:?}, and {error}"))
                })?;
                request.set_digest = Some(client.subject(&named).await?.set);
            }
        }
    } else if let Some(delta) = &selection.delta {
        request.delta = Some(from_file(context, delta)?);
    } else if !selection.images.is_empty() {
        request.delta = Some(of_images(client, environment, &selection.images).await?);
    }
    Ok(request)
}

/// The environment that a subject names.
pub(super) fn environment_of(subject: &Subject) -> Option<EnvironmentId> {
    match subject {
        Subject::Environment { environment, .. } => Some(environment.clone()),
        Subject::Set(_) | Subject::Deployment(_) => None,
    }
}

/// JSON or YAML.
pub(super) fn from_file<T: DeserializeOwned>(
    context: &mut Context<'_>,
    path: &str,
) -> Result<T, CliError> {
    let text = sources::text(context, path)?;
    let name = if path == "-" { sources::STDIN } else { path };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text)
            .map_err(|error| CliError::Input(format!("{name}: {error}")));
    }
    serde_saphyr::from_str(&text).map_err(|error| CliError::Input(format!("{name}: {error}")))
}

/// The delta that sets images. Containers that are not named are looked up in
/// what runs.
async fn of_images(
    client: &Client,
    environment: &EnvironmentId,
    changes: &[ImageChange],
) -> Result<Delta, CliError> {
    let running = if changes.iter().any(|change| change.container.is_none()) {
        client.environment(environment).await?.images
    } else {
        Vec::new()
    };
    let mut images = BTreeMap::new();
    for change in changes {
        let container = match &change.container {
            Some(container) => container.clone(),
            None => only_container(&running, &change.workload)?,
        };
        let place = (change.workload.clone(), container);
        if images.insert(place, change.image.clone()).is_some() {
            return Err(CliError::Usage(format!("--image: {} is there twice", change.workload)));
        }
    }
    Ok(Delta::of_images(&images))
}

/// The container of a workload that has only one.
fn only_container(running: &[(String, String)], workload: &str) -> Result<String, CliError> {
    let containers: Vec<&str> = running
        .iter()
        .filter_map(|(place, _)| place.split_once('/'))
        .filter(|(other, _)| *other == workload)
        .map(|(_, container)| container)
        .collect();
    match containers.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] if running.is_empty() => Err(CliError::Usage(format!(
            "--image: nothing runs there yet; name the container as well: {workload}/CONTAINER=IMAGE"
        ))),
        [] => {
            let mut names: Vec<&str> =
                running.iter().filter_map(|(place, _)| place.split('/').next()).collect();
            names.dedup();
            let names = names.join(", ");
            Err(CliError::Usage(format!(
                "--image: no workload {workload:?} runs there, but {names}"
            )))
        }
        many => Err(CliError::Usage(format!(
            "--image: {workload} has several containers; name one: {}",
            many.iter().map(|name| format!("{workload}/{name}")).collect::<Vec<_>>().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_container_need_not_be_named() {
        let running: Vec<(String, String)> = ["web/nginx", "api/app", "api/proxy"]
            .iter()
            .map(|place| ((*place).to_owned(), "image".to_owned()))
            .collect();
        assert_eq!(only_container(&running, "web").unwrap(), "nginx");
        for (workload, expected) in [("api", "api/app, api/proxy"), ("db", "web, api")] {
            let error = only_container(&running, workload).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(only_container(&[], "web").unwrap_err().to_string().contains("nothing runs"));
    }
}
