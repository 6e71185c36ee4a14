//! Where the sockets are.

use std::path::PathBuf;

/// Offers everything.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Offers tools alone, for accounts that should use them without the right to link code.
pub const CALL_SOCKET: &str = "call.sock";

const SYSTEM: &str = "/run/smcp";

/// Returns the sockets to try, in order: the user's own, then the system's. A named one is the only one.
pub fn candidates(named: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named];
    }
    let user = directories::ProjectDirs::from("", "", "smcp")
        .and_then(|user| user.runtime_dir().map(ToOwned::to_owned))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/smcp-{}", rustix::process::getuid().as_raw())));
    let system = PathBuf::from(SYSTEM);
    vec![user.join(CONTROL_SOCKET), system.join(CONTROL_SOCKET), system.join(CALL_SOCKET)]
}
