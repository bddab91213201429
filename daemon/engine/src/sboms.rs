//! Bills of materials: attached to images, kept by content, and asked which image
//! has a package, and where that is.

use deployd_core::Digest;
use deployd_core::deployment::stays::{
    REPOSITORIES_BY_DIGEST, STAYS, repositories_with, repository_with, stays_of,
};
use deployd_core::inventory::Location;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, KeyRange, Object, Order};
use deployd_core::sbom::{
    self, PACKAGES, Package, PackageFound, PackagePage, SBOMS, Sbom, image_with, images_with,
};
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
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let (format, packages) = sbom::packages(&document)
            .map_err(|error| EngineError::invalid("document", error.to_string()))?;
        let content = Object::new(document);
        until_no_conflict(|| async {
            let stream = StreamId::sboms();
            // Before what is attached is read: whoever attaches appends here.
            let version = self.inner.version(&stream).await?;
            let before = self.inner.attached(image).await?;
            let (mut gone, new) =
                sbom::changes(image, &before, &packages).map_err(EngineError::bug)?;
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
            };
            let mut puts = gone;
            puts.extend(new);
            puts.push(put(SBOMS, image.to_string().into_bytes(), &attached)?);
            let batch = Batch { puts, objects: vec![content.clone()], ..Batch::default() };
            let body = json!({
                "type": "sbom-attached", "name": image, "image": image,
                "document": content.digest, "format": format, "packages": attached.packages,
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

    /// Images with a package, and where they are and were. With `now`, only those
    /// that run somewhere, and where they do.
    pub async fn images_with_package(
        &self,
        name: &str,
        version: Option<&str>,
        now: bool,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<PackagePage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let mut range = after(images_with(name, version), key_of(cursor)?);
        let mut page = PackagePage::default();
        let mut left = LOOKED_AT_MAX;
        while left > 0 {
            let want = max.saturating_sub(page.found.len()).min(left);
            let store = &self.inner.ports.store;
            let found = store.scan(PACKAGES, range.clone(), Order::Ascending, want).await?;
            for (key, value) in &found.entries {
                let image = image_with(key)
                    .ok_or_else(|| EngineError::bug("a package without an image"))?;
                let package: Package = decode(PACKAGES.0, value)?;
                let locations = self.inner.locations_of(image, now).await?;
                if !now || !locations.is_empty() {
                    page.found.push(PackageFound { package, image, locations });
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

impl Inner {
    /// Packages of what is attached to an image; none where nothing is, or where it
    /// can't be read any more.
    async fn attached(&self, image: Digest) -> Result<Vec<Package>, EngineError> {
        let store = &*self.ports.store;
        let Some(attached): Option<Sbom> = get(store, SBOMS, image.to_string().as_bytes()).await?
        else {
            return Ok(Vec::new());
        };
        let document = store.object(attached.document).await?.unwrap_or_default();
        Ok(sbom::packages(&document).map(|(_, packages)| packages).unwrap_or_default())
    }

    /// Where an image is or was.
    async fn locations_of(&self, image: Digest, now: bool) -> Result<Vec<Location>, EngineError> {
        let store = &self.ports.store;
        let repositories = store
            .scan(
                REPOSITORIES_BY_DIGEST,
                repositories_with(image),
                Order::Ascending,
                REPOSITORIES_MAX,
            )
            .await?;
        let mut locations = Vec::new();
        for (key, _) in &repositories.entries {
            let Some(repository) = repository_with(key) else { continue };
            let range = stays_of(&repository, &image.to_string());
            let stays = store.scan(STAYS, range, Order::Ascending, STAYS_MAX).await?;
            for (key, value) in &stays.entries {
                let location = location(key, value)?;
                if !now || location.stay.is_now() {
                    locations.push(location);
                }
            }
        }
        Ok(locations)
    }
}
