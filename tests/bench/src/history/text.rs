//! Texts in which names are replaced: taken apart once, and put together often.

/// A text, with places that are named anew each time.
#[derive(Debug, Clone)]
pub(super) struct Text<N>(Vec<Part<N>>);

#[derive(Debug, Clone)]
enum Part<N> {
    Same(String),
    Name(N),
}

impl<N: Clone> Text<N> {
    /// Takes a text apart, by names as they are in it. Where two of them begin at
    /// the same place, the longer one is meant.
    pub(super) fn of(text: &str, names: &[(String, N)]) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let found = names
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .filter_map(|(name, meant)| Some((rest.find(name.as_str())?, name, meant)))
                .min_by_key(|(place, name, _)| (*place, usize::MAX - name.len()));
            let Some((before, (name, meant))) = found.and_then(|(place, name, meant)| {
                Some((rest.split_at_checked(place)?, (name, meant)))
            }) else {
                parts.push(Part::Same(rest.to_owned()));
                return Self(parts);
            };
            parts.push(Part::Same(before.0.to_owned()));
            parts.push(Part::Name(meant.clone()));
            rest = before.1.strip_prefix(name.as_str()).unwrap_or_default();
        }
    }

    /// The text, with other names.
    pub(super) fn with<'n>(&self, name: impl Fn(&N) -> &'n str) -> String {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Same(same) => same,
                Part::Name(meant) => name(meant),
            });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_the_longer_ones_first() {
        let names = [("ab".to_owned(), 0), ("abc".to_owned(), 1), ("x".to_owned(), 2)];
        let text = Text::of("ab-abc-xx!", &names);
        let new = ["1", "2", "3"];
        assert_eq!(text.with(|name| new[*name]), "1-2-33!");
        assert_eq!(Text::of("nothing", &names).with(|_| ""), "nothing");
    }
}
