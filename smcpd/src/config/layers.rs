//! Lays the sources of the configuration over one another, remembering where each value came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::file::File;
use super::{ConfigError, Secret, Sources, letta};
use crate::paths::Paths;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Environment(&'static str),
    Flag(&'static str),
    /// Its name.
    Credential(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment(name) => formatter.write_str(name),
            Self::Flag(name) => formatter.write_str(name),
            Self::Credential(name) => write!(formatter, "credential {name}"),
        }
    }
}

/// One value that a flag or a variable sets.
#[derive(Debug)]
pub(crate) struct Override {
    /// `section.key`
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The merged values, and the origin of each key that is not at its default.
pub(super) struct Layers {
    pub(super) file: File,
    pub(super) origins: BTreeMap<String, Origin>,
    /// The key that Letta's own file has.
    pub(super) letta_key: Option<(Secret, Origin)>,
}

impl Layers {
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Where the first of the keys that begin like this was set.
    pub(super) fn origin_below(&self, prefix: &str) -> Origin {
        let mut below =
            self.origins.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        below.next().map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Seconds,
    Switch,
}

/// The variables of the earlier systems, kept so that a deployment moves over unchanged.
const ENVIRONMENT: &[(&str, &str, Kind)] = &[
    ("MCP_HOST", "http.host", Kind::Text),
    ("MCP_PORT", "http.port", Kind::Integer),
    ("MCP_PLUGINS_DIR", "plugins.dir", Kind::Text),
    ("MCP_PLUGIN_TIMEOUT", "execution.timeout", Kind::Seconds),
    ("MCP_AUTH_DISABLED", "auth.disabled", Kind::Switch),
    ("MCP_AUTH_ALLOW_LOOPBACK", "auth.allow_loopback", Kind::Switch),
    ("SMCP_PROFILES", "profiles.file", Kind::Text),
    ("SMCP_ATTACH_PROFILE", "profiles.default", Kind::Text),
    ("LETTA_SERVER_URL", "letta.url", Kind::Text),
    ("LETTA_AGENT_ID", "letta.agent", Kind::Text),
];

pub(super) fn read(sources: &Sources<'_>, paths: &Paths) -> Result<Layers, ConfigError> {
    let mut merged = Table::new();
    let mut origins = BTreeMap::new();
    for path in files(sources.file, &paths.config)? {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let table = parse(&path, &text, &mut origins)?;
        lay_over(&mut merged, table);
    }
    let theirs = letta::own_file(&merged, sources.environment)?;
    for (key, value, origin) in theirs.values {
        if !is_set(&merged, key) {
            set(&mut merged, key, value);
            origins.insert(key.to_owned(), origin);
        }
    }
    for change in environment(sources.environment)?.iter().chain(&sources.flags) {
        set(&mut merged, change.key, change.value.clone());
        origins.insert(change.key.to_owned(), change.origin.clone());
    }
    // Each file was checked against the mirror by itself, and overrides carry the right types.
    let file = File::deserialize_from(merged)?;
    Ok(Layers { file, origins, letta_key: theirs.key })
}

impl File {
    fn deserialize_from(table: Table) -> Result<Self, ConfigError> {
        table.try_into().map_err(|error: toml::de::Error| ConfigError::Refused(error.message().to_owned()))
    }
}

/// The main file, then its drop-ins in the order of their names.
fn files(given: Option<&Path>, directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let main = given.map_or_else(|| directory.join("smcpd.toml"), Path::to_owned);
    let mut drop_ins = main.clone().into_os_string();
    drop_ins.push(".d");
    let mut files = Vec::new();
    if given.is_some() || main.exists() {
        files.push(main);
    }
    let directory = PathBuf::from(drop_ins);
    let failed = |source| ConfigError::Read { path: directory.clone(), source };
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            let mut found = Vec::new();
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    found.push(path);
                }
            }
            found.sort();
            files.append(&mut found);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(files)
}

fn parse(path: &Path, text: &str, origins: &mut BTreeMap<String, Origin>) -> Result<Table, ConfigError> {
    let refused = |error: &toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().trim_end().replace('\n', ", "),
    };
    let spans = DeTable::parse(text).map_err(|error| refused(&error))?;
    toml::from_str::<File>(text).map_err(|error| refused(&error))?;
    note_lines(spans.get_ref(), "", text, path, origins);
    toml::from_str(text).map_err(|error| refused(&error))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn note_lines(
    table: &DeTable<'_>,
    prefix: &str,
    text: &str,
    path: &Path,
    origins: &mut BTreeMap<String, Origin>,
) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let value: &Spanned<DeValue<'_>> = value;
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(inner, &format!("{name}."), text, path, origins);
        } else {
            let line = line_of(text, key.span().start);
            origins.insert(name, Origin::File { path: path.to_owned(), line });
        }
    }
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(table)) => lay_over(inner, table),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn is_set(table: &Table, key: &str) -> bool {
    let (section, key) = key.split_once('.').expect("a key is `section.key`");
    table.get(section).is_some_and(|section| section.get(key).is_some())
}

fn set(table: &mut Table, key: &str, value: Value) {
    let (section, key) = key.split_once('.').expect("an override names `section.key`");
    if let Value::Table(section) =
        table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()))
    {
        section.insert(key.to_owned(), value);
    }
}

fn environment(read: &dyn Fn(&str) -> Option<OsString>) -> Result<Vec<Override>, ConfigError> {
    let mut overrides = Vec::new();
    for &(name, key, kind) in ENVIRONMENT {
        let Some(value) = read(name).filter(|value| !value.is_empty()) else { continue };
        let refused = |message: String| ConfigError::Environment { name, message };
        let text = value.into_string().map_err(|_| refused("is not UTF-8".to_owned()))?;
        let value = from_text(text.trim(), kind).map_err(refused)?;
        overrides.push(Override { key, value, origin: Origin::Environment(name) });
    }
    Ok(overrides)
}

fn from_text(text: &str, kind: Kind) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Integer => {
            text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is not a whole number"))
        }
        Kind::Seconds => {
            text.parse().map(Value::Float).map_err(|_| format!("`{text}` is not a number of seconds"))
        }
        Kind::Switch => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Value::Boolean(true)),
            "0" | "false" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err(format!("`{text}` is neither 1 nor 0")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_numbers_of_the_environment_say_what_is_wrong_with_them() {
        assert_eq!(from_text("Yes", Kind::Switch), Ok(Value::Boolean(true)));
        assert_eq!(from_text("0", Kind::Switch), Ok(Value::Boolean(false)));
        assert_eq!(from_text("2", Kind::Switch), Err("`2` is neither 1 nor 0".to_owned()));
        assert_eq!(from_text("80x", Kind::Integer), Err("`80x` is not a whole number".to_owned()));
        assert_eq!(from_text("1.5", Kind::Seconds), Ok(Value::Float(1.5)));
        assert_eq!(from_text("soon", Kind::Seconds), Err("`soon` is not a number of seconds".to_owned()));
    }

    #[test]
    fn a_line_is_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
        assert_eq!(line_of("a", 99), 1);
    }
}
