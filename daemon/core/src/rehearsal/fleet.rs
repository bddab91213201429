//! The pods of one track of a workload, in simulated time.
//!
//! All that will happen to them is known when they are asked for: a change of the
//! version is rolled as Kubernetes does when nobody says otherwise, a quarter of
//! the pods at a time, each beside the old one that goes once it is ready.

use crate::rollout::{Pods, Version};

/// The part of the pods that is exchanged at a time: `maxSurge` of a Deployment
/// where nothing is said is a quarter.
const SURGE: u32 = 4;

/// Pods that come and go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    version: Version,
    count: u32,
    from: u64,
    /// Never, when not given.
    ready: Option<u64>,
    until: Option<u64>,
}

/// The pods of a track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fleet {
    wanted: Option<Pods>,
    batches: Vec<Batch>,
}

impl Batch {
    fn is_there(&self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    fn is_ready(&self, at: u64) -> bool {
        self.is_there(at) && self.ready.is_some_and(|ready| ready <= at)
    }
}

impl Fleet {
    /// Pods that have been there for long.
    pub(super) fn running(pods: Pods) -> Self {
        let Pods { version, replicas: count, .. } = pods;
        let batch = Batch { version, count, from: 0, ready: Some(0), until: None };
        Self { wanted: Some(pods), batches: vec![batch] }
    }

    /// What is asked for.
    pub(super) fn wanted(&self) -> Option<Pods> {
        self.wanted
    }

    /// Pods that get requests.
    pub(super) fn ready(&self, version: Version, at: u64) -> u32 {
        let ready = self.batches.iter().filter(|it| it.version == version && it.is_ready(at));
        ready.fold(0, |sum, batch| sum.saturating_add(batch.count))
    }

    /// Whether all that is asked for is ready, and nothing else is there.
    pub(super) fn is_complete(&self, at: u64) -> bool {
        let Some(wanted) = self.wanted else { return true };
        let old = self.batches.iter().any(|it| it.version != wanted.version && it.is_there(at));
        !old && self.ready(wanted.version, at) >= wanted.replicas
    }

    /// When something happens next.
    pub(super) fn next(&self, after: u64) -> Option<u64> {
        let all = self.batches.iter().flat_map(|it| [Some(it.from), it.ready, it.until]);
        all.flatten().filter(|at| *at > after).min()
    }

    /// Asks for these pods from now on; new ones take so long until they are
    /// ready, or forever. Whether that is news.
    pub(super) fn ask_for(&mut self, pods: Pods, now: u64, ready_after: Option<u64>) -> bool {
        if self.wanted == Some(pods) {
            return false;
        }
        self.wanted = Some(pods);
        self.exchange(pods, now, ready_after);
        true
    }

    fn exchange(&mut self, pods: Pods, now: u64, ready_after: Option<u64>) {
        self.stop(now);
        let Pods { version, replicas, recreate } = pods;
        let mine = self.count(|it| it.version == version);
        let mut old = self.count(|it| it.version != version);
        self.remove(mine.saturating_sub(replicas), now, |it| it.version == version);
        let mut missing = replicas.saturating_sub(mine);
        let batch = |count, from: u64| Batch {
            version,
            count,
            from,
            ready: ready_after.map(|after| from.saturating_add(after)),
            until: None,
        };
        if recreate {
            self.remove(old, now, |it| it.version != version);
            old = 0;
        }
        if old == 0 {
            self.batches.extend((missing > 0).then(|| batch(missing, now)));
            return;
        }
        // Those that are there already have to be ready before others go.
        let mut at = now;
        for it in self.batches.iter().filter(|it| it.version == version) {
            let Some(ready) = it.ready else { return };
            at = at.max(ready);
        }
        let surge = replicas.div_ceil(SURGE).max(1);
        while missing > 0 {
            let count = surge.min(missing);
            self.batches.push(batch(count, at));
            let Some(after) = ready_after else { return };
            at = at.saturating_add(after);
            self.remove(count, at, |it| it.version != version);
            missing = missing.saturating_sub(count);
        }
        self.remove(u32::MAX, at, |it| it.version != version);
    }

    /// Pods of a version crash from now on, and new ones do, too: what was still
    /// to be exchanged stays.
    pub(super) fn crash(&mut self, version: Version, now: u64) {
        if self.wanted.is_some_and(|wanted| wanted.version == version) {
            self.stop(now);
        }
        for batch in self.batches.iter_mut().filter(|it| it.version == version) {
            batch.ready = None;
        }
    }

    /// Whether pods of a version are there.
    pub(super) fn has(&self, version: Version, at: u64) -> bool {
        self.batches.iter().any(|it| it.version == version && it.is_there(at))
    }

    /// Nothing more happens of what was foreseen.
    fn stop(&mut self, now: u64) {
        self.batches.retain(|it| it.is_there(now));
        for batch in &mut self.batches {
            batch.until = None;
        }
    }

    fn count(&self, of: impl Fn(&Batch) -> bool) -> u32 {
        let all = self.batches.iter().filter(|it| it.until.is_none() && of(it));
        all.fold(0, |sum, batch| sum.saturating_add(batch.count))
    }

    /// So many pods go then, newest first: they are the least likely to be ready.
    fn remove(&mut self, mut count: u32, at: u64, of: impl Fn(&Batch) -> bool) {
        let mut split = Vec::new();
        for batch in self.batches.iter_mut().rev() {
            if count == 0 {
                break;
            }
            if batch.until.is_some() || !of(batch) {
                continue;
            }
            let gone = batch.count.min(count);
            count = count.saturating_sub(gone);
            if gone < batch.count {
                split.push(Batch { count: batch.count.saturating_sub(gone), ..*batch });
            }
            batch.count = gone;
            batch.until = Some(at);
        }
        self.batches.extend(split);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(version: Version, replicas: u32) -> Pods {
        Pods { version, replicas, recreate: false }
    }

    #[test]
    fn a_change_of_the_version_is_rolled_and_never_has_fewer_ready() {
        let mut fleet = Fleet::running(pods(Version::Current, 8));
        fleet.ask_for(pods(Version::New, 8), 100, Some(10));
        let ready =
            |fleet: &Fleet, at| (fleet.ready(Version::Current, at), fleet.ready(Version::New, at));
        let seen: Vec<_> = [100, 109, 110, 120, 130, 140].map(|at| ready(&fleet, at)).into();
        assert_eq!(seen, [(8, 0), (8, 0), (6, 2), (4, 4), (2, 6), (0, 8)]);
        assert!(!fleet.is_complete(139) && fleet.is_complete(140));

        // Turned round in the middle.
        fleet = Fleet::running(pods(Version::Current, 8));
        fleet.ask_for(pods(Version::New, 8), 0, Some(10));
        fleet.ask_for(pods(Version::Current, 8), 25, Some(10));
        assert!((25..100).all(|at| ready(&fleet, at).0 + ready(&fleet, at).1 >= 8));
        assert!(fleet.is_complete(100), "{fleet:?}");
    }

    #[test]
    fn pods_that_are_never_ready_take_no_place() {
        let mut fleet = Fleet::running(pods(Version::Current, 3));
        fleet.ask_for(pods(Version::New, 3), 0, None);
        assert_eq!(fleet.ready(Version::Current, 1_000_000), 3);
        assert!(!fleet.is_complete(1_000_000));
        fleet.ask_for(pods(Version::Current, 3), 50, Some(10));
        assert!(fleet.is_complete(60), "{fleet:?}");

        let mut anew = Fleet::running(pods(Version::Current, 3));
        anew.ask_for(Pods { recreate: true, ..pods(Version::New, 3) }, 10, Some(5));
        assert_eq!((anew.ready(Version::Current, 10), anew.ready(Version::New, 14)), (0, 0));
        assert!(anew.is_complete(15));
    }

    #[test]
    fn a_crash_in_the_middle_leaves_the_old_ones() {
        let mut fleet = Fleet::running(pods(Version::Current, 4));
        fleet.ask_for(pods(Version::New, 4), 0, Some(10));
        fleet.crash(Version::New, 20);
        assert_eq!((fleet.ready(Version::Current, 99), fleet.ready(Version::New, 99)), (2, 0));
        assert_eq!(fleet.next(20), None);
    }
}
