//! By which way the traffic of each workload can be divided among its tracks.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingress;
use super::name::STABLE;
use super::parts::{Parts, kind, name, namespace};
use super::ratio;
use super::route;
use super::tracks::{Tracks, WorkloadTracks};
use crate::plan::{Manifests, ObjectOwner};
use crate::ports::ObjectRef;

/// Weights that are listed for people; of more only the first and the last.
const LISTED_MAX: usize = 12;

/// What divides a workload's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// HTTPRoutes and GRPCRoutes of the Gateway API: weighted backends.
    HttpRoute,
    /// Ingresses of ingress-nginx: a second one with canary annotations.
    NginxIngress,
    /// The Service alone: its selector, and the number of pods behind it.
    Service,
    /// No requests come to it through the cluster.
    None,
}

/// Which way an operator wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The finest that the manifests have: `http-route`, then `nginx-ingress`,
    /// then `service`.
    #[default]
    Auto,
    /// By HTTPRoute or GRPCRoute wherever one leads to a workload, by the Service
    /// elsewhere.
    HttpRoute,
    /// By a second Ingress wherever one leads to a workload, whatever its class is
    /// called; by the Service elsewhere.
    NginxIngress,
    /// By Services alone.
    Service,
}

/// The way that an operator wants can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the traffic is to be divided by {wanted}, and no {kinds} among the manifests leads to a workload that can have tracks; expected one, or \"auto\""
)]
pub struct NoSuchWay {
    wanted: &'static str,
    kinds: &'static str,
}

/// How a workload's traffic is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// By what.
    pub via: Via,
    /// Why it can have no track beside `stable`; none if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_tracks: Option<String>,
    /// The Deployment that is copied for a track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<ObjectRef>,
    /// Its Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ObjectRef>,
    /// The routes or Ingresses in front of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<ObjectRef>,
    /// The percents that a track can get; none for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<u8>>,
    /// Whether headers can lead to a track.
    pub headers: bool,
    /// Whether requests can be copied to a track.
    pub mirror: bool,
    /// Replicas as rendered.
    pub replicas: u32,
    /// Whether an autoscaler sets the number of `stable`'s replicas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub autoscaled: bool,
    /// For people: by what, and in which steps.
    pub sentence: String,
}

/// What a way can't do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Impossible {
    /// No tracks at all.
    #[error("workload {workload} can have no track beside stable: {reason}")]
    NoTracks {
        /// Whose.
        workload: String,
        /// Why.
        reason: String,
    },
    /// Nothing there reads headers.
    #[error(
        "headers can't lead to a track of workload {workload}: its traffic is divided {sentence}"
    )]
    Headers {
        /// Whose.
        workload: String,
        /// By what its traffic is divided.
        sentence: String,
    },
    /// One header at most.
    #[error("{found} header matches for workload {workload}; a canary Ingress takes one")]
    OneHeader {
        /// Whose.
        workload: String,
        /// So many.
        found: usize,
    },
    /// Nothing there copies requests.
    #[error("requests to workload {workload} can't be mirrored: its traffic is divided {sentence}")]
    Mirror {
        /// Whose.
        workload: String,
        /// By what its traffic is divided.
        sentence: String,
    },
    /// One track beside `stable` at most.
    #[error(
        "the tracks {tracks} of workload {workload} would get requests at the same time; one beside stable is possible where traffic is divided {sentence}"
    )]
    OneTrack {
        /// Whose.
        workload: String,
        /// Which.
        tracks: String,
        /// By what its traffic is divided.
        sentence: String,
    },
    /// The Service leads to all pods, and there are some of another track.
    #[error(
        "workload {workload} has the track {track}, whose pods would get requests as well while traffic is divided by the number of pods: retire it first"
    )]
    Bystander {
        /// Whose.
        workload: String,
        /// Which.
        track: String,
    },
    /// Nobody knows how many pods there are.
    #[error(
        "workload {workload} can't divide its traffic by the number of pods, which an autoscaler sets: 0 and 100 % are possible"
    )]
    Autoscaled {
        /// Whose.
        workload: String,
    },
}

impl Impossible {
    /// The code of the fault that comes of it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTracks { .. } => "tracks-impossible",
            _ => "traffic-impossible",
        }
    }
}

/// The way of each workload. What runs now is looked at, too: it shares its Service
/// with what comes.
pub fn ways(
    new: &Manifests,
    current: Option<&Manifests>,
    choice: Choice,
) -> Result<BTreeMap<String, Way>, NoSuchWay> {
    let workloads: BTreeSet<&str> = new
        .objects
        .iter()
        .filter_map(|manifest| match &manifest.owner {
            ObjectOwner::Workload(name) => Some(name.as_str()),
            ObjectOwner::Resource(_) | ObjectOwner::Environment => None,
        })
        .collect();
    let found: BTreeMap<String, Way> = workloads
        .into_iter()
        .map(|workload| (workload.to_owned(), way(new, current, workload, choice)))
        .collect();
    let is_met = |via: Via| found.values().any(|way| way.via == via);
    match choice {
        Choice::HttpRoute if !is_met(Via::HttpRoute) => {
            Err(NoSuchWay { wanted: "http-route", kinds: "HTTPRoute or GRPCRoute" })
        }
        Choice::NginxIngress if !is_met(Via::NginxIngress) => {
            Err(NoSuchWay { wanted: "nginx-ingress", kinds: "Ingress" })
        }
        Choice::Service if !is_met(Via::Service) => {
            Err(NoSuchWay { wanted: "service", kinds: "Service" })
        }
        _ => Ok(found),
    }
}

fn way(new: &Manifests, current: Option<&Manifests>, workload: &str, choice: Choice) -> Way {
    let parts = match Parts::of(new, workload) {
        Ok(parts) => parts,
        Err(reason) => return without_tracks(reason),
    };
    if let Some(reason) = current.and_then(|current| unlike(current, &parts, workload)) {
        return without_tracks(reason);
    }
    let here = namespace(new, &parts.deployment.object);
    let services = parts.service_names();
    let objects = |wanted: &dyn Fn(&serde_json::Value) -> bool| -> Vec<&serde_json::Value> {
        new.objects.iter().map(|it| &it.object).filter(|object| wanted(object)).collect()
    };
    let routes = objects(&|object| route::leads_to(new, object, here, &services));
    let any_class = choice == Choice::NginxIngress;
    let ingresses = objects(&|object| {
        (any_class || ingress::is_nginx(object)) && ingress::leads_to(new, object, here, &services)
    });
    let replicas = parts.replicas(new);
    let autoscaled = parts.autoscaler(new).is_some();
    let may = |via: Choice| choice == Choice::Auto || choice == via;
    let (via, before) = if !routes.is_empty() && may(Choice::HttpRoute) {
        (Via::HttpRoute, routes)
    } else if !ingresses.is_empty() && may(Choice::NginxIngress) {
        (Via::NginxIngress, ingresses)
    } else if services.is_empty() {
        (Via::None, Vec::new())
    } else {
        (Via::Service, Vec::new())
    };
    let weights = match via {
        Via::HttpRoute | Via::NginxIngress => None,
        Via::None => Some(Vec::new()),
        Via::Service => {
            let between = if autoscaled { Vec::new() } else { ratio::reachable(replicas) };
            Some([0].into_iter().chain(between).chain([100]).collect())
        }
    };
    let sentence = match via {
        Via::HttpRoute | Via::NginxIngress => {
            let named: Vec<String> =
                before.iter().map(|it| format!("{} {}", kind(it), name(it))).collect();
            format!("by {}, in steps of 1 %", named.join(" and "))
        }
        Via::Service => by_pods(&services, replicas, autoscaled),
        Via::None => "by nothing: no Service leads to it".to_owned(),
    };
    let reference = |object| new.reference(object);
    Way {
        via,
        no_tracks: None,
        deployment: reference(&parts.deployment.object),
        services: parts.services.iter().filter_map(|it| reference(&it.object)).collect(),
        headers: match via {
            Via::HttpRoute => before.iter().all(|it| route::has_room(new, it, here, &services)),
            Via::NginxIngress => true,
            Via::Service | Via::None => false,
        },
        mirror: via == Via::HttpRoute,
        routes: before.into_iter().filter_map(reference).collect(),
        weights,
        replicas,
        autoscaled,
        sentence,
    }
}

fn without_tracks(reason: String) -> Way {
    Way {
        via: Via::None,
        sentence: format!("by nothing: it can have no tracks, since {reason}"),
        no_tracks: Some(reason),
        deployment: None,
        services: Vec::new(),
        routes: Vec::new(),
        weights: Some(Vec::new()),
        headers: false,
        mirror: false,
        replicas: 0,
        autoscaled: false,
    }
}

/// Why what runs now can't have the tracks that what comes could have.
fn unlike(current: &Manifests, new: &Parts<'_>, workload: &str) -> Option<String> {
    if !current.objects.iter().any(|it| super::parts::is_of(it, workload)) {
        return None;
    }
    let before = match Parts::of(current, workload) {
        Ok(before) => before,
        Err(reason) => return Some(format!("what runs now is no workload with tracks: {reason}")),
    };
    let (old, new) = (&before.deployment.object, &new.deployment.object);
    if name(old) != name(new) {
        return Some(format!(
            "its Deployment was called {} and will be called {}",
            name(old),
            name(new)
        ));
    }
    let selector = |object: &serde_json::Value| object.pointer("/spec/selector").cloned();
    (selector(old) != selector(new)).then(|| {
        format!("the selector of its Deployment {} changes, which Kubernetes refuses", name(new))
    })
}

fn by_pods(services: &BTreeSet<&str>, replicas: u32, autoscaled: bool) -> String {
    let named: Vec<&str> = services.iter().copied().collect();
    let selector = format!("0 and 100 % by the selector of Service {}", named.join(" and "));
    if autoscaled {
        return format!("{selector}; nothing between, since an autoscaler sets the number of pods");
    }
    let weights = ratio::reachable(replicas);
    let listed: Vec<String> = weights.iter().map(u8::to_string).collect();
    let listed = match (listed.first(), listed.get(1), listed.last()) {
        (Some(first), Some(second), Some(last)) if listed.len() > LISTED_MAX => {
            format!("{first}, {second} ... {last}")
        }
        _ => listed.join(", "),
    };
    let plural = if replicas == 1 { "" } else { "s" };
    match weights.is_empty() {
        true => selector,
        false => {
            format!("by the number of pods: with {replicas} replica{plural} {listed} %; {selector}")
        }
    }
}

impl Way {
    /// The percent that a track gets that is to have `weight`: the greatest that
    /// can be reached and is no more.
    pub fn reached(&self, weight: u8) -> u8 {
        match &self.weights {
            None => weight,
            Some(weights) => weights.iter().copied().filter(|it| *it <= weight).max().unwrap_or(0),
        }
    }

    /// What to say before a rollout that wants to give a track `weight`, if
    /// something else comes of it.
    pub fn shortfall(&self, workload: &str, weight: u8) -> Option<String> {
        let reached = self.reached(weight);
        let weights = self.weights.as_ref().filter(|weights| !weights.is_empty())?;
        if reached == weight {
            return None;
        }
        let least = weights.iter().find(|it| **it > weight);
        Some(match (reached, least) {
            (0, Some(least)) => format!(
                "{weight} % of workload {workload} can't be reached, and will be 0 %: the least is {least} %, {}",
                self.sentence
            ),
            _ => format!(
                "{weight} % of workload {workload} can't be reached, and will be {reached} %: traffic is divided {}",
                self.sentence
            ),
        })
    }

    /// Whether these tracks can be served as they are wanted.
    pub fn allows(&self, workload: &str, tracks: &WorkloadTracks) -> Result<(), Impossible> {
        let owner = || workload.to_owned();
        let sentence = || self.sentence.clone();
        if let (Some(reason), false) = (&self.no_tracks, tracks.others.is_empty()) {
            return Err(Impossible::NoTracks { workload: owner(), reason: reason.clone() });
        }
        if self.via == Via::None {
            // Nothing leads to it, so that there is nothing to divide.
            return Ok(());
        }
        if !tracks.headers.is_empty() && !self.headers {
            return Err(Impossible::Headers { workload: owner(), sentence: sentence() });
        }
        if tracks.mirror.is_some() && !self.mirror {
            return Err(Impossible::Mirror { workload: owner(), sentence: sentence() });
        }
        if self.via == Via::HttpRoute {
            return Ok(());
        }
        let mut served: BTreeSet<&str> = tracks.weights.keys().map(String::as_str).collect();
        served.extend(tracks.headers.iter().map(|header| header.track.as_str()));
        let is_whole = tracks.weights.len() == 1;
        let several = match self.via {
            Via::Service => !is_whole && !served.contains(STABLE),
            _ => false,
        };
        served.remove(STABLE);
        if served.len() > 1 || several {
            let tracks: Vec<&str> = served.into_iter().collect();
            return Err(Impossible::OneTrack {
                workload: owner(),
                tracks: tracks.join(", "),
                sentence: sentence(),
            });
        }
        if self.via == Via::NginxIngress {
            let found = tracks.headers.len();
            return match found > 1 {
                true => Err(Impossible::OneHeader { workload: owner(), found }),
                false => Ok(()),
            };
        }
        if is_whole {
            return Ok(());
        }
        if self.autoscaled {
            return Err(Impossible::Autoscaled { workload: owner() });
        }
        let bystander = tracks.others.keys().find(|track| !served.contains(track.as_str()));
        match bystander {
            Some(track) => Err(Impossible::Bystander { workload: owner(), track: track.clone() }),
            None => Ok(()),
        }
    }
}

/// Whether the tracks of all workloads can be served by their ways. Workloads
/// without a way have no manifests, and nothing to serve.
pub fn allowed(ways: &BTreeMap<String, Way>, tracks: &Tracks) -> Result<(), Impossible> {
    tracks
        .iter()
        .filter_map(|(workload, tracks)| Some((workload, ways.get(workload)?, tracks)))
        .try_for_each(|(workload, way, tracks)| way.allows(workload, tracks))
}
