//! Commits, as pullers write them.

/// The fewest digits by which a commit is known: as many as Git itself shows.
const DIGITS_MIN: usize = 7;

/// The most: those of SHA-256.
const DIGITS_MAX: usize = 64;

/// The commit of a revision: `3f2a…` itself; of Flux `main@sha1:3f2a…`, `sha1:3f2a…`,
/// and `main/3f2a…` as it was before; none of what names none, such as a version.
pub(super) fn commit(revision: &str) -> Option<String> {
    let (_, digest) = revision.rsplit_once('@').unwrap_or(("", revision));
    let (_, digits) = digest.rsplit_once([':', '/']).unwrap_or(("", digest));
    is_digits(digits).then(|| digits.to_ascii_lowercase())
}

/// The first digits of the commit that a chart's version names, which Flux has made of a
/// repository: `1.0.0+3f2a1b4c5d6e`, or `1.0.0+3f2a1b4c5d6e.1` where there are files of
/// values.
pub(super) fn commit_of_chart(version: &str) -> Option<String> {
    let (_, metadata) = version.split_once(['+', '_'])?;
    let (digits, _) = metadata.split_once('.').unwrap_or((metadata, ""));
    is_digits(digits).then(|| digits.to_ascii_lowercase())
}

fn is_digits(text: &str) -> bool {
    (DIGITS_MIN..=DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether two addresses lead to the same repository, whichever way it is reached.
pub(super) fn is_same_repository(one: &str, other: &str) -> bool {
    place(one) == place(other)
}

/// `host/path`, without what differs from way to way: scheme, user, port, `.git`.
fn place(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, more) = authority.split_once(':').unwrap_or((authority, ""));
    // `git@host:group/name` has no scheme, and the path begins where a port would be.
    let path = match scheme {
        "" if !more.is_empty() => format!("{more}{path}"),
        _ => path.to_owned(),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{host}/{path}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_found_in_all_that_names_one() {
        let commit_id = "3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c";
        for revision in [
            commit_id.to_owned(),
            format!("main@sha1:{commit_id}"),
            format!("env/staging@sha1:{commit_id}"),
            format!("refs/heads/main@sha1:{commit_id}"),
            format!("sha1:{commit_id}"),
            format!("main/{commit_id}"),
            commit_id.to_ascii_uppercase(),
        ] {
            assert_eq!(commit(&revision).as_deref(), Some(commit_id), "{revision}");
        }
        for revision in ["", "main", "1.2.3", "v1.0.0@", "main@sha1:", "main@sha1:xyz", "abc"] {
            assert_eq!(commit(revision), None, "{revision}");
        }
    }

    #[test]
    fn charts_name_the_beginning_of_a_commit() {
        for version in ["1.0.0+3f2a1b4c5d6e", "1.0.0+3f2a1b4c5d6e.1", "0.1.0-rc.1_3f2a1b4c5d6e"] {
            assert_eq!(commit_of_chart(version).as_deref(), Some("3f2a1b4c5d6e"), "{version}");
        }
        for version in ["1.0.0", "", "1.0.0+", "1.0.0+build", "1.0.0+.1"] {
            assert_eq!(commit_of_chart(version), None, "{version}");
        }
    }

    #[test]
    fn the_same_repository_is_reached_in_several_ways() {
        let own = "https://git.example.com/platform/environments.git";
        for other in [
            "https://git.example.com/platform/environments",
            "https://robot@Git.example.com/platform/environments/",
            "ssh://git@git.example.com:2222/platform/environments.git",
            "git@git.example.com:platform/environments.git",
        ] {
            assert!(is_same_repository(own, other), "{other}");
        }
        for other in ["https://git.example.com/platform/charts", "", "git.example.com"] {
            assert!(!is_same_repository(own, other), "{other}");
        }
    }
}
