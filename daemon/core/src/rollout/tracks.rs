//! Which tracks the workloads of a deployment have while it is rolled out, and
//! who gets how much of the traffic.
//!
//! Kept nowhere by itself: it is folded from what a deployment's steps have done.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{Missing, TrackError};
use super::name::{STABLE, TRACK_NAME_LENGTH_MAX, is_track_name};

/// The most tracks of a workload beside `stable`: preview, canary and baseline,
/// and one to spare. Each is a copy of all its pods.
pub const TRACKS_MAX: usize = 4;

/// The most header matches of a workload: each is one more rule for each of a
/// route's, and a route has room for 16.
pub const HEADERS_MAX: usize = 8;

/// The longest name of a header, as the Gateway API has it.
const HEADER_NAME_LENGTH_MAX: usize = 256;

/// The longest value of a header, as the Gateway API has it.
const HEADER_VALUE_LENGTH_MAX: usize = 4096;

/// Which of a deployment's two versions runs in a track.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// The one that is rolled out.
    #[default]
    New,
    /// The one that ran before.
    Current,
}

/// A track of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Track {
    /// What runs in it.
    pub version: Version,
    /// How many of the wanted replicas it has, in percent.
    pub percent: u8,
}

/// Requests with this header go to this track, whatever the weights are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: String,
    /// Its value, exactly; either this or `pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A regular expression for all of its value, as the router understands it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Where they go.
    pub track: String,
}

/// The tracks of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadTracks {
    /// What runs for everybody.
    pub stable: Track,
    /// The others, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, Track>,
    /// Percents of the traffic; they make 100, and none is 0.
    pub weights: BTreeMap<String, u8>,
    /// Who goes where by a header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// The track that gets a copy of each request; its answers go nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Tracks that there were: what is left of them has to go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub retired: BTreeSet<String>,
    /// Tracks whose last change has failed: nobody knows how much of it was done.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub uncertain: BTreeSet<String>,
}

impl WorkloadTracks {
    /// Only what ran before, which has all of the traffic.
    fn before() -> Self {
        Self {
            stable: Track { version: Version::Current, percent: 100 },
            others: BTreeMap::new(),
            weights: BTreeMap::from([(STABLE.to_owned(), 100)]),
            headers: Vec::new(),
            mirror: None,
            retired: BTreeSet::new(),
            uncertain: BTreeSet::new(),
        }
    }

    /// A track by its name.
    pub fn track(&self, name: &str) -> Option<&Track> {
        if name == STABLE { Some(&self.stable) } else { self.others.get(name) }
    }

    /// The part of the traffic that a track gets by weight, in percent.
    pub fn weight(&self, track: &str) -> u8 {
        self.weights.get(track).copied().unwrap_or(0)
    }

    /// Whether requests come to a track and are answered by it, by weight or by
    /// header.
    pub fn is_serving(&self, track: &str) -> bool {
        self.weight(track) > 0 || self.headers.iter().any(|header| header.track == track)
    }

    /// Whether requests come to a track by anything else than its weight.
    fn is_led(&self, track: &str) -> bool {
        let by_header = self.headers.iter().any(|header| header.track == track);
        by_header || self.mirror.as_deref() == Some(track)
    }

    /// Whether some track has traffic, and then no more.
    fn leaves(&self, after: &Self) -> bool {
        let mut tracks = self.others.keys().map(String::as_str).chain([STABLE]);
        tracks.any(|track| self.is_serving(track) && !after.is_serving(track))
    }

    /// Tracks beside `stable` that there are or were.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.others.keys().chain(&self.retired).map(String::as_str)
    }

    /// Whether all is as rendered of one version: no other track, all traffic on
    /// `stable`, which has all its replicas.
    pub fn is_plain(&self) -> bool {
        self.others.is_empty()
            && self.stable.percent == 100
            && self.weight(STABLE) == 100
            && self.headers.is_empty()
            && self.mirror.is_none()
            && self.uncertain.is_empty()
    }
}

/// What is wanted of the traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shift {
    /// Percents by track; they make 100.
    pub weights: BTreeMap<String, u32>,
    /// Who goes where by a header; in place of what there was.
    pub headers: Vec<HeaderMatch>,
    /// The track that gets a copy of each request; in place of what there was.
    pub mirror: Option<String>,
}

/// The tracks of all workloads of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tracks(BTreeMap<String, WorkloadTracks>);

impl Tracks {
    /// How each rollout begins: these workloads run as they did before.
    pub fn stable<'a>(workloads: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            workloads.into_iter().map(|name| (name.to_owned(), WorkloadTracks::before())).collect(),
        )
    }

    /// Whether some track of some workload has traffic, and then no more.
    pub fn leaves(&self, after: &Self) -> bool {
        let after = |name: &str| after.of(name);
        self.iter().any(|(name, own)| after(name).is_some_and(|after| own.leaves(after)))
    }

    /// The tracks of a workload.
    pub fn of(&self, workload: &str) -> Option<&WorkloadTracks> {
        self.0.get(workload)
    }

    /// All workloads with their tracks.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &WorkloadTracks)> {
        self.0.iter().map(|(name, tracks)| (name.as_str(), tracks))
    }

    /// Names of all tracks beside `stable` that any workload has or had.
    pub fn known(&self) -> BTreeSet<&str> {
        self.0.values().flat_map(WorkloadTracks::known).collect()
    }

    /// After a track of these workloads was created or updated; `stable` only ever
    /// with the new version, since the way back is to roll back.
    pub fn applied(
        &self,
        track: &str,
        workloads: &[String],
        version: Version,
        percent: u32,
    ) -> Result<Self, TrackError> {
        if track != STABLE && !is_track_name(track) {
            return Err(TrackError::Name { found: track.to_owned(), max: TRACK_NAME_LENGTH_MAX });
        }
        if track == STABLE && version == Version::Current {
            return Err(TrackError::StableCurrent);
        }
        let percent = percent_of(track, percent)?;
        self.changed(workloads, |name, tracks| {
            enough(name, tracks, track, percent)?;
            tracks.uncertain.remove(track);
            if track == STABLE {
                tracks.stable = Track { version, percent };
                return Ok(());
            }
            let there = tracks.others.len();
            if there >= TRACKS_MAX && !tracks.others.contains_key(track) {
                return Err(TrackError::TooMany {
                    workload: name.to_owned(),
                    track: track.to_owned(),
                    max: TRACKS_MAX,
                });
            }
            tracks.others.insert(track.to_owned(), Track { version, percent });
            tracks.retired.remove(track);
            Ok(())
        })
    }

    /// With what ran before as `stable` again, all of its replicas, and the
    /// traffic as it is: how a rollout is undone of which something has reached
    /// `stable`.
    #[must_use]
    pub fn restored(&self, workload: &str) -> Self {
        let mut after = self.clone();
        if let Some(tracks) = after.0.get_mut(workload) {
            tracks.stable = WorkloadTracks::before().stable;
            tracks.uncertain.remove(STABLE);
        }
        after
    }

    /// With all of the traffic of each workload on `stable`, whatever that runs.
    #[must_use]
    pub fn led_to_stable(&self) -> Self {
        let mut after = self.clone();
        for tracks in after.0.values_mut() {
            let WorkloadTracks { weights, headers, mirror, .. } = WorkloadTracks::before();
            (tracks.weights, tracks.headers, tracks.mirror) = (weights, headers, mirror);
        }
        after
    }

    /// After a change of a track of these workloads has failed: it is there as far
    /// as anybody knows, and has to be changed once more before it gets requests.
    #[must_use]
    pub fn failed(&self, track: &str, workloads: &[String]) -> Self {
        let mut after = self.clone();
        for name in workloads {
            if let Some(tracks) = after.0.get_mut(name) {
                tracks.uncertain.insert(track.to_owned());
            }
        }
        after
    }

    /// After a track of these workloads was given another number of replicas.
    pub fn scaled(
        &self,
        track: &str,
        workloads: &[String],
        percent: u32,
    ) -> Result<Self, TrackError> {
        let percent = percent_of(track, percent)?;
        self.changed(workloads, |name, tracks| {
            enough(name, tracks, track, percent)?;
            if track == STABLE {
                tracks.stable.percent = percent;
                return Ok(());
            }
            let known = tracks.others.keys().cloned().collect();
            let Some(found) = tracks.others.get_mut(track) else {
                return Err(unknown(name, track, known));
            };
            found.percent = percent;
            Ok(())
        })
    }

    /// Tracks, with their workloads, that get more requests afterwards than now, or
    /// others, and that this rollout has made or changed: they have to be ready
    /// first. What runs as before has shown that it is.
    pub fn gaining(&self, after: &Self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, tracks) in after.iter() {
            let before = self.of(name);
            for track in tracks.others.keys().map(String::as_str).chain([STABLE]) {
                let is_untouched =
                    track == STABLE && tracks.stable == WorkloadTracks::before().stable;
                let is_more = before.is_none_or(|before| {
                    tracks.weight(track) > before.weight(track)
                        || (tracks.is_led(track) && !before.is_led(track))
                });
                if is_more && !is_untouched {
                    found.push((track.to_owned(), name.to_owned()));
                }
            }
        }
        found
    }

    /// After the traffic of these workloads was divided anew. With `None` it is
    /// that of each workload that has one of the tracks that `shift` names beside
    /// `stable`; if it names none, of all.
    pub fn shifted(&self, shift: &Shift, workloads: Option<&[String]>) -> Result<Self, TrackError> {
        let sum = shift.weights.values().fold(0u32, |sum, weight| sum.saturating_add(*weight));
        if sum != 100 {
            return Err(TrackError::WeightsSum { weights: shift.weights.clone(), sum });
        }
        check_headers(&shift.headers)?;
        // The sum is 100, so that each fits.
        let weights: BTreeMap<String, u8> = shift
            .weights
            .iter()
            .filter_map(|(track, weight)| Some((track.clone(), u8::try_from(*weight).ok()?)))
            .collect();
        let mut named: BTreeSet<&str> = weights.keys().map(String::as_str).collect();
        named.extend(shift.headers.iter().map(|header| header.track.as_str()));
        named.extend(shift.mirror.as_deref());
        let idle = |track: &str| {
            weights.get(track) == Some(&0)
                && shift.mirror.as_deref() != Some(track)
                && !shift.headers.iter().any(|header| header.track == track)
        };
        let served: BTreeSet<&str> = named.iter().copied().filter(|track| !idle(track)).collect();
        if shift.mirror.as_deref() == Some(STABLE) {
            return Err(TrackError::MirrorToStable);
        }
        let workloads = match workloads {
            Some(workloads) => workloads.to_vec(),
            None => self.having(&named)?,
        };
        self.changed(&workloads, |name, tracks| {
            for track in &named {
                let Some(found) = tracks.track(track) else {
                    return Err(unknown(name, track, tracks.others.keys().cloned().collect()));
                };
                if found.percent == 0 && served.contains(track) {
                    return Err(TrackError::Empty {
                        workload: name.to_owned(),
                        track: (*track).to_owned(),
                    });
                }
                if tracks.uncertain.contains(*track) && served.contains(track) {
                    return Err(TrackError::Uncertain {
                        workload: name.to_owned(),
                        track: (*track).to_owned(),
                    });
                }
            }
            tracks.weights = weights
                .iter()
                .filter(|(_, weight)| **weight > 0)
                .map(|(track, weight)| (track.clone(), *weight))
                .collect();
            tracks.headers.clone_from(&shift.headers);
            tracks.mirror.clone_from(&shift.mirror);
            Ok(())
        })
    }

    /// After a track of these workloads was taken away. With `None` it is that of
    /// each workload that has it.
    pub fn retired(&self, track: &str, workloads: Option<&[String]>) -> Result<Self, TrackError> {
        if track == STABLE {
            return Err(TrackError::RetiringStable);
        }
        let workloads = match workloads {
            Some(workloads) => workloads.to_vec(),
            None => self.having(&BTreeSet::from([track]))?,
        };
        self.changed(&workloads, |name, tracks| {
            let gets = if tracks.weight(track) > 0 {
                Some(format!("{} % of the requests", tracks.weight(track)))
            } else if let Some(header) = tracks.headers.iter().find(|it| it.track == track) {
                Some(format!("the requests with the header {}", header.name))
            } else if tracks.mirror.as_deref() == Some(track) {
                Some("a copy of each request".to_owned())
            } else {
                None
            };
            if let Some(gets) = gets {
                return Err(TrackError::Serving {
                    workload: name.to_owned(),
                    track: track.to_owned(),
                    gets,
                });
            }
            if tracks.others.remove(track).is_none() {
                return Err(unknown(name, track, tracks.others.keys().cloned().collect()));
            }
            tracks.retired.insert(track.to_owned());
            tracks.uncertain.remove(track);
            Ok(())
        })
    }

    /// Whether all workloads run as they are rendered anew, and nothing else.
    pub fn is_canonical(&self) -> bool {
        self.0.values().all(|tracks| tracks.is_plain() && tracks.stable.version == Version::New)
    }

    /// What is missing until [`is_canonical`](Self::is_canonical): what a strategy
    /// that calls itself done has forgotten.
    pub fn missing(&self) -> Vec<Missing> {
        let mut found = Vec::new();
        for (name, tracks) in &self.0 {
            let mut note = |what: String| {
                found.push(Missing { workload: name.clone(), what });
            };
            if tracks.stable.version == Version::Current {
                note("the new version was not applied to the track stable".to_owned());
            }
            if tracks.stable.percent != 100 {
                let percent = tracks.stable.percent;
                note(format!("the track stable has {percent} % of its replicas"));
            }
            if tracks.weight(STABLE) != 100 {
                let weight = tracks.weight(STABLE);
                note(format!("the track stable gets {weight} % of the requests"));
            }
            if !tracks.headers.is_empty() {
                note("requests are led by headers".to_owned());
            }
            if let Some(mirror) = &tracks.mirror {
                note(format!("requests are mirrored to the track {mirror}"));
            }
            for track in tracks.others.keys() {
                note(format!("the track {track} is still there"));
            }
            for track in tracks.uncertain.iter().filter(|track| *track == STABLE) {
                note(format!("the last change of the track {track} has failed"));
            }
        }
        found
    }

    /// Workloads that have one of these tracks beside `stable`; all, if there is
    /// no other among these.
    fn having(&self, named: &BTreeSet<&str>) -> Result<Vec<String>, TrackError> {
        let others: Vec<&str> = named.iter().copied().filter(|name| *name != STABLE).collect();
        if others.is_empty() {
            return Ok(self.0.keys().cloned().collect());
        }
        let found: Vec<String> = self
            .0
            .iter()
            .filter(|(_, tracks)| others.iter().any(|name| tracks.others.contains_key(*name)))
            .map(|(name, _)| name.clone())
            .collect();
        if found.is_empty() {
            return Err(TrackError::Nobody { tracks: others.join(", ") });
        }
        Ok(found)
    }

    fn changed(
        &self,
        workloads: &[String],
        change: impl Fn(&str, &mut WorkloadTracks) -> Result<(), TrackError>,
    ) -> Result<Self, TrackError> {
        let mut after = self.clone();
        for name in workloads {
            let Some(tracks) = after.0.get_mut(name) else {
                return Err(TrackError::Workload {
                    found: name.clone(),
                    known: self.0.keys().cloned().collect(),
                });
            };
            change(name, tracks)?;
        }
        Ok(after)
    }
}

fn unknown(workload: &str, track: &str, known: Vec<String>) -> TrackError {
    TrackError::Unknown { workload: workload.to_owned(), track: track.to_owned(), known }
}

fn percent_of(track: &str, percent: u32) -> Result<u8, TrackError> {
    match u8::try_from(percent) {
        Ok(percent) if percent <= 100 => Ok(percent),
        _ => Err(TrackError::Percent { track: track.to_owned(), found: percent }),
    }
}

/// Nobody is left without replicas who gets requests.
fn enough(
    workload: &str,
    tracks: &WorkloadTracks,
    track: &str,
    percent: u8,
) -> Result<(), TrackError> {
    let needed = tracks.is_serving(track) || tracks.mirror.as_deref() == Some(track);
    if percent == 0 && needed {
        return Err(TrackError::Drained { workload: workload.to_owned(), track: track.to_owned() });
    }
    Ok(())
}

fn check_headers(headers: &[HeaderMatch]) -> Result<(), TrackError> {
    if headers.len() > HEADERS_MAX {
        return Err(TrackError::HeadersTooMany { found: headers.len(), max: HEADERS_MAX });
    }
    for header in headers {
        let problem = |expected: &'static str| TrackError::Header {
            name: header.name.chars().take(HEADER_NAME_LENGTH_MAX).collect(),
            expected,
        };
        // RFC 9110, 5.6.2: a token.
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if header.name.is_empty()
            || header.name.len() > HEADER_NAME_LENGTH_MAX
            || !header.name.bytes().all(is_token)
        {
            return Err(problem("1 to 256 letters, digits and hyphens as its name"));
        }
        let text = match (&header.value, &header.pattern) {
            (Some(text), None) | (None, Some(text)) => text,
            _ => return Err(problem("either \"value\" or \"pattern\"")),
        };
        if text.is_empty() || text.len() > HEADER_VALUE_LENGTH_MAX {
            return Err(problem("1 to 4096 characters to match"));
        }
        if text.chars().any(char::is_control) {
            return Err(problem("no control characters in what it matches"));
        }
    }
    for (at, header) in headers.iter().enumerate() {
        let same = |other: &&HeaderMatch| {
            other.name.eq_ignore_ascii_case(&header.name)
                && (&other.value, &other.pattern) == (&header.value, &header.pattern)
        };
        if headers.iter().take(at).find(same).is_some_and(|other| other.track != header.track) {
            return Err(TrackError::HeaderTwice { name: header.name.clone() });
        }
    }
    Ok(())
}
