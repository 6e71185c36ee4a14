//! System calls that no plugin needs, and that have undone many a sandbox: seccomp.

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{Feature, Sandbox, SandboxError};
use crate::config::Network;

/// Refused with `EPERM`, to whomever.
const REFUSED: [libc::c_long; 49] = [
    // Other processes' memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The file system's shape, and ways around it.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    // Namespaces, and what they open of the kernel.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Keys of the kernel's rings, which its user shares.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // A second way to make system calls, which no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

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
        REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
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
