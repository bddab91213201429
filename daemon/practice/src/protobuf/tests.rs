//! Messages written by hand, read as objects.

use serde_json::json;

use super::*;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    // Field numbers from 16 on take two bytes.
    let tag = match number {
        0..16 => vec![number << 3 | 2],
        _ => vec![number << 3 | 0x82, number >> 4],
    };
    [tag.as_slice(), &[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let head = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &head), field(2, raw)].concat()
}

#[test]
fn a_deployment_is_read_with_its_lists_maps_and_ports() {
    let port = [number(3, 80)].concat();
    let container = [field(1, b"web"), field(2, b"nginx"), field(6, &port)].concat();
    let label = [field(1, b"app"), field(2, b"web")].concat();
    let template = [field(1, &field(11, &label)), field(2, &field(2, &container))].concat();
    // Replicas is a pointer on the other side: zero is said on purpose.
    let spec = [number(1, 0), field(3, &template)].concat();
    let raw = [field(1, &field(1, b"web")), field(2, &spec)].concat();
    assert_eq!(
        read(&envelope("apps/v1", "Deployment", &raw)).unwrap(),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 0, "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx",
                    "ports": [{"containerPort": 80}]}]}}}})
    );
}

#[test]
fn what_json_has_in_the_outer_object_is_found_in_the_inner_message() {
    let reference = field(1, b"conf");
    let volume = [field(1, b"v"), field(2, &field(19, &field(1, &reference)))].concat();
    let raw = field(2, &field(1, &volume));
    let object = read(&envelope("v1", "Pod", &raw)).unwrap();
    assert_eq!(object["spec"]["volumes"], json!([{"name": "v", "configMap": {"name": "conf"}}]));
}

#[test]
fn bytes_quantities_times_and_ports_have_their_json_forms() {
    let data = field(2, &[field(1, b"k"), field(2, b"\x00\x01")].concat());
    let secret = read(&envelope("v1", "Secret", &data)).unwrap();
    assert_eq!(secret["data"], json!({"k": "AAE="}));

    let hard = field(1, &field(1, &[field(1, b"pods"), field(2, &field(1, b"4"))].concat()));
    let quota = read(&envelope("v1", "ResourceQuota", &field(2, &hard[2..]))).unwrap();
    assert_eq!(quota["spec"]["hard"], json!({"pods": "4"}));

    let port = [number(3, 80), field(4, &[number(1, 1), field(3, b"http")].concat())].concat();
    let service = read(&envelope("v1", "Service", &field(2, &field(1, &port)))).unwrap();
    assert_eq!(service["spec"]["ports"], json!([{"port": 80, "targetPort": "http"}]));

    let meta = field(1, &field(8, &number(1, 60)));
    let dated = read(&envelope("v1", "ConfigMap", &meta)).unwrap();
    assert_eq!(dated["metadata"]["creationTimestamp"], "1970-01-01T00:01:00Z");
}

#[test]
fn nonsense_is_refused_and_not_followed() {
    let long = [MAGIC, b"\x0a\xff\xff\xff\xff\x0f"].concat();
    for bytes in [b"".as_slice(), b"{}", b"k8s\0\xff", long.as_slice()] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
    assert!(read(&envelope("v9", "Gadget", b"")).unwrap_err().contains("Gadget"));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = read(&envelope("apps/v1", "Deployment", &bytes[..bytes.len().min(100)]));
        let _ = read(&bytes);
    }
}
