//! The past made once more, with the real plugins.

use serde_json::Value;

use crate::stage::Stage;

fn part<'r>(replay: &'r Value, which: &str) -> &'r Value {
    let parts = replay["parts"].as_array().unwrap();
    parts.iter().find(|part| part["part"] == which).unwrap_or_else(|| panic!("{replay:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn i12_real_plugins_make_the_same_bytes_of_the_past() {
    let mut stage = Stage::set().await;
    let first = stage.deployed('1').await;
    let second = stage.deployed('2').await;
    assert!(stage.daemon.stop().await.success());
    stage.start_again().await;
    stage.client = stage.daemon.client();
    for id in [&first, &second] {
        let rendered = stage.deployment(id).await;
        let steps = rendered["work"]["steps"].as_array().unwrap();
        let rendered = steps.iter().find(|step| step["id"] == "render").unwrap();
        let replay = stage.client.get(&format!("/v1/replay?of={id}")).await.ok();
        assert_eq!(replay["verdict"], "identical", "{replay:#}");
        for which in ["plan", "manifests", "decisions"] {
            assert_eq!(part(&replay, which)["verdict"], "identical", "{replay:#}");
        }
        assert_eq!(part(&replay, "manifests")["replayed"], rendered["result"]);
    }

    // What another baseline would have made is another plan's matter; the same
    // version of the templater by its first digits is itself.
    let plan = stage.client.get(&format!("/v1/deployments/{first}/plan")).await.ok();
    let templater = &plan["templater"]["plugin"];
    let (name, digest) =
        (templater["name"].as_str().unwrap(), templater["digest"].as_str().unwrap());
    let with = format!("{name}@{}", &digest["sha256:".len()..][..12]);
    let replay = stage.client.get(&format!("/v1/replay?of={first}&with={with}")).await.ok();
    assert_eq!(replay["verdict"], "identical", "{replay:#}");
    assert_eq!(replay["with"], *templater);
}
