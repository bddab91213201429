//! PostgreSQL with TLS, and BIND.

use std::path::Path;

use anyhow::Context as _;
use fixtures::bind::{Pair, ZONE};
use postgresql_server::{Options, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

pub(crate) struct Servers {
    pub(crate) postgresql: Server,
    pub(crate) dns: Pair,
    /// Who has signed PostgreSQL's certificate, in PEM.
    pub(crate) authority: String,
}

impl Servers {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        let key = key.serialize_pem();
        let tls = Some((certificate.as_str(), key.as_str()));
        let postgresql = Server::start(&Options { tls, ..Options::default() })?;
        Ok(Self { postgresql, dns: Pair::start(&folder.join("dns"))?, authority })
    }

    /// A database and its role, as far as a workload can tell.
    pub(crate) fn description(&self, database: &str) -> anyhow::Result<String> {
        let statement = format!(
            "select d.datname, r.rolname, r.rolcanlogin, r.rolconnlimit, d.datacl, \
             shobj_description(d.oid, 'pg_database') is not null, \
             shobj_description(r.oid, 'pg_authid') is not null, \
             (select left(rolpassword, 14) from pg_authid a where a.oid = r.oid) \
             from pg_database d join pg_roles r on r.oid = d.datdba where d.datname = '{database}'"
        );
        let described = self.postgresql.sql("postgres", &statement)?;
        anyhow::ensure!(!described.is_empty(), "there is no database {database}");
        Ok(described)
    }

    /// The addresses of a name of the zone.
    pub(crate) fn records(&self, host: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.dns.primary.dig(&[&format!("{host}.{ZONE}"), "A"])?)
    }

    /// Takes databases and roles away. Names may stay: each has a number of its own.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        let lines = |statement: &str| -> anyhow::Result<Vec<String>> {
            let told = self.postgresql.sql("postgres", statement)?;
            Ok(told.lines().map(str::to_owned).collect())
        };
        let ours =
            "select datname from pg_database where datname <> 'postgres' and not datistemplate";
        for database in lines(ours)? {
            let drop = format!("drop database \"{database}\" with (force)");
            self.postgresql.sql("postgres", &drop).context(database)?;
        }
        for role in lines("select rolname from pg_roles where rolname !~ '^(pg_|postgres$)'")? {
            self.postgresql.sql("postgres", &format!("drop role \"{role}\""))?;
        }
        Ok(())
    }
}
