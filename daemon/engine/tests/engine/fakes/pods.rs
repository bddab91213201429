//! Pods of Deployments, in a cluster that has some: they are exchanged as a
//! cluster does it, and somebody looks on after every single change.

use std::collections::BTreeMap;

use deployd_core::ports::{ObjectRef, Readiness};
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::cluster::{ClusterWorld, fault};

/// The pods of all Deployments.
pub struct Pods {
    /// How long a pod takes until it is ready.
    pub ready_after: Duration,
    fleets: BTreeMap<ObjectRef, Fleet>,
    onlooker: Onlooker,
}

/// Who looks on.
pub type Onlooker = Box<dyn FnMut(&Sight<'_>) + Send>;

/// What there is to see after a change.
pub struct Sight<'a> {
    /// `apply` or `prune`.
    pub what: &'static str,
    pub changed: &'a ObjectRef,
    pub objects: &'a BTreeMap<ObjectRef, Value>,
    pub pods: Vec<Ready<'a>>,
}

/// Pods that are alike, and how many of them are ready; also none.
#[derive(Debug)]
pub struct Ready<'a> {
    pub labels: &'a Value,
    pub image: &'a str,
    pub count: u32,
}

/// The pods of a Deployment.
#[derive(Debug)]
struct Fleet {
    labels: Value,
    image: String,
    wanted: u32,
    /// By image; those of the wanted one are there, also when they are none.
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    image: String,
    count: u32,
    /// From when on they are ready, if ever.
    ready: Option<Instant>,
}

impl Group {
    fn is_ready(&self, now: Instant) -> bool {
        self.ready.is_some_and(|ready| ready <= now)
    }
}

impl Fleet {
    fn ready_of(&self, image: &str, now: Instant) -> u32 {
        let of = self.groups.iter().filter(|it| it.image == image && it.is_ready(now));
        of.map(|it| it.count).sum()
    }

    /// Old pods go once all new ones are ready.
    fn settle(&mut self, now: Instant) {
        if self.ready_of(&self.image, now) >= self.wanted {
            self.groups.retain(|it| it.image == self.image);
        }
    }

    /// Is made so from now on; new pods are ready then, if ever.
    fn follow(&mut self, object: &Value, now: Instant, ready: Option<Instant>) {
        self.settle(now);
        let template = &object["spec"]["template"];
        self.labels = template["metadata"]["labels"].clone();
        self.image = template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        self.wanted = object["spec"]["replicas"].as_u64().unwrap_or(1) as u32;
        // What was not ready goes first, and comes again if it is wanted.
        let fresh = |it: &Group| it.image == self.image && it.ready.is_some() && ready.is_some();
        self.groups.retain(|it| it.is_ready(now) || fresh(it));
        let mut left = self.wanted;
        for group in self.groups.iter_mut().filter(|it| it.image == self.image) {
            group.count = group.count.min(left);
            left -= group.count;
        }
        let mut others = self.wanted.saturating_sub(self.ready_of(&self.image, now));
        for group in self.groups.iter_mut().filter(|it| it.image != self.image) {
            group.count = group.count.min(others);
            others -= group.count;
        }
        if left > 0 {
            self.groups.push(Group { image: self.image.clone(), count: left, ready });
        }
        self.settle(now);
    }

    /// When all that is wanted is ready, if ever.
    fn complete(&self, now: Instant) -> Option<Instant> {
        let wanted = self.groups.iter().filter(|it| it.image == self.image);
        wanted.map(|it| it.ready).try_fold(now, |last, ready| Some(last.max(ready?)))
    }
}

impl Pods {
    pub fn new(ready_after: Duration, onlooker: Onlooker) -> Self {
        Self { ready_after, fleets: BTreeMap::new(), onlooker }
    }

    /// Somebody else looks on from now on.
    pub fn look_on(&mut self, onlooker: Onlooker) {
        self.onlooker = onlooker;
    }

    fn change(&mut self, object: &ObjectRef, now: Option<&Value>, is_hopeless: bool) {
        let Some(value) = now else { return drop(self.fleets.remove(object)) };
        if object.kind != "Deployment" {
            return;
        }
        let now = Instant::now();
        let ready = (!is_hopeless).then(|| now + self.ready_after);
        let none =
            || Fleet { labels: Value::Null, image: String::new(), wanted: 0, groups: Vec::new() };
        self.fleets.entry(object.clone()).or_insert_with(none).follow(value, now, ready);
    }

    fn look(
        &mut self,
        what: &'static str,
        changed: &ObjectRef,
        objects: &BTreeMap<ObjectRef, Value>,
    ) {
        let now = Instant::now();
        self.fleets.values_mut().for_each(|fleet| fleet.settle(now));
        let pods = self.fleets.values().flat_map(|fleet| {
            let of =
                |image| Ready { labels: &fleet.labels, image, count: fleet.ready_of(image, now) };
            let mut images: Vec<&str> = fleet.groups.iter().map(|it| it.image.as_str()).collect();
            images.push(&fleet.image);
            images.sort_unstable();
            images.dedup();
            images.into_iter().map(of).collect::<Vec<_>>()
        });
        let pods = pods.collect();
        (self.onlooker)(&Sight { what, changed, objects, pods });
    }
}

/// In which order kinds are applied: who needs others comes after them.
fn rank(kind: &str) -> usize {
    let order = ["Secret", "ConfigMap", "Service", "Deployment"];
    order.iter().position(|known| kind == *known).unwrap_or(order.len())
}

impl ClusterWorld {
    /// Objects in the order in which they are applied.
    pub fn in_order<'a>(&self, objects: &'a [Value]) -> Vec<&'a Value> {
        let mut ordered: Vec<&Value> = objects.iter().collect();
        if self.pods.is_some() {
            ordered.sort_by_key(|object| rank(object["kind"].as_str().unwrap()));
        }
        ordered
    }

    /// Objects in the order in which they go: the other way round.
    pub fn in_order_of_going(&self, mut objects: Vec<ObjectRef>) -> Vec<ObjectRef> {
        if self.pods.is_some() {
            objects.sort_by_key(|object| std::cmp::Reverse(rank(&object.kind)));
        }
        objects
    }

    /// An object is another than before, or gone.
    pub fn changed(&mut self, what: &'static str, object: &ObjectRef) {
        let Some(mut pods) = self.pods.take() else { return };
        let is_hopeless = self.holds(object, &self.broken) || self.holds(object, &self.stuck);
        pods.change(object, self.objects.get(object), is_hopeless);
        pods.look(what, object, &self.objects);
        self.pods = Some(pods);
    }

    /// How long it takes until it is known whether these are ready, and whether
    /// they are; nothing in a cluster that has no pods.
    pub fn readiness(
        &self,
        objects: &[ObjectRef],
        deadline: Duration,
    ) -> Option<(Duration, Readiness)> {
        let pods = self.pods.as_ref()?;
        let now = Instant::now();
        let (mut wait, mut slow, mut failed, mut late) =
            (Duration::ZERO, Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            let fleet = pods.fleets.get(object);
            if !self.objects.contains_key(object) {
                failed.push(fault(object, "gone"));
            } else if let Some(fleet) = fleet {
                match fleet.complete(now) {
                    Some(at) if at - now <= deadline => wait = wait.max(at - now),
                    Some(_) => late.push(fault(object, "progress-deadline")),
                    None if self.holds(object, &self.broken) => {
                        failed.push(fault(object, "crash-loop"))
                    }
                    None => slow.push(fault(object, "progress-deadline")),
                }
            }
        }
        slow.extend(late);
        Some(match (failed.is_empty(), slow.is_empty()) {
            (true, true) => (wait, Readiness::Ready),
            (true, false) => (deadline, Readiness::Failed(slow)),
            _ => (pods.ready_after.min(deadline), Readiness::Failed(failed)),
        })
    }
}
