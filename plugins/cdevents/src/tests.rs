use super::*;
use cdevents_sdk::CDEvent;
use deployd_plugin_sdk::testing::FakeHost;
use notices::testing::{TYPES, event, for_all_texts, with};
use serde_json::{Value, json};

fn config(config: Value) -> Config {
    serde_json::from_value(config).unwrap()
}

fn told(event: &Event) -> Vec<Value> {
    let config = config(json!({"url": "https://events.example.com/"}));
    let requests = CdEvents::format(event, &config, &FakeHost::new()).unwrap();
    let read = |request: &HttpRequest| {
        assert_eq!(
            request.headers,
            [("content-type".to_owned(), "application/cloudevents+json".to_owned())]
        );
        serde_json::from_slice(&request.body).unwrap()
    };
    requests.iter().map(read).collect()
}

fn types(event_type: &str, data: &Value) -> Vec<String> {
    let told = told(&with(event_type, data));
    told.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_upgrade_is_a_run_that_has_finished_and_a_service() {
    let told = told(&event("deployment.succeeded"));
    let [run, service] = &told[..] else { panic!("{told:?}") };
    let link = "https://deployd.example.com/#deployment=01JD0000000000000000000000";
    assert_eq!(
        run["data"]["subject"],
        json!({
            "id": "01JD0000000000000000000000",
            "source": "https://deployd.example.com/",
            "content": {"pipelineName": "shop/production", "uri": link, "outcome": "success"},
        })
    );
    let purl = format!(
        "pkg:oci/web@sha256%3A{}?repository_url=registry.example.com%2Fshop%2Fweb&tag=1.4.2",
        "a".repeat(64)
    );
    let id = format!("environment/shop/production/42/service.upgraded/shop/web/{purl}");
    assert_eq!(
        *service,
        json!({
            "specversion": "1.0",
            "id": id,
            "source": "https://deployd.example.com/",
            "type": "dev.cdevents.service.upgraded.0.3.0",
            "subject": "shop/web",
            "time": "2026-11-22T10:00:00Z",
            "datacontenttype": "application/json",
            "data": {
                "context": {
                    "specversion": "0.5.1",
                    "id": id,
                    "source": "https://deployd.example.com/",
                    "type": "dev.cdevents.service.upgraded.0.3.0",
                    "timestamp": "2026-11-22T10:00:00Z",
                },
                "subject": {
                    "id": "shop/web",
                    "source": "https://deployd.example.com/",
                    "content": {
                        "environment":
                            {"id": "shop/production", "source": "https://deployd.example.com/"},
                        "artifactId": purl,
                    },
                },
            },
        })
    );
}

#[test]
fn what_happens_has_its_types() {
    let rollback = json!({"origin": {"kind": "rollback"}});
    for (event_type, data, expected) in [
        ("deployment.queued", json!({}), vec!["pipelinerun.queued"]),
        ("deployment.planned", json!({}), vec![]),
        ("deployment.failed", json!({}), vec!["pipelinerun.finished"]),
        (
            "deployment.succeeded",
            json!({"number": 1}),
            vec!["pipelinerun.finished", "service.deployed"],
        ),
        ("deployment.succeeded", rollback, vec!["pipelinerun.finished", "service.rolledback"]),
        ("teardown.succeeded", json!({}), vec!["pipelinerun.finished", "environment.deleted"]),
        ("drift.found", json!({}), vec!["incident.detected"]),
        ("drift.gone", json!({}), vec!["incident.resolved"]),
        ("approval.requested", json!({}), vec![]),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|name| format!("dev.cdevents.{name}.0.3.0")).collect();
        assert_eq!(types(event_type, &data), expected, "{event_type}");
    }
}

#[test]
fn the_project_of_cdevents_reads_them_all() {
    let mut read = 0;
    for event_type in TYPES {
        for event in told(&event(event_type)) {
            let known: CDEvent = serde_json::from_value(event["data"].clone()).unwrap();
            assert_eq!(serde_json::to_value(&known).unwrap(), event["data"], "{event_type}");
            read += 1;
        }
    }
    assert!(read > 10);
}

#[test]
fn many_events_need_a_batch() {
    let mut event = event("deployment.succeeded");
    let image = event.images[0].clone();
    event.images = vec![image; 20];
    let format = |batch: bool| {
        let config = config(json!({"batch": batch, "headers": {"x-team": "shop"}}));
        CdEvents::format(&event, &config, &FakeHost::new())
    };
    assert!(format(false).unwrap_err().to_string().contains("/config/batch"));
    let requests = format(true).unwrap();
    let batch: Vec<Value> = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!((requests.len(), batch.len(), requests[0].url.as_str()), (1, 21, ""));
    assert_eq!(requests[0].headers[0].1, "application/cloudevents-batch+json");
    assert_eq!(requests[0].headers[1], ("x-team".to_owned(), "shop".to_owned()));
}

#[test]
fn images_are_named_as_packages() {
    for (image, expected) in [
        ("r.test:5000/Shop/Web:1.2", "pkg:oci/web?repository_url=r.test:5000%2FShop%2FWeb&tag=1.2"),
        ("nginx", "pkg:oci/nginx?repository_url=nginx"),
    ] {
        let mut event = event("deployment.succeeded");
        event.images[0].image = image.to_owned();
        event.images[0].tag = None;
        assert_eq!(told(&event)[1]["data"]["subject"]["content"]["artifactId"], expected);
    }
}

#[test]
fn whatever_others_write_they_are_events() {
    for_all_texts(|event, text| {
        for event in told(event) {
            serde_json::from_value::<CDEvent>(event["data"].clone())
                .map_err(|error| format!("{text:?}: {error}"))?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_told_together_is_each_of_them() {
    let one = |id: &str, event_type: &str| {
        json!({"id": id, "type": event_type, "time": "2026-11-22T10:00:00Z",
            "application": "shop", "environment": "production",
            "data": {"deployment": "01JD0000000000000000000000", "number": 7}})
    };
    let events = [one("1", "deployment.queued"), one("2", "deployment.started")];
    let group = with(notices::GROUP, &json!({ "events": events }));
    let told: Vec<_> =
        told(&group).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert!(told[0].contains("pipelinerun.queued"), "{told:?}");
    assert!(told[1].contains("pipelinerun.started"), "{told:?}");
    assert_eq!(told.len(), 2);
}
