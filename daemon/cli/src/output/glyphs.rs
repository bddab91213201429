//! Bars and small graphs, in characters that the terminal has.

/// Characters for bars and graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// From the least to the greatest.
    levels: &'static [char],
    full: char,
    empty: char,
}

/// For terminals that show Unicode.
const UNICODE: Glyphs =
    Glyphs {
        levels: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'], full: '█', empty: '░'
    };

/// For all others.
const ASCII: Glyphs =
    Glyphs { levels: &['_', '.', '-', '=', '+', '*', '#'], full: '#', empty: '.' };

impl Glyphs {
    /// Those that the environment says are shown: a locale of UTF-8, in the order
    /// in which POSIX looks. Without any it is the one that knows ASCII alone.
    pub fn detect() -> Self {
        let set = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
            Some(value.to_string_lossy().into_owned())
        };
        Self::of(["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).as_deref())
    }

    /// Those of a locale.
    pub(crate) fn of(locale: Option<&str>) -> Self {
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { UNICODE } else { ASCII }
    }

    /// A bar of so many cells, full to so many of a hundred.
    pub fn bar(self, percent: u8, cells: usize) -> String {
        let full = usize::from(percent.min(100)).saturating_mul(cells) / 100;
        let cell = |index| if index < full { self.full } else { self.empty };
        (0..cells).map(cell).collect()
    }

    /// Numbers as a graph, one character each, from their least to their greatest.
    pub fn graph(self, numbers: &[f64]) -> String {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let top = self.levels.len().saturating_sub(1);
        let level = |number: &f64| {
            // Halves, so that the distance of the two greatest numbers is one.
            let (above, range) = (number / 2.0 - least / 2.0, greatest / 2.0 - least / 2.0);
            let share = if range > 0.0 { above / range } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a level")]
            #[expect(clippy::cast_precision_loss, reason = "there are a few")]
            let index = (share * top as f64).round() as usize;
            self.levels.get(index.min(top)).copied().unwrap_or(' ')
        };
        numbers.iter().map(level).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_and_bars_are_in_characters_that_are_shown() {
        let (unicode, ascii) = (Glyphs::of(Some("de_AT.UTF-8")), Glyphs::of(Some("C")));
        assert_eq!(Glyphs::of(None), ascii);
        for (numbers, expected, in_ascii) in [
            (vec![], "", ""),
            (vec![3.0], "▁", "_"),
            (vec![0.0, 0.5, 1.0], "▁▅█", "_=#"),
            (vec![-1e308, 0.0, 1.7e308], "▁▄█", "_-#"),
            (vec![2.0, 2.0], "▁▁", "__"),
        ] {
            assert_eq!(unicode.graph(&numbers), expected, "{numbers:?}");
            assert_eq!(ascii.graph(&numbers), in_ascii, "{numbers:?}");
        }
        assert_eq!((unicode.bar(50, 4), ascii.bar(100, 2)), ("██░░".into(), "##".into()));
        assert_eq!(ascii.bar(200, 3), "###");
    }
}
