//! Which files the daemon can open: Landlock.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};

use super::{ConfineError, Lock};

/// The rights that are taken away where a kernel knows them: files and folders,
/// and nothing of networks, which the daemon is there for.
const RIGHTS: ABI = ABI::V5;

/// What name resolution and TLS read, on the systems that we know. What is not
/// there is left out.
const NAMES_AND_CERTIFICATES: &[&str] = &[
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    // Modules of name resolution are libraries.
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// What `/etc/resolv.conf` is a link to; its folder, because the file is
/// replaced whenever the network changes.
const RESOLVERS: &[&str] = &["/run/NetworkManager", "/run/resolvconf", "/run/systemd/resolve"];

/// What runtimes ask the kernel, about this process and the machine.
const KERNEL: &[&str] = &[
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
];

const DEVICES: &[&str] = &["/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// The files that stay within reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// To be read and written, with all that is below them. They must be there.
    write: BTreeSet<PathBuf>,
    /// To be read. They must be there.
    read: BTreeSet<PathBuf>,
    /// To be read where they are there.
    read_if_there: BTreeSet<PathBuf>,
    /// Where an empty folder can be removed: what removes a temporary one needs.
    remove_below: Option<PathBuf>,
}

impl Reach {
    /// A daemon that keeps its state here.
    pub(crate) fn daemon(data: &Path) -> Self {
        let system = [NAMES_AND_CERTIFICATES, RESOLVERS, KERNEL].concat();
        Self {
            write: [data.to_owned()].into(),
            read: BTreeSet::new(),
            read_if_there: system.into_iter().map(PathBuf::from).collect(),
            remove_below: None,
        }
    }

    /// A process that writes compiled plugins here.
    pub(super) fn compiler(cache: &Path) -> Self {
        Self {
            write: [cache.to_owned()].into(),
            read: BTreeSet::new(),
            read_if_there: KERNEL.iter().map(PathBuf::from).collect(),
            remove_below: None,
        }
    }

    /// With what the operator names as well.
    pub(crate) fn and(mut self, read: &[PathBuf], write: &[PathBuf]) -> Self {
        self.read.extend(read.iter().cloned());
        self.write.extend(write.iter().cloned());
        self
    }

    /// With the right to remove the (empty) folder of the state in the end.
    pub(crate) fn and_itself_removed(mut self, data: &Path) -> Self {
        self.remove_below = data.parent().map(Path::to_owned);
        self
    }

    /// With a file that is read where it is there.
    pub(crate) fn and_if_there(mut self, read: impl Into<PathBuf>) -> Self {
        self.read_if_there.insert(read.into());
        self
    }
}

/// Takes everything else away from this thread and those that it starts.
pub(super) fn restrict(reach: &Reach) -> Result<Lock, ConfineError> {
    let all = AccessFs::from_all(RIGHTS);
    // Nothing may be executed, so nothing need be readable for that.
    let read = AccessFs::from_read(RIGHTS) & !AccessFs::Execute;
    let write = all & !AccessFs::Execute;
    let mut rules = Ruleset::default().handle_access(all)?.create()?;
    for (paths, rights) in [(&reach.write, write), (&reach.read, read)] {
        for path in paths {
            let opened = PathFd::new(path).map_err(|error| not_there(path, error))?;
            rules = rules.add_rule(beneath(opened, path, rights))?;
        }
    }
    for path in &reach.read_if_there {
        if let Ok(opened) = PathFd::new(path) {
            rules = rules.add_rule(beneath(opened, path, read))?;
        }
    }
    if let Some(path) = &reach.remove_below {
        let opened = PathFd::new(path).map_err(|error| not_there(path, error))?;
        rules = rules.add_rule(PathBeneath::new(opened, AccessFs::RemoveDir))?;
    }
    for path in DEVICES.iter().map(Path::new) {
        if let Ok(opened) = PathFd::new(path) {
            rules = rules.add_rule(beneath(opened, path, write))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Lock::Holds,
        RulesetStatus::PartiallyEnforced => Lock::InPart,
        RulesetStatus::NotEnforced => Lock::Missing,
    })
}

/// A rule for a path; a file has fewer rights than a folder.
fn beneath(opened: PathFd, path: &Path, rights: BitFlags<AccessFs>) -> PathBeneath<PathFd> {
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(RIGHTS) };
    PathBeneath::new(opened, rights)
}

fn not_there(path: &Path, error: PathFdError) -> ConfineError {
    let source = match error {
        PathFdError::OpenCall { source, .. } => source,
        other => io::Error::other(other),
    };
    ConfineError::Path { path: path.to_owned(), source }
}

/// Whether this kernel has Landlock, switched on.
pub(super) fn offered() -> Lock {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(Ruleset::create);
    match rules {
        Ok(_) => Lock::Holds,
        Err(_)
            if Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessFs::from_all(ABI::V1))
                .and_then(Ruleset::create)
                .is_ok() =>
        {
            Lock::InPart
        }
        Err(_) => Lock::Missing,
    }
}
