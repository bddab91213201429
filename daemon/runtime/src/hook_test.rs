//! `deployd hooks test`: what a receiver makes of a captured delivery, without a daemon
//! and without anything that comes of it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_cli::args::HookTestArgs;
use deployd_cli::{Globals, Output};
use deployd_core::config::PluginKind;
use deployd_core::delivery::{BODY_BYTES_MAX, Captured};
use deployd_core::ports::{Call, CallLog, Delivery, Receivers as _, Scope};
use serde_json::{Value, json};

use crate::offline::Offline;

/// Reads a delivery, and prints what the receiver tells of it.
///
/// Fails when the file is no delivery, when there is no such receiver, and with the
/// receiver's fault.
pub(crate) async fn run(globals: &Globals, args: &HookTestArgs) -> anyhow::Result<ExitCode> {
    let delivery = delivery(args)?;
    let offline = Offline::new()?;
    let plugin = Box::pin(offline.load(PluginKind::Receiver, &args.receiver)).await?;
    let config: BTreeMap<&str, &Value> =
        args.config.iter().map(|field| (field.name.as_str(), &field.value)).collect();
    let (scope, log) = (Scope::default(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let told = offline.host.decode(call, &delivery, &json!(config)).await;
    let mut output = Output::standard(globals);
    for line in log.take() {
        output.note(line.message)?;
    }
    let told = told.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    if output.is_human() && told.is_empty() {
        output.note("it tells of nothing")?;
    } else if output.is_human() {
        for one in &told {
            output.line(serde_json::to_string_pretty(one)?)?;
        }
    } else {
        output.document(&told)?;
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What the file and the arguments say: a captured delivery, or a body alone.
fn delivery(args: &HookTestArgs) -> anyhow::Result<Delivery> {
    let named = || format!("reading {}", args.file.display());
    let mut bytes = Vec::new();
    let limit = 2 * BODY_BYTES_MAX as u64;
    if args.file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes).with_context(named)?;
    } else {
        let file = std::fs::File::open(&args.file).with_context(named)?;
        file.take(limit).read_to_end(&mut bytes).with_context(named)?;
    }
    let captured = serde_json::from_slice::<Captured>(&bytes).ok();
    let captured = captured.filter(|it| it.body.is_some() || it.body_base64.is_some());
    let (mut headers, body) = match captured {
        Some(Captured { headers, body: Some(body), .. }) => (headers, body.into_bytes()),
        Some(Captured { headers, body: None, body_base64 }) => {
            let encoded = body_base64.unwrap_or_default();
            (headers, STANDARD.decode(encoded).context("bodyBase64 is no base 64")?)
        }
        // What is sent nearly always.
        None => ([("content-type".to_owned(), "application/json".to_owned())].into(), bytes),
    };
    headers.extend(args.header.iter().cloned());
    ensure!(
        body.len() <= BODY_BYTES_MAX,
        "the body has {} bytes; a delivery has at most {BODY_BYTES_MAX}",
        body.len()
    );
    Ok(Delivery { headers: headers.into_iter().collect(), body })
}
