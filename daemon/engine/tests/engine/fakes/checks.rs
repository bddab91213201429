//! Checks that find what a test says they find.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Call, CheckOutcome, CheckRequest, Checks, Measurement, Verdict};
use serde_json::json;

use super::Instance;

#[async_trait]
impl Checks for Instance {
    /// What `config.answers` says, one after the other, by how often it was
    /// asked in this run; the last one again and again.
    async fn run(&self, call: Call<'_>, request: &CheckRequest) -> Result<CheckOutcome, Fault> {
        self.look("check", async {
            self.called(call)?;
            self.world.asked_of_checks.lock().unwrap().push(request.input.clone());
            let asked = self.world.asked_of_checks.lock().unwrap().len();
            let answers = request.config["answers"].as_array().cloned().unwrap_or_default();
            let answer =
                answers.get(asked - 1).or(answers.last()).cloned().unwrap_or(json!("passed"));
            let measurement = Measurement { name: "errors".into(), value: 0.5, unit: "%".into() };
            let verdict =
                Verdict { message: format!("it has {answer}"), measurements: vec![measurement] };
            Ok(match answer.as_str().unwrap_or_default() {
                "passed" => CheckOutcome::Passed(verdict),
                "failed" => CheckOutcome::Failed(verdict),
                "away" => return Err(Fault::transient("away", "the metrics server is away")),
                _ => CheckOutcome::Inconclusive(verdict),
            })
        })
        .await
    }
}
