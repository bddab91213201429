//! What a rollout is about.

use crate::{Fault, document};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a rollout is about; the same in every call of one deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Context<C> {
    /// The strategy's configuration.
    pub config: C,
    /// The workloads to roll out, in dependency order.
    pub workloads: Vec<Workload>,
}

/// One workload of a rollout.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Workload {
    /// The workload's name.
    pub name: String,
    /// How many replicas are wanted.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The workloads that must be ready before this one.
    #[serde(default)]
    pub after: Vec<String>,
    /// What runs now, if anything does.
    #[serde(default)]
    pub current: Option<Value>,
    /// Whether its manifests differ from those that run now.
    #[serde(default = "yes")]
    pub changed: bool,
    /// Whether it can have tracks beside the stable one.
    #[serde(default)]
    pub tracks: bool,
    /// How its traffic can be divided.
    #[serde(default)]
    pub traffic: Traffic,
    /// Whether its new version is one that ran here within the window that the
    /// environment type sets: this rollout goes back to it.
    #[serde(default)]
    pub recent: bool,
}

/// How the traffic of a workload can be divided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Traffic {
    /// By which means.
    #[serde(default)]
    pub way: Way,
    /// The percents that another track than the stable one can get; none is
    /// every percent. 0 and 100 can be reached where there is traffic at all.
    #[serde(default)]
    pub weights: Option<Vec<u32>>,
    /// Whether requests can be sent to a track by a header.
    #[serde(default)]
    pub headers: bool,
    /// Whether a track can be sent copies of requests.
    #[serde(default)]
    pub mirror: bool,
}

impl Traffic {
    /// Whether a track can get this many percent.
    pub fn reaches(&self, percent: u32) -> bool {
        let weights = self.weights.as_ref();
        percent <= 100
            && weights.is_none_or(|all| [0, 100].contains(&percent) || all.contains(&percent))
    }
}

/// By which means traffic is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Weights of a route of the Gateway API.
    HttpRoute,
    /// Annotations of a second Ingress.
    NginxIngress,
    /// The selector of the Service, and the ratio of replicas behind it.
    Service,
    /// There is none; also what this version does not know.
    #[default]
    #[serde(other)]
    None,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

impl<C: DeserializeOwned> Context<C> {
    pub(crate) fn read(config: &str, workloads: &str) -> Result<Self, Fault> {
        Ok(Self {
            config: document::read("config", config)?,
            workloads: document::read("workloads", workloads)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    fn workload(document: &Value) -> Workload {
        let context = testing::context::<Value>(&json!({}), &json!([document])).unwrap();
        context.workloads.into_iter().next().unwrap()
    }

    #[test]
    fn an_older_host_s_workloads_are_rolled_without_tracks() {
        let old = workload(&json!({"name": "web", "replicas": 2, "after": [], "current": "dep-1"}));
        assert!(old.changed && !old.tracks && !old.recent);
        assert_eq!(old.traffic.way, Way::None);
    }

    #[test]
    fn a_workload_says_which_weights_its_traffic_reaches() {
        let traffic = |weights| {
            let traffic = json!({"way": "service", "weights": weights, "headers": false});
            workload(&json!({"name": "web", "tracks": true, "traffic": traffic})).traffic
        };
        let ratio = traffic(json!([25, 50]));
        let reached: Vec<u32> = (0..=101).filter(|one| ratio.reaches(*one)).collect();
        assert_eq!((ratio.way, reached), (Way::Service, vec![0, 25, 50, 100]));
        assert!((0..=100).all(|one| traffic(json!(null)).reaches(one)));
        let newer = json!({"name": "web", "traffic": {"way": "mesh", "weights": null}});
        assert_eq!(workload(&newer).traffic.way, Way::None);
    }
}
