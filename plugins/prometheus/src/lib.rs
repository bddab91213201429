//! Check `prometheus`: asks Prometheus, or what speaks its API, whether what is
//! rolled out does well.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: prometheus }
//! spec:
//!   kind: check
//!   source: { shipped: prometheus }
//!   grant:
//!     hosts:
//!       - { host: prometheus.monitoring.svc, port: 9090, scheme: http, privateAddress: true }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: EnvironmentType
//! metadata: { name: production }
//! spec:
//!   # templater, strategy …
//!   checks:
//!     errors:                       # less than one per cent
//!       plugin: prometheus
//!       config:
//!         url: http://prometheus.monitoring.svc:9090
//!         query: |
//!           sum(rate(http_requests_total{namespace="{{namespace}}", app="{{workload}}", track="{{track}}", code=~"5.."}[2m]))
//!             / sum(rate(http_requests_total{namespace="{{namespace}}", app="{{workload}}", track="{{track}}"}[2m]))
//!         condition: result[0] < 0.01
//!       initialDelayMs: 120000
//!       count: 5
//!       failureLimit: 1
//!       inconclusiveLimit: 3
//!     latency:                      # no worse than the baseline's
//!       plugin: prometheus
//!       config:
//!         url: http://prometheus.monitoring.svc:9090
//!         query: |
//!           histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket{namespace="{{namespace}}", track="{{track}}"}[1m])))
//!         range: { window_ms: 1800000, step_ms: 60000 }
//!         compare: { with: baseline, by: mann-whitney, at_most: 1.1 }
//! ```
//!
//! `{{workload}}`, `{{track}}`, `{{suffix}}`, `{{baseline}}`, `{{namespace}}` and
//! `{{deployment}}` are filled in, escaped for strings in quotes. A query with
//! `{{workload}}` is asked for each workload, and has to be right for each.
//!
//! # The condition
//!
//! In the Common Expression Language. `result` is the list of all values: one for
//! each series, or with a `range` all of each series. `series` is the list of
//! `{labels, values}`.
//!
//! # The comparison
//!
//! The same query again: with `{{track}}` as the baseline track (`with: baseline`),
//! or as `stable`, over as long a time that ended when the track got its traffic
//! (`with: before`). `by: ratio` compares the means. `by: mann-whitney` tests whether
//! values of the track tend to be worse, whatever their distribution: of
//! measurements in which the track is as good, `alpha` fail, one in a hundred where
//! nobody says otherwise. That holds for values that are independent, so let the
//! step be no shorter than the window of a `rate` in the query; and for each
//! measurement, so let `failureLimit` be more than 0 where there are many.
//!
//! # Passed, failed, inconclusive, or a fault
//!
//! Passed, if condition and comparison hold for all. Failed, if one does not.
//! Inconclusive, if nothing can be told: no series, NaN (nothing divided by nothing:
//! no requests), strings and histograms, too few values. A query or condition that
//! is none, a server that is away, fails or refuses: a fault; nothing was measured.

mod compare;
mod condition;
mod mann_whitney;
mod query;
#[cfg(test)]
mod tests;

use compare::{By, Compare, With, mean, shown};
use condition::Held;
use deployd_plugin_sdk::check::{Check, Escape, Input, Outcome, Request, STABLE, Verdict};
use deployd_plugin_sdk::{Fault, Host, export_check};
use query::{Found, Series, Server, Time};
use serde::Deserialize;

struct Prometheus;

export_check!(Prometheus);

/// Values of one series over the window: a test of more shows nothing that one of
/// so many does not.
const POINTS_MAX: u64 = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    tenant: Option<String>,
    query: String,
    range: Option<Range>,
    condition: Option<String>,
    compare: Option<Compare>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    window_ms: u64,
    #[serde(default = "step_ms")]
    step_ms: u64,
}

fn step_ms() -> u64 {
    60_000
}

/// What one query has shown.
#[derive(Debug, Default)]
struct Shown {
    failed: Vec<String>,
    unknown: Vec<String>,
    right: Vec<String>,
    values: Vec<(&'static str, f64)>,
}

impl Check for Prometheus {
    type Config = Config;

    fn run(request: &Request<Config>, host: &impl Host) -> Result<Outcome, Fault> {
        let Request { config, input, .. } = request;
        checked(config)?;
        let (now, before) = match times(config, input) {
            Ok(times) => times,
            Err(too_early) => return Ok(Verdict::new(too_early).inconclusive()),
        };
        let other = match config.compare.map(|compare| compare.with) {
            None => None,
            Some(With::Before) => Some((STABLE, before)),
            Some(With::Baseline) => {
                let baseline = input.baseline.as_deref().ok_or_else(|| {
                    let message = "none; with: baseline needs one in the strategy's run-checks";
                    Fault::invalid("/input/baseline", message)
                })?;
                Some((baseline, now))
            }
        };
        let server = Server { url: &config.url, tenant: config.tenant.as_deref() };
        let filled =
            |track: &str| input.filled("/config/query", &config.query, track, Escape::Quoted);
        let others = match other {
            None => None,
            Some((track, time)) => Some((filled(track)?, time)),
        };
        let (mut verdict, mut whole) = (Verdict::default(), Shown::default());
        for (index, (workload, query)) in filled(&input.track)?.into_iter().enumerate() {
            let track = query::ask(server, &query, now, host)?;
            let other = match &others {
                None => None,
                Some((queries, time)) => match queries.get(index) {
                    Some((_, query)) => Some(query::ask(server, query, *time, host)?),
                    None => None,
                },
            };
            let one = look(config, track, other)?;
            let named = |text: String| {
                if workload.is_empty() { text } else { format!("{workload}: {text}") }
            };
            whole.failed.extend(one.failed.into_iter().map(named));
            whole.unknown.extend(one.unknown.into_iter().map(named));
            whole.right.extend(one.right.into_iter().map(named));
            for (name, value) in one.values {
                verdict = verdict.value(format!("{name} {workload}").trim_end(), value, "");
            }
        }
        let Shown { failed, unknown, right, .. } = whole;
        if !failed.is_empty() {
            verdict.message = failed.join("; ");
            return Ok(verdict.failed());
        }
        if !unknown.is_empty() {
            verdict.message = unknown.join("; ");
            return Ok(verdict.inconclusive());
        }
        verdict.message = right.join("; ");
        Ok(verdict.passed())
    }
}

/// What the schema says too, for who configures without it.
fn checked(config: &Config) -> Result<(), Fault> {
    if config.condition.is_none() && config.compare.is_none() {
        return Err(Fault::invalid("/config", "neither a condition nor something to compare with"));
    }
    let tests = config.compare.is_some_and(|compare| compare.by == By::MannWhitney);
    match config.range {
        None if tests => {
            Err(Fault::invalid("/config/range", "none, and by: mann-whitney needs many values"))
        }
        Some(range) if range.step_ms == 0 || range.window_ms / range.step_ms >= POINTS_MAX => {
            let message = format!(
                "{} ms in a window of {} ms; expected at most {POINTS_MAX} steps in it",
                range.step_ms, range.window_ms
            );
            Err(Fault::invalid("/config/range/step_ms", message))
        }
        _ => Ok(()),
    }
}

/// When to look, and when as long before the track got traffic. An error says that
/// it is too early to look.
fn times(config: &Config, input: &Input) -> Result<(Time, Time), String> {
    let (since, now) = (input.since_ms, input.now_ms);
    if since > now {
        return Err("the track got traffic later than now: the clock was set back".to_owned());
    }
    let Some(Range { window_ms, step_ms }) = config.range else {
        return Ok((Time::At(now), Time::At(since)));
    };
    let window = window_ms.min(now - since);
    if window < step_ms {
        return Err(format!(
            "the track has traffic for {} s, and a value is looked for every {} s",
            (now - since) / 1000,
            step_ms / 1000
        ));
    }
    let range = |to: u64| Time::Range { from: to.saturating_sub(window), to, step: step_ms };
    Ok((range(now), range(since)))
}

/// What a result shows, and how it compares with another.
fn look(config: &Config, track: Found, other: Option<Found>) -> Result<Shown, Fault> {
    let mut shown_by = Shown::default();
    let series = match track {
        Found::Series(series) => series,
        Found::Nothing(why) => {
            shown_by.unknown.push(why);
            return Ok(shown_by);
        }
    };
    let values = all(&series);
    shown_by.values.push(("value", mean(&values)));
    if let Some(condition) = &config.condition {
        let found = beginning(&values);
        match condition::holds(condition, &series)? {
            Held::Yes => shown_by.right.push(format!("{condition} holds of {found}")),
            Held::No => shown_by.failed.push(format!("{condition} does not hold of {found}")),
            Held::Unknown(why) => {
                shown_by.unknown.push(format!("{condition} says nothing of {found}: {why}"));
            }
        }
    }
    match (config.compare, other) {
        (Some(_), Some(Found::Nothing(why))) => {
            shown_by.unknown.push(format!("what it is compared with: {why}"));
        }
        (Some(compare), Some(Found::Series(other))) => {
            let compared = compare.values(&values, &all(&other));
            shown_by.values = compared.values;
            match compared.good {
                Some(true) => shown_by.right.push(compared.message),
                Some(false) => shown_by.failed.push(compared.message),
                None => shown_by.unknown.push(compared.message),
            }
        }
        (_, None) | (None, _) => {}
    }
    Ok(shown_by)
}

fn all(series: &[Series]) -> Vec<f64> {
    series.iter().flat_map(|one| one.values.iter().copied()).collect()
}

/// `0.02, 0.03, 0.01 and 7 more`.
fn beginning(values: &[f64]) -> String {
    let first: Vec<String> = values.iter().take(3).map(|value| shown(*value)).collect();
    let more = values.len().saturating_sub(first.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", first.join(", "))
}
