//! Which image is or was where, answered from indexes: a few point reads and
//! short scans, however much has happened.

mod passage;
mod then;

use std::collections::BTreeSet;

use deployd_core::announcement::{TAGS, tagged};
use deployd_core::deployment::projection::{ENVIRONMENTS, environment_of};
use deployd_core::deployment::stays::{
    Held, REPOSITORIES, REPOSITORIES_BY_DIGEST, RUNNING, Running, STAYS, Stay, environment_with,
    environments_of, repositories_with, repository_with, running_key, stay_place, stays_of,
    stays_of_all,
};
use deployd_core::image::{Image, ImageQuery};
use deployd_core::inventory::{InventoryFilter, InventoryPage, Location, When, Whereabouts};
use deployd_core::ports::{Index, KeyRange, Order, Page};
use deployd_core::views::PAGE_MAX;
use deployd_core::{Digest, EnvironmentId, Timestamp};

use crate::records::{decode, get};
use crate::{Engine, EngineError, Inner};

/// The most entries of an index that are looked at for one page: a page on which
/// little is found has a cursor all the same.
const LOOKED_AT_MAX: usize = 5_000;

/// The most images that one tag or one digest stands for: tags move, and the
/// newest are meant.
const IMAGES_MAX: usize = 20;

/// How many repositories are looked at for names that are near one that leads
/// nowhere, and how many of them are named.
const COMPARED_MAX: usize = 1_000;
const CANDIDATES_MAX: usize = 5;

impl Engine {
    /// Which image runs where, or ran there at a time, by environment.
    /// At most `max` environments at once.
    pub async fn inventory(
        &self,
        filter: &InventoryFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<InventoryPage, EngineError> {
        self.inner.inventory(filter, cursor, max.clamp(1, PAGE_MAX)).await
    }

    /// Where images are or were, and since when.
    pub async fn whereabouts(
        &self,
        query: &ImageQuery,
        when: When,
        at: Option<Timestamp>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Whereabouts, EngineError> {
        let asked = Asked { query, when, at, cursor, max: max.clamp(1, PAGE_MAX) };
        self.inner.whereabouts(&asked).await
    }
}

/// What is asked of whereabouts.
struct Asked<'a> {
    query: &'a ImageQuery,
    when: When,
    at: Option<Timestamp>,
    cursor: Option<&'a str>,
    max: usize,
}

impl Asked<'_> {
    fn lets_through(&self, stay: &Stay) -> bool {
        match (self.at, self.when) {
            (Some(at), _) => stay.is_at(at),
            (None, When::Now) => stay.is_now(),
            (None, When::Ever) => true,
        }
    }
}

impl Inner {
    async fn inventory(
        &self,
        filter: &InventoryFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<InventoryPage, EngineError> {
        // What runs has an entry of its own; what ran is found by environment.
        let index = if filter.at.is_some() { ENVIRONMENTS } else { RUNNING };
        let range = match &filter.application {
            Some(application) => KeyRange::prefix(format!("{application}/").as_bytes()),
            None => crate::records::everything(),
        };
        let range = after(range, cursor.map(|cursor| cursor.as_bytes().to_vec()));
        let page = self.ports.store.scan(index, range, Order::Ascending, max).await?;
        let mut inventory = InventoryPage::default();
        for (key, value) in &page.entries {
            let environment = environment_of(key)
                .ok_or_else(|| EngineError::bug("an environment without a name"))?;
            let locations = match filter.at {
                None => locations(&environment, decode(RUNNING.0, value)?),
                Some(at) => self.locations_at(&environment, at).await?,
            };
            inventory.locations.extend(locations.into_iter().filter(|location| {
                let of_type = location.stay.environment_type.as_ref();
                filter.environment_type.as_ref().is_none_or(|wanted| Some(wanted) == of_type)
            }));
        }
        let last = page.entries.last().filter(|_| page.more);
        inventory.next = last.map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        Ok(inventory)
    }

    async fn whereabouts(&self, asked: &Asked<'_>) -> Result<Whereabouts, EngineError> {
        let mut found = match (asked.query, asked.when, asked.at) {
            // All versions that ever were are many; environments are few.
            (ImageQuery::Repository(repository), When::Now, _)
            | (ImageQuery::Repository(repository), _, Some(_)) => {
                self.of_repository(repository, asked).await?
            }
            _ => self.of_images(asked).await?,
        };
        let now = self.ports.clock.now();
        let images: BTreeSet<String> =
            found.locations.iter().map(|location| location.image.clone()).collect();
        for image in images {
            let first = self.announcement(&Image::of(&image), Order::Ascending).await?;
            found.announced.extend(first);
        }
        found.announced.sort_by_key(|first| first.at);
        let stays: Vec<Stay> = found.locations.iter().map(|at| at.stay.clone()).collect();
        stays.iter().for_each(|stay| found.saw(stay, now));
        if found.locations.is_empty() && asked.cursor.is_none() {
            self.known_at_all(asked.query).await?;
        }
        Ok(found)
    }

    /// Environments that have or had a repository, and what of it is there at a
    /// time.
    async fn of_repository(
        &self,
        repository: &str,
        asked: &Asked<'_>,
    ) -> Result<Whereabouts, EngineError> {
        let range = after(environments_of(repository), key_of(asked.cursor)?);
        let store = &self.ports.store;
        let page = store.scan(REPOSITORIES, range, Order::Ascending, asked.max).await?;
        let mut found = Whereabouts { next: next(&page), ..Whereabouts::default() };
        for (key, value) in &page.entries {
            let environment = environment_with(key)
                .ok_or_else(|| EngineError::bug("an environment without a name"))?;
            let versions: Vec<String> = decode(REPOSITORIES.0, value)?;
            let here = match asked.at {
                Some(at) => self.locations_at(&environment, at).await?,
                None if versions.is_empty() => Vec::new(),
                None => self.locations_now(&environment).await?,
            };
            let of_it = here.into_iter().filter(|at| Image::of(&at.image).repository == repository);
            found.locations.extend(of_it);
        }
        Ok(found)
    }

    /// Stays of images.
    async fn of_images(&self, asked: &Asked<'_>) -> Result<Whereabouts, EngineError> {
        let cursor = key_of(asked.cursor)?;
        let mut found = Whereabouts::default();
        let mut left = LOOKED_AT_MAX;
        for range in self.stays_for(asked.query).await? {
            let is_over = |cursor: &Vec<u8>| range.end.as_ref().is_some_and(|end| cursor >= end);
            if cursor.as_ref().is_some_and(is_over) {
                continue;
            }
            let mut range = after(range, cursor.clone());
            loop {
                let max = (asked.max - found.locations.len().min(asked.max)).max(1).min(left);
                let page =
                    self.ports.store.scan(STAYS, range.clone(), Order::Ascending, max).await?;
                left = left.saturating_sub(page.entries.len());
                for (key, value) in &page.entries {
                    let location = location(key, value)?;
                    found
                        .locations
                        .extend(Some(location).filter(|at| asked.lets_through(&at.stay)));
                }
                let Some((last, _)) = page.entries.last() else { break };
                if found.locations.len() >= asked.max || left == 0 {
                    // There may be nothing more, and who asks is told so.
                    found.next = Some(hex(last));
                    return Ok(found);
                }
                if !page.more {
                    break;
                }
                range = after(range, Some(last.clone()));
            }
        }
        Ok(found)
    }

    /// The keys of the stays of all images that are asked for, in their order.
    async fn stays_for(&self, query: &ImageQuery) -> Result<Vec<KeyRange>, EngineError> {
        if let ImageQuery::Repository(repository) = query {
            return Ok(vec![stays_of_all(repository)]);
        }
        let mut ranges: Vec<KeyRange> = self
            .images_for(query)
            .await?
            .iter()
            .map(|image| stays_of(&image.repository, &image.version()))
            .collect();
        ranges.sort_by(|a, b| a.start.cmp(&b.start));
        Ok(ranges)
    }

    /// Images that are asked for, by anything but their repository.
    pub(crate) async fn images_for(&self, query: &ImageQuery) -> Result<Vec<Image>, EngineError> {
        let store = &self.ports.store;
        let of = |repository: &str, digest| Image {
            repository: repository.to_owned(),
            tag: None,
            digest: Some(digest),
        };
        Ok(match query {
            ImageQuery::Repository(_) => Vec::new(),
            ImageQuery::Exact { repository, digest } => vec![of(repository, *digest)],
            ImageQuery::Digest(digest) => {
                let range = repositories_with(*digest);
                let page =
                    store.scan(REPOSITORIES_BY_DIGEST, range, Order::Ascending, IMAGES_MAX).await?;
                let repositories = page.entries.iter().filter_map(|(key, _)| repository_with(key));
                repositories.map(|repository| of(&repository, *digest)).collect()
            }
            ImageQuery::Tagged { repository, tag } => {
                let range = tagged(repository, tag);
                let page = store.scan(TAGS, range, Order::Descending, IMAGES_MAX).await?;
                let digests = page.entries.iter().map(|(_, value)| decode(TAGS.0, value));
                let digests: BTreeSet<Digest> = digests.collect::<Result<_, EngineError>>()?;
                let named =
                    Image { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
                digests.into_iter().map(|digest| of(repository, digest)).chain([named]).collect()
            }
        })
    }

    /// Images that run in an environment.
    pub(crate) async fn locations_now(
        &self,
        environment: &EnvironmentId,
    ) -> Result<Vec<Location>, EngineError> {
        let running = get(&*self.ports.store, RUNNING, &running_key(environment)).await?;
        Ok(locations(environment, running.unwrap_or_default()))
    }

    /// Fails where nothing is known of what is asked for: it was neither announced
    /// nor anywhere. Says what is near.
    async fn known_at_all(&self, query: &ImageQuery) -> Result<(), EngineError> {
        let store = &self.ports.store;
        let mut repositories = Vec::new();
        for image in self.images_for(query).await? {
            let range = stays_of(&image.repository, &image.version());
            let stays = store.scan(STAYS, range, Order::Ascending, 1).await?;
            if !stays.entries.is_empty()
                || self.announcement(&image, Order::Ascending).await?.is_some()
            {
                return Ok(());
            }
            repositories.push(image.repository);
        }
        if let ImageQuery::Repository(repository) = query {
            let range = environments_of(repository);
            let known = store.scan(REPOSITORIES, range, Order::Ascending, 1).await?;
            if !known.entries.is_empty() {
                return Ok(());
            }
            repositories.push(repository.clone());
        }
        let mut message = format!("image {query} in any environment, now or before");
        if let Some(wanted) = repositories.first() {
            let near = self.repositories_near(wanted).await?;
            if !near.is_empty() {
                message.push_str(&format!("; there is {}", near.join("; ")));
            }
        }
        Err(EngineError::not_found(message))
    }

    /// Names of repositories that are near another one, the nearest first.
    async fn repositories_near(&self, wanted: &str) -> Result<Vec<String>, EngineError> {
        let mut range = crate::records::everything();
        let mut near = Vec::new();
        for _ in 0..COMPARED_MAX {
            let page =
                self.ports.store.scan(REPOSITORIES, range.clone(), Order::Ascending, 1).await?;
            let Some((key, _)) = page.entries.first() else { break };
            let repository = key.split(|byte| *byte == 0).next().unwrap_or_default();
            // What comes after all keys of this one.
            range.start = repository.iter().copied().chain([1]).collect();
            let Ok(repository) = String::from_utf8(repository.to_vec()) else { continue };
            let distance = strsim::osa_distance(wanted, &repository);
            if repository == wanted || distance <= wanted.len() / 2 {
                near.push((distance, repository));
            }
        }
        near.sort();
        Ok(near.into_iter().take(CANDIDATES_MAX).map(|(_, repository)| repository).collect())
    }
}

fn locations(environment: &EnvironmentId, running: Running) -> Vec<Location> {
    let of = |(image, Held { deployment, stay })| Location {
        environment: environment.clone(),
        image,
        deployment,
        stay,
    };
    running.into_iter().map(of).collect()
}

/// A stay, as it is kept.
pub(crate) fn location(key: &[u8], value: &[u8]) -> Result<Location, EngineError> {
    let (image, environment, deployment) =
        stay_place(key).ok_or_else(|| EngineError::bug("a stay without a place"))?;
    Ok(Location { environment, image, deployment, stay: decode(STAYS.0, value)? })
}

/// The rest of a range after a key.
pub(crate) fn after(range: KeyRange, key: Option<Vec<u8>>) -> KeyRange {
    let Some(mut key) = key else { return range };
    // The first key after it.
    key.push(0);
    KeyRange { start: range.start.max(key), end: range.end }
}

fn next(page: &Page) -> Option<String> {
    page.entries.last().filter(|_| page.more).map(|(key, _)| hex(key))
}

/// A key as a cursor.
pub(crate) fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cursor as a key.
pub(crate) fn key_of(cursor: Option<&str>) -> Result<Option<Vec<u8>>, EngineError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let wrong =
        || EngineError::invalid("cursor", format!("found {cursor:?}, expected what `next` said"));
    if !cursor.is_ascii() || !cursor.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let bytes = (0..cursor.len()).step_by(2).map(|place| {
        let digits = cursor.get(place..place.saturating_add(2)).unwrap_or_default();
        u8::from_str_radix(digits, 16).map_err(|_| wrong())
    });
    bytes.collect::<Result<_, _>>().map(Some)
}

/// At most this many entries of an index, from its end.
pub(crate) async fn newest(
    engine: &Inner,
    index: Index,
    range: KeyRange,
    max: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError> {
    Ok(engine.ports.store.scan(index, range, Order::Descending, max).await?.entries)
}
