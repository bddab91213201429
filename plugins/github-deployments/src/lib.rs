//! Notifier `github-deployments`: deployments and their statuses at GitHub, so that
//! commits and pull requests show where they run.
//!
//! ```yaml
//! notifier: github-deployments
//! application: shop
//! environment: production
//! events: ["deployment.*"]
//! config: {repository: acme/shop}
//! hosts:
//!   - {host: api.github.com, port: 443, scheme: https, credential: {secret: github-token}}
//! ```
//!
//! The first event of a deployment makes one at GitHub, of the commit that its image
//! was built from; each event sets its status. The token needs `deployments: write`
//! for the repository. A deployment of which no commit is known is not told: who
//! announces the image says it.

#[cfg(test)]
mod tests;

use deployd_plugin_sdk::notifier::{Event, HttpRequest};
use deployd_plugin_sdk::teller::{Answer, Step, Teller, Telling};
use deployd_plugin_sdk::{Fault, Log, export_teller};
use notices::{Notice, clipped, commit_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct GithubDeployments;

export_teller!(GithubDeployments);

/// GitHub's API.
const API: &str = "https://api.github.com";

/// Characters of a description: GitHub takes 140, and one says that it was cut.
const DESCRIPTION_CHARS: usize = 139;

/// Where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    repository: String,
    workload: Option<String>,
    environment: Option<String>,
    environment_url: Option<String>,
    production: Option<bool>,
    api: Option<String>,
}

/// What GitHub has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// The deployment.
    id: u64,
    /// The commit that it is of.
    commit: String,
}

impl Teller for GithubDeployments {
    type Config = Config;
    type Memory = Memory;

    fn tell(telling: Telling<Self>, log: &impl Log) -> Result<Step<Memory>, Fault> {
        let Telling { event, config, memory, answer } = telling;
        if event.r#type == notices::GROUP {
            let expected = "a subscription without `group`: GitHub has each deployment by itself";
            return Err(Fault::invalid("/event/type", expected));
        }
        let Some(state) = state(&event.r#type) else { return Ok(Step::done(memory)) };
        let notice = Notice::of(&event)?;
        let Some(memory) = memory else {
            let Some(commit) = commit_of(&event, config.workload.as_deref()) else {
                log.info("not told: no commit is known of what is deployed");
                return Ok(Step::done(None));
            };
            let Some(answer) = answer else {
                return Ok(Step::send(make(&event, &notice, &config, commit)?, None));
            };
            let memory = Memory { id: made(&answer)?, commit: commit.to_owned() };
            return Ok(Step::send(status(&notice, &config, &memory, state)?, Some(memory)));
        };
        if let Some(answer) = answer {
            answer.accepted("GitHub").map_err(explained)?;
            return Ok(Step::done(Some(memory)));
        }
        Ok(Step::send(status(&notice, &config, &memory, state)?, Some(memory)))
    }
}

/// GitHub's word for what has happened; none for what is none of its business.
fn state(event: &str) -> Option<&'static str> {
    Some(match event.strip_prefix("deployment.")? {
        "queued" | "deferred" | "yielded" => "queued",
        "started" | "planned" => "in_progress",
        "paused" | "proposed" => "pending",
        "succeeded" => "success",
        "failed" | "rolled-back" => "failure",
        "needs-operator" => "error",
        "cancelled" | "superseded" => "inactive",
        _ => return None,
    })
}

fn make(
    event: &Event,
    notice: &Notice,
    config: &Config,
    commit: &str,
) -> Result<HttpRequest, Fault> {
    let environment = config.environment.as_ref().or(event.environment.as_ref());
    let mut body = json!({
        "ref": commit,
        "environment": environment,
        "description": clipped(&notice.subject, DESCRIPTION_CHARS),
        "task": "deploy",
        "payload": {"deployment": event.data.get("deployment"), "link": event.link},
        // What is deployed was decided here: GitHub merges nothing and waits for nothing.
        "auto_merge": false,
        "required_contexts": [],
    });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(config.production.map(|is| ("production_environment".to_owned(), is.into())));
    }
    request(config, "deployments", &body)
}

fn status(
    notice: &Notice,
    config: &Config,
    memory: &Memory,
    state: &str,
) -> Result<HttpRequest, Fault> {
    let description = notice.message.as_ref().unwrap_or(&notice.title);
    let mut body = json!({
        "state": state,
        "description": clipped(description, DESCRIPTION_CHARS),
        // Those before it in this environment run no more.
        "auto_inactive": true,
    });
    if let Some(fields) = body.as_object_mut() {
        let link = notice.link.clone().map(|link| ("log_url".to_owned(), Value::from(link)));
        let url = config.environment_url.clone();
        let url = url.map(|url| ("environment_url".to_owned(), Value::from(url)));
        fields.extend(link.into_iter().chain(url));
    }
    request(config, &format!("deployments/{}/statuses", memory.id), &body)
}

fn request(config: &Config, path: &str, body: &Value) -> Result<HttpRequest, Fault> {
    let api = config.api.as_deref().unwrap_or(API).trim_end_matches('/');
    let url = format!("{api}/repos/{}/{path}", config.repository);
    let request = HttpRequest::post_json(url, body)?
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
        .header("user-agent", "deployd");
    Ok(request)
}

/// The id of the deployment that was made.
fn made(answer: &Answer) -> Result<u64, Fault> {
    #[derive(Deserialize)]
    struct Made {
        id: u64,
    }
    let made: Made = answer.json("GitHub").map_err(explained)?;
    Ok(made.id)
}

/// A refusal, with what to do about it.
fn explained(fault: Fault) -> Fault {
    match fault {
        Fault::Denied(message) => Fault::denied(format!(
            "{message}; the token that the subscription's `hosts` names needs deployments: write"
        )),
        Fault::NotFound(message) => Fault::not_found(format!(
            "{message}; the repository, or a token that may see it, is not there"
        )),
        fault => fault,
    }
}
