//! A real PostgreSQL server for tests: in a folder of its own, on a free port of
//! the loopback interface, and gone when the process that started it is gone,
//! however that ended.
//!
//! Debian's package `postgresql-15` has the programs; `cargo xtask test`
//! installs it. `DEPLOYD_POSTGRESQL` names another folder of programs. The
//! server refuses to be root, so where we are, it runs as the user `postgres`.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io};

/// The account that may do everything.
pub const SUPERUSER: &str = "postgres";
/// Its password, when it comes over TCP.
pub const PASSWORD: &str = "s3cr3t-of-the-admin";

/// Where Debian has the programs, a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long a server may take to start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a start is tried: between finding a free port and taking it,
/// somebody else may.
const TRIES: u32 = 5;

/// Ends the server when our end of the pipe is closed, as it is when we are gone.
const GUARD: &str = r#"
"$1/postgres" -D "$2/data" & server=$!
cat > "$2/guard"
kill -INT $server
wait $server
cd /
rm -rf "$2"
"#;

/// How a server is set up.
#[derive(Default)]
pub struct Options<'a> {
    /// A certificate and its key, both in PEM.
    pub tls: Option<(&'a str, &'a str)>,
    /// Lines of `postgresql.conf`.
    pub settings: &'a str,
    /// Lines of `pg_hba.conf`, before those that ask everybody for SCRAM.
    pub access: &'a str,
    /// Whether it waits for a primary for ever, and is read-only meanwhile.
    pub standby: bool,
}

/// A server that runs.
pub struct Server {
    guard: Child,
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Starts one, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When the programs are not there, or it does not start; what it said is in
    /// the message.
    pub fn start(options: &Options<'_>) -> io::Result<Self> {
        let programs = programs()?;
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::try_start(&programs, options) {
                Ok(server) => return Ok(server),
                Err(error) if tried == TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn try_start(programs: &Path, options: &Options<'_>) -> io::Result<Self> {
        let folder = folder()?;
        let data = folder.join("data");
        fs::write(folder.join("password"), PASSWORD)?;
        give_to_its_user(&folder)?;
        let mut initdb = command(programs, "initdb");
        initdb
            .args(["--username", SUPERUSER, "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--no-instructions", "--auth-local=trust", "--auth-host=scram-sha-256", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", folder.join("password").display()));
        succeeded(&initdb.current_dir(&folder).output()?, "initdb")?;

        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut settings =
            fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?;
        writeln!(
            settings,
            "listen_addresses = '127.0.0.1'\nport = {port}\n\
             unix_socket_directories = '{}'\nfsync = off\nshared_buffers = 16MB\n\
             autovacuum = off\nfull_page_writes = off\njit = off\n\
             logging_collector = off\n{}",
            folder.display(),
            options.settings
        )?;
        if let Some((certificate, key)) = options.tls {
            for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
                fs::write(data.join(name), pem)?;
                fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o600))?;
            }
            writeln!(settings, "ssl = on")?;
        }
        if options.standby {
            fs::write(data.join("standby.signal"), "")?;
        }
        let access = fs::read_to_string(data.join("pg_hba.conf"))?;
        fs::write(data.join("pg_hba.conf"), format!("{}\n{access}", options.access))?;
        give_to_its_user(&folder)?;

        let log = fs::File::create(folder.join("log"))?;
        let guard = command(Path::new("/bin"), "sh")
            .args(["-c", GUARD, "guard"])
            .args([programs, &folder])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { guard, programs: programs.to_owned(), folder, port };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["--quiet", "--host=127.0.0.1"])
                .arg(format!("--port={}", self.port))
                .status()?;
            if ready.success() {
                return Ok(());
            }
            let log = self.log();
            // What it tells us when we ask too early is no failure.
            let fatal = |line: &str| line.contains("FATAL") && !line.contains("is starting up");
            if log.lines().any(fatal) || begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("the server does not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its files.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What a statement gives the superuser: a line for each row, `|` between
    /// values.
    ///
    /// # Errors
    ///
    /// When the server refuses it; what it said is in the message.
    pub fn sql(&self, database: &str, statement: &str) -> io::Result<String> {
        let mut psql = self.psql();
        psql.args(["--username", SUPERUSER, "--dbname", database, "--command", statement])
            .arg("--host")
            .arg(&self.folder);
        succeeded(&psql.output()?, statement)
    }

    /// The same as somebody else, over TCP.
    ///
    /// # Errors
    ///
    /// As above, and when the password is wrong.
    pub fn sql_as(
        &self,
        (user, password): (&str, &str),
        database: &str,
        statement: &str,
    ) -> io::Result<String> {
        let mut psql = self.psql();
        psql.args(["--username", user, "--dbname", database, "--command", statement])
            .arg("--host=127.0.0.1")
            .env("PGPASSWORD", password);
        succeeded(&psql.output()?, statement)
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .arg(format!("--port={}", self.port))
            .current_dir("/")
            .stdin(Stdio::null());
        psql
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The folder of programs: the one that is named, or the newest of Debian's.
fn programs() -> io::Result<PathBuf> {
    if let Some(named) = env::var_os("DEPLOYD_POSTGRESQL") {
        return Ok(named.into());
    }
    let mut versions: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().ok_or_else(|| {
        io::Error::other(
            "no PostgreSQL server: install Debian's package postgresql-15, or name a folder of \
             its programs in DEPLOYD_POSTGRESQL",
        )
    })
}

/// A folder that nobody else has.
fn folder() -> io::Result<PathBuf> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("postgresql-{}-{number}", std::process::id()));
    fs::create_dir(&folder)?;
    Ok(folder)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Gives a folder to the server's user.
fn give_to_its_user(folder: &Path) -> io::Result<()> {
    if is_root() {
        let output = Command::new("chown").args(["-R", SUPERUSER]).arg(folder).output()?;
        succeeded(&output, "there is no user postgres")?;
    }
    Ok(())
}

/// A program, as the server's user.
fn command(folder: &Path, program: &str) -> Command {
    let program = folder.join(program);
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", SUPERUSER, "--regid", SUPERUSER, "--clear-groups", "--"]).arg(program);
    command
}

fn succeeded(output: &Output, what: &str) -> io::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{what}: {}", said.trim())))
}
