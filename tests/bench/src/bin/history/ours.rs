//! The questions, asked of the engine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use deployd_core::compare::Wanted;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::image::ImageQuery;
use deployd_core::inventory::{EnvironmentThen, Passage, When, Whereabouts};
use deployd_core::subject::Subject;
use deployd_core::views::HistoryPage;
use deployd_engine::Engine;

use crate::QUERIES;
use bench::history::names::{ENVIRONMENTS, Numbers, Place};

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
        ensure!(found.is_some(), "{query} of {place:?} finds nothing");
    }
    Ok(times)
}

/// What one question is answered with, as all contenders say it.
pub(crate) async fn answer(
    engine: &Engine,
    query: &str,
    place: Place,
    versions: u64,
) -> anyhow::Result<String> {
    Ok(match one(engine, query, place, versions).await?.context("no answer")? {
        Answer::Deployment(it) => format!("{} {} {}", it.id, it.environment, it.number),
        Answer::Where(found) => lines(found.locations.iter().map(|at| {
            let from = at.stay.from.unwrap_or_default().0;
            format!("{} {} {from}", at.environment, at.deployment)
        })),
        Answer::Before(way) => lines(way.stations.iter().map(|station| {
            let at = &station.location;
            let [from, until] = [at.stay.from, at.stay.until].map(|it| it.unwrap_or_default().0);
            format!("{} {} {from} {until}", at.environment, at.deployment)
        })),
        Answer::Timeline(page) => lines(page.deployments.iter().map(|it| it.id.to_string())),
        Answer::Then(then) => {
            let images = then.locations.iter().map(|at| at.image.clone());
            format!("{} {}", then.deployment, lines(images))
        }
        Answer::Differ => "they differ".to_owned(),
    })
}

fn lines(of: impl Iterator<Item = String>) -> String {
    of.collect::<Vec<_>>().join(", ")
}

/// What the engine says.
enum Answer {
    Deployment(Box<DeploymentRecord>),
    Where(Whereabouts),
    Before(Passage),
    Timeline(HistoryPage),
    Then(EnvironmentThen),
    Differ,
}

/// Asks one question; nothing where it has no answer.
async fn one(
    engine: &Engine,
    query: &str,
    place: Place,
    versions: u64,
) -> anyhow::Result<Option<Answer>> {
    let id = place.environment_id()?;
    let last = versions.saturating_sub(1);
    Ok(match QUERIES.iter().position(|known| *known == query) {
        Some(0) => Some(Answer::Deployment(engine.deployment(&place.deployment()).await?.into())),
        Some(1) => {
            // What runs: the last version, in each environment.
            let image = Place { version: last, ..place }.image();
            let query: ImageQuery = image.parse()?;
            let found = engine.whereabouts(&query, When::Now, None, None, 100).await?;
            (!found.locations.is_empty()).then_some(Answer::Where(found))
        }
        Some(2) => {
            let production = Place { environment: ENVIRONMENTS - 1, ..place }.environment_id()?;
            let query: ImageQuery = place.image().parse()?;
            let passage = engine.passage(&query, &production, false).await?;
            (!passage.stations.is_empty()).then_some(Answer::Before(passage))
        }
        Some(3) => {
            let page = engine.history(Some(&id), None, PAGE).await?;
            (!page.deployments.is_empty()).then_some(Answer::Timeline(page))
        }
        Some(4) => {
            // In the middle of the time in which it ran.
            let at = place.queued().plus_ms(1_800_000);
            Some(Answer::Then(engine.environment_then(&id, at).await?))
        }
        Some(5) => {
            let other = Place { version: (place.version + 1) % versions, ..place };
            let [a, b] = [place, other].map(|it| Subject::Deployment(it.deployment().0));
            let wanted = Wanted { part: None, documents: false };
            let compared = engine.compare(&a, &b, wanted).await?;
            (!compared.equal).then_some(Answer::Differ)
        }
        _ => anyhow::bail!("what is {query:?}?"),
    })
}
