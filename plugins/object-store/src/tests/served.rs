//! Against a real server.

use super::connected::{host, now_ms, send};
use super::seaweedfs::{POWERLESS, SeaweedFs};
use super::*;
use crate::account::Body;
use crate::answer::Answer;
use crate::inputs::KeyPair;
use deployd_plugin_sdk::secret;

/// One server for all, because it takes seconds to start; each on a bucket of its own.
#[test]
fn on_a_real_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = SeaweedFs::start(folder.path()).unwrap();
    a_bucket_has_credentials_that_are_good_for_it_alone(&server);
    a_repeat_changes_nothing(&server);
    after_a_crash_everything_converges(&server);
    what_belongs_to_others_is_a_conflict(&server);
    keys_are_rotated_one_deployment_apart(&server);
    settings_follow_the_definition(&server);
    what_is_full_is_kept_or_emptied_as_the_definition_says(&server);
    wrong_keys_and_clocks_are_told_apart(&server);
}

fn of(server: &SeaweedFs, uid: &str, bucket: &str, more: Value) -> Request<ObjectStore> {
    let mut more = more;
    more["bucket"] = json!(bucket);
    let mut request = request(&inputs(&server.endpoint(), &more));
    request.uid = uid.to_owned();
    request
}

/// What the daemon keeps of it for the next call.
fn keep(request: &mut Request<ObjectStore>, provisioned: &Provisioned<State>) {
    request.state = Some(provisioned.state.clone());
}

struct Client<'a> {
    server: &'a SeaweedFs,
    id: String,
    key: String,
}

impl Client<'_> {
    /// A request, signed with what a workload was given.
    fn send(&self, method: &str, path: &str, body: Body) -> Result<Answer, Fault> {
        let host = FakeHost::new().grant_secret("key", &self.key).at_ms(now_ms()).answer(send);
        let pair = KeyPair { access_key_id: self.id.clone(), secret_key_secret: "key".to_owned() };
        let endpoint = self.server.endpoint();
        Account::open(&host, &pair, Service::S3, &endpoint, "us-east-1")?.send(method, path, body)
    }

    fn may(&self, method: &str, path: &str) -> bool {
        matches!(self.send(method, path, Body::none()), Ok(Answer::Done(_)))
    }

    /// A key is good on all parts of the server a moment after it was made.
    fn soon_may(&self, method: &str, path: &str) -> bool {
        (0..200).any(|_| {
            let may = self.may(method, path);
            if !may {
                std::thread::sleep(Duration::from_millis(50));
            }
            may
        })
    }
}

fn admin(server: &SeaweedFs) -> Client<'_> {
    Client { server, id: ADMIN.0.to_owned(), key: ADMIN.1.to_owned() }
}

fn workload<'a>(server: &'a SeaweedFs, provisioned: &Provisioned<State>) -> Client<'a> {
    let id = provisioned.outputs["aws_access_key_id"].as_str().unwrap().to_owned();
    let (name, key) = provisioned.secret_outputs[0].clone();
    assert!(name.starts_with("aws_secret_key-"), "{name}");
    Client { server, id, key }
}

fn a_bucket_has_credentials_that_are_good_for_it_alone(server: &SeaweedFs) {
    let host = host();
    assert!(admin(server).may("PUT", "/not-of-deployd"));
    let request = of(server, "r-one", "one-bucket", json!({}));
    let provisioned = provision(&request, &host).unwrap();
    let outputs = &provisioned.outputs;
    assert_eq!(outputs["endpoint"], server.endpoint());
    assert_eq!(
        (&outputs["region"], &outputs["bucket"]),
        (&json!("us-east-1"), &json!("one-bucket"))
    );
    let state = serde_json::to_string(&provisioned.state).unwrap();
    assert!(!state.contains(&provisioned.secret_outputs[0].1));
    let client = workload(server, &provisioned);
    assert!(client.soon_may("PUT", "/one-bucket/a/b"));
    assert!(client.may("GET", "/one-bucket/a/b") && client.may("GET", "/one-bucket"));
    assert!(client.may("DELETE", "/one-bucket/a/b"));
    for (method, path) in [
        ("PUT", "/not-of-deployd/a"),
        ("GET", "/not-of-deployd"),
        ("PUT", "/another-bucket"),
        ("DELETE", "/one-bucket"),
        ("DELETE", "/one-bucket?tagging"),
        ("DELETE", "/one-bucket?policy"),
    ] {
        assert!(!client.may(method, path), "{method} {path}");
    }
}

fn a_repeat_changes_nothing(server: &SeaweedFs) {
    let host = host();
    let mut request = of(server, "r-two", "two-bucket", json!({}));
    let first = provision(&request, &host).unwrap();
    keep(&mut request, &first);
    let client = workload(server, &first);
    assert!(client.soon_may("PUT", "/two-bucket/kept"));
    let second = provision(&request, &host).unwrap();
    assert_eq!(second.state, first.state);
    assert_eq!(second.outputs["aws_access_key_id"], first.outputs["aws_access_key_id"]);
    // The value is known to the daemon already; this is what stands for it.
    assert_eq!(second.outputs["aws_secret_key"], "⟦secret:r-two/aws_secret_key-1⟧");
    assert_eq!(second.outputs, first.outputs);
    assert!(second.secret_outputs.is_empty());
    assert!(client.may("GET", "/two-bucket/kept"));
    let observed = ObjectStore::observe(&request, &host).unwrap().unwrap();
    assert_eq!(observed, Value::Object(second.outputs));
    assert!(secret::contains_reference(&observed.to_string()));
}

fn after_a_crash_everything_converges(server: &SeaweedFs) {
    let host = host();
    let request = of(server, "r-three", "three-bucket", json!({}));
    let Progress::Pending(pending) = ObjectStore::provision(&request, None, &host).unwrap() else {
        panic!("it is not said that there was no bucket");
    };
    // Between the making of the bucket and its tag.
    assert!(admin(server).may("PUT", "/three-bucket"));
    let token = Some(pending.token.as_str());
    let Progress::Done(first) = ObjectStore::provision(&request, token, &host).unwrap() else {
        panic!("not done");
    };
    // Between the making of a key and its recording: nobody has its secret half.
    let Progress::Done(second) = ObjectStore::provision(&request, token, &host).unwrap() else {
        panic!("not done");
    };
    assert_ne!(first.outputs["aws_access_key_id"], second.outputs["aws_access_key_id"]);
    assert!(workload(server, &second).soon_may("GET", "/three-bucket"));
    let lost = workload(server, &first);
    assert!((0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        !lost.may("GET", "/three-bucket")
    }));
    // What was begun and never recorded is taken away, too.
    destroy(&request, &host).unwrap();
    assert!(!admin(server).may("HEAD", "/three-bucket"));
    destroy(&request, &host).unwrap();
    assert_eq!(ObjectStore::observe(&request, &host).unwrap(), None);
}

fn what_belongs_to_others_is_a_conflict(server: &SeaweedFs) {
    let host = host();
    let by_hand = of(server, "r-four", "not-of-deployd", json!({}));
    let fault = provision(&by_hand, &host).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(_)), "{fault}");
    assert!(fault.to_string().contains("deployd.dev/uid=r-four"), "{fault}");
    let of_one = of(server, "r-four", "one-bucket", json!({}));
    let fault = provision(&of_one, &host).unwrap_err();
    assert!(fault.to_string().contains("belongs to the resource r-one"), "{fault}");
    // The same application and environment of another installation of deployd.
    let of_another = of(server, "r-one", "one-bucket", json!({"installation": "eu"}));
    let fault = provision(&of_another, &host).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(_)), "{fault}");
    assert!(fault.to_string().contains("another installation of deployd, \"default\""), "{fault}");
    destroy(&of_another, &host).unwrap();
    let theirs = of(server, "r-nine", "nine-bucket", json!({"installation": "eu"}));
    let provisioned = provision(&theirs, &host).unwrap();
    let ours = of(server, "r-nine", "nine-bucket", json!({}));
    let fault = provision(&ours, &host).unwrap_err().to_string();
    assert!(fault.contains("another installation of deployd, \"eu\""), "{fault}");
    destroy(&ours, &host).unwrap();
    assert!(workload(server, &provisioned).soon_may("GET", "/nine-bucket"));
    // Neither is taken away.
    destroy(&by_hand, &host).unwrap();
    destroy(&of_one, &host).unwrap();
    assert!(
        admin(server).may("HEAD", "/not-of-deployd") && admin(server).may("HEAD", "/one-bucket")
    );
    // Handed over by its tag.
    let tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>a b</Value></Tag><Tag>\
                <Key>deployd.dev/uid</Key><Value>r-four</Value></Tag></TagSet></Tagging>";
    admin(server)
        .send("PUT", "/not-of-deployd?tagging", Body::xml(tags.to_owned()))
        .and_then(|answer| answer.done("tagging"))
        .unwrap();
    provision(&by_hand, &host).unwrap();
}

fn keys_are_rotated_one_deployment_apart(server: &SeaweedFs) {
    let host = host();
    let with = |rotation: &str| {
        let more = json!({"credentials": {"mode": "iam", "rotation": rotation}});
        of(server, "r-five", "five-bucket", more)
    };
    let mut request = with("1");
    let first = provision(&request, &host).unwrap();
    keep(&mut request, &first);
    let old = workload(server, &first);
    assert!(old.soon_may("GET", "/five-bucket"));
    let mut request = with("2");
    keep(&mut request, &first);
    let second = provision(&request, &host).unwrap();
    let new = workload(server, &second);
    assert!(new.soon_may("GET", "/five-bucket"));
    assert!(old.may("GET", "/five-bucket"), "pods that still run have it");
    // A deployment that is rolled back has both halves of the key before.
    for (made, serial) in [(&first, 1), (&second, 2)] {
        let name = format!("aws_secret_key-{serial}");
        assert_eq!(made.outputs["aws_secret_key"], format!("⟦secret:r-five/{name}⟧"));
        assert_eq!(made.secret_outputs[0].0, name);
    }
    keep(&mut request, &second);
    let planned = ObjectStore::plan(&request, &host).unwrap();
    assert_eq!(planned.summary, ["the access key before is taken away"]);
    let third = provision(&request, &host).unwrap();
    assert_eq!(third.outputs["aws_access_key_id"], second.outputs["aws_access_key_id"]);
    assert!((0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        !old.may("GET", "/five-bucket")
    }));
    assert!(new.may("GET", "/five-bucket"));
}

fn settings_follow_the_definition(server: &SeaweedFs) {
    let host = host();
    let more = json!({"versioning": true, "expire_days": 30});
    let mut request = of(server, "r-six", "six-bucket", more);
    let first = provision(&request, &host).unwrap();
    keep(&mut request, &first);
    let observed = ObjectStore::observe(&request, &host).unwrap().unwrap();
    assert_eq!((&observed["versioning"], &observed["expire_days"]), (&json!(true), &json!(30)));
    // Somebody changes it; the next deployment changes it back.
    assert!(admin(server).may("DELETE", "/six-bucket?lifecycle"));
    let observed = ObjectStore::observe(&request, &host).unwrap().unwrap();
    assert_eq!(observed["expire_days"], Value::Null);
    let again = provision(&request, &host).unwrap();
    let observed = ObjectStore::observe(&request, &host).unwrap().unwrap();
    assert_eq!(observed["expire_days"], 30);
    // What is seen is what was given out, so that drift of it is seen.
    assert_eq!(observed, Value::Object(again.outputs));
    let mut request = of(server, "r-six", "six-bucket", json!({"versioning": false}));
    keep(&mut request, &first);
    let second = provision(&request, &host).unwrap();
    keep(&mut request, &second);
    let observed = ObjectStore::observe(&request, &host).unwrap().unwrap();
    assert_eq!((&observed["versioning"], &observed.get("expire_days")), (&json!(false), &None));
}

fn what_is_full_is_kept_or_emptied_as_the_definition_says(server: &SeaweedFs) {
    let host = host();
    let with = |on_destroy: &str| {
        let more = json!({"versioning": true, "on_destroy": on_destroy});
        of(server, "r-seven", "seven-bucket", more)
    };
    let mut request = with("refuse-if-not-empty");
    let provisioned = provision(&request, &host).unwrap();
    keep(&mut request, &provisioned);
    // An earlier version, and a marker that says it is gone: still data.
    assert!(admin(server).may("PUT", "/seven-bucket/a%20%26%20b%2B"));
    assert!(admin(server).may("DELETE", "/seven-bucket/a%20%26%20b%2B"));
    let fault = destroy(&request, &host).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(_)), "{fault}");
    assert!(admin(server).may("HEAD", "/seven-bucket"));
    // Its user is still there, as the bucket is.
    assert!(workload(server, &provisioned).soon_may("GET", "/seven-bucket"));
    let mut request = with("keep");
    keep(&mut request, &provisioned);
    destroy(&request, &host).unwrap();
    assert!(admin(server).may("HEAD", "/seven-bucket"));
    // The same resource has it again.
    let provisioned = provision(&with("delete"), &host).unwrap();
    let mut request = with("delete");
    keep(&mut request, &provisioned);
    // An upload in parts that was never finished is no object, and goes as well.
    assert!(admin(server).may("POST", "/seven-bucket/big%20%2B%C3%A4/part?uploads="));
    destroy(&request, &host).unwrap();
    assert!(!admin(server).may("HEAD", "/seven-bucket"));
    destroy(&request, &host).unwrap();
}

fn wrong_keys_and_clocks_are_told_apart(server: &SeaweedFs) {
    let fault = |host: FakeHost, id: &str| {
        let more = json!({"admin": {"access_key_id": id, "secret_key_secret": "admin"}});
        provision(&of(server, "r-eight", "eight-bucket", more), &host).unwrap_err()
    };
    let with_key =
        |key: &str| FakeHost::new().grant_secret("admin", key).at_ms(now_ms()).answer(send);
    let table = [
        (fault(with_key("wrong"), ADMIN.0), "the secret key is not that of the access key id"),
        (fault(with_key("wrong"), "NOBODY"), "knows no such access key id"),
        (fault(with_key(POWERLESS.1), POWERLESS.0), "the access key does not allow it"),
    ];
    for (fault, expected) in table {
        assert!(matches!(&fault, Fault::Denied(_)), "{fault}");
        let text = fault.to_string();
        assert!(text.contains(expected) && !text.contains("wrong"), "{text}");
    }
    let late = host().at_ms(now_ms() - 3_600_000);
    let fault = fault(late, ADMIN.0);
    assert!(matches!(&fault, Fault::Unavailable { .. }), "{fault}");
    assert!(fault.to_string().contains("clocks"), "{fault}");
}
