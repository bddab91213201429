//! What deployments may not be like.

use clap::{Args, Subcommand};
use deployd_core::Name;

/// Policies.
#[derive(Debug, Clone, Subcommand)]
pub enum PolicyCommand {
    /// List policies: for which environments they are, what they do, who is exempt
    List,
    /// Show a policy
    Show {
        /// Its name
        #[arg(value_name = "POLICY")]
        name: Name,
    },
    /// Print the JSON Schema of what policies are asked over
    Schema,
    /// Test policies against cases, without a daemon
    Test(PolicyTestArgs),
}

/// Test policies.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILE has Policy documents; others in it are passed over. CASES says what they should find:

  cases:
    - name: images by tag are refused
      input:                  # or inputFile, what policies are asked over, or a part of it
        objects:
          - { kind: Pod, spec: { containers: [{ name: web, image: web:1.4 }] } }
      patch: {}               # a JSON Merge Patch on it: what this case is about
      expect:                 # all that is found; [] if all is right
        - { rule: by-digest, path: /objects/0/spec/containers/0/image, effect: deny }

Exits with 19 when a case fails. Exemptions count, by the `now` of the input.

Examples:
  deployd policy test daemon/sample/policies/production.yaml --cases daemon/scenarios/policy-cases.yaml
  deployd policy test policy.yaml --cases cases.yaml --plugin ./house-rules.wasm")]
pub struct PolicyTestArgs {
    /// Files with Policy documents
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// The file with the cases; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cases: String,
    /// The file of a component that judges instead of the plugin that the documents name, with
    /// its manifest beside it
    #[arg(long, value_name = "FILE.wasm")]
    pub plugin: Option<String>,
}
