//! Which objects should be there in the middle of a rollout: those rendered, of one
//! version or the other, and what tracks add to them and change in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::name::{STABLE, TRACK_LABEL};
use super::parts::{Parts, field, is, is_of, kind, name, namespace, put};
use super::situation::{Selects, Situation};
use super::tracks::{Tracks, Version};
use super::traffic::{Via, Way};
use super::{copy, ingress, route};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::ports::ObjectRef;

/// Kinds that are not applied with a workload's first track although they are new:
/// they would act on what runs for everybody, or run beside it.
const WITH_STABLE: [&str; 2] = ["HorizontalPodAutoscaler", "CronJob"];

/// What should be in the cluster, of some workloads and the routes before them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlay {
    /// Objects that should be there, as they should be.
    pub apply: Vec<Manifest>,
    /// Objects of tracks that should not be there, whether they are or not.
    pub remove: Vec<ObjectRef>,
}

/// What should be there of these workloads, with these tracks.
///
/// Once all are canonical it is exactly what is rendered anew; as long as only
/// `stable` is there of what ran before, it is exactly that. Routes that are not a
/// workload's are those rendered anew in either case: they have been applied before
/// the first track.
pub fn desired(
    new: &Manifests,
    current: Option<&Manifests>,
    tracks: &Tracks,
    ways: &BTreeMap<String, Way>,
    workloads: &[String],
) -> Overlay {
    let whole = Whole::of(new, current, tracks, ways);
    let wanted: BTreeSet<&str> = workloads.iter().map(String::as_str).collect();
    let mut apply = Vec::new();
    for manifest in whole.base() {
        if let Some(found) = whole.rendered(manifest, &wanted) {
            apply.push(found);
        }
    }
    let here = || whole.situations.iter().filter(|it| wanted.contains(it.workload));
    apply.extend(here().flat_map(|it| whole.switched_services(it)));
    apply.extend(here().flat_map(copies_of));
    apply.extend(here().flat_map(|it| whole.canaries(it, ways)));
    let mut kept: BTreeSet<ObjectRef> =
        apply.iter().filter_map(|it| new.reference(&it.object)).collect();
    kept.extend(new.references());
    kept.extend(current.map(Manifests::references).unwrap_or_default());
    let remove: BTreeSet<ObjectRef> = here()
        .flat_map(|it| {
            it.tracks.known().flat_map(|track| {
                let versions = [Some(new), current].into_iter().flatten();
                versions.flat_map(|manifests| references(manifests, it.workload, track))
            })
        })
        .filter(|reference| !kept.contains(reference))
        .collect();
    Overlay { apply, remove: remove.into_iter().collect() }
}

/// Everything that a track of these manifests' workloads could have put into the
/// cluster, but for what is among the manifests itself.
pub fn copies(manifests: &Manifests, track: &str) -> BTreeSet<ObjectRef> {
    let rendered = manifests.references();
    let workloads: BTreeSet<&str> = manifests
        .objects
        .iter()
        .filter_map(|manifest| match &manifest.owner {
            ObjectOwner::Workload(name) => Some(name.as_str()),
            ObjectOwner::Resource(_) | ObjectOwner::Environment => None,
        })
        .collect();
    let found = workloads.into_iter().flat_map(|name| references(manifests, name, track));
    found.filter(|reference| !rendered.contains(reference)).collect()
}

/// A copy would have the name of another object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "track {track} of workload {workload} would need {object}, which is another's already: give the track another name"
)]
pub struct NameTaken {
    /// Whose track.
    pub workload: String,
    /// The track.
    pub track: String,
    /// The object.
    pub object: Box<ObjectRef>,
}

/// Whether the copies of all tracks have names of their own.
pub fn names_free(
    new: &Manifests,
    current: Option<&Manifests>,
    tracks: &Tracks,
) -> Result<(), NameTaken> {
    let mut taken = new.references();
    taken.extend(current.map(Manifests::references).unwrap_or_default());
    for (workload, own) in tracks.iter() {
        for (track, found) in &own.others {
            let manifests = match found.version {
                Version::New => new,
                Version::Current => current.unwrap_or(new),
            };
            for object in references(manifests, workload, track) {
                if !taken.insert(object.clone()) {
                    let (workload, track) = (workload.to_owned(), track.clone());
                    return Err(NameTaken { workload, track, object: Box::new(object) });
                }
            }
        }
    }
    Ok(())
}

/// What a track of a workload could consist of.
fn references(manifests: &Manifests, workload: &str, track: &str) -> BTreeSet<ObjectRef> {
    let Ok(parts) = Parts::of(manifests, workload) else { return BTreeSet::new() };
    let mut found: BTreeSet<ObjectRef> = copy::copies(&parts, track, None)
        .iter()
        .filter_map(|manifest| manifests.reference(&manifest.object))
        .collect();
    let here = namespace(manifests, &parts.deployment.object);
    let services = parts.service_names();
    for object in manifests.objects.iter().map(|it| &it.object) {
        if !ingress::leads_to(manifests, object, here, &services) {
            continue;
        }
        if let Some(mut reference) = manifests.reference(object) {
            reference.name = ingress::canary_name(object, &services, workload, track);
            found.insert(reference);
        }
    }
    found
}

fn copies_of(situation: &Situation<'_>) -> Vec<Manifest> {
    let tracks = situation.tracks.others.iter();
    tracks
        .filter_map(|(track, found)| {
            let (_, parts) = situation.version(found.version)?;
            Some(copy::copies(parts, track, situation.replicas(track)))
        })
        .flatten()
        .collect()
}

/// All workloads of a rollout: a route may lead to several.
struct Whole<'a> {
    new: &'a Manifests,
    current: Option<&'a Manifests>,
    situations: Vec<Situation<'a>>,
}

impl<'a> Whole<'a> {
    fn of(
        new: &'a Manifests,
        current: Option<&'a Manifests>,
        tracks: &'a Tracks,
        ways: &BTreeMap<String, Way>,
    ) -> Self {
        let situations = tracks
            .iter()
            .map(|(workload, tracks)| {
                Situation::of(new, current, workload, tracks, ways.get(workload))
            })
            .collect();
        Self { new, current, situations }
    }

    fn situation(&self, owner: &ObjectOwner) -> Option<&Situation<'a>> {
        match owner {
            ObjectOwner::Workload(name) => self.situations.iter().find(|it| it.workload == name),
            ObjectOwner::Resource(_) | ObjectOwner::Environment => None,
        }
    }

    /// Rendered objects that should be there: a workload's of the version that
    /// `stable` has, and those of the new version that the current one has not,
    /// once there is a track of the new one; what is nobody's of the new version.
    fn base(&self) -> Vec<&'a Manifest> {
        let before = self.current.map(Manifests::references).unwrap_or_default();
        let of_new = self.new.objects.iter().filter(|manifest| {
            let Some(situation) = self.situation(&manifest.owner) else {
                return !matches!(manifest.owner, ObjectOwner::Workload(_));
            };
            situation.tracks.stable.version == Version::New
                || situation.tracks.others.values().any(|it| it.version == Version::New)
                    && is_extra(situation, manifest)
                    && self.new.reference(&manifest.object).is_some_and(|it| !before.contains(&it))
        });
        let of_current = self.current.into_iter().flat_map(|it| &it.objects).filter(|manifest| {
            self.situation(&manifest.owner)
                .is_some_and(|it| it.tracks.stable.version == Version::Current)
        });
        of_new.chain(of_current).collect()
    }

    /// An object of the base as it should be; none if it is not asked for.
    fn rendered(&self, manifest: &Manifest, wanted: &BTreeSet<&str>) -> Option<Manifest> {
        let own = self.situation(&manifest.owner);
        let is_own = own.is_some_and(|it| wanted.contains(it.workload));
        let object = &manifest.object;
        if route::is_route(object) {
            let targets = self.targets(object);
            let is_before = targets.iter().any(|(workload, _)| wanted.contains(workload));
            let targets: Vec<route::Target<'_>> =
                targets.into_iter().map(|(_, target)| target).collect();
            return (is_own || is_before).then(|| Manifest {
                owner: manifest.owner.clone(),
                object: route::divided(self.new, object, &targets),
            });
        }
        if !is_own {
            return None;
        }
        let mut found = manifest.clone();
        if let Some(situation) = own {
            if is(object, "apps", "Deployment")
                && let Some(replicas) = situation.stable_replicas()
            {
                put(&mut found.object, &["spec"], "replicas", replicas.into());
            }
            if is(object, "", "Service") && situation.services().contains(name(object)) {
                match situation.selects() {
                    Selects::Track(STABLE) => {}
                    // Who serves its track, see `switched_services`.
                    Selects::Track(_) => return None,
                    Selects::All => {
                        if let Some(selector) = field(&mut found.object, &["spec", "selector"]) {
                            selector.remove(TRACK_LABEL);
                        }
                    }
                }
            }
        }
        Some(found)
    }

    /// The Services of a workload whose traffic another track than `stable` gets by
    /// their selector: of that track's version, since ports belong to pods.
    fn switched_services(&self, situation: &Situation<'a>) -> Vec<Manifest> {
        let Selects::Track(track) = situation.selects() else { return Vec::new() };
        if track == STABLE {
            return Vec::new();
        }
        let mut found: BTreeMap<&str, &Manifest> = BTreeMap::new();
        let of_track = situation.tracks.track(track).map(|it| it.version);
        // Its own version's win; others stay as they were, and lead there too.
        for version in [Some(situation.tracks.stable.version), of_track].into_iter().flatten() {
            let services = situation.version(version).into_iter().flat_map(|it| &it.1.services);
            found.extend(services.map(|it| (name(&it.object), *it)));
        }
        found
            .into_values()
            .map(|manifest| {
                let mut manifest = manifest.clone();
                put(&mut manifest.object, &["spec", "selector"], TRACK_LABEL, track.into());
                manifest
            })
            .collect()
    }

    /// Workloads that a route leads to and whose traffic it divides.
    fn targets<'s>(&'s self, object: &Value) -> Vec<(&'s str, route::Target<'s>)> {
        let by_route = self.situations.iter().filter(|it| it.via == Via::HttpRoute);
        by_route
            .filter_map(|it| {
                let (services, here) = (it.services(), it.namespace()?);
                route::leads_to(self.new, object, here, &services).then(|| {
                    let target = route::Target {
                        services,
                        namespace: here,
                        tracks: it.tracks,
                        weights: it.weights.clone(),
                    };
                    (it.workload, target)
                })
            })
            .collect()
    }

    /// The second Ingresses of a workload: of the track that gets requests, or of
    /// the only one there is, so that a shift changes them and makes none.
    fn canaries(&self, situation: &Situation<'a>, ways: &BTreeMap<String, Way>) -> Vec<Manifest> {
        let Some(way) = ways.get(situation.workload).filter(|it| it.via == Via::NginxIngress)
        else {
            return Vec::new();
        };
        let mut others = situation.tracks.others.keys();
        let track = match others.clone().find(|track| situation.tracks.is_serving(track)) {
            Some(serving) => serving,
            None => match (others.next(), others.next()) {
                (Some(only), None) => only,
                _ => return Vec::new(),
            },
        };
        let services = situation.services();
        let Some(here) = situation.namespace() else { return Vec::new() };
        self.base()
            .into_iter()
            .map(|manifest| &manifest.object)
            .filter(|object| ingress::leads_to(self.new, object, here, &services))
            .filter(|object| {
                ingress::is_nginx(object)
                    || self.new.reference(object).is_some_and(|it| way.routes.contains(&it))
            })
            .map(|object| Manifest {
                owner: ObjectOwner::Workload(situation.workload.to_owned()),
                object: ingress::canary(
                    object,
                    &services,
                    situation.workload,
                    track,
                    situation.tracks,
                    &situation.weights,
                ),
            })
            .collect()
    }
}

/// Whether an object is no part of what tracks copy, and may be there before
/// `stable` is of its version.
fn is_extra(situation: &Situation<'_>, manifest: &Manifest) -> bool {
    let Some((_, parts)) = &situation.new else { return false };
    let copied = parts.services.iter().chain(&parts.payload).chain([&parts.deployment]);
    is_of(manifest, situation.workload)
        && !WITH_STABLE.contains(&kind(&manifest.object))
        && !copied.into_iter().any(|it| std::ptr::eq(*it, manifest))
}
