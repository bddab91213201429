//! Counts requests and how long they took, for Prometheus.
//!
//! Labels come from what is declared, never from what a client sent, so that
//! nobody can make series at will.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in seconds: from a read out of
/// memory to the time allowed for a request.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0];

/// What requests are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    /// The route's template.
    pub(crate) route: &'static str,
    /// One of the methods that are declared, or `other`.
    pub(crate) method: &'static str,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Series {
    requests: BTreeMap<(Labels, u16), u64>,
    latencies: BTreeMap<Labels, Latency>,
}

/// What was asked since the start.
#[derive(Debug, Default)]
pub(crate) struct RequestMetrics(Mutex<Series>);

impl RequestMetrics {
    /// A request was answered.
    pub(crate) fn answered(&self, labels: Labels, status: u16, took: Duration) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = series.requests.entry((labels, status)).or_default();
        *count = count.saturating_add(1);
        let latency = series.latencies.entry(labels).or_default();
        let seconds = took.as_secs_f64();
        latency.count = latency.count.saturating_add(1);
        latency.seconds += seconds;
        for (bound, bucket) in BOUNDS.iter().zip(&mut latency.buckets) {
            if seconds <= *bound {
                *bucket = bucket.saturating_add(1);
            }
        }
    }

    /// In Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = series.write(&mut text);
        text
    }
}

impl Series {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        const REQUESTS: &str = "deployd_http_requests_total";
        const LATENCY: &str = "deployd_http_request_duration_seconds";
        writeln!(out, "# HELP {REQUESTS} Requests answered.")?;
        writeln!(out, "# TYPE {REQUESTS} counter")?;
        for ((Labels { route, method }, status), count) in &self.requests {
            writeln!(
                out,
                "{REQUESTS}{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
            )?;
        }
        writeln!(out, "# HELP {LATENCY} Time from a request's head to its answer's.")?;
        writeln!(out, "# TYPE {LATENCY} histogram")?;
        for (Labels { route, method }, latency) in &self.latencies {
            let labels = format!("route=\"{route}\",method=\"{method}\"");
            for (bound, bucket) in BOUNDS.iter().zip(&latency.buckets) {
                writeln!(out, "{LATENCY}_bucket{{{labels},le=\"{bound}\"}} {bucket}")?;
            }
            writeln!(out, "{LATENCY}_bucket{{{labels},le=\"+Inf\"}} {}", latency.count)?;
            writeln!(out, "{LATENCY}_sum{{{labels}}} {}", latency.seconds)?;
            writeln!(out, "{LATENCY}_count{{{labels}}} {}", latency.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let metrics = RequestMetrics::default();
        let labels = Labels { route: "/v1/sets/{digest}", method: "GET" };
        metrics.answered(labels, 200, Duration::from_millis(3));
        metrics.answered(labels, 404, Duration::from_secs(60));
        let text = metrics.text();
        for line in [
            r#"deployd_http_requests_total{route="/v1/sets/{digest}",method="GET",status="200"} 1"#,
            r#"deployd_http_request_duration_seconds_bucket{route="/v1/sets/{digest}",method="GET",le="0.001"} 0"#,
            r#"deployd_http_request_duration_seconds_bucket{route="/v1/sets/{digest}",method="GET",le="30"} 1"#,
            r#"deployd_http_request_duration_seconds_bucket{route="/v1/sets/{digest}",method="GET",le="+Inf"} 2"#,
            r#"deployd_http_request_duration_seconds_count{route="/v1/sets/{digest}",method="GET"} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
