//! A policy: finds what its parameters say, in the phase that they say.

use async_trait::async_trait;
use deployd_core::policy::Violation;
use deployd_core::ports::{Call, Policies};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};

use super::Instance;

#[async_trait]
impl Policies for Instance {
    async fn evaluate(
        &self,
        call: Call<'_>,
        input: &Value,
        params: &Value,
    ) -> Result<Vec<Violation>, Fault> {
        self.look("evaluate", async { self.called(call) }).await?;
        if let Some(class) = params.get("fails") {
            let class: FaultClass = serde_json::from_value(class.clone()).unwrap();
            return Err(Fault::new(class, "plugin-fails", "the policy has trapped"));
        }
        let only = params.get("phase").unwrap_or(&input["phase"]);
        if *only != input["phase"] {
            return Ok(Vec::new());
        }
        let found = params.get("finds").cloned().unwrap_or(json!([]));
        Ok(serde_json::from_value(found).unwrap())
    }
}
