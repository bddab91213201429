//! Circles in what must come before what.

use std::collections::{BTreeMap, BTreeSet};

use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// From name to name, and where that is said.
pub(super) type Edges = BTreeMap<String, BTreeMap<String, Path>>;

/// Reports circles, each once, at one of the places that make it.
pub(super) fn check(edges: &Edges, expected: &str, problems: &mut Vec<Problem>) {
    for circle in circles(edges) {
        let Some((first, second)) = circle.first().zip(circle.get(1).or(circle.first())) else {
            continue;
        };
        let Some(path) = edges.get(*first).and_then(|to| to.get(*second)) else { continue };
        let names: Vec<String> =
            circle.iter().chain([first]).map(|name| shown::shorten(name)).collect();
        let found = format!("the circle {}", names.join(" -> "));
        problems.push(Problem::at_value(path.clone(), found, expected));
    }
}

/// Circles that have no name in common.
fn circles(edges: &Edges) -> Vec<Vec<&str>> {
    let mut left: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    loop {
        drop_ends(edges, &mut left);
        // Whatever is left leads on to something that is left, and so, in the
        // end, to where the walk has been.
        let Some(mut at) = left.first().copied() else { return found };
        let mut walk: Vec<&str> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        while !places.contains_key(at) {
            places.insert(at, walk.len());
            walk.push(at);
            match targets(edges, at).find(|target| left.contains(target)) {
                Some(next) => at = next,
                None => return found,
            }
        }
        let circle = walk.split_off(places.get(at).copied().unwrap_or_default());
        for name in &circle {
            left.remove(name);
        }
        found.push(circle);
    }
}

fn targets<'a>(edges: &'a Edges, name: &str) -> impl Iterator<Item = &'a str> {
    edges.get(name).into_iter().flatten().map(|(target, _)| target.as_str())
}

/// Drops what leads to nothing that is left.
fn drop_ends<'a>(edges: &'a Edges, left: &mut BTreeSet<&'a str>) {
    let mut leads_to: BTreeMap<&str, usize> = BTreeMap::new();
    let mut led_from: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in left.iter().copied() {
        let here: Vec<&str> = targets(edges, name).filter(|target| left.contains(target)).collect();
        leads_to.insert(name, here.len());
        for target in here {
            led_from.entry(target).or_default().push(name);
        }
    }
    let mut ends: Vec<&str> =
        leads_to.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(end) = ends.pop() {
        left.remove(end);
        for name in led_from.get(end).into_iter().flatten() {
            if let Some(count) = leads_to.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ends.push(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_each_once() {
        let of = |pairs: &[(&str, &str)]| {
            let mut edges = Edges::new();
            for (from, to) in pairs {
                edges.entry((*from).into()).or_default().insert((*to).into(), Path::default());
            }
            circles(&edges).into_iter().map(|c| c.join(" ")).collect::<Vec<_>>()
        };
        assert!(of(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
        assert_eq!(of(&[("a", "a")]), ["a"]);
        assert_eq!(of(&[("a", "b"), ("b", "a"), ("c", "a"), ("b", "d")]), ["a b"]);
        assert_eq!(
            of(&[("a", "b"), ("b", "a"), ("x", "y"), ("y", "z"), ("z", "x")]),
            ["a b", "x y z"]
        );
        assert_eq!(of(&[("in", "a"), ("a", "b"), ("b", "a"), ("b", "in")]).len(), 1);
    }
}
