//! The forms that names take. Each rule gives the complaint, if there is one.

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} bytes"))
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS label.
pub(crate) fn label(text: &str) -> Option<String> {
    too_long(text, 63).or_else(|| (!is_label(text)).then(|| LABEL.to_owned()))
}

/// A DNS label that begins with a letter.
pub(crate) fn label_1035(text: &str) -> Option<String> {
    let fits = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    too_long(text, 63).or_else(|| (!fits).then(|| LABEL_1035.to_owned()))
}

/// A DNS subdomain.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    let fits = text.split('.').all(is_label);
    too_long(text, 253).or_else(|| (!fits).then(|| SUBDOMAIN.to_owned()))
}

/// A name that can be a segment of a path.
pub(crate) fn path_segment(text: &str) -> Option<String> {
    if matches!(text, "." | "..") {
        return Some(format!("may not be '{text}'"));
    }
    ['/', '%']
        .into_iter()
        .find(|letter| text.contains(*letter))
        .map(|letter| format!("may not contain '{letter}'"))
}

fn is_name_part(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && ends(text.chars().next())
        && ends(text.chars().last())
}

/// A name with an optional domain before it, such as a label's key.
pub(crate) fn qualified(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if name.contains('/') {
        return Some("a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".to_owned());
    }
    if prefix == Some("") {
        return Some("prefix part must be non-empty".to_owned());
    }
    if let Some(complaint) = prefix.and_then(subdomain) {
        return Some(format!("prefix part {complaint}"));
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes".to_owned());
    }
    (!is_name_part(name)).then(|| QUALIFIED.to_owned())
}

/// A label's value.
pub(crate) fn label_value(text: &str) -> Option<String> {
    too_long(text, 63)
        .or_else(|| (!text.is_empty() && !is_name_part(text)).then(|| LABEL_VALUE.to_owned()))
}

/// A key of a config map or secret.
pub(crate) fn config_key(text: &str) -> Option<String> {
    let fits =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !fits {
        return Some(CONFIG_KEY.to_owned());
    }
    if matches!(text, "." | "..") {
        return Some(format!("must not be '{text}'"));
    }
    too_long(text, 253)
}

/// The name of an environment variable.
pub(crate) fn environment(text: &str) -> Option<String> {
    let fits = text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    (!fits).then(|| ENV_NAME.to_owned())
}

/// The name of a container's port.
pub(crate) fn port_name(text: &str) -> Option<String> {
    if text.len() > 15 {
        return Some("must be no more than 15 characters".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        return Some("must not contain consecutive hyphens".to_owned());
    }
    (text.starts_with('-') || text.ends_with('-'))
        .then(|| "must not begin or end with a hyphen".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (rule, good, bad) in [
            (
                label as fn(&str) -> Option<String>,
                vec!["a", "1-a"],
                vec!["", "A", "-a", "a-", "a.b"],
            ),
            (label_1035, vec!["a1"], vec!["1a"]),
            (subdomain, vec!["a.b-c.d"], vec!["a..b", ".a", "a_b"]),
            (qualified, vec!["app", "x.io/App_1"], vec!["/x", "x/", "a/b/c", "X.io/a", "-a"]),
            (label_value, vec!["", "v1.2_3"], vec!["-x", "a b"]),
            (config_key, vec!["a.b_C-1"], vec!["", "a/b", ".."]),
            (port_name, vec!["http"], vec!["HTTP", "123", "a--b", "a-"]),
        ] {
            for text in good {
                assert_eq!(rule(text), None, "{text}");
            }
            for text in bad {
                assert!(rule(text).is_some(), "{text}");
            }
        }
        assert!(label(&"a".repeat(64)).is_some());
    }
}
