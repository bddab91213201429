//! A notifier: the event as it is, to the configured address.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Call, NotifierRequest, Notifiers};
use serde_json::Value;

use super::Instance;

#[async_trait]
impl Notifiers for Instance {
    async fn format(
        &self,
        _call: Call<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        self.look("format", async { Ok::<(), Fault>(()) }).await?;
        if config.get("fails").is_some() {
            return Err(Fault::bug("trap", "the notifier has trapped"));
        }
        Ok(vec![NotifierRequest {
            method: "POST".to_owned(),
            url: config["url"].as_str().unwrap().to_owned(),
            // What a plugin says of ids is not what counts.
            headers: BTreeMap::from([("Webhook-Id".to_owned(), "mine".to_owned())]),
            body: serde_json::to_vec(event).unwrap(),
            thread: None,
        }])
    }
}
