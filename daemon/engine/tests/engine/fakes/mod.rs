//! The outside of the engine, small and faithful. Everything is kept in the
//! [`World`](crate::world::World), which outlives crashes of the engine; an
//! [`Instance`] is one life of a process, and may end at any of its points.

pub mod catalog;
pub mod checks;
pub mod cluster;
pub mod drivers;
pub mod environment;
pub mod life;
pub mod notifiers;
pub mod pods;
pub mod policies;
pub mod programs;
pub mod receivers;
pub mod rehearsals;
pub mod repositories;
pub mod store;
pub mod strategies;
pub mod strikes;
pub mod templaters;
pub mod vault;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use deployd_core::ports::PluginRef;
use deployd_engine::Ports;

use self::life::Life;
use crate::world::World;

/// One life of a process: what it does, it does in the world.
#[derive(Clone)]
pub struct Instance {
    pub world: Arc<World>,
    pub life: Life,
    /// Plugins that this life has loaded.
    pub loaded: Arc<Mutex<BTreeSet<PluginRef>>>,
}

impl Instance {
    pub fn ports(&self) -> Ports {
        let this = Arc::new(self.clone());
        Ports {
            store: this.clone(),
            vault: this.clone(),
            vault_admin: this.clone(),
            catalog: this.clone(),
            drivers: this.clone(),
            templaters: this.clone(),
            strategies: this.clone(),
            checks: this.clone(),
            notifiers: this.clone(),
            receivers: this.clone(),
            policies: this.clone(),
            issuers: this.clone(),
            attestations: this.clone(),
            registries: this.clone(),
            references: this.clone(),
            repositories: this.clone(),
            forges: this.clone(),
            cluster: this.clone(),
            sender: this.clone(),
            clock: this.clone(),
            random: this.clone(),
            rehearsals: this,
        }
    }
}
