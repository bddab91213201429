//! Makes the history.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use deployd_core::EnvironmentId;
use deployd_core::journal::Version;
use deployd_core::ports::{Batch, Store};
use deployd_store::{RedbStore, StoreOptions};
use futures::StreamExt as _;

use super::names::{ENVIRONMENTS, Place, TOOK_MS};
use super::past::{Circumstances, Past, announced};
use super::template::{Named, Templates};

/// Deployments in one batch: far below what a store takes.
const AT_ONCE: usize = 50;

/// Environments that are made at the same time: one is written while others are
/// thought up.
const TOGETHER: usize = 4;

/// Has so many versions of some applications deployed to all environments, as those
/// of the application `like`, which is there. `told` is told how many there are.
///
/// # Errors
///
/// When there is no store, or it takes nothing any more.
pub async fn grow(
    data: &Path,
    like: &str,
    applications: Range<u64>,
    versions: u64,
    told: impl Fn(u64),
) -> anyhow::Result<()> {
    let store = Arc::new(RedbStore::open(data.join("deployd.redb"), &StoreOptions::default())?);
    let mut templates = Vec::new();
    for number in 0..ENVIRONMENTS {
        let environment: EnvironmentId = format!("{like}/e{number}").parse()?;
        templates.push(Arc::new(Templates::read(&*store, &environment).await?));
    }
    let environments = applications.flat_map(|application| {
        templates.iter().zip(0..).map(move |(templates, environment)| {
            (templates.clone(), Place { application, environment, version: 0 })
        })
    });
    let count = AtomicU64::new(0);
    let mut made = futures::stream::iter(environments)
        .map(|(templates, first)| {
            let store = store.clone();
            tokio::spawn(async move { environment(&store, &templates, first, versions).await })
        })
        .buffer_unordered(TOGETHER);
    while let Some(one) = made.next().await {
        one.context("a task")??;
        told(count.fetch_add(versions, Ordering::Relaxed) + versions);
    }
    drop(made);
    store.close().await;
    Ok(())
}

/// The whole history of one environment; of the first one, with the announcements
/// of all images.
async fn environment(
    store: &RedbStore,
    templates: &Templates,
    first: Place,
    versions: u64,
) -> anyhow::Result<()> {
    let mut past = Past::new(first.environment_id()?, "bench".parse()?);
    let mut before: Option<Named> = None;
    let numbers: Vec<u64> = (0..versions).collect();
    for some in numbers.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        let mut announcements = Vec::new();
        for version in some {
            let place = Place { version: *version, ..first };
            let announcement = place.announcement();
            let named = Named::new(place.application_name(), &place.deployment(), place.image());
            let renamed = templates.renamed(named, before.as_ref())?;
            let circumstances = Circumstances {
                set: &renamed.set,
                announced: Some(&announcement),
                is_new: place.environment == 0,
            };
            let last = (renamed.events.len() as u64).saturating_sub(1).max(1);
            for (nth, mut happened) in (0u64..).zip(renamed.events) {
                happened.at = place.queued().plus_ms(nth * TOOK_MS / last);
                past.push(happened, &circumstances)?;
            }
            batch.objects.extend(renamed.objects);
            before = Some(renamed.named);
            if place.environment == 0 {
                announcements.push(announcement);
            }
        }
        let events = past.batch()?;
        batch.appends.extend(events.appends);
        batch.puts.extend(events.puts);
        if let Some(number) = some.first().filter(|_| !announcements.is_empty()) {
            let application = first.application_name().parse()?;
            let told = announced(&application, Version(*number), &announcements)?;
            batch.appends.extend(told.appends);
            batch.puts.extend(told.puts);
        }
        store.append(batch).await?;
    }
    ensure!(past.accepted() == versions, "{} deployments", past.accepted());
    Ok(())
}
