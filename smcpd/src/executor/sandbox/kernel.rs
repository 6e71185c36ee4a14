//! What of a sandbox the running kernel offers.

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};

/// What a kernel may lack, with the version that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    Files,
    Calls,
    Ports,
    Signals,
}

impl Feature {
    /// The plugin is not started without it where the sandbox is required.
    pub(crate) fn is_required(self) -> bool {
        match self {
            Self::Files | Self::Calls => true,
            Self::Ports | Self::Signals => false,
        }
    }
}

impl std::fmt::Display for Feature {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Files => "rules for files (Landlock, Linux 5.13)",
            Self::Calls => "filter of system calls (seccomp)",
            Self::Ports => "rules for ports (Landlock, Linux 6.7)",
            Self::Signals => "rules for signals (Landlock, Linux 6.12)",
        })
    }
}

/// Returns what this kernel lacks.
pub(crate) fn missing() -> Vec<Feature> {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let offered = [
        (Feature::Files, strict().handle_access(AccessFs::from_all(ABI::V1)).is_ok()),
        (Feature::Calls, rustix::thread::secure_computing_mode().is_ok()),
        (Feature::Ports, strict().handle_access(AccessNet::ConnectTcp).is_ok()),
        (Feature::Signals, strict().scope(Scope::Signal).is_ok()),
    ];
    offered.into_iter().filter(|(_, offered)| !offered).map(|(feature, _)| feature).collect()
}
