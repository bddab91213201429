//! Bills of materials: attached to images, kept by content, and asked which image
//! has a package, and where that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use deployd_core::deployment::stays::{
    REPOSITORIES, REPOSITORIES_BY_DIGEST, STAYS, environment_with, environments_of,
    repositories_with, repository_with, stays_of,
};
use deployd_core::image::Image;
use deployd_core::inventory::Location;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, KeyRange, Object, Order};
use deployd_core::reference::Reference;
use deployd_core::sbom::{
    self, PACKAGES, Package, PackageFound, PackagePage, PackageQuery, SBOMS, Sbom, SbomError,
    image_with, images_with,
};
use deployd_core::{Digest, EnvironmentId};
use serde_json::json;

use crate::inventory::{after, hex, key_of, location};
use crate::journal::until_no_conflict;
use crate::records::{decode, get, put};
use crate::{Caller, Engine, EngineError, Inner};

/// The most images on a page.
const PAGE_MAX: usize = 200;

/// The most images that are looked at for one page of those that are somewhere.
const LOOKED_AT_MAX: usize = 2_000;

/// The most repositories and stays of one image that are told of.
const REPOSITORIES_MAX: usize = 5;
const STAYS_MAX: usize = 50;

/// The most environments that have or had a repository, which are looked at for
/// what runs of it: those that are gone count, too, and are read in no time.
const ENVIRONMENTS_MAX: usize = 20_000;

/// The most packages that are taken out at once, so that what comes fits into the
/// batch after it.
const GONE_AT_ONCE: usize = 5_000;

impl Engine {
    /// Attaches a bill of materials to an image, in the place of what was attached
    /// before. The image need not have been announced.
    pub async fn attach_sbom(
        &self,
        caller: &Caller,
        image: Digest,
        document: Vec<u8>,
    ) -> Result<Sbom, EngineError> {
        self.attach_sbom_from(caller, image, document, None).await
    }

    /// The same, of what was fetched from somewhere.
    pub(crate) async fn attach_sbom_from(
        &self,
        caller: &Caller,
        image: Digest,
        document: Vec<u8>,
        from: Option<Reference>,
    ) -> Result<Sbom, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let (content, format, packages) = apart(move || {
            let (format, packages) = sbom::packages(&document)?;
            Ok((Object::new(document), format, Arc::new(packages)))
        })
        .await?
        .map_err(|error: SbomError| EngineError::invalid("document", error.to_string()))?;
        until_no_conflict(|| async {
            let stream = StreamId::sboms();
            // Before what is attached is read: whoever attaches appends here.
            let version = self.inner.version(&stream).await?;
            let before = self.inner.attached(image).await?;
            let after = packages.clone();
            let changes = apart(move || {
                // What can't be read any more is found by nothing either.
                let before = before.map(|document| sbom::packages(&document));
                let before = before.and_then(Result::ok).map_or_else(Vec::new, |(_, all)| all);
                sbom::changes(image, &before, &after)
            });
            let (mut gone, new) = changes.await?.map_err(EngineError::bug)?;
            // What was attached before is found no more while the rest comes.
            while gone.len() > GONE_AT_ONCE {
                let puts = gone.split_off(gone.len().saturating_sub(GONE_AT_ONCE));
                self.inner.ports.store.append(Batch { puts, ..Batch::default() }).await?;
            }
            if gone.len().saturating_add(new.len()) > sbom::PACKAGES_MAX {
                let puts = std::mem::take(&mut gone);
                self.inner.ports.store.append(Batch { puts, ..Batch::default() }).await?;
            }
            let attached = Sbom {
                image,
                document: content.digest,
                format,
                packages: u32::try_from(packages.len()).unwrap_or(u32::MAX),
                by: caller.actor.clone(),
                at: self.inner.ports.clock.now(),
                from: from.clone(),
            };
            let mut puts = gone;
            puts.extend(new);
            puts.push(put(SBOMS, image.to_string().into_bytes(), &attached)?);
            let batch = Batch { puts, objects: vec![content.clone()], ..Batch::default() };
            let body = json!({
                "type": "sbom-attached", "name": image, "image": image,
                "document": content.digest, "format": format, "packages": attached.packages,
                "from": attached.from,
            });
            let batch = self.inner.note(stream, version, caller, body, batch)?;
            self.inner.commit(caller, attached, batch, &[]).await
        })
        .await
    }

    /// What is attached to an image.
    pub async fn sbom(&self, image: Digest) -> Result<Sbom, EngineError> {
        let key = image.to_string();
        let found = get(&*self.inner.ports.store, SBOMS, key.as_bytes()).await?;
        found.ok_or_else(|| EngineError::not_found(format!("bill of materials of image {image}")))
    }

    /// The document that is attached to an image, as it was given.
    pub async fn sbom_document(&self, image: Digest) -> Result<Vec<u8>, EngineError> {
        let attached = self.sbom(image).await?;
        let document = self.inner.ports.store.object(attached.document).await?;
        document.ok_or_else(|| EngineError::not_found(format!("document {}", attached.document)))
    }

    /// Images with a package, and where they are and were.
    pub async fn images_with_package(
        &self,
        query: &PackageQuery,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<PackagePage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let mut range = after(images_with(&query.name, query.version.as_deref()), key_of(cursor)?);
        let mut page = PackagePage::default();
        let mut running = Running::new();
        let mut left = LOOKED_AT_MAX;
        while left > 0 {
            let want = max.saturating_sub(page.found.len()).min(left);
            let store = &self.inner.ports.store;
            let found = store.scan(PACKAGES, range.clone(), Order::Ascending, want).await?;
            for (key, value) in &found.entries {
                let image = image_with(key)
                    .ok_or_else(|| EngineError::bug("a package without an image"))?;
                let package: Package = decode(PACKAGES.0, value)?;
                let (locations, cut) = match query.now {
                    true => self.inner.locations_now_of(image, &mut running).await?,
                    false => self.inner.locations_of(image).await?,
                };
                if !query.now || cut || !locations.is_empty() {
                    page.found.push(PackageFound { package, image, locations, cut });
                }
            }
            left = left.saturating_sub(found.entries.len());
            let Some((last, _)) = found.entries.last().filter(|_| found.more) else {
                return Ok(page);
            };
            if page.found.len() >= max || left == 0 {
                page.next = Some(hex(last));
                return Ok(page);
            }
            range = KeyRange { start: last.clone(), end: range.end };
            range.start.push(0);
        }
        Ok(page)
    }
}

/// What runs of a repository: its versions, and where each does; and whether not
/// all of it was looked at.
type Running = BTreeMap<String, (BTreeMap<String, Vec<EnvironmentId>>, bool)>;

/// Reads documents of some megabytes where that keeps nobody waiting.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.map_err(EngineError::bug)
}

impl Inner {
    /// The document that is attached to an image; none where nothing is, or where
    /// it is not there any more.
    async fn attached(&self, image: Digest) -> Result<Option<Vec<u8>>, EngineError> {
        let store = &*self.ports.store;
        match get::<Sbom>(store, SBOMS, image.to_string().as_bytes()).await? {
            Some(attached) => Ok(store.object(attached.document).await?),
            None => Ok(None),
        }
    }

    /// Repositories that have an image, and whether there are more.
    async fn repositories_of(&self, image: Digest) -> Result<(Vec<String>, bool), EngineError> {
        let range = repositories_with(image);
        let store = &self.ports.store;
        let page =
            store.scan(REPOSITORIES_BY_DIGEST, range, Order::Ascending, REPOSITORIES_MAX).await?;
        let repositories = page.entries.iter().filter_map(|(key, _)| repository_with(key));
        Ok((repositories.collect(), page.more))
    }

    /// Where an image is or was, and whether it was in more places.
    async fn locations_of(&self, image: Digest) -> Result<(Vec<Location>, bool), EngineError> {
        let (repositories, mut cut) = self.repositories_of(image).await?;
        let mut locations = Vec::new();
        for repository in repositories {
            let range = stays_of(&repository, &image.to_string());
            let stays = self.ports.store.scan(STAYS, range, Order::Ascending, STAYS_MAX).await?;
            cut |= stays.more;
            for (key, value) in &stays.entries {
                locations.push(location(key, value)?);
            }
        }
        Ok((locations, cut))
    }

    /// Where an image runs, and whether it runs in more places. By what runs, and
    /// not by stays: of these there may be any number that are over.
    async fn locations_now_of(
        &self,
        image: Digest,
        running: &mut Running,
    ) -> Result<(Vec<Location>, bool), EngineError> {
        let (repositories, mut cut) = self.repositories_of(image).await?;
        let mut locations = Vec::new();
        for repository in repositories {
            if !running.contains_key(&repository) {
                let runs = self.running_of(&repository).await?;
                running.insert(repository.clone(), runs);
            }
            let Some((versions, some)) = running.get(&repository) else { continue };
            cut |= *some;
            let name = Image::name_of(&repository, &image.to_string());
            let places = versions.get(&image.to_string()).map(Vec::as_slice).unwrap_or_default();
            cut |= places.len() > STAYS_MAX;
            for environment in places.iter().take(STAYS_MAX) {
                let here = self.locations_now(environment).await?;
                locations.extend(here.into_iter().filter(|location| location.image == name));
            }
        }
        Ok((locations, cut))
    }

    async fn running_of(
        &self,
        repository: &str,
    ) -> Result<(BTreeMap<String, Vec<EnvironmentId>>, bool), EngineError> {
        let range = environments_of(repository);
        let store = &self.ports.store;
        let page = store.scan(REPOSITORIES, range, Order::Ascending, ENVIRONMENTS_MAX).await?;
        let mut found: BTreeMap<String, Vec<EnvironmentId>> = BTreeMap::new();
        for (key, value) in &page.entries {
            let Some(environment) = environment_with(key) else { continue };
            for version in decode::<Vec<String>>(REPOSITORIES.0, value)? {
                found.entry(version).or_default().push(environment.clone());
            }
        }
        Ok((found, page.more))
    }
}
