//! The shipped drivers in the daemon's own host, through its way out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bench::host::{read_all, register_with, scope};
use deployd_core::config::{CaSource, Grant, HostGrant};
use deployd_core::ports::{Call, CallLog, DriverRequest, Drivers as _, PluginRef, Progress};
use deployd_egress::{Broker, System};
use deployd_host::{Backoff, HostOptions, PluginHost};
use fixtures::bind::{KEYS, ZONE};
use postgresql_server::PASSWORD;
use serde_json::{Value, json};

use crate::servers::Servers;
use crate::vault::{MemoryVault, NoJournal};

pub(crate) struct Ours {
    host: PluginHost,
    postgres: PluginRef,
    dns: PluginRef,
    database_port: u16,
    dns_port: u16,
    _state: tempfile::TempDir,
}

fn granted(scheme: &str, port: u16, ca: Option<&str>, secret: (&str, &str)) -> Grant {
    let host = HostGrant {
        host: "127.0.0.1".into(),
        port,
        scheme: scheme.into(),
        private_address: true,
        ca: ca.map(|pem| CaSource { pem: Some(pem.to_owned()), secret: None }),
        ..HostGrant::default()
    };
    Grant {
        hosts: vec![host],
        secrets: [(secret.0.to_owned(), secret.1.to_owned())].into(),
        reveal: vec![secret.0.to_owned()],
        ..Grant::default()
    }
}

impl Ours {
    pub(crate) async fn start(plugins: &Path, servers: &Servers) -> anyhow::Result<Self> {
        let vault = Arc::new(MemoryVault::default());
        vault.set("database-admin", PASSWORD)?;
        vault.set("zone-key", KEYS[0].2)?;
        let state = tempfile::tempdir()?;
        let second = Duration::from_secs(1);
        let host = PluginHost::new(HostOptions {
            state_dir: state.path().to_owned(),
            vault: vault.clone(),
            audit: Arc::new(NoJournal),
            egress: Some(Arc::new(Broker::new(Arc::new(System), vault))),
            backoff: Backoff { first: second, longest: second },
            compiler: None,
        })?;
        let shipped = read_all(plugins)?;
        let load = async |id: &str, grant: &Grant| {
            let one = shipped.get(id).with_context(|| format!("no plugin {id}"))?;
            register_with(&host, id, one, grant).await
        };
        let (database, dns) = (servers.postgresql.port(), servers.dns.primary.port);
        let authority = Some(servers.authority.as_str());
        let admin = ("admin", "database-admin");
        let postgres = load("postgres", &granted("tls", database, authority, admin)).await?;
        let key = granted("tcp", dns, None, ("zone-key", "zone-key"));
        Ok(Self {
            postgres,
            dns: load("dns-rfc2136", &key).await?,
            host,
            database_port: database,
            dns_port: dns,
            _state: state,
        })
    }

    pub(crate) async fn database(&self, number: usize) -> anyhow::Result<()> {
        let name = format!("deployd_{number}");
        let inputs = json!({
            "host": "127.0.0.1", "port": self.database_port, "admin_password": "admin",
            "name": name, "username": name,
        });
        self.provision(&self.postgres, "postgres", number, inputs).await
    }

    pub(crate) async fn name(&self, number: usize) -> anyhow::Result<()> {
        let inputs = json!({
            "server": "127.0.0.1", "port": self.dns_port, "zone": ZONE,
            "key": {"name": KEYS[0].0, "secret": "zone-key"},
            "name": format!("deployd-{number}.{ZONE}"), "records": {"A": ["192.0.2.10"]},
        });
        self.provision(&self.dns, "dns", number, inputs).await
    }

    async fn provision(
        &self,
        plugin: &PluginRef,
        kind: &str,
        number: usize,
        inputs: Value,
    ) -> anyhow::Result<()> {
        let request = DriverRequest {
            uid: format!("{kind}-{number}"),
            resource_type: kind.into(),
            class: "default".into(),
            id: format!("{kind}-{number}"),
            params: json!({}),
            inputs,
            state: None,
            idempotency_key: format!("{kind}-{number}"),
        };
        let (scope, log) = (scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let mut token = None;
        loop {
            let progress = self.host.provision(call, &request, token.as_deref()).await;
            match progress.map_err(|fault| anyhow!("{fault}"))? {
                Progress::Done(_) => return Ok(()),
                Progress::Pending { token: next, poll_after_ms, .. } => {
                    token = Some(next);
                    tokio::time::sleep(Duration::from_millis(poll_after_ms)).await;
                }
            }
        }
    }
}
