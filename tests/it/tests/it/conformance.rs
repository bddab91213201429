//! The API is what its OpenAPI document says: schemathesis makes requests of the
//! document, valid ones and others, and holds every answer against it.

use std::process::Command;

use deployd_practice::PracticeOptions;
use serde_json::{Value, json};

use crate::daemon::Start;
use crate::program::{ended, root};
use crate::stage::Stage;
use crate::wait::until;

/// Another one with DEPLOYD_TEST_SEED; a failing one is in the output.
const SEED: &str = "20261121";

/// Requests per operation in each phase that makes them at random.
const EXAMPLES: &str = "15";

/// What a request that the document calls valid may be answered with. 422 is
/// there for what no schema says: that a manifest is one, that names are known.
const ANSWERS_TO_VALID: [&str; 5] = ["2xx", "403", "404", "409", "422"];

/// What is at a path below an image's, and comes there by a request of its own:
/// who announces an image has attached no bill of materials to it yet.
const NOT_THERE_YET: &str = "getSbom";

/// Believes tokens of issuers, and no text that a schema can describe: 401.
const BELIEVES: &str = "exchangeToken";

/// Writes a file wherever on this machine it is told to.
const NOT_ASKED: &str = "backup";

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let stage = Stage::with(PracticeOptions::new(), Start::without_limits).await;
    let deployment = stage.deployed('a').await;
    let set = stage.deployment(&deployment).await["request"]["set"].clone();
    let message = until("there is a message", || async {
        let all = stage.client.get("/v1/notifications").await.ok();
        all[0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let known = format!(
        "[[operations]]\n\
         include-path-regex = \"^/v1/deployments/\"\n\
         parameters = {{ id = {deployment:?} }}\n\
         [[operations]]\n\
         include-path-regex = \"^/v1/notifications/\"\n\
         parameters = {{ id = {message:?} }}\n\
         [[operations]]\n\
         include-path-regex = \"^/v1/sets/\"\n\
         parameters = {{ digest = {set} }}\n\
         [[operations]]\n\
         include-path-regex = \"^/v1/environments/\"\n\
         parameters = {{ application = \"shop\", environment = \"development\" }}\n"
    );
    // Whatever comes to mind, and then what is there.
    for (name, parameters) in [("anything", ""), ("what is there", known.as_str())] {
        ask(&stage, name, parameters).await;
    }
    stage.client.get("/readyz").await.ok();
    assert!(!stage.daemon.log().contains("panicked"), "{}", stage.daemon.log());
}

async fn ask(stage: &Stage, name: &str, parameters: &str) {
    let program = root().join("target/tools/schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not there; `cargo xtask test --only http` fetches it"
    );
    // One of its own: among what is asked for is that tokens are revoked.
    let token: Value = json!({"name": name.replace(' ', "-"), "scope": "admin"});
    let token = stage.client.post("/v1/tokens", &token).await.ok();
    let token = token["secret"].as_str().unwrap();
    let config = stage.folder().join("schemathesis.toml");
    // All checks, by the file: asked for by an argument, none could be left out.
    let text = format!(
        "[checks]\n\
         enabled = true\n\
         positive_data_acceptance.expected-statuses = {}\n\
         [[operations]]\n\
         include-operation-id = {NOT_THERE_YET:?}\n\
         checks.ensure_resource_availability.enabled = false\n\
         [[operations]]\n\
         include-operation-id = {BELIEVES:?}\n\
         checks.positive_data_acceptance.enabled = false\n\
         {parameters}",
        json!(ANSWERS_TO_VALID)
    );
    std::fs::write(&config, text).unwrap();
    let seed = std::env::var("DEPLOYD_TEST_SEED").unwrap_or_else(|_| SEED.to_owned());
    println!("{name}: seed {seed}; another one with DEPLOYD_TEST_SEED");
    let mut command = Command::new(program);
    command
        .current_dir(stage.folder())
        .arg("--config-file")
        .arg(&config)
        .args(["run", &format!("{}/openapi.json", stage.daemon.base())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--seed", &seed, "--max-examples", EXAMPLES])
        .args(["--exclude-operation-id", NOT_ASKED, "--exclude-operation-id", "watchDeployment"])
        .args(["--request-timeout", "30", "--continue-on-failure", "--no-color"])
        .args(["--warnings", "off", "--suppress-health-check", "all"]);
    let said = ended(command).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    println!("{}", said.out);
    let still = stage.client.with_token(token).get("/v1/whoami").await;
    assert_eq!(still.status, 200, "it has revoked its own token, and asked in vain since then");
}
