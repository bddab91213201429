//! The status of disruption budgets.

use serde_json::Value;

use super::rollout::share;
use super::writes::{is_active, is_ready};
use super::{Again, MANAGER, set_condition};
use crate::cluster::Cluster;
use crate::json;
use crate::selectors::Labels;
use crate::storage::Key;

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let budget = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let selector = budget.pointer("/spec/selector").unwrap_or(&Value::Null);
    let selector = Labels::from_object(selector);
    let pods: Vec<_> = cluster
        .list("pods", &key.namespace)
        .into_iter()
        .filter(|pod| is_active(pod) && selector.fits(pod))
        .collect();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let expected = count(pods.len());
    let healthy = count(pods.iter().filter(|pod| is_ready(pod)).count());
    let desired =
        match (budget.pointer("/spec/minAvailable"), budget.pointer("/spec/maxUnavailable")) {
            (Some(least), _) => share(least, expected, true),
            (None, Some(most)) => (expected - share(most, expected, true)).max(0),
            (None, None) => expected,
        };
    let allowed = (healthy - desired).max(0);
    let generation = json::int(&budget, "/metadata/generation").unwrap_or_default();
    cluster.set_status(MANAGER, key, |status| {
        json::put(status, &["expectedPods"], expected);
        json::put(status, &["currentHealthy"], healthy);
        json::put(status, &["desiredHealthy"], desired);
        json::put(status, &["disruptionsAllowed"], allowed);
        json::put(status, &["observedGeneration"], generation);
        let (value, reason) = match allowed {
            0 => ("False", "InsufficientPods"),
            _ => ("True", "SufficientPods"),
        };
        set_condition(status, "DisruptionAllowed", value, reason, "");
    });
    None
}
