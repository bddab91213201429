//! Which system calls are answered with "not permitted": seccomp.
//!
//! A list of what is denied, not of what is allowed: libraries use new calls
//! with each release, and a daemon that dies of one protects nobody. What is on
//! the list is needed by nothing that the daemon does.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, Error, SeccompAction, SeccompFilter, TargetArch};

use super::{ConfineError, Lock};

/// Who is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The daemon.
    Daemon,
    /// A process that compiles plugins: has no business with networks either.
    Compiler,
}

/// Denied to the daemon.
const DENIED: &[libc::c_long] = &[
    // Executing programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Looking into other processes, and taking what is theirs.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Other views of the file system, and of the machine.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    // Work for the kernel that goes past a filter of calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Parts of the kernel that holes are found in, and a daemon does not need.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    // The machine itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];

/// Denied to a compiler as well.
const DENIED_TO_COMPILERS: &[libc::c_long] = &[libc::SYS_socket, libc::SYS_io_setup];

/// On x86-64 there is a second table of calls, for programs with short
/// pointers. Where a kernel has it, each call can be made through it too:
/// under its own number with this bit, or under one of the table's own.
#[cfg(target_arch = "x86_64")]
mod short_pointers {
    pub(super) const BIT: i64 = 0x4000_0000;
    /// `ptrace`, `execve`, `kexec_load`, `process_vm_readv`, `process_vm_writev`, `execveat`.
    pub(super) const OWN: &[i64] = &[521, 520, 528, 539, 540, 545];
}

/// Takes the calls away from this thread and those that it starts.
pub(super) fn restrict(who: Who) -> Result<Lock, ConfineError> {
    let program = program(who)?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(Lock::Holds),
        // A kernel without seccomp.
        Err(Error::Prctl(error) | Error::Seccomp(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(Lock::Missing)
        }
        Err(error) => Err(error.into()),
    }
}

fn program(who: Who) -> Result<BpfProgram, ConfineError> {
    let of_compilers: &[libc::c_long] = match who {
        Who::Daemon => &[],
        Who::Compiler => DENIED_TO_COMPILERS,
    };
    let mut rules = BTreeMap::new();
    for call in DENIED.iter().chain(of_compilers) {
        rules.insert(*call, Vec::new());
        #[cfg(target_arch = "x86_64")]
        rules.insert(call | short_pointers::BIT, Vec::new());
    }
    #[cfg(target_arch = "x86_64")]
    for call in short_pointers::OWN {
        rules.insert(call | short_pointers::BIT, Vec::new());
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()?)
}

/// Whether this kernel has seccomp.
pub(super) fn offered() -> Lock {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.starts_with("Seccomp:")) {
        Lock::Holds
    } else {
        Lock::Missing
    }
}
