//! One lane for each branch: orders that come while others are served are served together
//! afterwards. Lanes of different branches know nothing of each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deployd_core::Fault;
use deployd_core::ports::{CallLog, Committed, LogLine};
use tokio::sync::oneshot;

use crate::fault;
use crate::group::{Pending, Target};

/// Orders that wait for one branch, with a commit each: more environments than any
/// repository has been seen with.
const WAITING_MAX: usize = 5_000;
/// Orders that are served together. Who comes next waits no longer than for these.
const GROUP_MAX: usize = 1_000;
/// Bytes of the files of a group.
const GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Keys that are remembered: those of some hours.
const KEYS_MAX: usize = 20_000;

/// Names a lane: repository, as one login sees it, and branch.
pub(crate) type LaneKey = (Arc<str>, String);

/// All lanes that have orders.
#[derive(Clone, Default)]
pub(crate) struct Lanes(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    lanes: HashMap<LaneKey, VecDeque<Waiting>>,
    /// Keys of orders that were begun: a commit may have been made of them.
    begun: HashSet<(LaneKey, String)>,
    order: VecDeque<(LaneKey, String)>,
}

struct Waiting {
    pending: Pending,
    reply: oneshot::Sender<Reply>,
}

/// What came of an order.
pub(crate) struct Reply {
    pub(crate) result: Result<Committed, Fault>,
    pub(crate) lines: Vec<LogLine>,
}

impl Lanes {
    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an order served, with others for the same branch.
    pub(crate) async fn serve(
        &self,
        key: LaneKey,
        target: Target,
        pending: Pending,
    ) -> Result<Reply, Fault> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { pending, reply };
        if self.enter(&key, waiting)? {
            let lanes = self.clone();
            tokio::spawn(async move { lanes.run(key, target).await });
        }
        answer.await.map_err(|_| broken())
    }

    /// Puts an order into its lane; whether the lane is new.
    fn enter(&self, key: &LaneKey, waiting: Waiting) -> Result<bool, Fault> {
        let mut inner = self.locked();
        if let Some(lane) = inner.lanes.get_mut(key) {
            if lane.len() >= WAITING_MAX {
                let branch = &key.1;
                return Err(fault::unreachable(format!(
                    "{WAITING_MAX} commits wait for the branch {branch} already"
                )));
            }
            lane.push_back(waiting);
            return Ok(false);
        }
        inner.lanes.insert(key.clone(), VecDeque::from([waiting]));
        Ok(true)
    }

    async fn run(self, key: LaneKey, target: Target) {
        // Whatever happens, the next order finds a lane that is served, or none.
        let guard = Open { lanes: self.clone(), key: key.clone() };
        while let Some(group) = self.group(&key) {
            let log = CallLog::default();
            let orders = group.iter().map(|waiting| waiting.pending.clone()).collect();
            let answers = target.serve(orders, &log).await;
            let lines = log.take();
            let mut later = Vec::new();
            for (waiting, answer) in group.into_iter().zip(answers) {
                match answer {
                    // Whoever asked may have gone.
                    Some(result) => {
                        drop(waiting.reply.send(Reply { result, lines: lines.clone() }));
                    }
                    None => later.push(waiting),
                }
            }
            self.put_back(&key, later);
        }
        drop(guard);
    }

    /// The orders that are next; none when there are no more, and the lane with them.
    fn group(&self, key: &LaneKey) -> Option<Vec<Waiting>> {
        let mut inner = self.locked();
        let lane = inner.lanes.get_mut(key)?;
        let mut group: Vec<Waiting> = Vec::new();
        let mut bytes = 0_usize;
        while group.len() < GROUP_MAX
            && let Some(next) = lane.front()
        {
            bytes = bytes.saturating_add(next.pending.order.bytes());
            if bytes > GROUP_BYTES_MAX && !group.is_empty() {
                break;
            }
            group.extend(lane.pop_front());
        }
        if group.is_empty() {
            inner.lanes.remove(key);
            return None;
        }
        for waiting in &mut group {
            let begun = (key.clone(), waiting.pending.order.request.key.clone());
            // An order with this key that was begun before, and is not known to have ended.
            if inner.begun.contains(&begun) {
                waiting.pending.again = true;
                continue;
            }
            inner.order.push_back(begun.clone());
            inner.begun.insert(begun);
        }
        while inner.order.len() > KEYS_MAX
            && let Some(forgotten) = inner.order.pop_front()
        {
            inner.begun.remove(&forgotten);
        }
        Some(group)
    }

    fn put_back(&self, key: &LaneKey, later: Vec<Waiting>) {
        let mut inner = self.locked();
        for waiting in &later {
            inner.begun.remove(&(key.clone(), waiting.pending.order.request.key.clone()));
        }
        if let Some(lane) = inner.lanes.get_mut(key) {
            for waiting in later.into_iter().rev() {
                lane.push_front(waiting);
            }
        }
    }
}

/// Takes a lane away whose task has broken off; whoever waits in it is told.
struct Open {
    lanes: Lanes,
    key: LaneKey,
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.lanes.locked().lanes.remove(&self.key);
        }
    }
}

fn broken() -> Fault {
    Fault::bug("git-broken", "work on a branch broke off; the journal of deployd says why")
}
