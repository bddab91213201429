//! The way from a document's root to a value in it.

use std::fmt::{Display, Write as _};

/// Keys of maps and indexes of lists, from the root on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// From its steps.
    pub(crate) fn of<const N: usize>(steps: [&str; N]) -> Self {
        Self(steps.iter().map(|step| (*step).to_owned()).collect())
    }

    /// From a JSON Pointer.
    pub(crate) fn from_pointer(pointer: &str) -> Self {
        let steps = pointer.split('/').skip(1);
        Self(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
    }

    /// One step further.
    pub(crate) fn then(&self, step: impl Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.to_string());
        Self(steps)
    }

    /// A step further, in place.
    pub(crate) fn push(&mut self, step: impl Display) {
        self.0.push(step.to_string());
    }

    /// A step back, in place.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// The steps.
    pub(crate) fn steps(&self) -> &[String] {
        &self.0
    }

    /// Whether it is one step further than another.
    pub(crate) fn is_child_of(&self, other: &Self) -> bool {
        self.0.split_last().is_some_and(|(_, parents)| parents == other.0)
    }

    /// As a JSON Pointer.
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }

    /// For people: `containers.web.files["/etc/app.conf"].mode`.
    pub(crate) fn dotted(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
            if !step.is_empty() && step.chars().all(|c| c.is_ascii_digit()) {
                let _ = write!(text, "[{step}]");
            } else if !step.is_empty() && step.chars().all(plain) {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&crate::shown::shorten(step));
            } else {
                let _ = write!(text, "[{}]", crate::shown::quoted(step));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_place() {
        let path = Path::of(["containers", "web", "files", "/etc/a~b.conf", "x", "0"]);
        assert_eq!(path.pointer(), "/containers/web/files/~1etc~1a~0b.conf/x/0");
        assert_eq!(Path::from_pointer(&path.pointer()), path);
        assert_eq!(path.dotted(), r#"containers.web.files["/etc/a~b.conf"].x[0]"#);
        assert_eq!(Path::from_pointer(""), Path::default());
        assert_eq!(Path::default().dotted(), "");
    }
}
