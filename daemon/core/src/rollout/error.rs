//! Why tracks can't become what a strategy wants.

use std::collections::BTreeMap;
use std::fmt;

/// What a strategy asked for that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The name is no name of a track.
    #[error(
        "{found:?} is no name of a track; expected 1 to {max} of a-z, 0-9 and \"-\", beginning and ending with a letter or digit"
    )]
    Name {
        /// What stands there.
        found: String,
        /// The longest one.
        max: usize,
    },
    /// The deployment has no such workload.
    #[error("the deployment has no workload {found:?}; it has {}", list(known))]
    Workload {
        /// What stands there.
        found: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The workload has no such track.
    #[error(
        "workload {workload} has no track {track:?}; it has {}: apply the track first",
        with_stable(known)
    )]
    Unknown {
        /// Whose.
        workload: String,
        /// What stands there.
        track: String,
        /// Those that there are beside `stable`.
        known: Vec<String>,
    },
    /// No workload has any of these tracks.
    #[error("no workload has the track {tracks}: apply it first")]
    Nobody {
        /// Their names.
        tracks: String,
    },
    /// One more track than there may be.
    #[error(
        "workload {workload} has {max} tracks beside stable, and no more are allowed: retire one before {track:?} is applied"
    )]
    TooMany {
        /// Whose.
        workload: String,
        /// The new one.
        track: String,
        /// The most.
        max: usize,
    },
    /// More replicas than are wanted.
    #[error("track {track} would have {found} % of the wanted replicas; expected 0 to 100")]
    Percent {
        /// Which one.
        track: String,
        /// What stands there.
        found: u32,
    },
    /// A track that gets requests would have no replicas.
    #[error(
        "track {track} of workload {workload} gets requests, and can't be scaled to 0 %: shift them elsewhere first"
    )]
    Drained {
        /// Whose.
        workload: String,
        /// Which one.
        track: String,
    },
    /// A track without replicas would get requests.
    #[error(
        "track {track} of workload {workload} has 0 % of its replicas, and can't get requests: scale it first"
    )]
    Empty {
        /// Whose.
        workload: String,
        /// Which one.
        track: String,
    },
    /// A track would get requests of which nobody knows how it is.
    #[error(
        "the last change of track {track} of workload {workload} has failed, and it can't get requests: apply it again first"
    )]
    Uncertain {
        /// Whose.
        workload: String,
        /// Which one.
        track: String,
    },
    /// Percents that are not the whole.
    #[error("the weights {} make {sum} %; expected 100", weights_list(weights))]
    WeightsSum {
        /// What stands there.
        weights: BTreeMap<String, u32>,
        /// Their sum.
        sum: u32,
    },
    /// Too many header matches.
    #[error("{found} header matches; at most {max} are allowed")]
    HeadersTooMany {
        /// So many.
        found: usize,
        /// The most.
        max: usize,
    },
    /// A header match that means nothing.
    #[error("the match of the header {name:?} needs {expected}")]
    Header {
        /// The header.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The same header leads to two tracks.
    #[error("the same value of the header {name:?} leads to two tracks; expected one")]
    HeaderTwice {
        /// The header.
        name: String,
    },
    /// Who gets all requests needs no copies of them.
    #[error("requests can't be mirrored to stable; expected another track")]
    MirrorToStable,
    /// The way back is another one.
    #[error(
        "the current version can't be applied to the track stable; expected \"new\", or to roll back"
    )]
    StableCurrent,
    /// What runs for everybody can't go.
    #[error("the track stable can't be retired: it is what remains of a rollout")]
    RetiringStable,
    /// Requests would come to nobody.
    #[error(
        "track {track} of workload {workload} can't be retired while it gets {gets}: shift them elsewhere first"
    )]
    Serving {
        /// Whose.
        workload: String,
        /// Which one.
        track: String,
        /// What it gets.
        gets: String,
    },
}

impl TrackError {
    /// The code of the fault that comes of it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "track-name",
            Self::Workload { .. } => "workload-unknown",
            Self::Unknown { .. } | Self::Nobody { .. } => "track-unknown",
            Self::TooMany { .. } => "tracks-too-many",
            Self::Percent { .. } => "percent-invalid",
            Self::Drained { .. } | Self::Empty { .. } => "track-empty",
            Self::Uncertain { .. } => "track-uncertain",
            Self::WeightsSum { .. } => "weights-invalid",
            Self::HeadersTooMany { .. } | Self::Header { .. } | Self::HeaderTwice { .. } => {
                "headers-invalid"
            }
            Self::MirrorToStable => "mirror-invalid",
            Self::StableCurrent | Self::RetiringStable => "track-stable",
            Self::Serving { .. } => "track-serving",
        }
    }
}

/// What a workload lacks at the end of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Whose.
    pub workload: String,
    /// For a person.
    pub what: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "workload {}: {}", self.workload, self.what)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn with_stable(names: &[String]) -> String {
    let mut text = "stable".to_owned();
    for name in names {
        text.push_str(", ");
        text.push_str(name);
    }
    text
}

fn weights_list(weights: &BTreeMap<String, u32>) -> String {
    let listed: Vec<String> =
        weights.iter().map(|(track, weight)| format!("{track} {weight}")).collect();
    if listed.is_empty() { "(none)".to_owned() } else { listed.join(", ") }
}
