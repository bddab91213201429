//! How patient the daemon is with clusters.

use std::time::Duration;

/// How long one request may take. API servers end requests themselves after
/// 60 s; half of it is more than a healthy one needs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request is tried again for. A control plane that is upgraded or
/// restarted is back within a minute; who can't wait longer gets a fault that
/// says so.
const RETRY_BUDGET: Duration = Duration::from_secs(90);

/// How long what was just made may take until others can use it: namespaces,
/// custom resource definitions.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait for what a controller adds to a namespace: its default
/// service account, the status of its quotas. Without it the first pods may be
/// refused, which controllers try again; so this is a courtesy and short.
const COURTESY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long removed objects may take to be gone. Pods get 30 s to end by
/// default and finalizers call other systems.
const PRUNE_TIMEOUT: Duration = Duration::from_secs(300);

/// Requests at a time to one cluster during one call. API servers queue what
/// is more (priority and fairness), and hurt others meanwhile.
const PARALLEL: usize = 16;

/// Requests at a time to one cluster, of all calls together; watches that are
/// open do not count. API servers serve 600 at a time by default, for all their
/// clients: two calls that are busy are no burden yet. Turns are taken in order,
/// so that a large call delays a small one by what is in front of it, 16
/// requests, and a cluster that hangs holds up nobody but those who want it.
const REQUESTS_PER_CLUSTER: usize = 32;

/// How long a cluster may be away while objects are waited for. Control planes
/// are upgraded within ten minutes; nothing is lost by waiting, and a person can
/// still cancel.
const OUTAGE_BUDGET: Duration = Duration::from_secs(15 * 60);

/// A watch from which nothing came for so long may hang on a dead connection,
/// or on a server that lost it. Bookmarks come about once a minute; a new list
/// costs one request.
const WATCH_SILENCE: Duration = Duration::from_secs(100);

/// Clients kept. Each holds connections and what discovery said.
const CLIENTS: usize = 64;

/// Settings of a [`KubeCluster`](crate::KubeCluster). The defaults are for
/// real clusters; tests shorten them.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long a failing request is tried again for.
    pub retry_budget: Duration,
    /// How long namespaces and custom resource definitions may take until
    /// they can be used.
    pub settle_timeout: Duration,
    /// How long to wait for default service accounts and quotas' status.
    pub courtesy_timeout: Duration,
    /// How long removed objects may take to be gone.
    pub prune_timeout: Duration,
    /// Requests at a time during one call.
    pub parallel: usize,
    /// Requests at a time to one cluster, of all calls together.
    pub requests_per_cluster: usize,
    /// How long a cluster may be away while objects are waited for.
    pub outage_budget: Duration,
    /// How long a watch may be silent until all is listed anew.
    pub watch_silence: Duration,
    /// Clients kept.
    pub clients: usize,
    /// How long trouble may last before it is a failure.
    pub patience: Patience,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            request_timeout: REQUEST_TIMEOUT,
            retry_budget: RETRY_BUDGET,
            settle_timeout: SETTLE_TIMEOUT,
            courtesy_timeout: COURTESY_TIMEOUT,
            prune_timeout: PRUNE_TIMEOUT,
            parallel: PARALLEL,
            requests_per_cluster: REQUESTS_PER_CLUSTER,
            outage_budget: OUTAGE_BUDGET,
            watch_silence: WATCH_SILENCE,
            clients: CLIENTS,
            patience: Patience::default(),
        }
    }
}

/// How long trouble that may pass by itself is watched before it counts as a
/// failure.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Images that can't be pulled. The kubelet's second and third tries come
    /// after 10 and 30 s: a registry's hiccup is over by then.
    pub image_pull: Duration,
    /// Containers that end again and again but have not been restarted
    /// [`crash_restarts`](Self::crash_restarts) times yet.
    pub crash_loop: Duration,
    /// Restarts after which a container in back-off has failed: the kubelet
    /// has then tried four times within about 30 s.
    pub crash_restarts: u64,
    /// Secrets or config maps that are not there: an operator may be about to
    /// make them.
    pub configuration: Duration,
    /// Pods beyond a quota: a rolling update frees room when old pods end.
    pub quota: Duration,
    /// Pods that admission refuses.
    pub refused: Duration,
    /// Pods that nodes throw out: the next ones may land on a better node.
    pub evicted: Duration,
    /// Pods that fit nowhere: an autoscaler needs one to three minutes for a
    /// node.
    pub unschedulable: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            image_pull: Duration::from_secs(35),
            crash_loop: Duration::from_secs(60),
            crash_restarts: 3,
            configuration: Duration::from_secs(30),
            quota: Duration::from_secs(30),
            refused: Duration::from_secs(20),
            evicted: Duration::from_secs(60),
            unschedulable: Duration::from_secs(180),
        }
    }
}
