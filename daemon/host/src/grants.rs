//! What a plugin may do: what it asks for and the operator grants, both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::config::{Grant, HostGrant};

use crate::limits::{self, Limits, bytes_text};
use crate::manifest::Asks;
use crate::plugin::Grants;

/// Asks for whichever hosts or secrets the grant names.
const ANY: &str = "*";

/// What a plugin may do, or everything that it asks for and is not granted.
pub(crate) fn resolve(asks: &Asks, grant: &Grant, limits: &Limits) -> Result<Grants, Vec<String>> {
    let mut refused = Vec::new();
    let mut hosts: Vec<HostGrant> = Vec::new();
    for host in &asks.hosts {
        if host == ANY {
            hosts.extend(grant.hosts.iter().cloned());
            continue;
        }
        let named = grant.hosts.iter().filter(|granted| names(granted, host));
        let before = hosts.len();
        hosts.extend(named.cloned());
        if hosts.len() == before {
            refused.push(format!("it asks to connect to {host} (grant.hosts)"));
        }
    }
    let any = asks.secrets.iter().any(|name| name == ANY);
    let asked: BTreeSet<&str> = if any {
        grant.secrets.keys().map(String::as_str).collect()
    } else {
        asks.secrets.iter().map(String::as_str).collect()
    };
    let mut secrets = BTreeMap::new();
    let mut reveal = BTreeSet::new();
    for name in asked {
        match grant.secrets.get(name) {
            Some(of_operator) => {
                secrets.insert(name.to_owned(), of_operator.clone());
            }
            None => refused.push(format!("it asks for the secret {name:?} (grant.secrets)")),
        }
        if !asks.reveal_secrets {
            continue;
        }
        if grant.reveal.iter().any(|granted| granted == name) {
            reveal.insert(name.to_owned());
        } else if !any {
            refused
                .push(format!("it asks to read the value of the secret {name:?} (grant.reveal)"));
        }
    }
    if !asks.reveal_secrets && !grant.reveal.is_empty() {
        // Who grants it counts on it: without this, the first deployment would tell.
        refused.push(format!(
            "it does not ask to read secrets (asks.reveal_secrets in its plugin.toml), and \
             grant.reveal names {}; take that away, or use a version that asks",
            grant.reveal.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
        ));
    }
    if asks.pods && !grant.pods {
        refused.push("it asks how the pods are of what it checks (grant.pods)".to_owned());
    }
    if asks.generate_secrets && !grant.generate_secrets {
        refused.push("it asks to have secrets generated (grant.generateSecrets)".to_owned());
    }
    if let Some(mib) = asks.memory_mib
        && limits::mebibytes(mib) > limits.memory_bytes
    {
        refused.push(format!(
            "it asks for {mib} MiB of memory, where the limit is {} (grant.limits.memoryMib)",
            bytes_text(limits.memory_bytes)
        ));
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    Ok(Grants {
        generate_secrets: asks.generate_secrets,
        secrets: Arc::new(secrets),
        reveal: Arc::new(reveal),
        hosts: hosts.into(),
    })
}

/// Whether a grant names what is written `host`, `host:port` or `scheme://host:port`.
fn names(granted: &HostGrant, asked: &str) -> bool {
    let (scheme, place) = match asked.split_once("://") {
        Some((scheme, place)) => (Some(scheme), place),
        None => (None, asked),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    granted.host.eq_ignore_ascii_case(host)
        && port.is_none_or(|port| port.parse() == Ok(granted.port))
        && scheme.is_none_or(|scheme| granted.scheme == scheme)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::config::{LimitOverrides, PluginKind};

    fn limits() -> Limits {
        Limits::of(PluginKind::Driver, &LimitOverrides::default())
    }

    #[test]
    fn all_refusals_are_listed_at_once() {
        let asks = Asks {
            hosts: vec!["tls://db.internal:5432".into()],
            secrets: vec!["admin".into()],
            generate_secrets: true,
            reveal_secrets: true,
            pods: true,
            memory_mib: Some(128),
        };
        let refused = resolve(&asks, &Grant::default(), &limits()).unwrap_err();
        assert_eq!(refused.len(), 6, "{refused:?}");
    }

    #[test]
    fn who_asks_for_any_host_gets_those_that_are_granted() {
        let granted: HostGrant = serde_json::from_value(
            serde_json::json!({"scheme": "tls", "host": "db", "port": 5432}),
        )
        .unwrap();
        let grant = Grant { hosts: vec![granted.clone()], ..Grant::default() };
        let asks = Asks { hosts: vec![ANY.into()], ..Asks::default() };
        assert_eq!(resolve(&asks, &grant, &limits()).unwrap().hosts.to_vec(), [granted]);
        assert!(resolve(&asks, &Grant::default(), &limits()).unwrap().hosts.is_empty());
        let nothing = resolve(&Asks::default(), &grant, &limits()).unwrap();
        assert!(nothing.hosts.is_empty());
    }

    #[test]
    fn nothing_is_had_that_was_not_asked_for() {
        let grant = Grant {
            secrets: [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned())].into(),
            generate_secrets: true,
            ..Grant::default()
        };
        let asks = Asks { secrets: vec!["a".into()], ..Asks::default() };
        let grants = resolve(&asks, &grant, &limits()).unwrap();
        assert_eq!(grants.secrets.keys().collect::<Vec<_>>(), ["a"]);
        assert!(grants.reveal.is_empty() && !grants.generate_secrets);
        let grant = Grant { reveal: vec!["a".into(), "b".into()], ..grant };
        let asks = Asks { secrets: vec!["*".into()], reveal_secrets: true, ..Asks::default() };
        let grants = resolve(&asks, &grant, &limits()).unwrap();
        assert_eq!((grants.secrets.len(), grants.reveal.len()), (2, 2));
    }

    #[test]
    fn what_is_granted_for_reading_and_not_asked_for_is_said() {
        let grant = Grant {
            secrets: [("key".to_owned(), "of-the-operator".to_owned())].into(),
            reveal: vec!["key".into()],
            ..Grant::default()
        };
        let asks = Asks { secrets: vec!["*".into()], ..Asks::default() };
        let refused = resolve(&asks, &grant, &limits()).unwrap_err();
        assert!(refused[0].contains("\"key\"") && refused[0].contains("asks.reveal_secrets"));
        assert!(resolve(&Asks { reveal_secrets: true, ..asks }, &grant, &limits()).is_ok());
    }

    #[test]
    fn hosts_are_named_more_or_less_exactly() {
        let granted = HostGrant {
            host: "db.internal".into(),
            port: 5432,
            scheme: "tls".into(),
            ..HostGrant::default()
        };
        for asked in ["db.internal", "DB.internal:5432", "tls://db.internal:5432"] {
            assert!(names(&granted, asked), "{asked}");
        }
        for asked in ["db.internal:5433", "tcp://db.internal:5432", "db", "db.internal:"] {
            assert!(!names(&granted, asked), "{asked}");
        }
    }
}
