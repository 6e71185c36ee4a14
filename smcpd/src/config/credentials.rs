//! Secrets that the service manager hands over as files (systemd.exec(5), "credentials"): API keys as `smcp.key` and
//! `smcp.key.ANYTHING`, Letta's key as `smcp.letta`, the keys that seal what travels through clients as `smcp.state`, the
//! port's certificate as `smcp.tls.crt`, its key as `smcp.tls.key`, the authorities of clients as `smcp.tls.ca`, and what one
//! plugin alone finds in its environment as `smcp.plugin.NAME.VARIABLE`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{ConfigError, Secret, tls};

/// What one credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Keys,
    Letta,
    State,
    TlsCertificate,
    TlsKey,
    TlsClientCa,
    Plugin {
        name: String,
        variable: String,
    },
    /// Somebody else's.
    Other,
    Unclear,
}

/// What was handed over.
#[derive(Default)]
pub(super) struct Credentials {
    /// The names of those with keys, and the keys: one a line.
    pub(super) keys: Vec<(String, String)>,
    pub(super) plugins: Vec<Granted>,
    /// The name of the one with Letta's key, and the key.
    pub(super) letta: Option<(String, Secret)>,
    /// The name of the one with the keys of states, and the keys: one a line.
    pub(super) state: Option<(String, Secret)>,
    /// These stay files: they are read again when they change.
    pub(super) tls_certificate: tls::Passed,
    pub(super) tls_key: tls::Passed,
    pub(super) tls_client_ca: tls::Passed,
}

/// One variable of one plugin.
pub(super) struct Granted {
    pub(super) credential: String,
    pub(super) plugin: String,
    pub(super) variable: String,
    pub(super) value: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (keys, plugins) = (self.keys.len(), self.plugins.len());
        write!(
            formatter,
            "Credentials({keys} with keys, {plugins} for plugins, {:?}, {:?})",
            self.letta, self.state
        )
    }
}

/// Reads the directory of credentials, where there is one.
pub(super) fn read(directory: Option<OsString>) -> Result<Credentials, ConfigError> {
    let mut found = Credentials::default();
    let Some(directory) = directory.map(PathBuf::from).filter(|path| path.is_absolute()) else {
        return Ok(found);
    };
    let unreadable = |path: &Path, source| ConfigError::Read { path: path.to_owned(), source };
    let entries = std::fs::read_dir(&directory).map_err(|source| unreadable(&directory, source))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        let path = directory.join(&name);
        let text = || std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source));
        match purpose(&name) {
            Purpose::Other => {}
            Purpose::Keys => found.keys.push((name.clone(), text()?)),
            Purpose::Letta => found.letta = Some((name.clone(), Secret::new(text()?.trim()))),
            Purpose::State => found.state = Some((name.clone(), Secret::new(text()?))),
            Purpose::TlsCertificate => found.tls_certificate = Some((name.clone(), path)),
            Purpose::TlsKey => found.tls_key = Some((name.clone(), path)),
            Purpose::TlsClientCa => found.tls_client_ca = Some((name.clone(), path)),
            Purpose::Plugin { name: plugin, variable } => {
                let value = text()?.trim_end_matches('\n').to_owned();
                found.plugins.push(Granted { credential: name.clone(), plugin, variable, value });
            }
            Purpose::Unclear => {
                return Err(ConfigError::Refused(format!(
                    "the credential `{name}` is for nobody: write `smcp.key`, `smcp.key.ANYTHING`, `smcp.letta`, `smcp.state`, `smcp.tls.crt`, `smcp.tls.key`, `smcp.tls.ca` or `smcp.plugin.NAME.VARIABLE`"
                )));
            }
        }
    }
    Ok(found)
}

fn purpose(name: &str) -> Purpose {
    if name == "smcp.key" || name.starts_with("smcp.key.") {
        return Purpose::Keys;
    }
    if name == "smcp.letta" {
        return Purpose::Letta;
    }
    if name == "smcp.state" {
        return Purpose::State;
    }
    match name {
        "smcp.tls.crt" => return Purpose::TlsCertificate,
        "smcp.tls.key" => return Purpose::TlsKey,
        "smcp.tls.ca" => return Purpose::TlsClientCa,
        _ => {}
    }
    if !name.starts_with("smcp.") {
        return Purpose::Other;
    }
    let Some(rest) = name.strip_prefix("smcp.plugin.") else { return Purpose::Unclear };
    // A plugin's name has no dot, and a variable has none in practice.
    match rest.split_once('.') {
        Some((plugin, variable)) if !plugin.is_empty() && !variable.is_empty() && !variable.contains('=') => {
            Purpose::Plugin { name: plugin.to_owned(), variable: variable.to_owned() }
        }
        _ => Purpose::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_name_says_what_it_is_for() {
        let plugin = |name: &str, variable: &str| Purpose::Plugin {
            name: name.to_owned(),
            variable: variable.to_owned(),
        };
        for (name, expected) in [
            ("smcp.key", Purpose::Keys),
            ("smcp.key.letta", Purpose::Keys),
            ("smcp.letta", Purpose::Letta),
            ("smcp.letta.key", Purpose::Unclear),
            ("smcp.state", Purpose::State),
            ("smcp.state.key", Purpose::Unclear),
            ("smcp.tls.crt", Purpose::TlsCertificate),
            ("smcp.tls.key", Purpose::TlsKey),
            ("smcp.tls.ca", Purpose::TlsClientCa),
            ("smcp.tls", Purpose::Unclear),
            ("smcp.plugin.devops.TOKEN", plugin("devops", "TOKEN")),
            ("smcp.plugin.devops.a.b", plugin("devops", "a.b")),
            ("smcp.plugin.devops", Purpose::Unclear),
            ("smcp.plugin..X", Purpose::Unclear),
            ("smcp.plugin.x.", Purpose::Unclear),
            ("smcp.plugin.x.A=B", Purpose::Unclear),
            ("smcp.keys", Purpose::Unclear),
            ("tls.pem", Purpose::Other),
        ] {
            assert_eq!(purpose(name), expected, "{name}");
        }
    }
}
