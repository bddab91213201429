//! What runs the pods of a workload's tracks.

use super::name::{STABLE, copy_name};
use super::parts::{Parts, is_of};
use super::tracks::Version;
use crate::plan::{Manifest, Manifests};
use crate::ports::ObjectRef;

/// An object that runs pods of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The object.
    pub object: ObjectRef,
    /// Whether its manifest says how many pods it is to have; if not, the cluster does:
    /// an autoscaler, or the number of nodes.
    pub says_how_many: bool,
}

/// What runs the pods of a track of a workload, where it has this version: of
/// `stable` what is rendered, of other tracks the copy of its Deployment.
pub fn runners(
    new: &Manifests,
    current: Option<&Manifests>,
    workload: &str,
    track: &str,
    version: Version,
) -> Vec<Runner> {
    let Some(manifests) = (match version {
        Version::New => Some(new),
        Version::Current => current,
    }) else {
        return Vec::new();
    };
    if track != STABLE {
        let copied = Parts::of(manifests, workload)
            .ok()
            .and_then(|parts| manifests.reference(&parts.deployment.object));
        let copy = copied.map(|mut object| {
            object.name = copy_name(&object.name, track);
            Runner { object, says_how_many: true }
        });
        return copy.into_iter().collect();
    }
    let own = manifests.objects.iter().filter(|manifest| is_of(manifest, workload));
    own.filter_map(|manifest: &Manifest| {
        let object = manifests.reference(&manifest.object).filter(ObjectRef::runs_pods)?;
        let says_how_many = manifest.object.pointer("/spec/replicas").is_some();
        Some(Runner { object, says_how_many })
    })
    .collect()
}
