//! Where the daemon keeps things: the system's directories, or the user's own.
//!
//! The system daemon believes what systemd says (`STATE_DIRECTORY` and its like) and falls back on the
//! fixed places of the package. User mode, root included, follows the XDG base directories.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Returns whether every user of this host may read or change what is to be a secret.
pub(crate) fn is_open(secret: &Metadata) -> bool {
    secret.mode() & 0o007 != 0
}

/// Whether the daemon serves the host or one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    System,
    User,
}

/// The directories of one daemon; none of them need exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Holds `smcpd.toml` and `smcpd.toml.d/`.
    pub(crate) config: PathBuf,
    /// Where plugins are linked unless the configuration says otherwise.
    pub(crate) plugins: PathBuf,
    /// Each plugin's own state directory lies below it, in `state/`.
    pub(crate) state: PathBuf,
    /// What can be made again: descriptions of plugins, scratch directories of probes.
    pub(crate) cache: PathBuf,
    /// Sockets.
    pub(crate) runtime: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PathsError {
    #[error("no home directory is known for this user: set HOME, or run with --system")]
    NoHome,
    #[error("`{}` belongs to another user or is open to others: remove it, or set XDG_RUNTIME_DIR", .0.display())]
    Untrusted(PathBuf),
    #[error("cannot create `{}`", path.display())]
    Create { path: PathBuf, source: io::Error },
}

impl Paths {
    /// Returns the places for `mode`, reading the environment through `environment`.
    pub(crate) fn find(
        mode: Mode,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, PathsError> {
        match mode {
            Mode::System => {
                let given = |name, fallback: &str| {
                    environment(name)
                        // systemd gives a colon-separated list; the first is the daemon's own.
                        .and_then(|list| std::env::split_paths(&list).next())
                        .filter(|path| path.is_absolute())
                        .unwrap_or_else(|| PathBuf::from(fallback))
                };
                let state = given("STATE_DIRECTORY", "/var/lib/smcp");
                Ok(Self {
                    config: given("CONFIGURATION_DIRECTORY", "/etc/smcp"),
                    plugins: state.join("plugins"),
                    state,
                    cache: given("CACHE_DIRECTORY", "/var/cache/smcp"),
                    runtime: given("RUNTIME_DIRECTORY", "/run/smcp"),
                })
            }
            Mode::User => {
                let user = directories::ProjectDirs::from("", "", "smcp").ok_or(PathsError::NoHome)?;
                let runtime = match user.runtime_dir() {
                    Some(directory) => directory.to_owned(),
                    None => PathBuf::from(format!("/tmp/smcp-{}", rustix::process::getuid().as_raw())),
                };
                Ok(Self {
                    config: user.config_dir().to_owned(),
                    plugins: user.data_dir().join("plugins"),
                    state: user.state_dir().unwrap_or_else(|| user.data_local_dir()).to_owned(),
                    cache: user.cache_dir().to_owned(),
                    runtime,
                })
            }
        }
    }

    /// Returns the working directory of calls of `plugin`.
    pub(crate) fn plugin_state(&self, plugin: &str) -> PathBuf {
        self.state.join("state").join(plugin)
    }
}

/// Creates `directory` and its parents for this user alone; one that exists is left as it is.
pub(crate) fn create_private(directory: &Path) -> Result<(), PathsError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| PathsError::Create { path: directory.to_owned(), source })
}

/// Creates the runtime directory; where it lies in a place open to all, refuses one that is not ours alone.
pub(crate) fn create_runtime(directory: &Path) -> Result<(), PathsError> {
    create_private(directory)?;
    if directory.starts_with("/tmp") {
        let found = fs::symlink_metadata(directory)
            .map_err(|source| PathsError::Create { path: directory.to_owned(), source })?;
        let ours = found.uid() == rustix::process::getuid().as_raw();
        if !found.is_dir() || !ours || found.mode() & 0o077 != 0 {
            return Err(PathsError::Untrusted(directory.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_daemon_believes_systemd_and_else_takes_the_packages_places() {
        let bare = Paths::find(Mode::System, |_| None).unwrap();
        assert_eq!(bare.plugins, Path::new("/var/lib/smcp/plugins"));
        assert_eq!(bare.config, Path::new("/etc/smcp"));
        let given = Paths::find(Mode::System, |name| match name {
            "STATE_DIRECTORY" => Some("/srv/state:/srv/other".into()),
            "CACHE_DIRECTORY" => Some("relative".into()),
            _ => None,
        })
        .unwrap();
        assert_eq!(given.plugin_state("devops"), Path::new("/srv/state/state/devops"));
        assert_eq!(given.cache, Path::new("/var/cache/smcp"));
    }

    #[test]
    fn a_runtime_directory_that_others_may_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        let ours = parent.path().join("ours");
        create_runtime(&ours).unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(create_runtime(&ours), Err(PathsError::Untrusted(_))));
    }
}
