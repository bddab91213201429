//! `{{workload}}` and its like in queries and addresses.

use super::{Input, STABLE};
use crate::Fault;

/// How a value is written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As it is.
    None,
    /// For a string in quotes, such as those of PromQL: `\`, quotes and line breaks.
    Quoted,
    /// For a URL: what is not unreserved (RFC 3986) becomes `%XX`.
    Url,
}

/// What the names of copies of objects end with on a track: nothing on `stable`,
/// `-canary` on `canary`.
pub fn track_suffix(track: &str) -> String {
    if track == STABLE { String::new() } else { format!("-{track}") }
}

/// Workloads that one measurement asks about. Each takes a request or two, and a
/// call has thirty seconds.
pub const WORKLOADS_MAX: usize = 16;

impl Input {
    /// Fills what is checked into a text: `{{workload}}`, `{{track}}`, `{{suffix}}`
    /// (what names of copies end with), `{{baseline}}`, `{{namespace}}` and
    /// `{{deployment}}`; for `track`, which may be another than what is checked.
    ///
    /// A text with `{{workload}}` becomes one for each workload, with its name;
    /// another becomes one, with an empty name. `path` is where the text stands.
    pub fn filled(
        &self,
        path: &str,
        text: &str,
        track: &str,
        escape: Escape,
    ) -> Result<Vec<(String, String)>, Fault> {
        let suffix = track_suffix(track);
        let of = |workload: Option<&str>| {
            let values = [
                ("workload", workload),
                ("track", Some(track)),
                ("suffix", Some(suffix.as_str())),
                ("baseline", self.baseline.as_deref()),
                ("namespace", Some(self.namespace.as_str())),
                ("deployment", Some(self.deployment.as_str())),
            ];
            fill(path, text, &values, escape)
        };
        // Whether the text is different for each of them.
        if self.workloads.is_empty() || of(Some("one"))? == of(Some("other"))? {
            return Ok(vec![(String::new(), of(None)?)]);
        }
        if self.workloads.len() > WORKLOADS_MAX {
            let count = self.workloads.len();
            let message = format!(
                "{count} workloads, and at most {WORKLOADS_MAX} are asked about one by one: \
                 let the strategy's run-checks name some"
            );
            return Err(Fault::invalid("/input/workloads", message));
        }
        self.workloads.iter().map(|name| Ok((name.clone(), of(Some(name))?))).collect()
    }
}

/// Fills `{{name}}` in. `path` is where the text stands in the request; a name
/// that has no value is a fault there, which says what there is.
pub fn fill(
    path: &str,
    text: &str,
    values: &[(&str, Option<&str>)],
    escape: Escape,
) -> Result<String, Fault> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            return Err(Fault::invalid(path, "{{ without }}; expected {{name}}"));
        };
        let name = name.trim();
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, Some(value))) => push(&mut filled, value, escape),
            Some((_, None)) => {
                let message = format!(
                    "{{{{{name}}}}} has no value here; the strategy's run-checks has to give one"
                );
                return Err(Fault::invalid(path, message));
            }
            None => {
                let known: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
                let known = known.join(", ");
                let message = format!("{{{{{name}}}}} is none of the names here: {known}");
                return Err(Fault::invalid(path, message));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn push(filled: &mut String, value: &str, escape: Escape) {
    match escape {
        Escape::None => filled.push_str(value),
        Escape::Quoted => {
            for c in value.chars() {
                match c {
                    '\\' | '"' | '\'' => filled.extend(['\\', c]),
                    '\n' => filled.push_str("\\n"),
                    '\r' => filled.push_str("\\r"),
                    c => filled.push(c),
                }
            }
        }
        Escape::Url => {
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    filled.push(char::from(byte));
                } else {
                    filled.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, Option<&str>); 3] =
        [("workload", Some("web")), ("track", Some("a\"b\\\n")), ("baseline", None)];

    #[test]
    fn values_stand_where_their_names_stood_and_can_not_break_out() {
        let filled = |text: &str, escape| fill("/config/query", text, &VALUES, escape).unwrap();
        assert_eq!(filled("up{w=\"{{ workload }}\"} {x}", Escape::None), "up{w=\"web\"} {x}");
        assert_eq!(filled("t=\"{{track}}\"", Escape::Quoted), "t=\"a\\\"b\\\\\\n\"");
        assert_eq!(filled("http://{{workload}}/{{track}}", Escape::Url), "http://web/a%22b%5C%0A");
    }

    #[test]
    fn a_name_without_a_value_is_said() {
        let fault = |text: &str| {
            let filled = fill("/config/query", text, &VALUES, Escape::None);
            filled.unwrap_err().to_string()
        };
        assert!(fault("{{pod}}").contains("none of the names here: workload, track, baseline"));
        assert!(fault("{{baseline}}").contains("/config/query: {{baseline}} has no value here"));
        assert!(fault("{{pod").contains("{{ without }}"));
    }

    #[test]
    fn copies_of_a_track_have_its_suffix() {
        assert_eq!(
            (track_suffix("stable"), track_suffix("canary")),
            (String::new(), "-canary".into())
        );
    }
}
