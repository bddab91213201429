//! A track's values against those of a baseline, or of before.

use crate::mann_whitney::{greater, least_p};
use serde::Deserialize;

/// What is compared, and how.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compare {
    pub(crate) with: With,
    pub(crate) by: By,
    #[serde(default)]
    worse: Worse,
    at_most: Option<f64>,
    #[serde(default)]
    plus: f64,
    #[serde(default = "alpha")]
    alpha: f64,
    #[serde(default = "min_samples")]
    min_samples: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum With {
    Baseline,
    Before,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    Ratio,
    MannWhitney,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Worse {
    #[default]
    Higher,
    Lower,
}

/// One good track in a hundred fails a measurement by chance.
fn alpha() -> f64 {
    0.01
}

/// With eight values on either side, a p of less than one in ten thousand is
/// possible, and the normal distribution is near enough.
fn min_samples() -> usize {
    8
}

/// What came of comparing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compared {
    /// Whether the track is as good; none where it can't be told.
    pub(crate) good: Option<bool>,
    pub(crate) message: String,
    /// Name and value.
    pub(crate) values: Vec<(&'static str, f64)>,
}

impl Compare {
    /// Compares values of a track with others. Neither is empty.
    pub(crate) fn values(&self, track: &[f64], other: &[f64]) -> Compared {
        match self.by {
            By::Ratio => self.ratio(track, other),
            By::MannWhitney => self.mann_whitney(track, other),
        }
    }

    fn ratio(&self, track: &[f64], other: &[f64]) -> Compared {
        let (track, other) = (mean(track), mean(other));
        let limit = self.limit(other);
        if track.is_nan() || !limit.is_finite() {
            let (message, name) = ("infinite values have no ratio".to_owned(), self.other());
            return Compared { good: None, message, values: vec![("value", track), (name, other)] };
        }
        let good = !self.is_beyond(track, limit);
        let (than, name) = (self.than(), self.other());
        let message = format!(
            "{} against {} of {name}; {than} {} is {}",
            shown(track),
            shown(other),
            shown(limit),
            if good { "right" } else { "wanted" },
        );
        Compared { good: Some(good), message, values: vec![("value", track), (name, other)] }
    }

    fn mann_whitney(&self, track: &[f64], other: &[f64]) -> Compared {
        let name = self.other();
        let (medians, counts) = ((median(track), median(other)), (track.len(), other.len()));
        let values = vec![("median", medians.0), (name, medians.1)];
        let unknown = |why: String| Compared { good: None, message: why, values: values.clone() };
        if counts.0.min(counts.1) < self.min_samples {
            return unknown(format!(
                "{} values against {} of {name}: too few, {} of each are needed",
                counts.0, counts.1, self.min_samples
            ));
        }
        if least_p(counts.0, counts.1) > self.alpha {
            return unknown(format!(
                "{} values against {} of {name} can't show a difference at an alpha of {}",
                counts.0, counts.1, self.alpha
            ));
        }
        let test = match self.worse {
            Worse::Higher => greater(track, other),
            Worse::Lower => greater(other, track),
        };
        let Some(test) = test else { return unknown("the values have no order".to_owned()) };
        let differs = test.p <= self.alpha;
        let tolerant = self.at_most.is_some() || self.plus > 0.0;
        let beyond = !tolerant || self.is_beyond(medians.0, self.limit(medians.1));
        let word = match self.worse {
            Worse::Higher => "higher",
            Worse::Lower => "lower",
        };
        let finding = match (differs, beyond) {
            (false, _) => format!("not {word} for certain"),
            (true, false) => format!("{word}, but by no more than is right"),
            (true, true) => word.to_owned(),
        };
        let message = format!(
            "{finding}: median {} of {} values against {} of {} of {name}, p = {} at alpha = {}",
            shown(medians.0),
            counts.0,
            shown(medians.1),
            counts.1,
            shown(test.p),
            self.alpha
        );
        let values = values.into_iter().chain([("p", test.p)]).collect();
        Compared { good: Some(!(differs && beyond)), message, values }
    }

    /// The last value that is right, given what it is compared with.
    fn limit(&self, other: f64) -> f64 {
        let factor = self.at_most.unwrap_or(1.0);
        // So that of values below zero the worse is beyond, too.
        match self.worse {
            Worse::Higher => other + other.abs() * (factor - 1.0) + self.plus,
            Worse::Lower => other - other.abs() * (1.0 - 1.0 / factor) - self.plus,
        }
    }

    fn is_beyond(&self, value: f64, limit: f64) -> bool {
        match self.worse {
            Worse::Higher => value > limit,
            Worse::Lower => value < limit,
        }
    }

    fn than(&self) -> &'static str {
        match self.worse {
            Worse::Higher => "at most",
            Worse::Lower => "at least",
        }
    }

    fn other(&self) -> &'static str {
        match self.with {
            With::Baseline => "baseline",
            With::Before => "before",
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some thousand values at most")]
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value in the middle, or between the two that are.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    }
}

/// A value for people: four digits that count.
pub(crate) fn shown(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    if (1e-4..1e9).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(compare: &serde_json::Value, track: &[f64], other: &[f64]) -> Compared {
        serde_json::from_value::<Compare>(compare.clone()).unwrap().values(track, other)
    }

    fn ratio(more: &serde_json::Value) -> serde_json::Value {
        let mut compare = json!({"with": "baseline", "by": "ratio"});
        for (name, value) in more.as_object().unwrap() {
            compare[name] = value.clone();
        }
        compare
    }

    #[test]
    fn a_ratio_is_of_means_and_has_a_direction() {
        let good = |more: &serde_json::Value, track: &[f64], other: &[f64]| {
            compared(&ratio(more), track, other).good.unwrap()
        };
        assert!(good(&json!({"at_most": 1.2}), &[0.1, 0.13], &[0.1]));
        assert!(!good(&json!({"at_most": 1.2}), &[0.1, 0.15], &[0.1]));
        assert!(good(&json!({"at_most": 1.2, "worse": "lower"}), &[90.0], &[100.0]));
        assert!(!good(&json!({"at_most": 1.2, "worse": "lower"}), &[80.0], &[100.0]));
        assert!(good(&json!({}), &[0.0], &[0.0]), "nothing is as good as nothing");
        assert!(!good(&json!({"at_most": 2}), &[0.001], &[0.0]));
        assert!(good(&json!({"at_most": 2, "plus": 0.001}), &[0.001], &[0.0]));
        assert!(!good(&json!({"at_most": 1.5}), &[-4.0], &[-10.0]), "less of a loss is higher");
        assert!(good(&json!({"at_most": 1.5}), &[-5.0], &[-10.0]));
        assert!(!good(&json!({"at_most": 5}), &[f64::INFINITY], &[1.0]));
        let compared = compared(&ratio(&json!({"at_most": 1.2})), &[0.15], &[0.1]);
        assert_eq!(compared.message, "0.15 against 0.1 of baseline; at most 0.12 is wanted");
        assert_eq!(compared.values, [("value", 0.15), ("baseline", 0.1)]);
    }

    #[test]
    fn a_test_needs_values_enough_for_what_it_is_to_show() {
        let test = |more: &serde_json::Value, track: usize, other: usize| {
            let mut compare = json!({"with": "before", "by": "mann-whitney"});
            for (name, value) in more.as_object().unwrap() {
                compare[name] = value.clone();
            }
            let bad: Vec<f64> = (0..track).map(|n| 10.0 + n as f64).collect();
            let fine: Vec<f64> = (0..other).map(|n| n as f64 / 100.0).collect();
            compared(&compare, &bad, &fine)
        };
        assert_eq!(test(&json!({}), 8, 8).good, Some(false));
        let few = test(&json!({}), 20, 7);
        assert!(few.good.is_none() && few.message.contains("8 of each are needed"), "{few:?}");
        assert_eq!(test(&json!({"min_samples": 4}), 5, 5).good, Some(false));
        let unsure = test(&json!({"min_samples": 4}), 4, 4);
        assert!(unsure.message.contains("can't show a difference at an alpha of 0.01"));
        assert_eq!(test(&json!({"worse": "lower"}), 8, 8).good, Some(true));
        assert_eq!(test(&json!({"plus": 20}), 8, 8).good, Some(true), "sure, and not much");
        assert_eq!(test(&json!({"plus": 10}), 8, 8).good, Some(false));
    }

    #[test]
    fn values_are_shown_with_four_digits() {
        for (value, text) in [
            (0.123_456, "0.1235"),
            (0.000_012_3, "1.23e-5"),
            (1500.0, "1500"),
            (0.0, "0"),
            (f64::INFINITY, "inf"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(shown(value), text);
        }
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
