//! DORA's figures as metrics: by environment type alone, of the last 30 days, and
//! computed no more often than they change.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use deployd_core::Timestamp;
use deployd_core::dora::{Figures, GroupFigures, Spread};
use deployd_engine::{DoraFilter, Engine};
use tokio::sync::Mutex;

/// The span of time, also where nothing else is asked for.
pub(crate) const WINDOW_MS: u64 = 30 * 86_400_000;

/// The shortest time between two computations; a scraper asks four times as often.
const INTERVAL: Duration = Duration::from_secs(60);

/// Computing takes at most this part of the time: where it takes long, it is done
/// more rarely.
const SHARE: u32 = 50;

/// The most environment types that have metrics: the first by name. A platform has
/// a handful, and each is five series.
const TYPES_MAX: usize = 20;

/// What was computed last.
#[derive(Debug, Default)]
pub(crate) struct DoraMetrics(Mutex<Option<Computed>>);

#[derive(Debug)]
struct Computed {
    next: Instant,
    text: String,
}

impl DoraMetrics {
    /// In Prometheus' format; what was computed last, where that is not old.
    pub(crate) async fn text(&self, engine: &Engine) -> String {
        // Others who ask meanwhile wait for the same.
        let mut computed = self.0.lock().await;
        let began = Instant::now();
        if let Some(Computed { next, text }) = &*computed
            && began < *next
        {
            return text.clone();
        }
        let until = engine.now();
        let since = Timestamp(until.0.saturating_sub(WINDOW_MS));
        let filter = DoraFilter { together: true, ..DoraFilter::default() };
        let text = match engine.dora(&filter, since, until).await {
            Ok(report) => lines(&report.groups),
            Err(error) => {
                tracing::warn!(%error, "no metrics of deliveries");
                String::new()
            }
        };
        let next = Instant::now() + INTERVAL.max(began.elapsed() * SHARE);
        *computed = Some(Computed { next, text: text.clone() });
        text
    }
}

/// A metric: its name, what it means, and its value where there is one.
type Metric = (&'static str, &'static str, fn(&Figures) -> Option<f64>);

const METRICS: [Metric; 6] = [
    (
        "deployd_dora_deployments_per_day",
        "Changes deployed with success in the last 30 days, by days.",
        |figures| Some(figures.per_day),
    ),
    (
        "deployd_dora_lead_time_median_seconds",
        "From the commit, or else the announcement, to running: the median of the last 30 days.",
        |figures| figures.lead_time.map(|spread| seconds(spread, false)),
    ),
    ("deployd_dora_lead_time_p90_seconds", "The same: the 90th percentile.", |figures| {
        figures.lead_time.map(|spread| seconds(spread, true))
    }),
    (
        "deployd_dora_change_failure_ratio",
        "Failed changes by changes of the last 30 days.",
        |figures| figures.change_failure_rate,
    ),
    (
        "deployd_dora_time_to_restore_median_seconds",
        "From a failed change to the next success: the median of the last 30 days.",
        |figures| figures.time_to_restore.map(|spread| seconds(spread, false)),
    ),
    ("deployd_dora_time_to_restore_p90_seconds", "The same: the 90th percentile.", |figures| {
        figures.time_to_restore.map(|spread| seconds(spread, true))
    }),
];

fn seconds(spread: Spread, p90: bool) -> f64 {
    let ms = if p90 { spread.p90_ms } else { spread.median_ms };
    Duration::from_millis(ms).as_secs_f64()
}

fn lines(groups: &[GroupFigures]) -> String {
    let mut text = String::new();
    let named =
        groups.iter().filter_map(|group| Some((group.environment_type.as_ref()?, &group.figures)));
    let named: Vec<_> = named.take(TYPES_MAX).collect();
    for (name, help, value) in METRICS {
        let values: Vec<_> =
            named.iter().filter_map(|(of, figures)| Some((of, value(figures)?))).collect();
        if values.is_empty() {
            continue;
        }
        // Writing to a text can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (of, value) in values {
            let _ = writeln!(text, "{name}{{environment_type=\"{of}\"}} {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_what_is_not_known_is_left_out() {
        let group = |name: usize| GroupFigures {
            application: None,
            environment_type: Some(format!("type-{name:02}").parse().unwrap()),
            figures: Figures {
                deployments: 3,
                per_day: 0.1,
                lead_time: Spread::of(vec![1_500]),
                ..Figures::default()
            },
        };
        let groups: Vec<GroupFigures> = (0..TYPES_MAX + 9).map(group).collect();
        let text = lines(&groups);
        let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(of("deployd_dora_deployments_per_day{"), TYPES_MAX);
        let line = r#"deployd_dora_lead_time_median_seconds{environment_type="type-00"} 1.5"#;
        assert!(text.contains(line), "{text}");
        assert_eq!(of("deployd_dora_change_failure_ratio"), 0, "{text}");
        assert_eq!(lines(&[]), "");
    }
}
