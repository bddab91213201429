use super::*;
use deployd_plugin_sdk::http::{self, Response};
use deployd_plugin_sdk::secret;
use deployd_plugin_sdk::testing::{self, FakeHost};
use std::time::Duration;

/// 2026-11-21T03:00:00Z.
const NOW_MS: u64 = 1_795_230_000_000;

fn host() -> FakeHost {
    FakeHost::new()
        .at_ms(NOW_MS)
        .grant_secret("prod-kubeconfig", "VALUE")
        .grant_secret("prod-token", "VALUE\n")
}

fn with(inputs: &Value, host: &FakeHost) -> Result<Provisioned<()>, Fault> {
    let request = testing::request::<Cluster>(&json!({}), inputs)?;
    match Cluster::provision(&request, None, host)? {
        Progress::Done(provisioned) => Ok(provisioned),
        Progress::Pending(_) => panic!("nothing to wait for"),
    }
}

fn provision(inputs: &Value) -> Result<Map<String, Value>, Fault> {
    with(inputs, &host()).map(|provisioned| provisioned.outputs)
}

fn answered(inputs: &Value, response: &Response) -> Result<Provisioned<()>, Fault> {
    let response = response.clone();
    with(inputs, &host().answer(move |_| Ok(response.clone())))
}

fn secret_of(provisioned: &Provisioned<()>, wanted: &str) -> String {
    let found = provisioned.secret_outputs.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.clone()).unwrap()
}

fn body_of(request: &http::Request) -> String {
    String::from_utf8(request.body.clone()).unwrap()
}

fn header_of(request: &http::Request, wanted: &str) -> Option<String> {
    let found = request.headers.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.clone())
}

fn account(more: &Value) -> Value {
    let mut account = json!({"namespace": "deployd", "name": "deployer"});
    account.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    json!({"server": "https://k:6443/", "ca_data": "Q0E=", "service_account": account})
}

fn endpoint(more: &Value) -> Value {
    let mut endpoint = json!({"url": "https://login.example/token"});
    endpoint.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    json!({"server": "https://k:6443", "token_endpoint": endpoint})
}

#[test]
fn a_kubeconfig_is_passed_on_as_a_reference() {
    let inputs = json!({"name": "prod", "kubeconfig_secret": "prod-kubeconfig"});
    let outputs = provision(&inputs).unwrap();
    assert_eq!((&outputs["name"], &outputs["mode"]), (&json!("prod"), &json!("kubeconfig")));
    assert_eq!(outputs["kubeconfig"], "⟦secret:granted/prod-kubeconfig⟧");
}

#[test]
fn a_token_goes_into_a_kubeconfig_as_a_reference() {
    let inputs =
        json!({"server": "https://k:6443", "ca_data": "Q0E=", "token_secret": "prod-token"});
    let outputs = provision(&inputs).unwrap();
    let text = outputs["kubeconfig"].as_str().unwrap();
    assert!(secret::contains_reference(text) && !text.contains("VALUE"));
    let config: Value = serde_json::from_str(text).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], "https://k:6443");
}

#[test]
fn in_cluster_needs_no_secret() {
    let outputs = provision(&json!({"in_cluster": true})).unwrap();
    assert_eq!(Value::Object(outputs), json!({"mode": "in-cluster"}));
}

#[test]
fn a_secret_that_is_not_granted_is_denied() {
    let fault = provision(&json!({"kubeconfig_secret": "other"})).unwrap_err();
    assert!(matches!(fault, Fault::Denied(_)));
}

#[test]
fn mixed_and_half_ways_are_refused() {
    let account = json!({"namespace": "a", "name": "b"});
    for inputs in [
        json!({}),
        json!({"server": "https://k"}),
        json!({"in_cluster": true, "kubeconfig_secret": "prod-kubeconfig"}),
        json!({"in_cluster": true, "ca_data": "Q0E="}),
        json!({"server": "http://k", "token_secret": "prod-token"}),
        json!({"server": "https://k", "token_secret": "prod-token", "service_account": account}),
        json!({"service_account": account}),
        json!({"server": "https://k", "token_endpoint": {"url": "http://login.example"}}),
        json!({"server": "https://k", "service_account": {"namespace": "a/b", "name": "c"}}),
        json!({"server": "https://k", "service_account": {"namespace": "a", "name": ""}}),
    ] {
        let fault = provision(&inputs).unwrap_err();
        assert!(matches!(fault, Fault::Invalid(_)), "{inputs}: {fault}");
    }
}

#[test]
fn an_account_s_credential_is_exchanged_for_a_token_that_ends() {
    let host = host().answer(|_| {
        Ok(Response::new(201).with_body(
            r#"{"status": {"token": "short-lived", "expirationTimestamp": "2026-11-21T04:00:00Z"}}"#,
        ))
    });
    let inputs = account(&json!({"credential_secret": "prod-token", "audiences": ["api"]}));
    let provisioned = with(&inputs, &host).unwrap();
    let request = host.requests().pop().unwrap();
    assert_eq!(
        request.url,
        "https://k:6443/api/v1/namespaces/deployd/serviceaccounts/deployer/token"
    );
    assert_eq!(header_of(&request, "authorization").unwrap(), "Bearer VALUE");
    let body: Value = serde_json::from_str(&body_of(&request)).unwrap();
    assert_eq!(body["spec"], json!({"expirationSeconds": 3600, "audiences": ["api"]}));
    assert_eq!(secret_of(&provisioned, "expires_at_ms"), (NOW_MS + 3_600_000).to_string());
    let kubeconfig = secret_of(&provisioned, "kubeconfig");
    let config: Value = serde_json::from_str(&kubeconfig).unwrap();
    assert_eq!(config["users"][0]["user"]["token"], "short-lived");
    assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
    // What is recorded is the same each time.
    let outputs = Value::Object(provisioned.outputs);
    assert_eq!(outputs, json!({"mode": "token", "server": "https://k:6443"}));
}

#[test]
fn a_credential_that_the_host_adds_is_not_asked_for() {
    let host = FakeHost::new()
        .at_ms(NOW_MS)
        .answer(|_| Ok(Response::new(201).with_body(r#"{"status": {"token": "t"}}"#)));
    let provisioned = with(&account(&json!({})), &host).unwrap();
    assert_eq!(header_of(&host.requests()[0], "authorization"), None);
    assert_eq!(secret_of(&provisioned, "expires_at_ms"), (NOW_MS + 300_000).to_string());
}

#[test]
fn a_token_endpoint_is_asked_by_client_credentials_or_as_the_form_says() {
    let host = host().answer(|_| {
        Ok(Response::new(200)
            .with_body(r#"{"access_token": "t.o.k", "token_type": "Bearer", "expires_in": 600}"#))
    });
    let inputs = endpoint(&json!({
        "form": {"client_id": "me", "scope": "k8s/.default"},
        "secret_form": {"client_secret": "prod-token"},
    }));
    let provisioned = with(&inputs, &host).unwrap();
    let request = host.requests().pop().unwrap();
    assert_eq!(
        body_of(&request),
        "grant_type=client_credentials&client_id=me&scope=k8s%2F.default&client_secret=VALUE"
    );
    assert_eq!(secret_of(&provisioned, "expires_at_ms"), (NOW_MS + 600_000).to_string());
    assert!(secret_of(&provisioned, "kubeconfig").contains("t.o.k"));
    let exchange = endpoint(&json!({"form": {"grant_type": "exchange"}}));
    with(&exchange, &host).unwrap();
    assert_eq!(body_of(&host.requests()[1]), "grant_type=exchange");
    let twice = json!({"form": {"a": "b"}, "secret_form": {"a": "prod-token"}});
    assert!(matches!(with(&endpoint(&twice), &host), Err(Fault::Invalid(_))));
}

#[test]
fn refusals_of_the_cluster_are_told_apart() {
    let refused = |status: u16| {
        let body = r#"{"kind": "Status", "message": "the reason"}"#;
        let response = Response::new(status).with_header("retry-after", "9").with_body(body);
        answered(&account(&json!({})), &response).unwrap_err()
    };
    let table: [(u16, &str); 5] = [
        (401, "it may have expired"),
        (403, "create serviceaccounts/token"),
        (404, "no such account"),
        (422, "(the reason)"),
        (418, "status 418"),
    ];
    for (status, expected) in table {
        let text = refused(status).to_string();
        assert!(text.contains(expected) && text.contains("the reason"), "{status}: {text}");
    }
    assert!(matches!(refused(401), Fault::Denied(_)));
    assert!(matches!(refused(403), Fault::Denied(_)));
    assert!(matches!(refused(404), Fault::NotFound(_)));
    assert!(matches!(refused(422), Fault::Invalid(_)));
    for status in [429, 500, 503] {
        let Fault::Unavailable { after, .. } = refused(status) else { panic!("{status}") };
        assert_eq!(after, Some(Duration::from_secs(9)));
    }
}

#[test]
fn refusals_of_a_token_endpoint_are_told_apart() {
    let refused = |status: u16, error: &str| {
        let body = json!({"error": error, "error_description": "the reason"}).to_string();
        let response = Response::new(status).with_body(body);
        answered(&endpoint(&json!({})), &response).unwrap_err()
    };
    assert!(matches!(refused(401, "invalid_client"), Fault::Denied(_)));
    assert!(matches!(refused(400, "invalid_grant"), Fault::Denied(_)));
    assert!(matches!(refused(400, "invalid_scope"), Fault::Invalid(_)));
    assert!(matches!(refused(302, ""), Fault::Invalid(_)));
    assert!(matches!(refused(503, ""), Fault::Unavailable { .. }));
    assert!(matches!(refused(400, "temporarily_unavailable"), Fault::Unavailable { .. }));
    assert!(matches!(refused(418, ""), Fault::Permanent(_)));
    assert!(refused(400, "invalid_grant").to_string().contains("the reason"));
}

#[test]
fn what_is_no_token_is_not_used_and_not_quoted() {
    for body in [
        "",
        "hunter2",
        r#"{"access_token": ""}"#,
        r#"{"access_token": "hunter2\r\nx: y"}"#,
        r#"{"access_token": 7}"#,
        &format!(r#"{{"access_token": "{}"}}"#, "x".repeat(70_000)),
    ] {
        let response = Response::new(200).with_body(body);
        let fault = answered(&endpoint(&json!({})), &response).unwrap_err();
        assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }
    for lifetime in ["-1", "1e99", "null", "\"soon\"", "18446744073709551615"] {
        let body = format!(r#"{{"access_token": "t", "expires_in": {lifetime}}}"#);
        let response = Response::new(200).with_body(body);
        let provisioned = answered(&endpoint(&json!({})), &response).unwrap();
        assert!(secret_of(&provisioned, "expires_at_ms").parse::<u64>().unwrap() > NOW_MS);
    }
    let response = Response::new(201)
        .with_body(r#"{"status": {"token": "t", "expirationTimestamp": "tomorrow"}}"#);
    assert!(answered(&account(&json!({})), &response).is_err());
}

#[test]
fn a_plan_asks_nobody() {
    let request = testing::request::<Cluster>(&json!({}), &account(&json!({}))).unwrap();
    let host = host();
    let planned = Cluster::plan(&request, &host).unwrap();
    assert_eq!((planned.action, &planned.outputs["mode"]), (Action::None, &json!("token")));
    assert!(host.requests().is_empty());
}

#[test]
fn what_refers_to_what_is_not_there_yet_can_be_planned() {
    let later = "(known after provisioning: resources.account.server)";
    for inputs in [
        json!({"server": later, "token_secret": "prod-token"}),
        json!({"server": "https://k:6443", "token_secret": later}),
        json!({"kubeconfig_secret": later}),
        account(&json!({"namespace": later, "audiences": [later]})),
        endpoint(&json!({"url": later, "secret_form": {"client_secret": later}})),
    ] {
        let request = testing::request::<Cluster>(&json!({}), &inputs).unwrap();
        let planned = Cluster::plan(&request, &FakeHost::new()).unwrap();
        assert_eq!((planned.action, planned.outputs.len()), (Action::Create, 0), "{inputs}");
    }
}

/// What is told of a secret that is of no use is where its name stands.
#[test]
fn a_secret_that_is_no_line_is_named_by_its_place() {
    let host = FakeHost::new().grant_secret("two", "a\nb").grant_secret("none", " \n");
    for (secret, path) in [("two", "credential_secret"), ("none", "credential_secret")] {
        let fault = with(&account(&json!({"credential_secret": secret})), &host).unwrap_err();
        assert!(fault.to_string().contains(&format!("/service_account/{path}")), "{fault}");
    }
    let form = json!({"secret_form": {"client_secret": "none"}});
    let fault = with(&endpoint(&form), &host).unwrap_err().to_string();
    assert!(fault.contains("/inputs/token_endpoint/secret_form/client_secret"), "{fault}");
}
