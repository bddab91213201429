//! What the demo claims, and whether it holds.

use std::time::Duration;

use deployd_cli::client::{HistoryQuery, NotificationQuery};
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::outbox::MessageStatus;
use deployd_core::views::ResourceFilter;
use serde::Serialize;
use serde_json::Value;

use super::stage::Stage;

/// The longest wait for the webhook, which is told of the end after the end.
const WEBHOOK_MAX: Duration = Duration::from_secs(30);

/// The most lines and entries that are read at once.
const PAGE: u32 = 500;

/// Something that the demo says, and whether it is so.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Claim {
    pub(super) claim: &'static str,
    pub(super) holds: bool,
    pub(super) found: String,
}

/// What there is to look at afterwards.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Found {
    pub(super) resources: Vec<(String, Value)>,
    pub(super) url: Option<String>,
    pub(super) objects: usize,
    pub(super) log_lines: usize,
    pub(super) webhooks: Vec<String>,
    pub(super) journal_events: u64,
}

/// Looks whether everything is as it should be.
pub(super) async fn check(
    stage: &Stage,
    record: &DeploymentRecord,
) -> anyhow::Result<(Found, Vec<Claim>)> {
    let client = &stage.client;
    let mut found = Found::default();
    let mut claims = Vec::new();
    let mut claim = |claim, holds, found: String| claims.push(Claim { claim, holds, found });

    let outcome = record.outcome.map_or("none", Outcome::as_str);
    claim("the deployment succeeded", outcome == "succeeded", outcome.to_owned());

    for resource in client.all_resources(&here(record)).await? {
        found.resources.push((resource.name, resource.outputs));
    }
    let names: Vec<&str> = found.resources.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = ["k8s-cluster#", "k8s-namespace#", "postgres#", "dns#", "route#"];
    let all = wanted.iter().all(|kind| names.iter().any(|name| name.starts_with(kind)));
    claim("cluster, namespace, database, name and route are there", all, names.join(", "));

    let manifests = client.manifests(&record.id).await?;
    found.objects = manifests.objects.len();
    let exported = found.objects >= 8;
    claim("the manifests can be exported", exported, format!("{} objects", found.objects));

    let logs = client.logs(&record.id, 0, PAGE).await?;
    found.log_lines = logs.len();
    claim("the logs are recorded", !logs.is_empty(), format!("{} lines", logs.len()));

    let told = stage.receiver.received("deployment.succeeded", &record.id.0);
    let told = tokio::time::timeout(WEBHOOK_MAX, told).await.ok().flatten();
    found.webhooks = stage.receiver.deliveries().into_iter().map(|d| d.kind).collect();
    let holds = told.is_some();
    claim("the webhook came, and its signature is right", holds, found.webhooks.join(", "));

    let query = NotificationQuery {
        status: Some(MessageStatus::Delivered),
        limit: Some(PAGE),
        ..NotificationQuery::default()
    };
    let delivered = client.notifications(&query).await?.len();
    claim("its delivery is recorded", delivered > 0, format!("{delivered} delivered"));

    let page = client.history(&HistoryQuery::default()).await?;
    let known = page.deployments.iter().any(|deployment| deployment.id == record.id);
    claim("the deployment is in the history", known, format!("{} there", page.deployments.len()));

    let report = client.verify().await?;
    found.journal_events = report.events;
    claim("the journal verifies", report.is_sound(), format!("{} events", report.events));

    let url = found.resources.iter().find(|(name, _)| name.starts_with("route#"));
    found.url = url
        .and_then(|(_, outputs)| outputs.get("url"))
        .and_then(Value::as_str)
        .map(|url| stage.reachable(url));
    if stage.practice.is_some() {
        let status = answer(found.url.as_deref()).await;
        claim("the frontend answers at its URL", status == "200", status);
        let (holds, text) = secrets_are_secret(stage, record, &manifests.namespace).await?;
        claim("the password is in the cluster and nowhere else", holds, text);
    }
    Ok((found, claims))
}

async fn answer(url: Option<&str>) -> String {
    let Some(url) = url else { return "no URL".to_owned() };
    // Names below `localhost` are of this machine, also where its resolver
    // does not know that (RFC 6761, 6.3).
    let client = reqwest::Client::builder().no_proxy().timeout(WEBHOOK_MAX);
    let address = reqwest::Url::parse(url).ok();
    let host = address.as_ref().and_then(|url| url.host_str()).unwrap_or_default().to_owned();
    let port = address.as_ref().and_then(reqwest::Url::port).unwrap_or(80);
    let client = client.resolve(&host, std::net::SocketAddr::from(([127, 0, 0, 1], port))).build();
    match client {
        Ok(client) => match client.get(url).send().await {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

/// Takes the generated password out of the cluster, and looks for it in
/// everything that the daemon tells.
async fn secrets_are_secret(
    stage: &Stage,
    record: &DeploymentRecord,
    namespace: &str,
) -> anyhow::Result<(bool, String)> {
    use base64::Engine as _;
    let Some(practice) = &stage.practice else { return Ok((true, String::new())) };
    let objects = practice.objects();
    let encoded = objects.list("secrets", namespace).iter().find_map(|secret| {
        secret.pointer("/data/password").and_then(Value::as_str).map(str::to_owned)
    });
    let Some(encoded) = encoded else { return Ok((false, "it is not in the cluster".to_owned())) };
    let password = base64::engine::general_purpose::STANDARD.decode(&encoded)?;
    let password = String::from_utf8(password)?;
    let client = &stage.client;
    let mut told = vec![
        serde_json::to_string(&client.manifests(&record.id).await?)?,
        serde_json::to_string(&client.plan_of(&record.id).await?)?,
        serde_json::to_string(&client.deployment(&record.id).await?)?,
        serde_json::to_string(&client.logs(&record.id, 0, PAGE).await?)?,
        serde_json::to_string(&client.all_resources(&here(record)).await?)?,
        serde_json::to_string(&client.journal(0, PAGE).await?)?,
    ];
    told.extend(stage.receiver.deliveries().iter().map(|delivery| delivery.body.to_string()));
    let leaks = told.iter().filter(|text| text.contains(&password) || text.contains(&encoded));
    let leaks = leaks.count();
    Ok((leaks == 0 && password.len() >= 32, format!("{leaks} of {} places tell it", told.len())))
}

/// The resources of a deployment's environment.
fn here(record: &DeploymentRecord) -> ResourceFilter {
    ResourceFilter { environment: Some(record.environment.clone()), ..ResourceFilter::default() }
}
