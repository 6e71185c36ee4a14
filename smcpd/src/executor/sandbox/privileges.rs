//! What root has beyond files, given up: a daemon that is root, in a container or on a desk, runs plugins too.

use rustix::io::Errno;
use rustix::process::getuid;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use super::SandboxError;

/// What reaches into other processes or the kernel, or past the bounds that were just set.
const GIVEN_UP: CapabilitySet = CapabilitySet::SYS_PTRACE
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::AUDIT_CONTROL);

/// Gives them up for good: with no new privileges, no program that is run brings them back. What a unit grants to a user
/// that is not root is the operator's word.
pub(super) fn drop_dangerous() -> Result<(), SandboxError> {
    let give_up = || -> Result<(), Errno> {
        set_no_new_privs(true)?;
        if !getuid().is_root() {
            return Ok(());
        }
        let has = capabilities(None)?;
        if (has.permitted | has.inheritable).intersects(GIVEN_UP) {
            set_capabilities(
                None,
                CapabilitySets {
                    effective: has.effective - GIVEN_UP,
                    permitted: has.permitted - GIVEN_UP,
                    inheritable: has.inheritable - GIVEN_UP,
                },
            )?;
        }
        Ok(())
    };
    give_up().map_err(|error| SandboxError::Privileges(error.into()))
}
