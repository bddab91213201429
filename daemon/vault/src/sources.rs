//! The places that links lead to, as far as the daemon's settings allow them.

mod env;
mod file;
mod kv;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::SecretSource;
use deployd_core::secret::{Link, LinkKind, SecretValue};

pub use env::EnvSource;
pub use file::FileSource;
pub use kv::{KvAddress, KvError, KvSource, KvToken};

/// The largest value: what a Kubernetes Secret can hold.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// How long looking up a value may take. A plugin that reveals one waits for at
/// most 10 s, and is to learn why it gets none.
const LOOK_UP_WALL: Duration = Duration::from_secs(8);

/// All kinds of places that are set up. Nothing is remembered between uses: a
/// value that was changed there counts at once, and none stays in memory.
#[derive(Default, Clone)]
pub struct Sources {
    known: BTreeMap<LinkKind, Arc<dyn SecretSource>>,
}

impl Sources {
    /// With another kind of place.
    #[must_use]
    pub fn with(mut self, kind: LinkKind, source: Arc<dyn SecretSource>) -> Self {
        self.known.insert(kind, source);
        self
    }

    fn of(&self, link: &Link) -> Result<&Arc<dyn SecretSource>, Fault> {
        self.known.get(&link.kind()).ok_or_else(|| {
            let setting = match link.kind() {
                LinkKind::File => "secrets.files",
                LinkKind::Env => "secrets.environment",
                LinkKind::Kubernetes => "secrets.kubernetes",
                LinkKind::Vault => "secrets.vault",
            };
            let message =
                format!("the daemon's settings have no {setting}; set it, and start again");
            Fault::denied("secret-source-not-set-up", message)
        })
    }

    pub(crate) fn allows(&self, link: &Link) -> Result<(), Fault> {
        self.of(link)?.allows(link)
    }

    /// The value that is there now. What was allowed when the link was made need
    /// not be any more: it is asked again.
    pub(crate) async fn read(&self, link: &Link) -> Result<SecretValue, Fault> {
        let source = self.of(link)?;
        source.allows(link)?;
        let value =
            tokio::time::timeout(LOOK_UP_WALL, source.read(link)).await.map_err(|_| {
                let seconds = LOOK_UP_WALL.as_secs();
                Fault::transient("secret-source-timeout", format!("no answer within {seconds} s"))
            })??;
        match value.expose().len() {
            0 => Err(Fault::invalid("secret-empty", "the value is empty; put one there")),
            1..=VALUE_BYTES_MAX => Ok(value),
            bytes => {
                let message =
                    format!("it has {bytes} bytes, and at most {VALUE_BYTES_MAX} are allowed");
                Err(Fault::invalid("secret-too-large", message))
            }
        }
    }
}

/// A link that came to the wrong place.
fn wrong_place(link: &Link) -> Fault {
    Fault::bug("internal", format!("{} links do not lead here", link.kind().as_str()))
}
