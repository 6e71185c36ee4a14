//! System calls that no plugin needs, and that have undone many a sandbox: seccomp.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{Feature, Sandbox, SandboxError};
use crate::config::Network;

/// Numbers with their names, which are said once.
macro_rules! calls {
    ($($name:ident),* $(,)?) => {
        [$((libc::$name, stringify!($name))),*]
    };
}

/// Refused with `EPERM`, to whomever.
const REFUSED: [(libc::c_long, &str); 49] = calls![
    // Other processes' memory.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_getfd,
    // The file system's shape, and ways around it.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_fanotify_init,
    // Namespaces, and what they open of the kernel.
    SYS_unshare,
    SYS_setns,
    // The kernel itself.
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_syslog,
    SYS_acct,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_vhangup,
    // Keys of the kernel's rings, which its user shares.
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    // A second way to make system calls, which no filter sees.
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
];

/// The names of the calls that are refused, as `strace` has them.
pub(crate) fn refused_calls() -> impl Iterator<Item = &'static str> {
    REFUSED.iter().map(|(_, name)| name.trim_start_matches("SYS_"))
}

/// Kinds of sockets that do not leave the host. The kernel compares an `int`.
const LOCAL: [libc::c_int; 2] = [libc::AF_UNIX, libc::AF_NETLINK];

pub(super) fn confine(sandbox: &Sandbox) -> Result<(), SandboxError> {
    if rustix::thread::secure_computing_mode().is_err() {
        return match sandbox.required {
            true => Err(SandboxError::Missing(Feature::Calls)),
            false => Ok(()),
        };
    }
    Ok(seccompiler::apply_filter(&program(&sandbox.network)?)?)
}

fn program(network: &Network) -> Result<BpfProgram, Error> {
    let mut rules: std::collections::BTreeMap<_, _> =
        REFUSED.into_iter().map(|(call, _)| (call, Vec::new())).collect();
    if *network == Network::None {
        let is_not = |kind: libc::c_int| {
            SeccompCondition::new(
                0,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Ne,
                u64::from(kind.unsigned_abs()),
            )
        };
        let conditions = LOCAL.into_iter().map(is_not).collect::<Result<_, _>>()?;
        rules.insert(libc::SYS_socket, vec![SeccompRule::new(conditions)?]);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_a_program_that_this_machine_can_run() {
        let networks = [Network::Any, Network::Ports(vec![443]), Network::None];
        let lengths = networks.map(|network| program(&network).unwrap().len());
        assert_eq!(lengths[0], lengths[1]);
        assert!(lengths[2] > lengths[0]);
    }
}
