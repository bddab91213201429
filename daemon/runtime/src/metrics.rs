//! What the daemon tells Prometheus, besides what its HTTP interface counts.

use std::fmt::Write as _;
use std::sync::Arc;

use deployd_engine::Engine;
use deployd_host::PluginHost;
use deployd_store::RedbStore;

/// Figures of engine, store and plugins in Prometheus's text format 0.0.4.
pub(crate) fn text(engine: &Engine, store: &Arc<RedbStore>, host: &Arc<PluginHost>) -> String {
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: u64| {
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "# HELP deployd_{name} {help}\n# TYPE deployd_{name} {kind}\ndeployd_{name} {value}\n"
        );
    };
    let counters = engine.counters();
    one("deployments_accepted_total", "counter", "Deployments accepted.", counters.accepted);
    one(
        "deployments_succeeded_total",
        "counter",
        "Deployments that succeeded.",
        counters.succeeded,
    );
    one(
        "deployments_not_succeeded_total",
        "counter",
        "Deployments that ended otherwise.",
        counters.not_succeeded,
    );
    one("steps_total", "counter", "Steps performed, repeats included.", counters.steps);
    one("notifications_delivered_total", "counter", "Messages delivered.", counters.delivered);
    one(
        "notification_failures_total",
        "counter",
        "Attempts to deliver that failed.",
        counters.delivery_failures,
    );
    one(
        "environments_busy",
        "gauge",
        "Environments that are being worked on.",
        counters.busy_environments,
    );
    let stats = store.stats();
    one("store_commits_total", "counter", "Commits of the store.", stats.commits);
    one(
        "store_checkpoints_total",
        "counter",
        "Times that what its log had was committed to the rest of its file.",
        stats.checkpoints,
    );
    one("store_requests_total", "counter", "Requests that commits answered.", stats.committed);
    one("store_queue", "gauge", "Requests that wait for the store.", stats.queued);
    one("store_bytes", "gauge", "Length of the store's file.", stats.bytes);
    one("store_written_bytes_total", "counter", "Bytes written to it.", stats.bytes_written);
    one("store_syncs_total", "counter", "Syncs of it.", stats.syncs);
    plugins(&mut out, host);
    out
}

fn plugins(out: &mut String, host: &Arc<PluginHost>) {
    let all = host.status();
    let mut family =
        |name: &str, help: &str, value: &dyn Fn(&deployd_host::PluginStatus) -> u64| {
            let _ = write!(out, "# HELP deployd_{name} {help}\n# TYPE deployd_{name} counter\n");
            for status in &all {
                let _ = writeln!(
                    out,
                    "deployd_{name}{{plugin=\"{}\",digest=\"{}\"}} {}",
                    status.plugin.name,
                    status.plugin.digest.short(),
                    value(status)
                );
            }
        };
    family("plugin_calls_total", "Calls of a plugin.", &|status| status.counts.calls);
    family(
        "plugin_failures_total",
        "Calls that broke the contract: traps, limits, nonsense.",
        &|status| status.counts.broken,
    );
}
