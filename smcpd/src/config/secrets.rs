//! `[plugin.NAME.secrets]`: variables of one plugin whose values stand in files, and the values that are shown nowhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::Key;
use super::{ConfigError, Letta, Plugin};
use crate::paths;
use crate::redact::{self, Redactor};

/// A longer one is another file.
const LARGEST: u64 = 8 << 10;

/// Where a value stands.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
}

/// Adds the values to the environments of their plugins.
pub(super) fn check(
    key: &Key<'_>,
    environment: &dyn Fn(&str) -> Option<OsString>,
    plugins: &mut BTreeMap<String, Plugin>,
) -> Result<(), ConfigError> {
    let directory = environment("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    for (name, given) in &key.layers.file.plugin {
        for (variable, source) in &given.secrets {
            let at = format!("plugin.{name}.secrets.{variable}");
            let field = if source.file.is_some() { "file" } else { "credential" };
            let refuse = |message: String| key.refuse(&format!("{at}.{field}"), message);
            if variable.is_empty() || variable.contains(['=', '\0']) {
                return Err(refuse("is for no variable".to_owned()));
            }
            if given.env.contains_key(variable) {
                return Err(refuse(format!(
                    "is set, and `plugin.{name}.env` has `{variable}` too: take one out"
                )));
            }
            let path = match (&source.credential, &source.file) {
                (None, Some(path)) if path.is_absolute() => path.clone(),
                (None, Some(path)) => {
                    return Err(refuse(format!("is `{}`: a path begins with /", path.display())));
                }
                (Some(credential), None) if is_credential(credential) => match &directory {
                    Some(directory) => directory.join(credential),
                    None => return Err(refuse(format!("is `{credential}`, and no credential was passed"))),
                },
                (Some(credential), None) => {
                    return Err(refuse(format!("is `{credential}`, which is no name of a credential")));
                }
                (None, None) | (Some(_), Some(_)) => {
                    return Err(refuse("needs either `credential` or `file`".to_owned()));
                }
            };
            let value =
                read(&path).map_err(|reason| refuse(format!("is `{}`, which {reason}", path.display())))?;
            let plugin = plugins.entry(name.clone()).or_default();
            plugin.environment.insert(variable.clone(), value);
        }
    }
    Ok(())
}

fn is_credential(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}

/// Reads a value; the error is the rest of a sentence about its file, and has nothing of the value.
fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let is = fs::metadata(path).map_err(failed)?;
    if paths::is_open(&is) {
        return Err(format!("every user of this host can read: `chmod o= {}`", path.display()));
    }
    if is.len() > LARGEST {
        return Err(format!("is longer than {LARGEST} bytes"));
    }
    let value = fs::read(path).map_err(failed)?;
    let value = String::from_utf8(value).map_err(|_| "is not UTF-8".to_owned())?;
    let value = value.trim_end_matches(['\n', '\r']);
    match value {
        "" => Err("is empty".to_owned()),
        value if value.contains('\0') => Err("has a NUL, which no variable can have".to_owned()),
        value => Ok(value.to_owned()),
    }
}

/// What is never to be seen in a log: what stands in files and credentials, and what is granted under a telling name.
pub(super) fn redactor(
    key: &Key<'_>,
    granted: &[(String, String)],
    plugins: &BTreeMap<String, Plugin>,
    letta: Option<&Letta>,
) -> Redactor {
    let given = &key.layers.file.plugin;
    let is_secret = |plugin: &str, variable: &str| {
        redact::is_telling(variable)
            || given.get(plugin).is_some_and(|given| given.secrets.contains_key(variable))
            || granted.iter().any(|(name, known)| name == plugin && known == variable)
    };
    let of_plugins = plugins.iter().flat_map(|(name, plugin)| {
        let secret = plugin.environment.iter().filter(|(variable, _)| is_secret(name, variable));
        secret.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    });
    let of_letta = letta.and_then(|letta| letta.key.as_ref()).map(|key| key.reveal());
    Redactor::new(of_plugins.chain(of_letta))
}
