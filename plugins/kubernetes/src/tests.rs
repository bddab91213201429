use super::*;
use deployd_plugin_sdk::testing::{FakeHost, check_request};
use serde_json::{Value, json};

fn run(config: &Value, observed: &Value) -> Result<Outcome, Fault> {
    let input = json!({ "observed": observed });
    Kubernetes::run(&check_request::<Kubernetes>(config, &input, None)?, &FakeHost::new())
}

/// A Deployment of two pods with one container each, which is like this.
fn observed(container: &Value) -> Value {
    let pod = |name: &str| {
        let mut own = json!({"name": "web", "ready": true, "state": "running"});
        for (name, value) in container.as_object().unwrap() {
            own[name] = value.clone();
        }
        json!({"name": name, "phase": "Running", "ready": true, "containers": [own]})
    };
    json!([{
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-canary"},
        "replicas": 2, "ready": 2,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "", "message": ""},
            {"type": "Progressing", "status": "False", "reason": "", "message": "it is stuck"},
        ],
        "pods": [pod("web-canary-a"), pod("web-canary-b")],
    }])
}

fn message(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Passed(verdict) => ("passed", verdict.message),
        Outcome::Failed(verdict) => ("failed", verdict.message),
        Outcome::Inconclusive(verdict) => ("inconclusive", verdict.message),
        Outcome::Pending(pending) => ("pending", pending.message),
    }
}

#[test]
fn what_is_configured_is_looked_at_and_nothing_else() {
    let metrics = json!({"cpu": 0.2, "cpu-limit": 0.5, "memory": 60e6, "memory-limit": 64e6});
    let table = [
        (json!({"ready_percent": 100}), json!({}), "passed", "2 of 2 pods are ready"),
        (json!({"max_restarts": 0}), json!({}), "passed", "none was started again"),
        (
            json!({"max_restarts": 0}),
            json!({"restarts": 2, "reason": "CrashLoopBackOff"}),
            "failed",
            "web-canary-a/web: started again 2 times (CrashLoopBackOff); web-canary-b",
        ),
        (json!({"max_restarts": 2}), json!({"restarts": 2}), "passed", "2 times at most"),
        (json!({"ready_percent": 100}), json!({"restarts": 9}), "passed", "ready"),
        (json!({"conditions": {"Available": "True"}}), json!({}), "passed", ""),
        (
            json!({"conditions": {"Progressing": "True"}}),
            json!({}),
            "failed",
            "web-canary: Progressing is False (it is stuck)",
        ),
        (json!({"conditions": {"Other": "True"}}), json!({}), "inconclusive", "no condition Other"),
        (json!({"cpu_percent": 50}), metrics.clone(), "passed", ""),
        (
            json!({"memory_percent": 90}),
            metrics.clone(),
            "failed",
            "web-canary-a/web: 94 % of its memory, 90 % are allowed",
        ),
        (json!({"memory_percent": 90}), json!({}), "inconclusive", "no metrics of its memory"),
        (json!({"cpu_percent": 90}), json!({"cpu": 0.1}), "inconclusive", "no limit of processor"),
        (json!({"cpu_percent": 90, "containers": ["other"]}), json!({}), "passed", ""),
    ];
    for (config, container, verdict, why) in table {
        let (found, message) = message(run(&config, &observed(&container)).unwrap());
        assert_eq!(found, verdict, "{config} {container}: {message}");
        assert!(message.contains(why), "{config} {container}: {message}");
    }
}

#[test]
fn pods_that_are_not_there_are_no_pass() {
    let config = json!({"ready_percent": 100, "max_restarts": 0});
    assert_eq!(message(run(&config, &json!([])).unwrap()).0, "inconclusive");
    let mut none = observed(&json!({}));
    none[0]["pods"] = json!([]);
    assert_eq!(message(run(&json!({"max_restarts": 0}), &none).unwrap()).0, "inconclusive");
    none[0]["ready"] = json!(0);
    let (found, message) = message(run(&config, &none).unwrap());
    assert_eq!((found, message.as_str()), ("failed", "web-canary: 0 of 2 pods are ready"));
}

#[test]
fn what_is_wrong_with_many_is_told_of_some() {
    let all: Vec<Value> = (0..20).map(|_| observed(&json!({"restarts": 1}))[0].clone()).collect();
    let (_, message) = message(run(&json!({"max_restarts": 0}), &json!(all)).unwrap());
    assert!(message.ends_with("and 32 more"), "{message}");
}

#[test]
fn without_its_grant_it_says_so() {
    let fault = run(&json!({"max_restarts": 0}), &Value::Null).unwrap_err().to_string();
    assert!(fault.contains("pods: true"), "{fault}");
}

#[test]
fn what_is_measured_is_shown() {
    let metrics = json!({"restarts": 1, "memory": 32e6, "memory-limit": 64e6});
    let config = json!({"max_restarts": 3, "memory_percent": 90});
    let Outcome::Passed(verdict) = run(&config, &observed(&metrics)).unwrap() else { panic!() };
    let values: Vec<(&str, f64)> =
        verdict.measurements.iter().map(|it| (it.name.as_str(), it.value)).collect();
    assert_eq!(values, [("ready", 2.0), ("restarts", 1.0), ("memory", 50.0)]);
}
