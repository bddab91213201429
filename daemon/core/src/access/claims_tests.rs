//! Whom tokens name, and which are not believed.

use serde_json::{Value, json};

use super::claims::*;
use crate::config::IssuerSpec;
use crate::{Name, Timestamp};

/// Seconds since 1970.
const NOW: u64 = 1_790_000_000;

fn issuer(more: &Value) -> IssuerSpec {
    let mut spec = json!({
        "issuer": "https://forge.test",
        "audience": "https://deployd.test",
        "identities": [
            {"claims": {"repository_id": "74", "ref_protected": ["true"]}, "groups": ["shop-ci"]},
            {"claims": {"repository_owner_id": "65"}, "groups": ["forge"]},
        ],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// The claims of a good token, with others over them; null is not there.
fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://forge.test",
        "aud": "https://deployd.test",
        "sub": "repo:octo/shop:ref:refs/heads/main",
        "repository_id": "74",
        "repository_owner_id": "12",
        "ref_protected": "true",
        "exp": NOW + 300, "nbf": NOW - 5, "iat": NOW - 5,
        "jti": "one",
    });
    let fields = claims.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    claims
}

fn identified(spec: &IssuerSpec, claims: &Value) -> Result<Identified, String> {
    let name: Name = "forge".parse().unwrap();
    identify(&name, spec, "a.b.c", claims, Timestamp(NOW * 1_000))
        .map_err(|error| error.to_string())
}

#[test]
fn who_fits_a_rule_is_somebody_of_that_issuer() {
    let found = identified(&issuer(&json!({})), &claims(&json!({}))).unwrap();
    assert_eq!(found.actor.0, "forge:repo:octo/shop:ref:refs/heads/main");
    assert_eq!(found.groups.into_iter().collect::<Vec<_>>(), ["forge:shop-ci"]);
    assert_eq!(found.until, Timestamp((NOW + 300) * 1_000 + LEEWAY_MS));
    let both = claims(&json!({"repository_owner_id": 65}));
    let found = identified(&issuer(&json!({})), &both).unwrap();
    assert_eq!(found.groups.len(), 2);
}

#[test]
fn a_token_that_is_not_ours_is_not_believed() {
    let spec = issuer(&json!({}));
    for (more, expected) in [
        (json!({"iss": "https://forge.test/"}), "`iss` is"),
        (json!({"iss": ["https://forge.test"]}), "`iss` is"),
        (json!({"iss": null}), "`iss` is not there"),
        (json!({"aud": "https://github.com/octo"}), "`aud` is"),
        (json!({"aud": "https://deployd.test/"}), "`aud` is"),
        (json!({"aud": null}), "`aud` is not there"),
        (json!({"aud": []}), "`aud` is []"),
        (json!({"aud": ["https://deployd.test", "x"], "azp": "x"}), "`aud` is"),
        (json!({"exp": null}), "`exp` is not there"),
        (json!({"exp": "never"}), "`exp` is \"never\""),
        (json!({"exp": NOW - 61}), "it has expired"),
        (json!({"nbf": NOW + 61}), "`nbf` is in the future"),
        (json!({"iat": NOW + 61}), "`iat` is in the future"),
        (json!({"nbf": "0"}), "`nbf` is \"0\""),
        (json!({"repository_id": "75"}), "none of the issuer's"),
        (json!({"ref_protected": "false"}), "none of the issuer's"),
        (json!({"repository_id": "740"}), "none of the issuer's"),
        (json!({"repository_id": ["74"]}), "none of the issuer's"),
    ] {
        let error = identified(&spec, &claims(&more)).unwrap_err();
        assert!(error.starts_with(expected), "{more}: {error}");
    }
    // Within what clocks may differ.
    for more in [json!({"exp": NOW - 59}), json!({"nbf": NOW + 59}), json!({"nbf": null})] {
        identified(&spec, &claims(&more)).unwrap();
    }
    identified(&spec, &claims(&json!({"aud": ["x", "https://deployd.test"]}))).unwrap();
}

/// Whoever had no claims was let in as nobody, which was everybody (Flux Operator's web
/// interface, CVE-2026-23990).
#[test]
fn cve_2026_23990_empty_claims_refuse() {
    let rules = |name: &str| issuer(&json!({"identities": [{"claims": {name: ""}}]}));
    for (spec, more) in [
        (issuer(&json!({})), json!({"sub": ""})),
        (issuer(&json!({})), json!({"sub": "  "})),
        (issuer(&json!({})), json!({"sub": null})),
        (issuer(&json!({})), json!({"sub": 7})),
        (issuer(&json!({})), json!({"sub": "ada\nmallory"})),
        (issuer(&json!({"identities": [{"claims": {}}]})), json!({})),
        (rules("environment"), json!({"environment": ""})),
        (rules("environment"), json!({})),
        (issuer(&json!({"groupsClaim": "groups"})), json!({"groups": [""]})),
        (issuer(&json!({"groupsClaim": "groups"})), json!({"groups": "admins"})),
        (issuer(&json!({"groupsClaim": "groups"})), json!({"groups": [["admins"]]})),
        (issuer(&json!({"subject": "email"})), json!({"email": "a@b.test"})),
        (
            issuer(&json!({"subject": "email"})),
            json!({"email": "a@b.test", "email_verified": false}),
        ),
    ] {
        assert!(identified(&spec, &claims(&more)).is_err(), "{more}");
    }
}

#[test]
fn groups_of_people_have_their_issuer_before_them() {
    let spec = issuer(&json!({"identities": [], "groupsClaim": "groups", "subject": "email"}));
    let ada = json!({"email": "ada@b.test", "email_verified": true, "groups": ["sre", "forge:x"]});
    let found = identified(&spec, &claims(&ada)).unwrap();
    assert_eq!(found.actor.0, "forge:ada@b.test");
    assert_eq!(found.groups.into_iter().collect::<Vec<_>>(), ["forge:forge:x", "forge:sre"]);
}

#[test]
fn the_same_token_is_known_again() {
    let spec = issuer(&json!({}));
    let once = |more: Value| identified(&spec, &claims(&more)).unwrap().once;
    assert_eq!(once(json!({})), once(json!({"exp": NOW + 400})));
    assert_ne!(once(json!({})), once(json!({"jti": "two"})));
    assert_eq!(once(json!({"jti": null})), once(json!({"jti": ""})));
}
