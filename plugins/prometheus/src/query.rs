//! The HTTP API of Prometheus, as far as a check needs it.

use deployd_plugin_sdk::{Fault, Host, http, shown};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Values of one answer, of all its series: more than a condition should look at,
/// and than a person can make sense of.
const VALUES_MAX: usize = 10_000;

/// How long the server may take: less than the ten seconds that the host waits.
const TIMEOUT: &str = "9s";

/// Where to ask, and as whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) url: &'a str,
    pub(crate) tenant: Option<&'a str>,
}

/// When. Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// One value per series, of this moment.
    At(u64),
    /// Values from one moment to another.
    Range { from: u64, to: u64, step: u64 },
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    /// One for a moment, in order of time for a range. Without those that are no
    /// number: of a time without any requests, say.
    pub(crate) values: Vec<f64>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// Series with values, one at least.
    Series(Vec<Series>),
    /// Nothing that a verdict can follow from, and why.
    Nothing(String),
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Item>),
    Matrix(Vec<Item>),
    Scalar(Sample),
    String(serde::de::IgnoredAny),
}

/// A moment and its value.
type Sample = (f64, String);

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
    histogram: Option<serde::de::IgnoredAny>,
    histograms: Option<serde::de::IgnoredAny>,
}

/// Asks. What the server can't answer now is a fault, and so is a query that is
/// none; an answer without values is [`Found::Nothing`].
pub(crate) fn ask(
    server: Server<'_>,
    query: &str,
    time: Time,
    host: &impl Host,
) -> Result<Found, Fault> {
    let base = server.url.trim_end_matches('/');
    let (path, form) = form(query, time);
    // In the body: queries are longer than addresses may be.
    let mut request = http::Request::post(format!("{base}/api/v1/{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(form);
    if let Some(tenant) = server.tenant {
        request = request.header("X-Scope-OrgID", tenant);
    }
    let response = host.http(&request)?;
    if let Some(fault) = response.passing("asking Prometheus") {
        return Err(fault);
    }
    if matches!(response.status, 401 | 403) {
        let status = response.status;
        return Err(Fault::denied(format!(
            "{base} refuses to answer (status {status}); the grant names its credential"
        )));
    }
    if !matches!(response.status, 200 | 400 | 422) {
        return Err(Fault::invalid(
            "/config/url",
            format!(
                "no API of Prometheus: {base}/api/v1/{path} answers with status {}",
                response.status
            ),
        ));
    }
    let envelope: Envelope = response.json()?;
    for warning in envelope.warnings.iter().take(3) {
        host.warn(&format!("Prometheus warns: {}", shown(warning)));
    }
    if envelope.status != "success" {
        let error = shown(&envelope.error);
        return match envelope.error_type.as_str() {
            "bad_data" => Err(Fault::invalid("/config/query", format!("{error}, in {query:?}"))),
            // It may be so with the series of today only: two for one, for example.
            "execution" => Ok(Found::Nothing(format!("the query can't be executed: {error}"))),
            other => Err(Fault::unavailable(format!("Prometheus says {other}: {error}"))),
        };
    }
    let Some(data) = envelope.data else {
        return Err(Fault::unavailable("Prometheus says success, and has no data"));
    };
    Ok(found(data))
}

fn form(query: &str, time: Time) -> (&'static str, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", query).append_pair("timeout", TIMEOUT);
    let path = match time {
        Time::At(at) => {
            form.append_pair("time", &seconds(at));
            "query"
        }
        Time::Range { from, to, step } => {
            form.append_pair("start", &seconds(from));
            form.append_pair("end", &seconds(to));
            form.append_pair("step", &seconds(step));
            "query_range"
        }
    };
    (path, form.finish())
}

/// Milliseconds as the API takes them: `1700000000.250`.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn found(data: Data) -> Found {
    let items = match data {
        Data::Vector(items) | Data::Matrix(items) => items,
        Data::Scalar(sample) => {
            vec![Item {
                metric: BTreeMap::new(),
                value: Some(sample),
                values: Vec::new(),
                histogram: None,
                histograms: None,
            }]
        }
        Data::String(_) => {
            return Found::Nothing("the result is a string, and values are needed".to_owned());
        }
    };
    let Some(first) = items.first() else {
        return Found::Nothing("there is no data: the result has no series".to_owned());
    };
    if first.histogram.is_some() || first.histograms.is_some() {
        let message = "the result has histograms, and values are needed: histogram_quantile or \
                       histogram_fraction make some";
        return Found::Nothing(message.to_owned());
    }
    let count: usize = items.iter().map(|item| item.values.len() + 1).sum();
    if count > VALUES_MAX {
        let message = format!(
            "the result has {} series and more than {VALUES_MAX} values; aggregate it, by sum for example",
            items.len()
        );
        return Found::Nothing(message);
    }
    let mut series = Vec::with_capacity(items.len());
    for item in items {
        let mut values = Vec::new();
        for (_, text) in item.value.into_iter().chain(item.values) {
            values.extend(text.parse::<f64>().ok().filter(|value| !value.is_nan()));
        }
        // In a result of a moment, a series without its value leaves a gap that
        // nobody would see.
        if values.is_empty() {
            return Found::Nothing(format!(
                "the result has no number{}: nothing was divided by nothing, mostly",
                named(&item.metric)
            ));
        }
        series.push(Series { labels: item.metric, values });
    }
    Found::Series(series)
}

/// ` for {pod="web-1"}`; nothing without labels.
fn named(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> =
        labels.iter().take(4).map(|(name, value)| format!("{name}={value:?}")).collect();
    format!(" for {{{}}}", shown(&pairs.join(", ")))
}
