//! Compiled in another process, and remembered.
//!
//! What was compiled is noted beside the cache, with what the component imports
//! and exports, so that a start of the daemon asks nobody. Without its note a
//! component is compiled once more; a note without compiled code (wasmtime
//! empties its cache when that is full) means compiling in this process, what
//! is known by then to stay within the limits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deployd_core::Digest;
use deployd_core::config::PluginKind;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use super::{Answer, Supervisor};
use crate::contract::Surface;

/// The daemon's way to the other process.
#[derive(Debug)]
pub(crate) struct Apart {
    supervisor: Arc<Supervisor>,
    state: PathBuf,
}

/// What is known of a component that was compiled.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    surface: Surface,
}

impl Apart {
    pub(crate) fn new(supervisor: Arc<Supervisor>, state: &Path) -> Self {
        Self { supervisor, state: state.to_owned() }
    }

    /// What is known of a component that was compiled before, by this wasmtime
    /// with this configuration.
    pub(crate) fn known(&self, engine: &Engine, digest: Digest) -> Option<Surface> {
        let note = std::fs::read(self.note(engine, digest)).ok()?;
        serde_json::from_slice::<Note>(&note).ok().map(|note| note.surface)
    }

    /// Has it compiled. Blocks.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        digest: Digest,
        kind: PluginKind,
        component: &[u8],
    ) -> Answer {
        let answer = self.supervisor.compile(&self.state, kind, component);
        if let Answer::Compiled(surface) = &answer
            && let Err(error) = self.remember(engine, digest, surface)
        {
            // Costs another compilation at the next start, and nothing else.
            tracing::warn!(%error, "what was compiled can't be noted");
        }
        answer
    }

    fn remember(&self, engine: &Engine, digest: Digest, surface: &Surface) -> std::io::Result<()> {
        let path = self.note(engine, digest);
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let note = serde_json::to_vec(&Note { surface: surface.clone() })?;
        let beside = path.with_extension("new");
        std::fs::write(&beside, note)?;
        std::fs::rename(beside, path)
    }

    fn note(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name = format!("{}-{:016x}.json", hex(digest), hasher.finish());
        self.state.join("cache").join("compiled").join(name)
    }
}

/// A digest as a file's name.
fn hex(digest: Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
