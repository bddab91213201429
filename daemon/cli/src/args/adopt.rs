//! Arguments of taking over what runs already.

use std::path::PathBuf;

use clap::Args;
use deployd_core::EnvironmentId;

/// Take over what runs already.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Reads Kubernetes objects, proposes Score files and definitions for them, renders these with the shipped
plugins, and compares object by object what comes of it with what there was. Nothing is applied, and no
daemon is asked. Values of Secrets are in nothing that is written: `secrets.sh` sets them from the
cluster. What can't be said, and what is different from now on, is in NOTES.md.

Ends with 15 when something would be rendered differently.

Examples:
  deployd adopt manifests/ --environment shop/production --out proposal
  kustomize build overlays/production | deployd adopt - --environment shop/production
  helm template shop ./chart | deployd adopt - --environment shop/production --namespace shop
  kubectl get deploy,sts,svc,ing,cm,secret,pvc,hpa,pdb,cronjob -n shop -o yaml |
    deployd adopt - --environment shop/production --out proposal")]
pub struct AdoptArgs {
    /// Files and directories of manifests; - for standard input
    #[arg(value_name = "PATH", required = true)]
    pub manifests: Vec<String>,
    /// What is proposed for it.
    #[command(flatten)]
    pub options: AdoptOptions,
}

/// What is proposed, and where it is written.
#[derive(Debug, Clone, Args)]
pub struct AdoptOptions {
    /// The application and environment to propose
    #[arg(long, value_name = "APP/ENV", required = true)]
    pub environment: EnvironmentId,
    /// The namespace it runs in [default: the one that the objects name]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Write the proposal into this directory; without it, only what came of the comparison is told
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long, requires = "out")]
    pub force: bool,
}

impl AdoptArgs {
    /// From the arguments of `deployd import --manifests`; none without an environment.
    pub fn of_import(import: &super::ImportArgs) -> Option<Self> {
        let options = AdoptOptions {
            environment: import.environment.clone()?,
            namespace: import.namespace.clone(),
            out: import.out.clone(),
            force: import.force,
        };
        Some(Self { manifests: import.manifests.clone(), options })
    }
}
