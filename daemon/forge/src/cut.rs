//! Texts that are longer than a forge takes.

use std::borrow::Cow;

use crate::refusal::one_line;

/// Characters of a title: GitHub takes 256, GitLab and Gitea 255.
const TITLE_CHARS_MAX: usize = 255;

/// Room for the sentence that says what is missing, and the end of a block before it.
const NOTE_CHARS: usize = 120;

/// A title that every forge takes.
pub(crate) fn title(text: &str) -> String {
    one_line(text, TITLE_CHARS_MAX)
}

/// Markdown of so many characters at most: cut at the end of a line, after which it
/// says so. Characters are counted as UTF-16 does, which is never less than any forge
/// counts. `chars_max` is at least some hundred.
pub(crate) fn body(text: &str, chars_max: usize) -> Cow<'_, str> {
    let length: usize = text.chars().map(char::len_utf16).sum();
    if length <= chars_max {
        return Cow::Borrowed(text);
    }
    let room = chars_max.saturating_sub(NOTE_CHARS);
    let mut kept = String::new();
    let mut taken = 0_usize;
    let mut fence: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let units: usize = line.chars().map(char::len_utf16).sum();
        if taken.saturating_add(units) > room {
            break;
        }
        taken = taken.saturating_add(units);
        kept.push_str(line);
        fence = after(fence, line);
    }
    if kept.is_empty() {
        // One line that is too long: part of it is better than nothing.
        for c in text.chars() {
            taken = taken.saturating_add(c.len_utf16());
            if taken > room {
                break;
            }
            kept.push(c);
        }
    }
    if !kept.ends_with('\n') {
        kept.push('\n');
    }
    if let Some(fence) = fence {
        kept.push_str(fence);
        kept.push('\n');
    }
    kept.push_str(&format!(
        "\n(Cut here: it has {length} characters, and the forge takes {chars_max}.)\n"
    ));
    Cow::Owned(kept)
}

/// The fence of the code block that is open after a line, if one is.
fn after<'a>(open: Option<&'a str>, line: &'a str) -> Option<&'a str> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
    let length = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
    // Longer fences are cut with their block, so that the note has its room.
    let fence = line.get(..length).filter(|_| (3..=NOTE_CHARS / 4).contains(&length));
    match (open, fence) {
        (None, fence) => fence,
        (Some(open), Some(fence)) if fence == line && fence.starts_with(open) => None,
        (open, _) => open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_at_a_line_and_says_so() {
        let line = "0123456789ü😀\n";
        let long = line.repeat(100);
        let cut = body(&long, 500);
        assert!(cut.chars().map(char::len_utf16).sum::<usize>() <= 500);
        assert!(cut.ends_with("the forge takes 500.)\n"), "{cut}");
        assert!(cut.lines().take_while(|line| !line.is_empty()).all(|one| one == line.trim_end()));
        assert!(cut.starts_with(line));
        assert_eq!(body("short", 500), "short");
        let exact = "x".repeat(500);
        assert_eq!(body(&exact, 500), exact);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_within_it() {
        let cut = body(&"😀".repeat(1_000), 500).into_owned();
        assert!(cut.starts_with("😀") && cut.contains("Cut here"), "{cut}");
        assert!(cut.chars().map(char::len_utf16).sum::<usize>() <= 500);
    }

    #[test]
    fn a_block_that_is_cut_ends() {
        let text = format!("before\n````diff\n```\n{}````\nafter\n", "+ line\n".repeat(200));
        let cut = body(&text, 500);
        assert!(cut.contains("+ line\n````\n\n(Cut here"), "{cut}");
        let whole = format!("```\nx\n```\n{}", "line\n".repeat(200));
        assert!(body(&whole, 500).contains("line\n\n(Cut here"));
    }

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(title(" a\r\nb "), "a  b");
        assert_eq!(title(&"x".repeat(1_000)).chars().count(), TITLE_CHARS_MAX);
    }
}
