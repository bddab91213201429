//! `deployd demo`: a cluster, a daemon, the sample, and one deployment through
//! all of it.

mod claims;
mod ground;
mod receiver;
mod stage;

use std::process::ExitCode;

use deployd_cli::args::DemoArgs;
use deployd_cli::{Globals, Output, Style};
use deployd_core::DeploymentId;
use deployd_core::artifact::Artifact;
use deployd_core::deployment::DeploymentRecord;
use serde_json::json;

use crate::run::told_to_stop;
use claims::{Claim, Found};
pub(crate) use ground::Ground;
use stage::Stage;

/// Runs the demo. With `--once` it ends by itself, and its last line is one
/// JSON document; without, the daemon stays up until it is interrupted.
pub(crate) async fn run(
    globals: &Globals,
    args: &DemoArgs,
    ground: Ground,
) -> anyhow::Result<ExitCode> {
    let mut out = Output::standard(globals);
    let cluster = match &args.kubeconfig {
        Some(file) => format!("the cluster of {}", file.display()),
        None => "a practice cluster".to_owned(),
    };
    out.note(format!("Starting {cluster}, a receiver of webhooks and the daemon"))?;
    let stage = Stage::set(args, ground).await?;
    let result = play(&stage, &mut out).await;
    let code = match &result {
        Ok((record, found, claims)) => {
            let ok = claims.iter().all(|claim| claim.holds);
            tell(&stage, &mut out, record, found, claims)?;
            if args.once {
                let id = &record.id;
                let summary = json!({
                    "deployment": id,
                    "environment": record.environment,
                    "outcome": record.outcome,
                    "found": found,
                    "claims": claims,
                    "ok": ok,
                });
                out.line(summary.to_string())?;
            } else {
                out.note(
                    "\nThe daemon stays up. Ctrl-C ends it, and everything the demo has made.",
                )?;
                out.flush()?;
                told_to_stop().await;
            }
            if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(_) => ExitCode::FAILURE,
    };
    out.flush()?;
    stage.daemon.stop().await;
    result.map(|_| code)
}

async fn play(
    stage: &Stage,
    out: &mut Output,
) -> anyhow::Result<(DeploymentRecord, Found, Vec<Claim>)> {
    let client = &stage.client;
    out.note("Setting the secrets that the sample names: a kubeconfig, a key for webhooks")?;
    stage.set_secrets().await?;
    let documents = stage.documents()?;
    out.note(format!("Applying the sample: {} files", documents.files.len()))?;
    let applied = client.apply(&documents).await?;
    out.note(format!("  {} documents", applied.documents.len()))?;
    out.note("Telling the daemon, as CI does, that images of frontend and backend are available")?;
    let id = announce(stage, out).await?;
    let record = deployd_cli::follow(client, &id, style(out)).await?;
    let (found, claims) = claims::check(stage, &record).await?;
    Ok((record, found, claims))
}

/// One image after the other: the first has to wait for the second.
async fn announce(stage: &Stage, out: &mut Output) -> anyhow::Result<DeploymentId> {
    let mut begun = None;
    for (name, image) in &stage.images {
        let artifact = Artifact {
            tag: image.tag.clone(),
            git_ref: Some("refs/heads/main".to_owned()),
            commit: Some("8d3f0a1c5b7e9d2f4a6b8c0e1d3f5a7b9c1e3d5f".to_owned()),
            ..Artifact::new(&image.repository, image.digest)
        };
        let announced = stage.client.announce(&[artifact]).await?;
        for route in announced.routes {
            match route.deployment {
                Some(id) => {
                    out.note(format!("  {name}: deployment {id} in {}", route.environment))?;
                    begun = Some(id);
                }
                None => out.note(format!(
                    "  {name}: {} waits for the image of {}",
                    route.environment,
                    route.waits_for.join(", ")
                ))?,
            }
        }
    }
    begun.ok_or_else(|| anyhow::anyhow!("the flow has begun no deployment"))
}

/// Bars where a person looks on, lines elsewhere.
fn style(out: &Output) -> Style {
    if out.terminal { Style::Live(out.paint) } else { Style::Lines(out.paint) }
}

/// The most characters of outputs on a line.
const OUTPUTS_SHOWN: usize = 90;

fn cut(text: &str) -> String {
    match text.char_indices().nth(OUTPUTS_SHOWN) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// What exists now, and how to look further.
fn tell(
    stage: &Stage,
    out: &mut Output,
    record: &DeploymentRecord,
    found: &Found,
    claims: &[Claim],
) -> anyhow::Result<()> {
    out.note("\nWhat exists now")?;
    for (name, outputs) in &found.resources {
        out.note(format!("  {name:<32} {}", cut(&outputs.to_string())))?;
    }
    out.note("\nWhat was looked at")?;
    for claim in claims {
        let mark = if claim.holds { "yes" } else { "NO " };
        out.note(format!("  {mark} {} ({})", claim.claim, claim.found))?;
    }
    let id = &record.id;
    let server = stage.client.server();
    if let Some(url) = &found.url {
        out.note(format!("\nThe frontend        {url}"))?;
    }
    out.note(format!("The daemon's page   {server}/"))?;
    out.note(format!("Its data            {}", stage.data.display()))?;
    out.note("\nTo look further")?;
    if let Ok(program) = std::env::current_exe() {
        out.note(format!("  alias deployd={}", program.display()))?;
    }
    out.note(format!("  export DEPLOYD_SERVER={server}"))?;
    out.note(format!("  export DEPLOYD_TOKEN_FILE={}", stage.daemon.admin_token().display()))?;
    for command in [
        format!("deployd show {id}"),
        format!("deployd manifests {id}"),
        format!("deployd logs {id}"),
        "deployd notifications list".to_owned(),
        format!("deployd resources {}", record.environment),
        format!("deployd plan {}", record.environment),
        "deployd history".to_owned(),
    ] {
        out.note(format!("  {command}"))?;
    }
    Ok(())
}
