//! Databases, by a native program with the client library that most use.
//!
//! It does what the driver does: it looks, under a lock, does what is missing,
//! and notes whose it is. A connection for each database and one into it, as a
//! program has that makes one when it is asked for one.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) struct Native {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Native {
    /// For a server at this port whose certificate an authority has signed.
    pub(crate) fn new(port: u16, authority: &[u8], password: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .user("postgres")
            .password(password)
            .ssl_mode(SslMode::Require);
        Ok(Self { config, tls: MakeRustlsConnect::new(tls) })
    }

    async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        let (client, connection) = config.dbname(database).connect(self.tls.clone()).await?;
        // Ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes a database, and a role of the same name with a password of its own.
    pub(crate) async fn make(&self, name: &str) -> anyhow::Result<()> {
        let client = self.connect("postgres").await?;
        let server = "select current_setting('server_version_num')::int, pg_is_in_recovery()";
        client.query_one(server, &[]).await?;
        let lock = "select pg_advisory_lock(hashtextextended($1, 0))";
        client.query_one(lock, &[&name]).await?;
        self.look(&client, name).await?;

        let mut random = [0; 24];
        getrandom::fill(&mut random).context("a password")?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        let note = format!("{{\"deployd\": {{\"resource\": \"{name}\"}}}}");
        let make = format!(
            "begin; create role \"{name}\" login connection limit -1 password '{verifier}'; \
             comment on role \"{name}\" is '{note}'; commit"
        );
        client.batch_execute(&make).await?;
        client.batch_execute(&format!("create database \"{name}\" owner \"{name}\"")).await?;
        client.batch_execute(&format!("comment on database \"{name}\" is '{note}'")).await?;
        client.batch_execute(&format!("revoke all on database \"{name}\" from public")).await?;

        let within = self.connect(name).await?;
        let extensions = "select extname from pg_extension order by extname";
        within.query(extensions, &[]).await?;
        drop(within);
        self.look(&client, name).await
    }

    async fn look(&self, client: &Client, name: &str) -> anyhow::Result<()> {
        let role = "select rolcanlogin, rolconnlimit, shobj_description(oid, 'pg_authid'), \
                    pg_has_role(oid, 'usage') from pg_roles where rolname = $1";
        client.query_opt(role, &[&name]).await?;
        let database = "select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), \
                        datallowconn, datconnlimit, shobj_description(oid, 'pg_database'), \
                        has_database_privilege('public', oid, 'connect') \
                        from pg_database where datname = $1";
        client.query_opt(database, &[&name]).await?;
        Ok(())
    }
}
