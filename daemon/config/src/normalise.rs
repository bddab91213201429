//! Forms of Score that the specification deprecates, rewritten to those of
//! today: `files` and `volumes` as lists whose items have a `target`.

use crate::node::{Data, Entry, Node};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// Rewrites a Score document in place. Every field keeps its place.
pub(crate) fn score(root: &mut Node, problems: &mut Vec<Problem>) {
    let Some(Node { data: Data::Map(containers), .. }) = root.get_mut("containers") else { return };
    for container in containers {
        for field in ["files", "volumes"] {
            let path = Path::of(["containers", &container.key, field]);
            if let Some(node) = container.value.get_mut(field)
                && let Data::List(items) = &mut node.data
            {
                node.data = Data::Map(by_target(std::mem::take(items), &path, problems));
            }
        }
    }
}

fn by_target(items: Vec<Node>, path: &Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, mut item) in items.into_iter().enumerate() {
        let path = path.then(index);
        let at = item.at;
        let mut problem = |path, found: String, expected| {
            problems.push(Problem::at_value(path, found, expected).placed(at));
        };
        let Data::Map(fields) = &mut item.data else {
            problem(path, shown::value(&item.to_value(), None), "a map with `target`");
            continue;
        };
        let place = fields.iter().position(|field| field.key == "target");
        let Some(target) = place.map(|place| fields.remove(place)) else {
            problem(path.then("target"), "nothing".to_owned(), "a path in the container");
            continue;
        };
        let Some(key) = target.value.as_str() else {
            let found = shown::value(&target.value.to_value(), None);
            problem(path.then("target"), found, "a path in the container");
            continue;
        };
        if entries.iter().any(|entry| entry.key == key) {
            let found = format!("{} a second time", shown::quoted(key));
            problem(path.then("target"), found, "every target once");
            continue;
        }
        entries.push(Entry { key: key.to_owned(), at: target.value.at, value: item });
    }
    entries
}
