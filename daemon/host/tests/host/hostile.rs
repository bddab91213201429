//! One test per kind of misbehaviour.

use crate::support::Stage;

#[tokio::test]
async fn a_good_plugin_is_called() {
    let stage = Stage::new();
    let good = stage.templater("good").await.unwrap();
    let rendered = stage.render(&good).await;
    assert_eq!(rendered.result.unwrap()[0]["kind"], "ConfigMap");
    assert_eq!(rendered.log[0].message, "rendered");
}
