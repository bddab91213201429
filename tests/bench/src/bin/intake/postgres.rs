//! PostgreSQL as it comes: a row per transaction, by its own pgbench, whose
//! clients are written in C and speak a binary protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{BLOCK, CONNECTIONS};

/// What a row holds: as much as one of our requests.
const TABLE: &str = "create table intake (id bigserial primary key, request jsonb not null, at timestamptz not null default now())";

const INSERT: &str = "\\set number random(1, 1000000000)
insert into intake (request) values (json_build_object('repository', 'registry.example.com/intake/1', 'digest', 'sha256:0000000000000000000000000000000000000000000000000000000000000000', 'ref', 'refs/heads/main', 'commit', :number::bigint)::jsonb);
";

pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
}

impl Postgres {
    pub(crate) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("postgresql");
        fs::create_dir(&folder)?;
        fs::write(folder.join("insert.sql"), INSERT)?;
        let postgres = Self { programs: programs.to_owned(), folder };
        // It refuses to be root.
        let owner = Command::new("chown").arg("-R").arg("postgres").arg(&postgres.folder).status();
        ensure!(owner.is_ok_and(|status| status.success()), "there is no user postgres");
        let above = postgres.folder.parent().context("no folder")?;
        ensure!(Command::new("chmod").arg("755").arg(above).status()?.success(), "chmod");
        let data = postgres.folder.join("data");
        postgres.run("initdb", &["--auth=trust", "--no-instructions", "-D", text(&data)?])?;
        let socket = format!("-c listen_addresses='' -k {}", postgres.folder.display());
        let log = postgres.folder.join("log");
        postgres.run(
            "pg_ctl",
            &["start", "-w", "-D", text(&data)?, "-o", &socket, "-l", text(&log)?],
        )?;
        postgres.run("psql", &["-h", text(&postgres.folder)?, "-d", "postgres", "-c", TABLE])?;
        let fsync = postgres.ask("show fsync")?;
        ensure!(fsync == "on", "fsync is {fsync}");
        Ok(postgres)
    }

    /// Rows per second.
    pub(crate) fn block(&self) -> anyhow::Result<f64> {
        let clients = CONNECTIONS.to_string();
        let seconds = BLOCK.as_secs().to_string();
        let script = self.folder.join("insert.sql");
        let folder = text(&self.folder)?;
        let said = self.run(
            "pgbench",
            &[
                "-n",
                "-M",
                "prepared",
                "-c",
                &clients,
                "-j",
                "2",
                "-T",
                &seconds,
                "-f",
                text(&script)?,
                "-h",
                folder,
                "postgres",
            ],
        )?;
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|tps| tps.split(' ').next()).context("pgbench says no tps")?;
        Ok(tps.parse()?)
    }

    pub(crate) fn version(&self) -> anyhow::Result<String> {
        self.ask("show server_version")
    }

    fn ask(&self, query: &str) -> anyhow::Result<String> {
        let folder = text(&self.folder)?;
        let said = self.run("psql", &["-h", folder, "-d", "postgres", "-At", "-c", query])?;
        Ok(said.trim().to_owned())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("setpriv");
        command
            .current_dir(&self.folder)
            .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"])
            .arg(self.programs.join(program))
            .args(arguments);
        // A server that goes on must not hold our ends of pipes.
        let log = fs::File::create(self.folder.join(format!("{program}.log")))?;
        let status = command.stdout(log.try_clone()?).stderr(log).status()?;
        let said = fs::read_to_string(self.folder.join(format!("{program}.log")))?;
        ensure!(status.success(), "{program}: {said}");
        Ok(said)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.folder.join("data");
        if let Ok(data) = text(&data) {
            let _ = self.run("pg_ctl", &["stop", "-m", "immediate", "-D", data]);
        }
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}
