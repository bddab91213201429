//! How many pods of a rollout's tracks are ready: which objects to look at, and what
//! was seen of them.

use super::{Recorded, RolloutTrack, RolloutView};
use crate::Timestamp;
use crate::ports::ObservedWorkload;
use crate::rollout::{Runner, runners};

/// What runs pods of a track that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPods {
    /// The workload's name.
    pub workload: String,
    /// The track's.
    pub track: String,
    /// What runs them.
    pub runner: Runner,
}

/// What runs the pods of all tracks that are shown; nothing once the deployment has
/// ended: what runs then is no longer its own.
pub fn rollout_pods(view: &RolloutView, recorded: Recorded<'_>) -> Vec<RolloutPods> {
    let Some(new) = recorded.new.filter(|_| view.outcome.is_none()) else { return Vec::new() };
    let tracks = view
        .workloads
        .iter()
        .flat_map(|workload| workload.tracks.iter().map(|track| (&workload.name, track)));
    let found = tracks.flat_map(|(workload, track)| {
        let of = runners(new, recorded.current, workload, &track.name, track.version);
        of.into_iter().map(|runner| RolloutPods {
            workload: workload.clone(),
            track: track.name.clone(),
            runner,
        })
    });
    found.collect()
}

/// Pods of an object, as the cluster has counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodCount {
    /// That are wanted.
    pub wanted: u64,
    /// Of the object's current version that are ready.
    pub ready: u64,
}

impl PodCount {
    /// Of an object; none of one that is not there.
    pub fn of(observed: Option<&ObservedWorkload>) -> Self {
        observed.map_or_else(Self::default, |it| Self { wanted: it.replicas, ready: it.ready })
    }
}

/// When pods were counted, and what that came to: of each object that was asked for,
/// in its order; or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodsCounted {
    /// When the cluster answered, or did not.
    pub at: Timestamp,
    /// What it said.
    pub found: Result<Vec<PodCount>, String>,
}

impl RolloutView {
    /// The same with the number of pods that are ready; `pods` are those of
    /// [`rollout_pods`], for which `counted` was asked.
    #[must_use]
    pub fn with_pods(mut self, pods: &[RolloutPods], counted: &PodsCounted) -> Self {
        let counts = match &counted.found {
            Ok(counts) => counts,
            Err(why) => {
                self.pods_unknown = Some(why.clone());
                return self;
            }
        };
        self.pods_counted = Some(counted.at);
        for workload in &mut self.workloads {
            let own = || pods.iter().zip(counts).filter(|(of, _)| of.workload == workload.name);
            for track in &mut workload.tracks {
                let own = own().filter(|(of, _)| of.track == track.name);
                let own: Vec<(&Runner, PodCount)> =
                    own.map(|(of, count)| (&of.runner, *count)).collect();
                track.count(&own);
            }
        }
        self
    }

    /// Whether the same is known of pods, whenever it was counted.
    pub fn has_pods_like(&self, other: &Self) -> bool {
        self.workloads == other.workloads && self.pods_unknown == other.pods_unknown
    }

    /// Whether some of the pods that are wanted are known not to be ready.
    pub fn lacks_pods(&self) -> bool {
        let mut tracks = self.workloads.iter().flat_map(|workload| &workload.tracks);
        tracks.any(RolloutTrack::lacks_pods)
    }
}

impl RolloutTrack {
    /// Whether some of the pods that are wanted are known not to be ready.
    pub fn lacks_pods(&self) -> bool {
        self.ready.is_some_and(|ready| ready < self.replicas)
    }

    fn count(&mut self, pods: &[(&Runner, PodCount)]) {
        if pods.is_empty() {
            return;
        }
        let sum = |number: fn(&PodCount) -> u64| {
            let all = pods.iter().map(|(_, count)| number(count));
            u32::try_from(all.fold(0, u64::saturating_add)).unwrap_or(u32::MAX)
        };
        self.ready = Some(sum(|count| count.ready));
        let wanted = sum(|count| count.wanted);
        if wanted > 0 && pods.iter().any(|(runner, _)| !runner.says_how_many) {
            self.replicas = wanted;
        }
    }
}
