//! The lines of a graph beside text, as `git log --graph` has them: each node comes
//! after those that lead to it, in a column from which lines go on to those that it
//! leads to.

/// What stands left of the text of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rails {
    /// A line before it, where several lead to it.
    pub above: Option<String>,
    /// Left of its mark, and right of it.
    pub node: (String, String),
    /// Left of the other lines of its text.
    pub beside: String,
    /// A line after it, where it leads to several.
    pub below: Option<String>,
}

/// The lines of a graph. `before` has, for each node, the places of those that lead to
/// it; those that do not come before it are passed over.
pub fn rails(before: &[Vec<usize>]) -> Vec<Rails> {
    // Where each column's line leads to.
    let mut lanes: Vec<Option<usize>> = Vec::new();
    let mut found = Vec::with_capacity(before.len());
    for node in 0..before.len() {
        let leads_here =
            |(place, lane): (usize, &Option<usize>)| (*lane == Some(node)).then_some(place);
        let mut coming = lanes.iter().enumerate().filter_map(leads_here);
        let own = coming.next();
        let others: Vec<usize> = coming.collect();
        let own = own.unwrap_or_else(|| free(&mut lanes, 0));
        let mut rails = Rails::default();
        if !others.is_empty() {
            rails.above = Some(branches(&lanes, own, &others, ['╯', '┴']));
        }
        for other in others {
            set(&mut lanes, other, None);
        }
        while lanes.len() > own + 1 && lanes.last() == Some(&None) {
            lanes.pop();
        }
        let mut next = (node + 1..before.len())
            .filter(|later| before.get(*later).is_some_and(|before| before.contains(&node)));
        set(&mut lanes, own, next.next());
        rails.node = (column(&lanes, 0, own), column(&lanes, own + 1, lanes.len()));
        rails.beside = column(&lanes, 0, lanes.len());
        let drawn = lanes.clone();
        let mut more = Vec::new();
        for later in next {
            let lane = free(&mut lanes, own + 1);
            set(&mut lanes, lane, Some(later));
            more.push(lane);
        }
        if !more.is_empty() {
            rails.below = Some(branches(&drawn, own, &more, ['╮', '┬']));
        }
        found.push(rails);
    }
    found
}

/// The first column that is free, from one on; a new one where there is none.
fn free(lanes: &mut Vec<Option<usize>>, from: usize) -> usize {
    let place = lanes.iter().skip(from).position(Option::is_none).map(|place| place + from);
    place.unwrap_or_else(|| {
        lanes.resize(lanes.len().max(from) + 1, None);
        lanes.len() - 1
    })
}

fn set(lanes: &mut [Option<usize>], place: usize, to: Option<usize>) {
    if let Some(lane) = lanes.get_mut(place) {
        *lane = to;
    }
}

/// Some columns, each as wide as a mark and a blank.
fn column(lanes: &[Option<usize>], from: usize, to: usize) -> String {
    let lanes = lanes.iter().take(to).skip(from);
    lanes.map(|lane| if lane.is_some() { "│ " } else { "  " }).collect()
}

/// A line that connects a column with others, all right of it.
fn branches(lanes: &[Option<usize>], own: usize, others: &[usize], ends: [char; 2]) -> String {
    let [corner, tee] = ends;
    let last = others.iter().copied().max().unwrap_or(own);
    let width = lanes.len().max(last + 1);
    let mut line = String::new();
    for place in 0..width {
        let is_taken = lanes.get(place).is_some_and(Option::is_some);
        line.push(match place {
            _ if place == own => '├',
            _ if place == last => corner,
            _ if others.contains(&place) => tee,
            _ if place > own && place < last => {
                if is_taken {
                    '┼'
                } else {
                    '─'
                }
            }
            _ if is_taken => '│',
            _ => ' ',
        });
        line.push(if place >= own && place < last { '─' } else { ' ' });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(before: &[&[usize]]) -> Vec<String> {
        let before: Vec<Vec<usize>> = before.iter().map(|before| before.to_vec()).collect();
        let mut lines = Vec::new();
        for (node, rails) in rails(&before).into_iter().enumerate() {
            lines.extend(rails.above);
            lines.push(format!("{}{node} {}", rails.node.0, rails.node.1));
            lines.push(rails.beside);
            lines.extend(rails.below);
        }
        lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| line != "│").collect()
    }

    #[test]
    fn one_after_the_other_is_a_line() {
        assert_eq!(drawn(&[&[], &[0], &[1]]), ["0", "1", "2", ""]);
    }

    #[test]
    fn stages_in_parallel_part_and_meet_again() {
        assert_eq!(
            drawn(&[&[], &[0], &[0], &[0], &[1, 2, 3]]),
            ["0", "├─┬─╮", "1 │ │", "│ │ │", "│ 2 │", "│ │ │", "│ │ 3", "│ │ │", "├─┴─╯", "4", ""]
        );
    }

    #[test]
    fn what_has_ended_leaves_no_gap_before_the_text() {
        let met = rails(&[vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(met[3].node, (String::new(), String::new()));
    }

    #[test]
    fn what_leads_nowhere_ends_and_others_go_on_beside_it() {
        // 1 is alone; 3 comes after 0 and 2, past it.
        let expected = [
            "0",
            "├─╮",
            "│ │ 1",
            "│ │ │",
            "2 │ │",
            "│ │ │",
            "├─╯ │",
            "3   │",
            "    │",
            "    4",
            "",
        ];
        assert_eq!(drawn(&[&[], &[], &[0], &[0, 2], &[1]]), expected);
    }
}
