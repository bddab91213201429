//! What a daemon has compiled of its plugins, kept for the daemons of other tests:
//! to compile those of the sample takes longer than most tests do.
//!
//! Names of files in the daemon's cache say what was compiled of what and how, so
//! that what is kept can never be wrong, only of no use. `demo::` and whoever
//! starts a daemon without [`give`] compiles for itself.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// What is kept, for this and for later runs.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// Gives a daemon that has not been started yet what is kept.
pub(crate) fn give(data: &Path) {
    copy(&kept(), &data.join("cache"));
}

/// Keeps what a daemon has compiled, running or not.
pub(crate) fn keep(data: &Path) {
    copy(&data.join("cache"), &kept());
}

/// The turn of a test to compile for all others. Where nothing is kept yet, one test
/// has it until it drops this, and the others wait; then nobody does.
pub(crate) async fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    (!kept().exists()).then_some(turn)
}

/// Copies the files that are not there yet, each as a whole or not at all. Others
/// write to both folders, or take them away, at the same time: what can't be copied
/// is compiled once more.
fn copy(from: &Path, to: &Path) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(entries) = fs::read_dir(from) else { return };
    // As the daemon wants it: what is in there is run as it is found.
    if fs::DirBuilder::new().recursive(true).mode(0o700).create(to).is_err() {
        return;
    }
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        // What is being written, and how often something was used.
        let passing =
            target.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
                ["wip", "new", "stats"].iter().any(|one| extension.starts_with(one))
            });
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy(&entry.path(), &target);
        } else if !passing && !target.exists() {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let beside = to.join(format!("{}-{number}.new", std::process::id()));
            let _ = fs::copy(entry.path(), &beside).and_then(|_| fs::rename(&beside, &target));
        }
    }
}
