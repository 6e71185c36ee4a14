//! Who may change what the daemon runs.

use std::path::Path;

use smcp_control::{Finding, Severity};

use super::finding;
use crate::catalog::{Opening, Plugin, Risk};

/// What others may write, they may make the daemon run.
pub(super) fn of_path(path: &Path, code: &str, us: u32) -> Option<Finding> {
    let found = std::fs::metadata(path).ok()?;
    Risk::all_of(path, &found, us).map(|risk| of_risk(&risk, code)).min_by_key(|found| found.severity)
}

fn of_risk(risk: &Risk, code: &str) -> Finding {
    let (severity, message) = match risk.fault {
        Opening::Everyone => (Severity::Error, "everyone may write it".to_owned()),
        Opening::Group => (Severity::Warning, "its group may write it".to_owned()),
        Opening::Stranger(uid) => {
            (Severity::Note, format!("it belongs to uid {uid}, who may change what runs"))
        }
    };
    finding(code, severity, risk.path.display().to_string(), message, risk.fix())
}

/// What became of the rights since the plugin was looked at: of its entry point and its directory.
pub(super) fn of_entry(plugin: &Plugin, us: u32) -> Option<Finding> {
    let entry =
        ["cli.py", "cli"].map(|name| plugin.directory().join(name)).into_iter().find(|path| path.is_file());
    let mut paths = entry.iter().map(std::path::PathBuf::as_path).chain([plugin.directory()]);
    paths.find_map(|path| of_path(path, "plugin-open", us))
}

/// What the group of a plugin's files may change is said of the first of them.
pub(super) fn of_risks(risks: &[Risk]) -> Option<Finding> {
    let (first, rest) = risks.split_first()?;
    let message = match rest.len() {
        0 => "its group may write it".to_owned(),
        more => format!("its group may write it, and {more} more of the plugin's"),
    };
    let path = first.path.display().to_string();
    Some(finding("plugin-open", Severity::Warning, path, message, first.fix()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_worst_of_what_others_may_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p");
        fs::write(&path, "").unwrap();
        let me = rustix::process::geteuid().as_raw();
        let judged = |path: &Path, mode, us| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let found = of_path(path, "plugin-open", us)?;
            Some((found.severity, found.fix.split(' ').take(2).collect::<Vec<_>>().join(" ")))
        };
        let is = |severity, fix: &str| Some((severity, fix.to_owned()));
        assert_eq!(judged(&path, 0o644, me), None);
        assert_eq!(judged(&path, 0o646, me), is(Severity::Error, "chmod o-w"));
        assert_eq!(judged(&path, 0o666, me), is(Severity::Error, "chmod o-w"));
        assert_eq!(judged(&path, 0o664, me), is(Severity::Warning, "chmod g-w"));
        // Whoever may add a file adds a plugin.
        assert_eq!(judged(directory.path(), 0o1777, me), is(Severity::Error, "chmod o-w"));
        assert_eq!(of_path(&directory.path().join("gone"), "plugin-open", me), None);
        let stranger = Risk { path: "/p".into(), fault: Opening::Stranger(9) };
        let found = of_risk(&stranger, "plugin-open");
        assert_eq!((found.severity, found.fix.as_str()), (Severity::Note, "chown root /p"));
    }
}
