//! What memory applying takes of many objects that are there already, in a process
//! of its own: the most that it had, less what it had before, objects included.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use deployd_cluster::KubeCluster;

use crate::objects::objects;
use crate::ours::Ours;

/// Objects of the measurement: several pages of a list.
const OBJECTS: usize = 3_000;

/// The most memory that this process has had, in KiB.
fn peak() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(number.context("no VmHWM in /proc/self/status")?.trim().parse()?)
}

/// Applies again, and prints how many KiB it took.
pub(crate) async fn again(kubeconfig: &Path, namespace: &str) -> anyhow::Result<()> {
    let ours = Ours::new(kubeconfig, Vec::new())?;
    let objects = objects(OBJECTS);
    let before = peak()?;
    ours.send(&KubeCluster::default(), namespace, objects).await?;
    println!("{}", peak()?.saturating_sub(before));
    Ok(())
}

/// Applies many objects, and measures applying them again: the fact and its name.
pub(crate) async fn measure(kubeconfig: &Path) -> anyhow::Result<(&'static str, String)> {
    let namespace = format!("bench-{}-memory", std::process::id());
    let ours = Ours::new(kubeconfig, objects(OBJECTS))?;
    ours.begin(&namespace).await?;
    ours.apply(&namespace).await?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("again").arg(kubeconfig).arg(&namespace).stderr(Stdio::inherit());
    let output = command.output().context("applying again can't be run")?;
    ensure!(output.status.success(), "applying again ended with {}", output.status);
    ours.end(&namespace).await?;
    let taken: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let name = "memory for 3,000 objects of which none has changed, beside themselves";
    Ok((name, format!("{:.1} MiB", taken as f64 / 1024.0)))
}
