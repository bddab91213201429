//! Starts a practice cluster, writes its kubeconfig to the file named by the
//! first argument, and runs until it is interrupted.

use deployd_practice::{Practice, PracticeOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let practice = Practice::start(PracticeOptions::default()).await?;
    if let Some(file) = std::env::args().nth(1) {
        std::fs::write(file, practice.kubeconfig())?;
    }
    tokio::signal::ctrl_c().await?;
    practice.shutdown();
    Ok(())
}
