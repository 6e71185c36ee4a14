//! `[letta]`: the agent whose tool variables are fetched, and the plugins that get them.
//!
//! Letta's own file, `~/.letta/.env`, stands below all other sources. It is read only where a plugin is named.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use toml::{Table, Value};

use super::check::Key;
use super::credentials::Credentials;
use super::layers::Origin;
use super::{ConfigError, Effective};

type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables with a key; the first that is set counts.
const KEYS: [&str; 2] = ["LETTA_API_KEY", "LETTA_SERVER_PASSWORD"];

/// Whose variables are fetched, from where, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Letta {
    /// `http://host:port`, perhaps with a path; never with a slash at its end.
    pub(crate) url: String,
    /// The id of the agent: letters, digits, `-`, `_` and `.` alone.
    pub(crate) agent: String,
    pub(crate) plugins: BTreeSet<String>,
    pub(crate) key: Option<Secret>,
    /// How long one request may take.
    pub(crate) timeout: Duration,
}

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

pub(super) fn check(
    key: &Key<'_>,
    environment: Environment<'_>,
    credentials: &Credentials,
    effective: &mut Effective,
) -> Result<Option<Letta>, ConfigError> {
    let given = &key.layers.file.letta;
    let timeout = key.positive("letta.timeout", given.timeout)?;
    if given.plugins.is_empty() {
        return Ok(None);
    }
    let missing = |what: &str, variable: &str| {
        let message = format!("names plugins, and `letta.{what}` is not set: set it, or {variable}");
        key.refuse("letta.plugins", message)
    };
    let url = given.url.as_deref().ok_or_else(|| missing("url", "LETTA_SERVER_URL"))?;
    let agent = given.agent.as_deref().ok_or_else(|| missing("agent", "LETTA_AGENT_ID"))?;
    // The text itself may hold a password.
    let url = plain(url).ok_or_else(|| {
        let message = "must be an http or https address without user, query and fragment, such as `http://127.0.0.1:8283`";
        key.refuse("letta.url", message)
    })?;
    if !is_agent(agent) {
        let message = "must be the id of an agent, such as `agent-12345678-9abc-4def-8123-456789abcdef`";
        return Err(key.refuse("letta.agent", message));
    }
    let secret = secret(key, environment, credentials)?;
    if let Some((secret, origin)) = &secret {
        if !secret.reveal().bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let message = "has letters that no HTTP header can carry".to_owned();
            return Err(ConfigError::Value { key: "letta.key".to_owned(), origin: origin.clone(), message });
        }
        effective.push(("letta.key".to_owned(), "***".to_owned(), origin.clone()));
    }
    Ok(Some(Letta {
        url,
        agent: agent.to_owned(),
        plugins: given.plugins.iter().cloned().collect(),
        key: secret.map(|(secret, _)| secret),
        timeout,
    }))
}

/// Returns the key of the strongest source that has one: credential, environment, file, Letta's own file.
fn secret(
    key: &Key<'_>,
    environment: Environment<'_>,
    credentials: &Credentials,
) -> Result<Option<(Secret, Origin)>, ConfigError> {
    if let Some((name, secret)) = &credentials.letta {
        return Ok(Some((secret.clone(), Origin::Credential(name.clone()))));
    }
    for name in KEYS {
        let Some(value) = environment(name) else { continue };
        let value = value
            .into_string()
            .map_err(|_| ConfigError::Environment { name, message: "is not UTF-8".to_owned() })?;
        if !value.trim().is_empty() {
            return Ok(Some((Secret::new(value.trim()), Origin::Environment(name))));
        }
    }
    match &key.layers.file.letta.key_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            match text.trim() {
                "" => Err(key.refuse("letta.key_file", format!("is `{}`, which is empty", path.display()))),
                text => Ok(Some((Secret::new(text), key.layers.origin("letta.key_file")))),
            }
        }
        None => Ok(key.layers.letta_key.clone()),
    }
}

/// Returns an address to which paths can be added.
fn plain(url: &str) -> Option<String> {
    let address = url.trim();
    let parsed: Uri = address.parse().ok()?;
    let (authority, host) = (parsed.authority()?.as_str(), parsed.host()?);
    // A port out of range would be read as none, and the key sent to the default one.
    let has_sound_port = authority == host || parsed.port_u16().is_some_and(|port| port != 0);
    let is_plain = matches!(parsed.scheme_str(), Some("http" | "https"))
        && !host.is_empty()
        && has_sound_port
        && parsed.query().is_none()
        && !address.contains(['@', '#']);
    is_plain.then(|| address.trim_end_matches('/').to_owned())
}

/// Whether the value of `letta.url` has a place for a password or a token.
pub(super) fn may_hold_a_secret(url: &Value) -> bool {
    url.as_str().is_none_or(|url| plain(url).is_none())
}

fn is_agent(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&id.len()) && id.bytes().all(is_letter) && !id.starts_with('.')
}

/// What `~/.letta/.env` says.
#[derive(Default)]
pub(super) struct OwnFile {
    pub(super) values: Vec<(&'static str, Value, Origin)>,
    pub(super) key: Option<(Secret, Origin)>,
}

/// Reads Letta's own file where the files of the configuration name a plugin.
pub(super) fn own_file(merged: &Table, environment: Environment<'_>) -> Result<OwnFile, ConfigError> {
    let plugins = merged.get("letta").and_then(|letta| letta.get("plugins")).and_then(Value::as_array);
    let home = environment("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let (Some(home), false) = (home, plugins.is_none_or(Vec::is_empty)) else {
        return Ok(OwnFile::default());
    };
    let path = home.join(".letta/.env");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(of_text(&text, &path)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(OwnFile::default())
        }
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

fn of_text(text: &str, path: &Path) -> OwnFile {
    let values = assignments(text);
    let find = |wanted: &str| {
        let (line, _, value) = values.iter().rev().find(|(_, name, _)| *name == wanted)?;
        let origin = Origin::File { path: path.to_owned(), line: *line };
        (!value.is_empty()).then(|| ((*value).to_owned(), origin))
    };
    let settings = [("LETTA_SERVER_URL", "letta.url"), ("LETTA_AGENT_ID", "letta.agent")];
    OwnFile {
        values: settings
            .into_iter()
            .filter_map(|(name, key)| find(name).map(|(value, origin)| (key, Value::String(value), origin)))
            .collect(),
        key: KEYS.into_iter().find_map(find).map(|(value, origin)| (Secret::new(value), origin)),
    }
}

/// The lines `NAME=VALUE`, also with `export` before them or with quotes around the value, by their numbers.
fn assignments(text: &str) -> Vec<(usize, &str, &str)> {
    let numbered = text.lines().zip(1..);
    numbered.filter_map(|(line, number)| split(line).map(|(name, value)| (number, name, value))).collect()
}

fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
    let value = match quoted {
        Some((inside, _)) => inside,
        None => value.split_once(" #").map_or(value, |(value, _)| value.trim_end()),
    };
    Some((name.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain_or_none() {
        for (given, expected) in [
            ("http://127.0.0.1:8283", Some("http://127.0.0.1:8283")),
            (" https://letta.example/api/ ", Some("https://letta.example/api")),
            ("http://[::1]:8283/", Some("http://[::1]:8283")),
            ("127.0.0.1:8283", None),
            ("localhost", None),
            ("ftp://letta.example", None),
            ("http://", None),
            ("http://h:99999", None),
            ("http://h:0", None),
            ("http://h:", None),
            ("http://user:hush@letta.example", None),
            ("http://letta.example/?token=hush", None),
            ("http://letta.example/#x", None),
            ("http://letta example", None),
            ("", None),
        ] {
            assert_eq!(plain(given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn an_agents_id_fits_into_a_path() {
        for (given, expected) in [
            ("agent-12345678-9abc-4def-8123-456789abcdef", true),
            ("a_b.c", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a?b", false),
            ("a b", false),
            ("ä", false),
            (&*"a".repeat(129), false),
        ] {
            assert_eq!(is_agent(given), expected, "{given}");
        }
    }

    #[test]
    fn lettas_own_file_is_read_as_a_shell_would() {
        for (line, expected) in [
            ("A=b", Some(("A", "b"))),
            ("  export A = b  # why", Some(("A", "b"))),
            ("A=\"b # c\" # why", Some(("A", "b # c"))),
            ("A='b=c'", Some(("A", "b=c"))),
            ("A=b#c", Some(("A", "b#c"))),
            ("A=\"b", Some(("A", "\"b"))),
            ("A=", Some(("A", ""))),
            ("A", None),
            ("", None),
        ] {
            assert_eq!(split(line), expected, "{line}");
        }
        let text =
            "# LETTA_AGENT_ID=no\nLETTA_AGENT_ID=agent-1\nLETTA_SERVER_PASSWORD=hush\nLETTA_API_KEY=\n";
        let found = of_text(text, Path::new("/x"));
        let line = |line| Origin::File { path: "/x".into(), line };
        assert_eq!(found.values, [("letta.agent", Value::String("agent-1".to_owned()), line(2))]);
        assert_eq!(found.key, Some((Secret::new("hush"), line(3))));
        assert!(!format!("{:?}", found.key).contains("hush"));
    }
}
