//! A receiver: the body is a list of documents, and tells them.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Call, Delivery, Receivers};
use serde_json::Value;

use super::Instance;

#[async_trait]
impl Receivers for Instance {
    async fn decode(
        &self,
        _call: Call<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault> {
        self.look("decode", async { Ok::<(), Fault>(()) }).await?;
        if let Some(code) = config.get("fails").and_then(Value::as_str) {
            return Err(Fault::transient(code, "the receiver is not there just now"));
        }
        match serde_json::from_slice(&delivery.body) {
            Ok(Value::Array(documents)) => Ok(documents),
            _ => Err(Fault::invalid("plugin-invalid", "/body: expected a list")),
        }
    }
}
