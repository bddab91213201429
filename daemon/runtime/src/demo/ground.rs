//! What the demo sets up before its process has threads.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use deployd_cli::args::DemoArgs;
use deployd_host::compiler::Supervisor;
use tempfile::TempDir;

use crate::confinement::Lasts;
use crate::settings::{CompilerSettings, LogFormat, LogSettings, SandboxSettings};
use crate::{confinement, logging};

/// A folder, a cluster to log in to, and a process that is confined: the demo's
/// daemon is in the same one as its practice cluster, which needs no files.
pub(crate) struct Ground {
    pub(super) data: PathBuf,
    pub(super) compiler: Arc<Supervisor>,
    /// The text of the kubeconfig that the arguments name.
    pub(super) kubeconfig: Option<String>,
    pub(super) temporary: Option<TempDir>,
}

impl Ground {
    /// Sets it up.
    pub(crate) fn prepare(args: &DemoArgs) -> anyhow::Result<Self> {
        // The live view has the terminal: only what is wrong may come in between.
        logging::start(&LogSettings { format: LogFormat::Text, filter: "warn".to_owned() })?;
        let kubeconfig = match &args.kubeconfig {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("--kubeconfig {}", file.display()))?,
            ),
            None => None,
        };
        let (data, temporary) = match &args.data {
            Some(folder) => (folder.clone(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("deployd-demo-").tempdir()?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let compiler = confinement::start_supervisor(&CompilerSettings::default())?;
        let lasts = if temporary.is_some() { Lasts::UntilTheEnd } else { Lasts::ForEver };
        confinement::confine(&SandboxSettings::default(), &data, &[], lasts)?;
        Ok(Self { data, compiler, kubeconfig, temporary })
    }
}
