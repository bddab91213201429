//! What checks are told of pods.

use deployd_core::ports::{Cluster, ObservedWorkload, all_there};
use deployd_practice::Behaviour;
use serde_json::{Value, json};

use crate::stage::{LONG, Stage, on_a_simulated_cluster};
use crate::things::deployment;
use crate::wire::Act;

impl Stage {
    async fn observed(&self, objects: Vec<Value>) -> Vec<ObservedWorkload> {
        let references = self.apply(objects).await.unwrap();
        let _ = self.await_ready(&references, LONG).await.unwrap();
        let observed = self.cluster.observe(&self.target, &references).await.unwrap();
        all_there(&references, observed).unwrap()
    }
}

fn limited(app: &str) -> Value {
    let mut object = deployment(app);
    object["spec"]["replicas"] = json!(2);
    object["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
    object
}

#[tokio::test(start_paused = true)]
async fn pods_of_the_current_version_and_their_limits() {
    on_a_simulated_cluster(async |stage, _| {
        let observed = stage.observed(vec![limited("web"), deployment("api")]).await;
        assert_eq!(observed.len(), 2);
        let web = &observed[0];
        assert_eq!((web.object.name.as_str(), web.replicas, web.ready), ("web", 2, 2));
        assert!(web.conditions.iter().any(|it| it.r#type == "Available" && it.status == "True"));
        let container = &web.pods[1].containers[0];
        assert_eq!((container.name.as_str(), container.restarts), ("main", 0));
        assert_eq!((container.state.as_str(), container.ready), ("running", true));
        assert_eq!(container.cpu_limit, Some(0.5));
        assert_eq!(container.memory_limit, Some(64.0 * 1_048_576.0));
        assert_eq!(container.memory, None, "the cluster has no metrics API");
        assert_eq!(observed[1].pods[0].containers[0].cpu_limit, None);

        stage.behave("web", Behaviour::crash_loop());
        let mut newer = limited("web");
        newer["spec"]["template"]["metadata"]["annotations"] = json!({"version": "2"});
        let observed = stage.observed(vec![newer]).await;
        let container = &observed[0].pods[0].containers[0];
        assert!(container.restarts > 0 && !container.ready, "{observed:#?}");
        assert_eq!(container.reason, "CrashLoopBackOff");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_does_not_hide_what_is() {
    on_a_simulated_cluster(async |stage, _| {
        let mut references = stage.apply(vec![deployment("web")]).await.unwrap();
        let mut gone = references[0].clone();
        "gone".clone_into(&mut gone.name);
        references.insert(0, gone);
        let _ = stage.await_ready(&references[1..], LONG).await.unwrap();
        let observed = stage.cluster.observe(&stage.target, &references).await.unwrap();
        assert_eq!(observed[0], None);
        assert_eq!(observed[1].as_ref().unwrap().ready, 1);
        let fault = all_there(&references, observed).unwrap_err();
        assert!(fault.message.contains("/gone is not in the cluster"), "{fault:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_containers_use_where_the_cluster_tells() {
    on_a_simulated_cluster(async |stage, wire| {
        let before = stage.observed(vec![limited("web")]).await;
        let pod = before[0].pods[0].name.clone();
        let metrics = json!({"kind": "PodMetricsList", "items": [{
            "metadata": {"name": pod},
            "containers": [{"name": "main", "usage": {"cpu": "123456789n", "memory": "32Mi"}}],
        }]});
        wire.rule(move |_, path| {
            let asked = path.starts_with("/apis/metrics.k8s.io/v1beta1/namespaces/");
            asked.then(|| Act::Body(metrics.to_string().into()))
        });
        let observed = stage.observed(vec![limited("web")]).await;
        let of = |name: &str| observed[0].pods.iter().find(|pod| pod.name == name).unwrap();
        assert_eq!(of(&pod).containers[0].memory, Some(32.0 * 1_048_576.0));
        let cpu = of(&pod).containers[0].cpu.unwrap();
        assert!((cpu - 0.123).abs() < 0.001, "{cpu}");
        let other = observed[0].pods.iter().find(|it| it.name != pod).unwrap();
        assert_eq!(other.containers[0].cpu, None, "nothing is known of this one yet");
    })
    .await;
}
