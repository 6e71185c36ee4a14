//! The sections `[profile.NAME]` and `[profiles]`, and the files of the earlier system, which hold the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::Key;
use crate::auth::{Profile, Profiles, Rule};

/// A profile as it stands in the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    /// Names, or patterns with `*` and `?`.
    pub(super) tools: Vec<String>,
    pub(super) prefix: Vec<String>,
    pub(super) except: Vec<String>,
    pub(super) read_only: bool,
    /// `false` leaves out what may destroy something.
    pub(super) destructive: Option<bool>,
}

/// What is common to them.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Common {
    /// A file or a directory of the earlier system's.
    pub(super) file: Option<PathBuf>,
    /// That of whoever has none.
    pub(super) default: Option<String>,
}

/// A file of the earlier system; what it has beyond this is passed over.
#[derive(Deserialize)]
struct Earlier {
    default_profile: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Mode>,
}

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
enum Mode {
    All,
    Explicit { tools: Vec<String> },
    Prefix { prefix: String },
    Glob { pattern: String },
}

pub(super) fn check(key: &Key<'_>) -> Result<Profiles, ConfigError> {
    let file = &key.layers.file;
    let mut profiles = Profiles::default();
    for (name, given) in &file.profile {
        let at = |field: &str| format!("profile.{name}.{field}");
        let texts = [("tools", &given.tools), ("prefix", &given.prefix), ("except", &given.except)];
        if let Some((field, _)) = texts.iter().find(|(_, texts)| texts.iter().any(|text| text.is_empty())) {
            return Err(key.refuse(&at(field), "has an empty name"));
        }
        let mut rules: Vec<Rule> = given.tools.iter().map(|text| Rule::of_text(text)).collect();
        rules.extend(given.prefix.iter().map(|text| Rule::of_prefix(text)));
        let (read_only, harmless) = (given.read_only, given.destructive == Some(false));
        if rules.is_empty() && !read_only && !harmless {
            let message = "selects nothing: give `prefix`, `read_only = true`, or the tools, such as [\"*\"]";
            return Err(key.refuse(&at("tools"), message));
        }
        if rules.is_empty() {
            rules.push(Rule::All);
        }
        let except = given.except.iter().map(|text| Rule::of_text(text)).collect();
        let origin = key.layers.origin_below(&format!("profile.{name}.")).to_string();
        let profile = Profile { rules, except, read_only, harmless, origin };
        add(&mut profiles, name, profile)
            .map_err(|message| key.refuse(&format!("profile.{name}"), message))?;
    }
    let mut default = file.profiles.default.clone().filter(|name| !name.is_empty());
    if let Some(path) = &file.profiles.file {
        let theirs = earlier(path, &mut profiles).map_err(|message| key.refuse("profiles.file", message))?;
        default = default.or(theirs);
    }
    if let Some(name) = default.as_ref().filter(|name| !profiles.named.contains_key(*name)) {
        let known = known(&profiles);
        return Err(key.refuse("profiles.default", format!("is `{name}`, which is no profile: {known}")));
    }
    profiles.default = default;
    Ok(profiles)
}

/// Refuses a list of profiles, at the key `at`, that has a name of none: whoever it is for would reach less than is meant,
/// and nobody would be told.
pub(super) fn check_named<'a>(
    key: &Key<'_>,
    profiles: &Profiles,
    at: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), ConfigError> {
    match names.into_iter().find(|name| !profiles.named.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let known = known(profiles);
            let message = format!(
                "has `{name}`, which is no profile: {known}; name one that there is, or define `[profile.{name}]`"
            );
            Err(key.refuse(at, message))
        }
    }
}

/// The profiles that there are, as a refusal lists them.
fn known(profiles: &Profiles) -> String {
    let known: Vec<String> = profiles.named.keys().map(|name| format!("`{name}`")).collect();
    if known.is_empty() { "there is none".to_owned() } else { known.join(", ") }
}

fn add(profiles: &mut Profiles, name: &str, profile: Profile) -> Result<(), String> {
    let is_letter = |one: u8| one.is_ascii_alphanumeric() || b"._-".contains(&one);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_letter) {
        return Err(format!(
            "`{name}` is no name for a profile: it has 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`"
        ));
    }
    match profiles.named.insert(name.to_owned(), profile) {
        None => Ok(()),
        Some(other) => Err(format!("the profile `{name}` is defined in {} too", other.origin)),
    }
}

/// Reads a file, or each `*.json` of a directory in the order of their names; returns the profile that is to be the
/// default.
fn earlier(path: &Path, profiles: &mut Profiles) -> Result<Option<String>, String> {
    let unreadable = |path: &Path, error: &std::io::Error| format!("`{}`: {error}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
        files = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|is| is == "json"));
        files.sort();
    }
    let mut default = None;
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        let read: Earlier =
            serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", file.display()))?;
        for (name, mode) in read.profiles {
            let rules = match mode {
                Mode::All => vec![Rule::All],
                Mode::Explicit { tools } => tools.iter().map(|text| Rule::of_text(text)).collect(),
                Mode::Prefix { prefix } => vec![Rule::of_prefix(&prefix)],
                Mode::Glob { pattern } => vec![Rule::of_text(&pattern)],
            };
            let origin = file.display().to_string();
            add(profiles, &name, Profile { rules, origin, ..Profile::default() })?;
        }
        default = read.default_profile.or(default);
    }
    Ok(default)
}
