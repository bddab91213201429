//! Pods that fail in ways that the practice cluster does not know: what it says
//! of them is changed on its way.

use deployd_core::ports::WorkloadFault;
use deployd_practice::Behaviour;
use serde_json::{Value, json};

use crate::stage::{LONG, on_a_simulated_cluster};
use crate::things::deployment;
use crate::wire::{Act, line, lines};

/// Waits for a deployment whose pods are described in another way.
async fn with_pods(
    behaviour: Behaviour,
    replicas: u32,
    describe: fn(&mut Value),
    check: fn(&WorkloadFault),
) {
    on_a_simulated_cluster(async |stage, wire| {
        wire.rule(move |method, path| {
            let is_pods = path.contains("/pods?") && method == "GET";
            is_pods.then(|| {
                Act::Change(Box::new(move |body| {
                    lines(body, move |mut document| {
                        let each = document["items"].as_array_mut();
                        each.into_iter().flatten().for_each(describe);
                        if document["object"]["kind"] == "Pod" {
                            describe(&mut document["object"]);
                        }
                        vec![line(&document)]
                    })
                }))
            })
        });
        stage.behave("web", behaviour);
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(replicas);
        check(&stage.fail(vec![web], LONG).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_uses_too_much_memory() {
    let behaviour = Behaviour::CrashLoop { exit_code: 137, log: vec!["loading".to_owned()] };
    with_pods(
        behaviour,
        1,
        |_| {},
        |fault| {
            assert_eq!(fault.reason, "out-of-memory", "{fault:#?}");
            assert!(fault.message.contains("more memory than its limit"), "{}", fault.message);
            assert_eq!(fault.logs[0].lines, ["loading"]);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_prepares_the_others_and_fails() {
    let behaviour = Behaviour::CrashLoop { exit_code: 4, log: Vec::new() };
    let describe = |pod: &mut Value| {
        let statuses = pod["status"]["containerStatuses"].take();
        pod["status"]["initContainerStatuses"] = statuses;
    };
    with_pods(behaviour, 1, describe, |fault| {
        assert_eq!(fault.reason, "init-container-failed", "{fault:#?}");
        assert!(fault.message.contains("exit code 4"), "{}", fault.message);
        assert!(fault.containers[0].contains("CrashLoopBackOff"), "{fault:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_thrown_out_one_after_the_other() {
    let describe = |pod: &mut Value| {
        pod["status"] = json!({"phase": "Failed", "reason": "Evicted",
            "message": "The node was low on resource: ephemeral-storage."});
    };
    with_pods(Behaviour::Ready { after: 10 * LONG }, 3, describe, |fault| {
        assert_eq!(fault.reason, "evicted", "{fault:#?}");
        assert!(fault.message.contains("low on resource: ephemeral-storage"), "{}", fault.message);
    })
    .await;
}
