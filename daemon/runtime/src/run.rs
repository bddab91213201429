//! From arguments to an exit code.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use deployd_cli::args::{AdoptArgs, HookCommand, PolicyCommand};
use deployd_cli::{Cli, ClientCommand, Command, Output, exit};
use deployd_host::compiler::Supervisor;
use tokio::signal::unix::{SignalKind, signal};

use crate::confinement::{self, Lasts};
use crate::daemon::{Daemon, STORE};
use crate::settings::Settings;
use crate::{adopt, demo, doctor, hook_test, logging, policy_test};

/// Runs what the command line says.
pub fn run() -> anyhow::Result<ExitCode> {
    if let Some(code) = confinement::other_process() {
        return Ok(code);
    }
    let Cli { globals, command } = Cli::from_arguments();
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What is set up before there are threads.
    let prepared = match &command {
        Command::Serve(args) => {
            let settings = Settings::read(args.config.as_deref())?.with(args);
            settings.secrets.check()?;
            if args.check {
                return Ok(ExitCode::SUCCESS);
            }
            logging::start(&settings.log)?;
            let compiler = confinement::start_supervisor(&settings.compiler)?;
            let secrets = settings.secrets.reach();
            confinement::confine(&settings.sandbox, &settings.data_dir, &secrets, Lasts::ForEver)?;
            Some(Prepared::Serve(Box::new(settings), compiler))
        }
        Command::Demo(args) => Some(Prepared::Demo(Box::new(demo::Ground::prepare(args)?))),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match (prepared, command) {
            (Some(Prepared::Serve(settings, compiler)), _) => serve(&settings, compiler).await,
            (Some(Prepared::Demo(ground)), Command::Demo(args)) => {
                demo::run(&globals, &args, *ground).await
            }
            (_, Command::Doctor(args)) => doctor::run(&globals, &args).await,
            (_, Command::Restore(args)) => restore(&args.backup, &args.data, args.force),
            (_, Command::Client(ClientCommand::Hooks(HookCommand::Test(args)))) => {
                hook_test::run(&globals, &args).await
            }
            (_, Command::Client(ClientCommand::Policy(PolicyCommand::Test(args)))) => {
                policy_test::run(&globals, &args).await
            }
            (_, Command::Client(ClientCommand::Adopt(args))) => adopt::run(&globals, &args).await,
            (_, Command::Client(ClientCommand::Import(args))) if !args.manifests.is_empty() => {
                match AdoptArgs::of_import(&args) {
                    Some(args) => adopt::run(&globals, &args).await,
                    None => Ok(ExitCode::from(exit::USAGE)),
                }
            }
            (_, Command::Client(command)) => {
                let mut output = Output::standard(&globals);
                Ok(ExitCode::from(deployd_cli::run(&globals, command, &mut output).await))
            }
            (_, Command::Serve(_) | Command::Demo(_)) => Ok(ExitCode::FAILURE),
        }
    });
    // What still blocks must not keep the process from ending.
    runtime.shutdown_background();
    code
}

/// What was set up before there were threads.
enum Prepared {
    Serve(Box<Settings>, Arc<Supervisor>),
    Demo(Box<demo::Ground>),
}

async fn serve(settings: &Settings, compiler: Arc<Supervisor>) -> anyhow::Result<ExitCode> {
    let daemon = Daemon::start(settings, Some(compiler)).await?;
    let broken = tokio::select! {
        () = told_to_stop() => None,
        why = daemon.broken() => Some(why),
    };
    daemon.stop().await;
    match broken {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => {
            anyhow::bail!("the store accepts nothing any more: {why}; start again to recover")
        }
    }
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn restore(backup: &Path, data: &Path, force: bool) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(data)?;
    let store = data.join(STORE);
    if force && store.exists() {
        std::fs::rename(&store, data.join(format!("{STORE}.before-restore")))?;
    }
    let report = deployd_store::restore(backup, &store)?;
    anyhow::ensure!(report.is_sound(), "the backup is damaged: {report:?}");
    tracing::info!(events = report.events, "restored");
    Ok(ExitCode::SUCCESS)
}
