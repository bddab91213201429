//! Canaries that a real Prometheus decides about, which asks pods what they do.

use fixtures::prometheus::Prometheus;
use serde_json::{Value, json};

use super::app::{Manner, Manners};
use super::clients::Clients;
use super::{Checks, Shop, TARGETS};
use crate::rollouts::run;
use crate::stage::{ENVIRONMENT, Stage};

/// Clients at a time: enough for a rate, and few enough to leave time to others.
const CLIENTS: usize = 4;

/// The canary's percent of all requests.
const WEIGHT: u64 = 20;

/// Requests of a track in so many seconds, some of them or all.
fn rate(series: &str, seconds: u32) -> String {
    format!(
        r#"sum(rate({series}namespace="{{{{namespace}}}}", app="frontend", track="{{{{track}}}}"}}[{seconds}s]))"#
    )
}

/// What is measured. Prometheus looks for new pods every five seconds, so that at
/// first there is nothing to be told.
fn checks(port: u16) -> Value {
    let url = format!("http://127.0.0.1:{port}");
    let errors =
        format!("{} / {}", rate("requests_total{code=\"500\", ", 2), rate("requests_total{", 2));
    let latency = format!(
        "histogram_quantile(0.9, {})",
        rate("request_duration_seconds_bucket{", 1).replace("sum(", "sum by (le) (")
    );
    json!({
        "errors": {
            "plugin": "prometheus",
            "config": {"url": url, "query": errors, "condition": "result[0] < 0.05"},
            "intervalMs": 500, "count": 4, "inconclusiveLimit": 60,
        },
        // No worse than twice the baseline's, and more than a bucket.
        "latency": {
            "plugin": "prometheus",
            "config": {
                "url": url, "query": latency, "range": {"window_ms": 10_000, "step_ms": 1_000},
                "compare": {
                    "with": "baseline", "by": "mann-whitney", "at_most": 2, "plus": 0.03,
                    "min_samples": 5,
                },
            },
            "intervalMs": 500, "inconclusiveLimit": 60,
        },
    })
}

/// Asks pods four times a second what they do.
fn prometheus(stage: &Stage) -> Prometheus {
    let configuration = json!({
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
        "scrape_configs": [{
            "job_name": "pods",
            "file_sd_configs": [{"files": [stage.folder().join(TARGETS)]}],
        }],
    });
    let folder = stage.folder().join("prometheus");
    Prometheus::start(&folder, &configuration.to_string()).unwrap()
}

/// A shop that is measured, with a first version that does well.
struct Measured {
    shop: Shop,
    prometheus: Prometheus,
    clients: Clients,
    manners: Manners,
}

impl Measured {
    async fn set() -> Self {
        let manners = Manners::default();
        let shop = Shop::with_metrics(manners.clone()).await;
        shop.by_route().await;
        let prometheus = prometheus(&shop.stage);
        shop.stage.deployed('1').await;
        let clients = Clients::start(CLIENTS, shop.gateway.address);
        clients.settled("1").await;
        Self { shop, prometheus, clients, manners }
    }

    fn checks(&self) -> Checks<'static> {
        let port = self.prometheus.port;
        Checks { plugin: "prometheus", port, checks: checks(port), afterwards: None }
    }

    /// New versions come as canaries, which have to do well by both checks.
    async fn by_canaries(&self) {
        let config = json!({
            "steps": [{"weight": WEIGHT}, {"checks": ["errors", "latency"]}], "baseline": true,
        });
        self.shop.rolls_out("canary", &config, &self.checks()).await;
    }

    /// Waits until the canary of this version is taken back, by this check alone.
    async fn taken_back(&self, version: char, check: &str) {
        let stage = &self.shop.stage;
        let record = self.shop.ended(version).await;
        assert_eq!(record["outcome"], "rolled-back", "{record:#}");
        assert_eq!(record["fault"]["code"], "checks-failed", "{record:#}");
        let message = record["fault"]["message"].as_str().unwrap();
        assert!(message.contains(check), "{record:#}");
        assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
        assert!(self.quarantine().await.contains(&version.to_string().repeat(64)));
    }

    async fn quarantine(&self) -> String {
        run(&self.shop.stage, ["quarantine", "list", ENVIRONMENT]).await.out
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_does_well_by_prometheus_is_promoted() {
    let measured = Measured::set().await;
    measured.by_canaries().await;
    let stage = &measured.shop.stage;
    let record = measured.shop.deployed('2').await;
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));
    let told = measured.clients.turn();
    assert!(told.versions.contains_key("1") && told.versions.contains_key("2"), "{told:?}");
    let told = measured.clients.next(100).await;
    assert_eq!(told.versions.keys().collect::<Vec<_>>(), ["2"], "{told:?}");
    // It was not let pass: numbers were seen of both checks.
    let text = record["work"]["steps"].to_string();
    assert!(text.contains("result[0] < 0.05 holds of 0"), "{text}");
    assert!(text.contains("of baseline, p = "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_requests_is_taken_back_and_few_have_met_it() {
    let measured = Measured::set().await;
    measured.by_canaries().await;
    measured.manners.set('2', Manner::FAILING);
    measured.clients.turn();
    measured.taken_back('2', "errors").await;
    let told = measured.clients.turn();
    // nginx keeps to the weights exactly, from one configuration to the next.
    let failed = u64::try_from(told.failed.len()).unwrap();
    assert!(failed > 0, "{told:?}");
    assert!(failed * 100 <= told.count() * WEIGHT, "{failed} of {}", told.count());
    assert!(told.failed.iter().all(|answer| answer.starts_with("HTTP/1.1 500 ")), "{told:?}");
    let told = measured.clients.next(100).await;
    assert_eq!(told.versions.keys().collect::<Vec<_>>(), ["1"], "{told:?}");
    assert!(told.failed.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_slower_than_its_baseline_is_taken_back() {
    let measured = Measured::set().await;
    measured.by_canaries().await;
    measured.manners.set('2', Manner::SLOW);
    measured.taken_back('2', "latency").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_degrades_after_its_end_by_prometheus_goes_back() {
    let measured = Measured::set().await;
    let afterwards = Some(json!({"window": "10m", "checks": ["errors"]}));
    let checks = Checks { afterwards, ..measured.checks() };
    measured.shop.rolls_out("blue-green", &json!({}), &checks).await;
    let stage = &measured.shop.stage;
    let record = measured.shop.deployed('2').await;
    assert_eq!(measured.clients.next(100).await.versions.keys().collect::<Vec<_>>(), ["2"]);
    measured.manners.set('2', Manner::FAILING);
    let back = measured.shop.went_back(&record).await;
    assert_eq!(back["request"]["origin"]["kind"], "rollback", "{back:#}");
    let comment = back["request"]["comment"].as_str().unwrap();
    assert!(comment.starts_with("degraded: errors: result[0] < 0.05 does not hold"), "{comment}");
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
    assert!(measured.quarantine().await.contains(&"2".repeat(64)));
    measured.clients.settled("1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_data_and_no_prometheus_are_never_a_pass() {
    let mut measured = Measured::set().await;
    let mut checks = measured.checks();
    let errors = &mut checks.checks["errors"];
    errors["config"]["query"] = json!("requests_that_nobody_counts{track=\"{{track}}\"}");
    errors["inconclusiveLimit"] = json!(5);
    errors["errorLimit"] = json!(2);
    let config = json!({
        "steps": [{"weight": WEIGHT}, {"checks": ["errors"]}], "on_inconclusive": "roll-back",
    });
    measured.shop.rolls_out("canary", &config, &checks).await;
    for (version, answers) in [('2', true), ('3', false)] {
        if !answers {
            measured.prometheus.kill().unwrap();
        }
        let record = measured.shop.ended(version).await;
        assert_eq!(record["outcome"], "rolled-back", "{record:#}");
        assert_eq!(record["fault"]["code"], "checks-inconclusive", "{record:#}");
        let stage = &measured.shop.stage;
        assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
        // Nobody knows that it is bad.
        assert!(!measured.quarantine().await.contains(&version.to_string().repeat(64)));
    }
}
