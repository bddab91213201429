//! What has become of a burst, as the daemon remembers it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::daemon::Daemon;
use futures::StreamExt as _;
use serde_json::Value;

use crate::application;
use crate::burst::{Burst, HOOK, Sent};

/// Between two looks at whether all was read.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Questions at the same time.
const AT_ONCE: usize = 16;

/// Deliveries, and deployments, of one page.
const PAGE: usize = 500;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Versions that were told of, and of which there is no deployment.
    pub(crate) lost: usize,
    /// Deployments beyond the first of a version.
    pub(crate) doubled: usize,
    /// Environments in which another version runs than the newest.
    pub(crate) not_newest: usize,
    /// From sending a delivery until the deployment that came of it was planned.
    pub(crate) plans_ms: Vec<f64>,
}

/// Waits until every delivery was read.
pub(crate) async fn until_read(daemon: &Daemon, within: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let path = format!("/v1/hooks/{HOOK}/deliveries?status=pending&limit=1");
        let pending = daemon.get(&path).await?;
        if pending.as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        ensure!(begun.elapsed() < within, "deliveries are still to be read");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Looks at all deliveries, and at all deployments.
pub(crate) async fn count(daemon: &Daemon, burst: &Burst, sent: &Sent) -> anyhow::Result<Counted> {
    let mut found = Counted::default();
    let path = format!("/v1/hooks/{HOOK}/deliveries?status=dead&limit={PAGE}");
    for dead in daemon.get(&path).await?.as_array().context("a list of deliveries")? {
        eprintln!("   lost: {dead}");
    }

    let sent: BTreeMap<String, u64> =
        sent.at.iter().map(|(version, at)| (version.digest(), *at)).collect();
    let looks = (0..burst.applications).map(|number| deployments(daemon, number));
    let mut looks = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
    let newest: BTreeSet<String> = burst.newest().map(super::Version::digest).collect();
    let (mut running, mut told) = (0, 0);
    while let Some(records) = looks.next().await {
        let records = records?;
        let mut seen = BTreeSet::new();
        for record in &records {
            let image = text(&record["request"]["origin"]["image"]);
            let digest = image.rsplit_once('@').map(|(_, digest)| digest.to_owned());
            let digest = digest.unwrap_or_default();
            found.doubled += usize::from(!seen.insert(digest.clone()));
            let planned = record.pointer("/work/steps/0/ended").and_then(Value::as_str);
            if let (Some(planned), Some(at)) = (planned, sent.get(&digest)) {
                let planned: deployd_core::Timestamp =
                    serde_json::from_value(Value::String(planned.to_owned()))?;
                found.plans_ms.push(planned.0.saturating_sub(*at) as f64);
            }
        }
        told += seen.iter().filter(|digest| sent.contains_key(*digest)).count();
        // The newest first.
        let last = records.iter().find(|record| record["outcome"] == "succeeded");
        let image = last.map(|record| text(&record["request"]["origin"]["image"]));
        running +=
            usize::from(image.is_some_and(|image| newest.iter().any(|one| image.ends_with(one))));
    }
    // A hook keeps its last deliveries alone; what each has led to is kept for ever.
    found.lost = burst.len().saturating_sub(told);
    found.not_newest = burst.applications - running;
    Ok(found)
}

/// Deployments of an application, the newest first, those that were planned in full.
async fn deployments(daemon: &Daemon, number: usize) -> anyhow::Result<Vec<Value>> {
    let path = format!("/v1/deployments?environment={}/e0&limit={PAGE}", application(number));
    let page = daemon.get(&path).await?;
    let mut records = Vec::new();
    for record in page["deployments"].as_array().context("a list of deployments")? {
        let id = text(&record["id"]);
        records.push(match record["outcome"] == "superseded" {
            true => record.clone(),
            false => daemon.get(&format!("/v1/deployments/{id}")).await?,
        });
    }
    Ok(records)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
