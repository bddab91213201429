//! What was in an environment at a time.

use deployd_core::deployment::stays::{STAYS, Stay, stays_in};
use deployd_core::deployment::timeline::{TIMELINE, timeline_key, timeline_place, timeline_until};
use deployd_core::deployment::{Deployed, Outcome, projection, stays};
use deployd_core::image::Image;
use deployd_core::inventory::{EnvironmentThen, Location};
use deployd_core::ports::{KeyRange, Order};
use deployd_core::set::DeploymentSet;
use deployd_core::{EnvironmentId, Timestamp};

use super::{location, newest};
use crate::records::{content, decode, head_of_deployment};
use crate::{Engine, EngineError, Inner};

/// The most stays of one image in one environment that are looked through for the
/// one that was at a time: it comes and goes with rollbacks only.
const STAYS_MAX: usize = 200;

impl Engine {
    /// What ran in an environment at a time, also in one that is gone.
    pub async fn environment_then(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<EnvironmentThen, EngineError> {
        self.inner.environment_then(environment, at).await
    }
}

impl Inner {
    async fn environment_then(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<EnvironmentThen, EngineError> {
        let store = &*self.ports.store;
        let now = self.ports.clock.now();
        if at > now {
            let message = format!("found {at}, expected no later time than now, {now}");
            return Err(EngineError::invalid("at", message));
        }
        let Some(deployed) = self.deployed_at(environment, at).await? else {
            return Err(self.nothing_then(environment, at).await?);
        };
        // The next entry says until when.
        let next = KeyRange {
            start: timeline_key(environment, at.plus_ms(1)),
            end: KeyRange::prefix(&projection::environment_key(environment)).end,
        };
        let next = store.scan(TIMELINE, next, Order::Ascending, 1).await?;
        let until = next.entries.first().and_then(|(key, _)| timeline_place(key));
        let until = until.filter(|(of, _)| of == environment).map(|(_, until)| until);
        let record = head_of_deployment(store, &deployed.deployment).await?;
        Ok(EnvironmentThen {
            environment: environment.clone(),
            at,
            number: record.number,
            by: record.actor,
            outcome: record.outcome.unwrap_or(Outcome::Succeeded),
            set: deployed.set,
            manifests: deployed.manifests,
            from: deployed.at,
            until,
            locations: self.of_deployed(environment, &deployed, at).await?,
            deployment: deployed.deployment,
        })
    }

    /// Images that ran in an environment at a time.
    pub(crate) async fn locations_at(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<Vec<Location>, EngineError> {
        match self.deployed_at(environment, at).await? {
            Some(deployed) => self.of_deployed(environment, &deployed, at).await,
            None => Ok(Vec::new()),
        }
    }

    async fn deployed_at(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<Option<Deployed>, EngineError> {
        let entries = newest(self, TIMELINE, timeline_until(environment, at), 1).await?;
        match entries.first() {
            Some((_, value)) => decode(TIMELINE.0, value),
            None => Ok(None),
        }
    }

    /// Images of what ran, each with its stay.
    async fn of_deployed(
        &self,
        environment: &EnvironmentId,
        deployed: &Deployed,
        at: Timestamp,
    ) -> Result<Vec<Location>, EngineError> {
        let store = &*self.ports.store;
        let set: DeploymentSet = content(store, "set", deployed.set).await?;
        let mut locations = Vec::new();
        for (name, (image, containers)) in stays::images(&set.images()) {
            let stay = self.stay_at(environment, &image, at).await?;
            let location = match stay {
                Some(location) => location,
                // What the inventory does not know of, the record does.
                None => {
                    let record = head_of_deployment(store, &deployed.deployment).await?;
                    let stay = Stay {
                        environment_type: None,
                        number: record.number,
                        actor: record.actor,
                        queued: record.queued,
                        containers,
                        tag: image.tag,
                        commit: None,
                        from: Some(deployed.at),
                        until: None,
                        outcome: record.outcome.unwrap_or(Outcome::Succeeded),
                        seen_ready: Vec::new(),
                    };
                    let (environment, deployment) = (environment.clone(), record.id);
                    Location { environment, image: name, deployment, stay }
                }
            };
            locations.push(location);
        }
        Ok(locations)
    }

    async fn stay_at(
        &self,
        environment: &EnvironmentId,
        image: &Image,
        at: Timestamp,
    ) -> Result<Option<Location>, EngineError> {
        let range = stays_in(&image.repository, &image.version(), environment);
        for (key, value) in newest(self, STAYS, range, STAYS_MAX).await? {
            let location = location(&key, &value)?;
            if location.stay.is_at(at) {
                return Ok(Some(location));
            }
        }
        Ok(None)
    }

    /// Nothing ran then: when something did.
    async fn nothing_then(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<EngineError, EngineError> {
        let range = crate::records::below(&[&environment.to_string()]);
        let first = self.ports.store.scan(TIMELINE, range.clone(), Order::Ascending, 1).await?;
        let last = newest(self, TIMELINE, range, 1).await?;
        let time = |entries: &[(Vec<u8>, Vec<u8>)]| {
            entries.first().and_then(|(key, _)| timeline_place(key)).map(|(_, at)| at)
        };
        let what = format!("deployment that ran in {environment} at {at}");
        Ok(EngineError::not_found(match (time(&first.entries), time(&last)) {
            (Some(first), _) if first > at => format!("{what}; the first ran from {first} on"),
            (Some(_), Some(last)) => {
                format!("{what}; it had been taken away, {last} at the latest")
            }
            _ => format!("{what}; nothing ever ran there"),
        }))
    }
}
