//! The questions, asked of the engine.

use std::time::{Duration, Instant};

use anyhow::ensure;
use deployd_core::compare::Wanted;
use deployd_core::image::ImageQuery;
use deployd_core::inventory::When;
use deployd_core::subject::Subject;
use deployd_engine::Engine;

use crate::QUERIES;
use crate::names::{ENVIRONMENTS, Numbers, Place};

/// Deployments on a page of an environment's history.
const PAGE: usize = 20;

/// Asks one question so often, about what the numbers say; how long each took.
pub(crate) async fn ask(
    engine: &Engine,
    query: &str,
    (applications, versions): (u64, u64),
    seed: u64,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut numbers = Numbers(seed);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let place = numbers.place(applications, versions);
        let begun = Instant::now();
        let found = one(engine, query, place, versions).await?;
        times.push(begun.elapsed());
        ensure!(found, "{query} of {place:?} finds nothing");
    }
    Ok(times)
}

/// Asks one question; whether the answer is the right one.
async fn one(engine: &Engine, query: &str, place: Place, versions: u64) -> anyhow::Result<bool> {
    let id = place.environment_id()?;
    let last = versions.saturating_sub(1);
    Ok(match QUERIES.iter().position(|known| *known == query) {
        Some(0) => engine.deployment(&place.deployment()).await?.number == place.version + 1,
        Some(1) => {
            // What runs: the last version, in each environment.
            let image = Place { version: last, ..place }.image();
            let query: ImageQuery = image.parse()?;
            let found = engine.whereabouts(&query, When::Now, None, None, 100).await?;
            found.locations.len() as u64 == ENVIRONMENTS
        }
        Some(2) => {
            let production = Place { environment: ENVIRONMENTS - 1, ..place }.environment_id()?;
            let query: ImageQuery = place.image().parse()?;
            let passage = engine.passage(&query, &production, false).await?;
            !passage.stations.is_empty()
        }
        Some(3) => {
            let page = engine.history(Some(&id), None, PAGE).await?;
            page.deployments.len() as u64 == versions.min(PAGE as u64)
        }
        Some(4) => {
            // In the middle of the time in which it ran.
            let at = place.queued().plus_ms(1_800_000);
            engine.environment_then(&id, at).await?.deployment == place.deployment()
        }
        Some(5) => {
            let other = Place { version: (place.version + 1) % versions, ..place };
            let [a, b] = [place, other].map(|it| Subject::Deployment(it.deployment().0));
            let wanted = Wanted { part: None, documents: false };
            !engine.compare(&a, &b, wanted).await?.equal
        }
        _ => anyhow::bail!("what is {query:?}?"),
    })
}
