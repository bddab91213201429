//! Texts of others within Markdown, and within messages.

/// Characters of a text of others within a line: two lines on a screen.
pub(super) const TEXT_CHARS_MAX: usize = 200;

/// A text of others on one line of so many characters at most, without what changes how
/// text around it is shown: controls, and what has no width or turns the direction.
pub(super) fn plain(text: &str, chars_max: usize) -> String {
    let is_shown = |c: &char| {
        !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
    };
    let is_space = |c: char| c.is_control() || c.is_whitespace();
    let text: String = text.chars().filter(is_shown).collect();
    let words = text.split(is_space).filter(|word| !word.is_empty());
    cut(&words.collect::<Vec<_>>().join(" "), chars_max)
}

/// So many characters at most; what is cut says so.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A text of others as a code span (CommonMark 0.31, section 6.1): nothing in it is
/// markup, a link, a mention of somebody or of an issue.
pub(super) fn code(text: &str) -> String {
    let text = plain(text, TEXT_CHARS_MAX);
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    // One backtick more than stand together anywhere in it, by which alone it ends.
    let (mut run, mut longest) = (0_usize, 0_usize);
    for c in text.chars() {
        run = if c == '`' { run.saturating_add(1) } else { 0 };
        longest = longest.max(run);
    }
    let mark = "`".repeat(longest.saturating_add(1));
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{mark}{space}{text}{space}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_of_others_is_no_markup() {
        let cases = [
            ("web", "`web`"),
            ("", "(empty)"),
            (" \n ", "(empty)"),
            ("a\nb\tc", "`a b c`"),
            ("a`b", "``a`b``"),
            ("```", "```` ``` ````"),
            ("`a", "`` `a ``"),
            ("<img src=x> @all [a](b)", "`<img src=x> @all [a](b)`"),
            ("abc\u{202e}fed\u{200b}", "`abcfed`"),
            ("\u{2028}a", "`a`"),
        ];
        for (text, expected) in cases {
            assert_eq!(code(text), expected);
        }
        assert_eq!(code(&"ü".repeat(1_000)).chars().count(), TEXT_CHARS_MAX + 2);
    }

    proptest! {
        #[test]
        fn a_span_ends_where_it_should(text in "[`a \\n]{0,40}") {
            let span = code(&text);
            prop_assert!(!span.contains('\n'));
            let mark = span.chars().take_while(|c| *c == '`').count();
            let within = span.trim_matches('`');
            let longest = within.split(|c| c != '`').map(str::len).max().unwrap_or(0);
            prop_assert!(mark == 0 || longest < mark, "{}", span);
        }
    }
}
