//! Addresses within a forge's API.

use deployd_core::Fault;
use deployd_core::config::HostGrant;
use deployd_core::egress::{Host, find};
use deployd_core::ports::{Destination, Forge, Scheme};
use url::Url;

use crate::refusal::NOT_FOUND;

/// The address of a forge's API, read and checked.
pub(crate) fn api(forge: &Forge) -> Result<Url, Fault> {
    let invalid = |reason: String| {
        let expected = "expected an address as https://api.github.com, \
                        https://gitlab.example/api/v4 or https://gitea.example/api/v1";
        Fault::invalid(NOT_FOUND, format!("the forge's API can't be asked: {reason}; {expected}"))
    };
    // Without the address in the reason: it may have a password in it.
    let url = Url::parse(&forge.api).map_err(|error| invalid(format!("it is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid(format!("its scheme is {:?}", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it has a user or a password in it".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a query or a fragment".to_owned()));
    }
    Ok(url)
}

/// An address below another. What a segment has that would lead elsewhere is encoded.
pub(crate) fn below(api: &Url, segments: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = api.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Owner and name of a repository of GitHub or Gitea.
pub(crate) fn owner_and_name(forge: &Forge) -> Result<(&str, &str), Fault> {
    let parts = forge.project.split_once('/').filter(|(owner, name)| {
        let names_something = |part: &str| !matches!(part, "" | "." | "..");
        names_something(owner) && names_something(name) && !name.contains('/')
    });
    parts.ok_or_else(|| unknown_project(forge, "owner/name"))
}

/// The path of a repository of GitLab, with all its groups.
pub(crate) fn path(forge: &Forge) -> Result<&str, Fault> {
    let named = |part: &str| !matches!(part, "" | "." | "..");
    let project = forge.project.as_str();
    let is_path = project.contains('/') && project.split('/').all(named);
    is_path.then_some(project).ok_or_else(|| unknown_project(forge, "group/name"))
}

fn unknown_project(forge: &Forge, expected: &str) -> Fault {
    let message = format!("{:?} is no repository of a forge; expected {expected}", forge.project);
    Fault::invalid(NOT_FOUND, message)
}

/// The grants of a forge, and one for its host where there is none and the host is a
/// public one that is asked over HTTPS, without a credential.
pub(crate) fn grants(forge: &Forge, api: &Url) -> std::sync::Arc<[HostGrant]> {
    let port = api.port_or_known_default().unwrap_or_default();
    let host = api.host_str().unwrap_or_default();
    let granted = host.parse::<Host>().is_ok_and(|host| {
        let destination = Destination { scheme: Scheme::Https, host, port };
        find(&forge.grants, &destination).is_ok()
    });
    if api.scheme() != "https" || granted {
        return std::sync::Arc::clone(&forge.grants);
    }
    let public = HostGrant {
        host: host.to_owned(),
        port,
        scheme: "https".to_owned(),
        ..HostGrant::default()
    };
    forge.grants.iter().cloned().chain([public]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use deployd_core::ports::ForgeKind;

    fn forge(api: &str, project: &str, grants: &[HostGrant]) -> Forge {
        Forge {
            kind: ForgeKind::Gitlab,
            api: api.to_owned(),
            project: project.to_owned(),
            grants: grants.into(),
        }
    }

    #[test]
    fn what_a_name_has_leads_nowhere_else() {
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [(&'static str, &'static str)],
            &'static str,
        );
        let cases: [Case; 5] = [
            (
                "https://api.github.com",
                &["repos", "o", "r"],
                &[],
                "https://api.github.com/repos/o/r",
            ),
            (
                "https://g.example/api/v4/",
                &["projects", "a/b/c"],
                &[],
                "https://g.example/api/v4/projects/a%2Fb%2Fc",
            ),
            ("https://g.example/x", &["a?b#c%2F"], &[], "https://g.example/x/a%3Fb%23c%252F"),
            (
                "https://g.example/x",
                &["p"],
                &[("head", "o:a&b=c#d")],
                "https://g.example/x/p?head=o%3Aa%26b%3Dc%23d",
            ),
            (
                "https://g.example/x",
                &["p"],
                &[("head", "ü 1+1")],
                "https://g.example/x/p?head=%C3%BC+1%2B1",
            ),
        ];
        for (api, segments, query, expected) in cases {
            let url = below(&Url::parse(api).unwrap(), segments, query);
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn an_address_that_is_none_is_told_without_its_password() {
        for api in ["", "ftp://g.example", "https://u:secret@g.example", "https://g.example?a=b"] {
            let fault = super::api(&forge(api, "a/b", &[])).unwrap_err();
            assert_eq!(fault.code, NOT_FOUND);
            assert!(!fault.message.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_repository_has_an_owner_and_a_name() {
        let api = "https://g.example";
        assert_eq!(owner_and_name(&forge(api, "o/n", &[])).unwrap(), ("o", "n"));
        for project in ["", "o", "o/", "/n", "o/n/x", "../n", "o/.."] {
            assert!(owner_and_name(&forge(api, project, &[])).is_err(), "{project}");
        }
        assert_eq!(path(&forge(api, "a/b/c", &[])).unwrap(), "a/b/c");
        for project in ["", "a", "a//b", "a/../b", "/a/b"] {
            assert!(path(&forge(api, project, &[])).is_err(), "{project}");
        }
    }

    #[test]
    fn a_public_host_over_https_needs_no_mention() {
        let grants_of = |api: &str, some: &[HostGrant]| {
            let forge = forge(api, "a/b", some);
            grants(&forge, &Url::parse(api).unwrap()).to_vec()
        };
        let added = grants_of("https://g.example/api", &[]);
        let only = added.first().unwrap();
        assert_eq!(
            (only.host.as_str(), only.port, only.private_address),
            ("g.example", 443, false)
        );
        assert_eq!(grants_of("https://g.example/api", &added), added);
        let elsewhere = HostGrant { host: "other.example".into(), ..only.clone() };
        assert_eq!(grants_of("https://g.example", &[elsewhere]).len(), 2);
        assert_eq!(grants_of("http://g.example/api", &[]), []);
    }
}
