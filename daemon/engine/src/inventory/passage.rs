//! The way of an image to an environment: where it was before, for how long, how
//! that ended, and how it was checked.

use deployd_core::deployment::Event;
use deployd_core::deployment::stays::{STAYS, stays_in, stays_of};
use deployd_core::image::{Image, ImageQuery};
use deployd_core::inventory::{DriftFound, GatePassed, Location, Passage, Station};
use deployd_core::journal::{EventRecord, StreamId, Version};
use deployd_core::ports::Order;
use deployd_core::{EnvironmentId, Timestamp};

use super::location;
use crate::{Engine, EngineError, Inner};

/// The most stations of a way, and the most stays that are looked at for them.
const STATIONS_MAX: usize = 100;

/// The most stays of an image in the environment that is asked for, which are
/// looked at for the first that came to run: the first ones, most often one.
const ARRIVALS_MAX: usize = 500;

/// The most events of an environment that are looked at for one station. A
/// deployment has tens.
const EVENTS_MAX: usize = 2_000;

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 200;

impl Engine {
    /// Where an image was before it came to an environment. With `details`, also
    /// the gates that were passed and the drift that was found, which are read
    /// from the environments' events.
    pub async fn passage(
        &self,
        query: &ImageQuery,
        before: &EnvironmentId,
        details: bool,
    ) -> Result<Passage, EngineError> {
        if let ImageQuery::Repository(repository) = query {
            let message = format!(
                "found {repository:?}, expected one image: {repository}@sha256:... or {repository}:TAG"
            );
            return Err(EngineError::invalid("image", message));
        }
        let mut passage = self.inner.passage(query, before).await?;
        if details {
            for station in &mut passage.stations {
                self.inner.details(station, passage.reached).await?;
            }
        }
        Ok(passage)
    }
}

impl Inner {
    async fn passage(
        &self,
        query: &ImageQuery,
        before: &EnvironmentId,
    ) -> Result<Passage, EngineError> {
        let images = self.images_for(query).await?;
        let mut stays: Vec<Location> = Vec::new();
        let mut announced = Vec::new();
        let mut cut = false;
        for image in &images {
            let range = stays_of(&image.repository, &image.version());
            let page = self.ports.store.scan(STAYS, range, Order::Ascending, STATIONS_MAX).await?;
            cut |= page.more;
            for (key, value) in &page.entries {
                stays.push(location(key, value)?);
            }
            announced.extend(self.announcement(image, Order::Ascending).await?);
        }
        if stays.is_empty() && announced.is_empty() {
            self.known_at_all(query).await?;
        }
        let reached = self.reached(&images, before).await?;
        let now = self.ports.clock.now();
        let mut stations: Vec<Station> = stays
            .into_iter()
            .filter(|stay| stay.environment != *before)
            .filter(|location| reached.is_none_or(|reached| location.stay.queued < reached))
            .map(|location| {
                let until = location.stay.until.unwrap_or(now);
                let until = reached.map_or(until, |reached| until.min(reached));
                let lasted_ms = location.stay.from.map(|from| until.ms_since(from));
                Station { location, lasted_ms, gates: Vec::new(), drift: Vec::new() }
            })
            .collect();
        stations.sort_by_key(|station| station.location.stay.queued);
        cut |= stations.len() > STATIONS_MAX;
        stations.truncate(STATIONS_MAX);
        let mut names: Vec<String> =
            stations.iter().map(|station| station.location.image.clone()).collect();
        names.extend(announced.iter().map(|one| one.artifact.image()));
        names.sort();
        names.dedup();
        Ok(Passage { images: names, before: before.clone(), reached, announced, stations, cut })
    }

    /// When one of some images first ran in an environment.
    async fn reached(
        &self,
        images: &[Image],
        environment: &EnvironmentId,
    ) -> Result<Option<Timestamp>, EngineError> {
        let mut reached = None;
        for image in images {
            let range = stays_in(&image.repository, &image.version(), environment);
            let page = self.ports.store.scan(STAYS, range, Order::Ascending, ARRIVALS_MAX).await?;
            for (key, value) in &page.entries {
                let from = location(key, value)?.stay.from;
                reached = reached.into_iter().chain(from).min();
            }
        }
        Ok(reached)
    }

    /// Gates and drift of a station, as its environment's events have them.
    async fn details(
        &self,
        station: &mut Station,
        reached: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let Location { environment, deployment, stay, .. } = &station.location;
        let until = stay.until.into_iter().chain(reached).min();
        let stream = StreamId::environment(environment);
        let mut version = self.version_at(&stream, stay.queued).await?;
        let mut left = EVENTS_MAX;
        loop {
            let max = EVENTS_AT_ONCE.min(left);
            let events = self.ports.store.read(&stream, version, max).await?;
            let Some(last) = events.last() else { return Ok(()) };
            let (last, is_over) = (last.version, until.is_some_and(|until| last.event.at > until));
            for EventRecord { event, .. } in &events {
                if until.is_some_and(|until| event.at > until) {
                    break;
                }
                // Most events are of steps, and not worth reading.
                if !matches!(event.kind.as_str(), "gate-passed" | "drift-changed") {
                    continue;
                }
                match serde_json::from_value(event.body.clone()).map_err(EngineError::bug)? {
                    Event::GatePassed { deployment: of, gate, evidence } if of == *deployment => {
                        let (by, at) = (event.actor.clone(), event.at);
                        station.gates.push(GatePassed { gate, evidence, by, at });
                    }
                    Event::DriftChanged { summary, .. } => {
                        station.drift.push(DriftFound { at: event.at, summary });
                    }
                    _ => {}
                }
            }
            left = left.saturating_sub(events.len());
            if is_over || left == 0 || events.len() < max {
                return Ok(());
            }
            version = last.next();
        }
    }

    /// The first event of a stream at or after a time, as far as its events are
    /// in the order of the clock; one after the last where there is none.
    pub(crate) async fn version_at(
        &self,
        stream: &StreamId,
        at: Timestamp,
    ) -> Result<Version, EngineError> {
        let head = self.version(stream).await?;
        let (mut low, mut high) = (1, head.0.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            let found = self.ports.store.read(stream, Version(middle), 1).await?;
            match found.first() {
                Some(record) if record.event.at < at => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(Version(low))
    }
}
