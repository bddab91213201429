//! What can go wrong, in words.

use deployd_core::Fault;
use deployd_core::ports::EgressError;

/// The repository is away, or others were quicker too often.
pub(crate) const UNREACHABLE: &str = "git-unreachable";
/// We are not let in.
pub(crate) const DENIED: &str = "git-denied";
/// The branch is not to be written to.
pub(crate) const PROTECTED: &str = "git-protected";
/// There is no such repository, branch or commit.
pub(crate) const NOT_FOUND: &str = "git-not-found";
/// It is more than we take.
pub(crate) const TOO_LARGE: &str = "git-too-large";
/// What is there, or a path, is none.
pub(crate) const INVALID: &str = "git-invalid";

/// How much of what a server says stands in a message: some lines of a hook.
const QUOTED_CHARACTERS: usize = 500;

/// What to do about a repository that is more than we take.
const SMALLER: &str = "have the server allow filters (`uploadpack.allowFilter`), so that only what is needed is \
     fetched, or give the environments a repository of their own";

pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::invalid(INVALID, message)
}

pub(crate) fn unreachable(message: impl Into<String>) -> Fault {
    Fault::transient(UNREACHABLE, message)
}

pub(crate) fn not_found(message: impl Into<String>) -> Fault {
    Fault::invalid(NOT_FOUND, message)
}

pub(crate) fn denied(message: impl Into<String>) -> Fault {
    Fault::denied(DENIED, message)
}

/// More than we take; `what` is a whole clause: `the tree abc has more than 5 bytes`.
pub(crate) fn too_large(what: impl std::fmt::Display) -> Fault {
    Fault::invalid(TOO_LARGE, format!("{what}; {SMALLER}"))
}

/// Too large by what was asked for, where filters would change nothing.
pub(crate) fn too_large_request(what: impl Into<String>) -> Fault {
    Fault::invalid(TOO_LARGE, what)
}

/// A failure of the way out. What may pass is the repository being away.
pub(crate) fn of_egress(error: EgressError) -> Fault {
    if let EgressError::TooLarge { .. } = &error {
        return too_large(&error);
    }
    let fault = Fault::from(error);
    if fault.is_transient() { unreachable(fault.message) } else { fault }
}

/// What a server says, as a part of a sentence: one line, cut, without what terminals
/// obey to.
pub(crate) fn quoted(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    cut(&line, QUOTED_CHARACTERS)
}

/// At most so many characters, the last an ellipsis if there are more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_one_short_line() {
        assert_eq!(quoted(b"GH006:\x1b[31m  no\r\n way\n"), "GH006: [31m no way");
        assert_eq!(quoted("x".repeat(600).as_bytes()).chars().count(), QUOTED_CHARACTERS);
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }
}
