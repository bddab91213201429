//! Which resources there are.

use kube::discovery::{Discovery, Scope, verbs};

use crate::stage::Stage;

#[tokio::test]
async fn the_built_in_resources_are_discovered() {
    let stage = Stage::new().await;
    for discovery in [
        Discovery::new(stage.client.clone()).run().await.unwrap(),
        Discovery::new(stage.client.clone()).run_aggregated().await.unwrap(),
    ] {
        let apps = discovery.get("apps").unwrap();
        let (resource, capabilities) = apps.recommended_kind("Deployment").unwrap();
        assert_eq!(resource.plural, "deployments");
        assert_eq!(capabilities.scope, Scope::Namespaced);
        assert!(capabilities.supports_operation(verbs::PATCH));
        let subresources: Vec<_> = capabilities
            .subresources
            .iter()
            .map(|(resource, _)| resource.plural.as_str())
            .collect();
        assert_eq!(subresources, ["status", "scale"]);
        let core = discovery.get("").unwrap();
        let (_, capabilities) = core.recommended_kind("Namespace").unwrap();
        assert_eq!(capabilities.scope, Scope::Cluster);
    }
    let version = stage.client.apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "34"));
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let stage = Stage::new().await;
    let mut config = kube::Config::new(stage.practice.url().parse().unwrap());
    config.auth_info.token = Some("wrong".to_owned().into());
    let client = kube::Client::try_from(config).unwrap();
    let result = client.list_api_groups().await;
    let status = crate::stage::refusal(result);
    assert_eq!((status.code, status.reason.as_str()), (401, "Unauthorized"));
}
