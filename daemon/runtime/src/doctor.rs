//! `deployd doctor`: says what is wrong, and changes nothing.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use deployd_cli::args::{DoctorArgs, Format};
use deployd_cli::{Globals, Output};
use deployd_core::secret::KeyUse;
use serde::Serialize;

use crate::catalog::shipped;
use crate::daemon::{ADMIN_TOKEN, STORE};
use crate::sandbox::{self, Confined, Lock};
use crate::secrets;
use crate::settings::{SecretsSettings, Settings};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Good,
    /// Works, and is worth a look.
    Odd,
    /// Does not work.
    Wrong,
}

/// Something that was looked at.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    /// What was found, and what to do.
    message: String,
}

/// Looks at everything that the daemon needs. Ends with 1 when something does
/// not work.
pub(crate) async fn run(globals: &Globals, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let mut settings = match Settings::read(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            findings.push(wrong("settings", error.to_string()));
            Settings::default()
        }
    };
    if let Some(data) = &args.data {
        settings.data_dir.clone_from(data);
    }
    let busy = TcpListener::bind(settings.listen).is_err();
    findings.push(data_directory(&settings.data_dir));
    findings.push(store(&settings.data_dir, busy).await);
    findings.push(keys(&settings).await);
    findings.extend(places(&settings.secrets));
    findings.push(token(&settings.data_dir));
    findings.push(match busy {
        false => good("address", format!("{} is free", settings.listen)),
        true => odd(
            "address",
            format!("{} is in use: by a daemon, or by something else", settings.listen),
        ),
    });
    findings.push(plugins());
    findings.push(sandbox(settings.sandbox.enabled));
    let mut out = Output::standard(globals);
    if out.format == Format::Human {
        for finding in &findings {
            let mark = match finding.verdict {
                Verdict::Good => "good ",
                Verdict::Odd => "odd  ",
                Verdict::Wrong => "WRONG",
            };
            out.line(format!("{mark} {:<10} {}", finding.what, finding.message))?;
        }
    } else {
        out.document(&findings)?;
    }
    out.flush()?;
    let ill = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if ill { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn good(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Good, message: message.into() }
}

fn odd(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Odd, message: message.into() }
}

fn wrong(what: &'static str, message: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Wrong, message: message.into() }
}

fn data_directory(data: &Path) -> Finding {
    let shown = data.display();
    match std::fs::metadata(data) {
        Ok(folder) if !folder.is_dir() => {
            wrong("data", format!("{shown} is no directory; name another with --data"))
        }
        Ok(folder) if folder.permissions().mode() & 0o077 != 0 => {
            odd("data", format!("{shown} can be entered by others; chmod 700 it"))
        }
        Ok(_) => good("data", format!("{shown}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            good("data", format!("{shown} will be made by the first start"))
        }
        Err(error) => wrong("data", format!("{shown}: {error}")),
    }
}

async fn store(data: &Path, busy: bool) -> Finding {
    let file = data.join(STORE);
    if !file.exists() {
        return good("store", "there is none yet");
    }
    let path = file.clone();
    let verified = tokio::task::spawn_blocking(move || deployd_store::verify_file(&path)).await;
    match verified {
        Ok(Ok(report)) if report.is_sound() => good(
            "store",
            format!("{} events in {} streams, all sound", report.events, report.streams),
        ),
        Ok(Ok(report)) => wrong(
            "store",
            format!(
                "{} chains are broken and {} records damaged; restore a backup with `deployd restore`",
                report.broken.len(),
                report.damaged.len()
            ),
        ),
        Ok(Err(deployd_store::OpenError::InUse { .. })) if busy => {
            good("store", "in use by a daemon; `deployd journal verify` asks it")
        }
        Ok(Err(error)) => wrong("store", error.to_string()),
        Err(error) => wrong("store", error.to_string()),
    }
}

/// The keys of secrets: whether they can be read by others, and, when no daemon
/// has the store, whether they are those that it needs.
async fn keys(settings: &Settings) -> Finding {
    let keys = settings.secrets.keys(&settings.data_dir);
    let found = match keys.look(&secrets::environment()) {
        Ok(found) => found,
        Err(error) => return wrong("secrets", error.to_string()),
    };
    let Some(newest) = found.first() else {
        return good("secrets", "the first start makes a key");
    };
    if keys.variable.is_none()
        && std::fs::metadata(&keys.file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    {
        let file = keys.file.display();
        return odd("secrets", format!("{file} can be read by others; chmod 600 it"));
    }
    let key = format!("the newest key is {} ({})", newest.id, newest.from);
    let file = settings.data_dir.join(STORE);
    if !file.exists() {
        return good("secrets", key);
    }
    let opened = tokio::task::spawn_blocking(move || {
        deployd_store::RedbStore::open(&file, &deployd_store::StoreOptions::default())
    });
    let Ok(Ok(store)) = opened.await else {
        return good("secrets", format!("{key}; `deployd secret keys` asks a daemon that runs"));
    };
    let report = keys.report(&store, &secrets::environment()).await;
    store.close().await;
    match report {
        Err(error) => wrong("secrets", error.to_string()),
        Ok(Some(report)) if !report.settled => odd(
            "secrets",
            format!("{key}; older ones are needed until a daemon has wrapped all secrets anew"),
        ),
        Ok(Some(report)) if !report.unreadable.is_empty() => odd(
            "secrets",
            format!(
                "{key}; no key opens {}: set them anew, or restore their key and start again",
                report.unreadable.join(", ")
            ),
        ),
        Ok(report) => {
            let removable: Vec<String> = report
                .into_iter()
                .flat_map(|report| report.keys)
                .filter(|key| key.used == KeyUse::Removable)
                .map(|key| format!("{} ({})", key.id, key.from))
                .collect();
            good(
                "secrets",
                match removable.is_empty() {
                    true => key,
                    false => format!(
                        "{key}; removable, but for backups from before: {}",
                        removable.join(", ")
                    ),
                },
            )
        }
    }
}

/// Folders and files that secrets are kept in, which a daemon can only read when
/// they are there at its start.
fn places(settings: &SecretsSettings) -> Option<Finding> {
    let missing: Vec<String> = settings
        .reach()
        .iter()
        .filter(|path| !path.exists())
        .map(|path| path.display().to_string())
        .collect();
    let message = "not there, and out of a daemon's reach until it is started again:";
    (!missing.is_empty()).then(|| odd("places", format!("{message} {}", missing.join(", "))))
}

fn token(data: &Path) -> Finding {
    let file = data.join(ADMIN_TOKEN);
    match std::fs::metadata(&file) {
        Ok(known) if known.permissions().mode() & 0o077 != 0 => {
            odd("token", format!("{} can be read by others; chmod 600 it", file.display()))
        }
        Ok(known) if known.len() == 0 => {
            odd("token", format!("{} is empty; the next start makes a new one", file.display()))
        }
        Ok(_) => good("token", format!("{}", file.display())),
        Err(_) => good("token", "the first start writes one for the admin"),
    }
}

fn sandbox(enabled: bool) -> Finding {
    let Confined { files, calls } = sandbox::offered();
    let mut lacks = Vec::new();
    match files {
        Lock::Holds => {}
        Lock::InPart => {
            lacks.push("this kernel's Landlock is an old one, and confines files in part")
        }
        Lock::Missing => lacks.push(
            "this kernel has no Landlock (Linux 5.13, started with lsm=landlock): \
             a daemon can open all files of its user",
        ),
    }
    if calls != Lock::Holds {
        lacks.push("this kernel has no seccomp: a daemon could execute programs");
    }
    if !enabled {
        lacks.push("sandbox.enabled is false in the settings: a daemon is not confined at all");
    }
    if lacks.is_empty() {
        return good("sandbox", "a daemon is confined by Landlock and seccomp");
    }
    odd("sandbox", lacks.join("; "))
}

fn plugins() -> Finding {
    let ids: Vec<&str> = shipped().iter().map(|shipped| shipped.id).collect();
    if ids.is_empty() {
        return odd(
            "plugins",
            "none are in this binary; build it with `cargo xtask demo`, or push your own",
        );
    }
    good("plugins", format!("shipped: {}", ids.join(", ")))
}
