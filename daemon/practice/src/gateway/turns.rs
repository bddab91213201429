//! Whose turn it is: by weight, and the same each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Places that are remembered; beyond it all begin anew. A practice cluster has
/// a few hundred services at most.
const PLACES_MAX: usize = 4096;

/// Chooses one after the other, spread as evenly as their weights allow.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Turn>>);

/// Smooth weighted round robin: each gains its weight, the richest is chosen and
/// pays for all.
#[derive(Debug, Default)]
struct Turn {
    choices: Vec<(String, u64)>,
    gained: Vec<i64>,
}

impl Turns {
    /// The place of the next of these choices, each with its weight; none if all
    /// weights are 0. Other choices at the same place begin anew.
    pub(super) fn next(&self, place: &str, choices: &[(&str, u64)]) -> Option<usize> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        let turn = places.entry(place.to_owned()).or_default();
        let is_same = turn.choices.len() == choices.len()
            && turn.choices.iter().zip(choices).all(|(a, b)| (a.0.as_str(), a.1) == *b);
        if !is_same {
            turn.choices =
                choices.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            turn.gained = vec![0; choices.len()];
        }
        let mut total: i64 = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, ((_, weight), gained)) in choices.iter().zip(&mut turn.gained).enumerate() {
            let weight = i64::try_from(*weight).unwrap_or(i64::MAX);
            total = total.saturating_add(weight);
            *gained = gained.saturating_add(weight);
            if weight > 0 && best.is_none_or(|(_, most)| *gained > most) {
                best = Some((index, *gained));
            }
        }
        let (index, _) = best?;
        if let Some(gained) = turn.gained.get_mut(index) {
            *gained = gained.saturating_sub(total);
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept_exactly_and_spread() {
        let turns = Turns::default();
        let choices = [("stable", 90), ("canary", 10), ("idle", 0)];
        let picked: Vec<usize> = (0..100).filter_map(|_| turns.next("a", &choices)).collect();
        assert_eq!(picked.len(), 100);
        assert_eq!(picked.iter().filter(|index| **index == 1).count(), 10);
        // Never two of the rare ones within ten.
        let rare: Vec<usize> =
            picked.iter().enumerate().filter(|(_, it)| **it == 1).map(|(at, _)| at).collect();
        assert!(rare.windows(2).all(|pair| pair[1] - pair[0] == 10), "{rare:?}");
        assert_eq!(turns.next("b", &[("idle", 0)]), None);
        assert_eq!(turns.next("b", &[]), None);
    }
}
