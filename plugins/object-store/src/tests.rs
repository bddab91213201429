mod bad_answers;
mod connected;
#[path = "../../../tests/fixtures/src/seaweedfs.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a part of the crate `fixtures`, used from two places"
)]
mod seaweedfs;
mod served;

use super::*;
use deployd_plugin_sdk::Installation;
use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::http;
use deployd_plugin_sdk::testing::{self, FakeHost};
use seaweedfs::ADMIN;
use serde_json::Map;

/// 2026-11-21, where no real server looks at the clock.
const NOW_MS: u64 = 1_795_230_000_000;

fn inputs(endpoint: &str, more: &Value) -> Value {
    let mut inputs = json!({
        "endpoint": endpoint,
        "bucket": "shop-uploads",
        "admin": {"access_key_id": ADMIN.0, "secret_key_secret": "admin"},
        "credentials": {"mode": "iam"},
    });
    let fields = inputs.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap_or_default());
    inputs
}

fn request(inputs: &Value) -> Request<ObjectStore> {
    testing::request::<ObjectStore>(&json!({}), inputs).unwrap()
}

fn answering(
    server: impl Fn(&http::Request) -> Result<http::Response, Fault> + 'static,
) -> FakeHost {
    FakeHost::new().grant_secret("admin", ADMIN.1).at_ms(NOW_MS).answer(server)
}

/// Provisions as the daemon does: until it is done.
fn provision(request: &Request<ObjectStore>, host: &FakeHost) -> Result<Provisioned<State>, Fault> {
    let mut token = None;
    for _ in 0..100 {
        match ObjectStore::provision(request, token.as_deref(), host)? {
            Progress::Done(provisioned) => return Ok(provisioned),
            Progress::Pending(pending) => token = Some(pending.token),
        }
    }
    panic!("never done");
}

fn destroy(request: &Request<ObjectStore>, host: &FakeHost) -> Result<(), Fault> {
    let mut token = None;
    for _ in 0..100 {
        match ObjectStore::destroy(request, token.as_deref(), host)? {
            Removal::Done => return Ok(()),
            Removal::Pending(pending) => token = Some(pending.token),
        }
    }
    panic!("never done");
}

fn state() -> State {
    State {
        endpoint: "https://s3.example".to_owned(),
        bucket: "shop-uploads".to_owned(),
        versioning: None,
        expire_days: None,
        key: Some(lasting::KeptKey {
            id: "AKIA1".to_owned(),
            serial: 1,
            rotation: None,
            before: None,
        }),
    }
}

#[test]
fn a_plan_asks_nobody_and_says_what_would_change() {
    let host = FakeHost::new();
    let plan = |more: Value, state: Option<State>| {
        let mut request = request(&inputs("https://s3.example/", &more));
        request.state = state;
        ObjectStore::plan(&request, &host).unwrap()
    };
    let planned = plan(json!({}), None);
    assert_eq!(planned.action, Action::Create);
    assert_eq!(planned.summary, ["bucket shop-uploads at https://s3.example"]);
    assert_eq!(planned.outputs["bucket"], "shop-uploads");
    assert_eq!(plan(json!({}), Some(state())).action, Action::None);
    let changed = plan(
        json!({"versioning": true, "expire_days": 7, "credentials": {"mode": "iam", "rotation": "2"}}),
        Some(state()),
    );
    assert_eq!(changed.action, Action::Update);
    assert_eq!(
        changed.summary,
        ["versioning on", "objects expire after 7 days", "a new access key"]
    );
    let moved = plan(json!({"bucket": "other"}), Some(state()));
    assert_eq!(moved.action, Action::Replace);
    assert!(host.requests().is_empty());
}

#[test]
fn what_refers_to_what_is_not_there_yet_can_be_planned() {
    let later = "(known after provisioning: resources.server.host)";
    for more in [
        json!({"endpoint": format!("https://{later}")}),
        json!({"bucket": later}),
        json!({"installation": later}),
        json!({"credentials": {"mode": "iam", "endpoint": later}}),
    ] {
        let mut request = request(&inputs("https://s3.example", &more));
        let host = FakeHost::new();
        let planned = ObjectStore::plan(&request, &host).unwrap();
        assert_eq!((planned.action, planned.outputs.len()), (Action::Create, 0), "{more}");
        request.state = Some(state());
        assert_eq!(ObjectStore::plan(&request, &host).unwrap().action, Action::Update);
    }
}

#[test]
fn names_of_users_are_an_installation_s_own_and_fit() {
    let installation = |name: &str| Installation::try_from(name.to_owned()).unwrap();
    assert_eq!(user::name(&Installation::default(), "res-1"), "deployd-res-1");
    assert_eq!(user::name(&installation("eu"), "res-1"), "deployd-eu-res-1");
    let long = user::name(&installation(&"x".repeat(63)), "res-1");
    assert!(long.len() <= 64 && long.ends_with("-res-1"), "{long}");
}

#[test]
fn a_bucket_is_not_moved() {
    let mut request = request(&inputs("https://s3.example", &json!({"bucket": "other"})));
    request.state = Some(state());
    let host = answering(|_| panic!("nobody is asked"));
    let fault = provision(&request, &host).unwrap_err().to_string();
    assert!(fault.contains("shop-uploads at https://s3.example"), "{fault}");
}

#[test]
fn names_of_buckets_are_made_up_and_checked() {
    let made = |application: &str| {
        let mut more = Map::new();
        more.insert("bucket".to_owned(), Value::Null);
        let mut request = request(&inputs("https://s3.example", &Value::Object(more)));
        request.scope.application = application.to_owned();
        inputs::bucket(&request).unwrap()
    };
    let short = deployd_plugin_sdk::name::short("res-0001");
    assert_eq!(made("shop"), format!("shop-staging-1-{short}"));
    assert!(made(&"long".repeat(40)).len() <= 63);
    for name in ["ab", "Upper", "a..b", "-ab", "ab-", "a/../b", "a?acl", "bücket", &"x".repeat(64)]
    {
        let request = request(&inputs("https://s3.example", &json!({"bucket": name})));
        let fault = inputs::bucket(&request).unwrap_err();
        assert!(matches!(&fault, Fault::Invalid(at) if at[0].path == "/inputs/bucket"), "{name}");
    }
    for endpoint in ["s3.example", "https://", "https://s3/path", "https://u:p@s3", "https://s3?x"]
    {
        let fault = inputs::origin("/inputs/endpoint", endpoint).unwrap_err();
        assert!(matches!(fault, Fault::Invalid(_)), "{endpoint}");
    }
}

#[test]
fn a_key_that_is_not_granted_is_denied() {
    let request = request(&inputs("https://s3.example", &json!({})));
    assert!(matches!(provision(&request, &FakeHost::new()), Err(Fault::Denied(_))));
}
