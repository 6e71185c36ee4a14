//! `[confirm]` and `confirm` of a plugin: which calls somebody has to confirm before they run.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::check::Key;
use super::file::Seconds;
use super::{Config, ConfigError, word_or_table};

/// Who has to confirm a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConfirmMode {
    /// Nobody.
    #[default]
    Off,
    /// The client's user where the client can ask, else an operator.
    Elicit,
    /// An operator.
    Operator,
}

/// What holds for all plugins.
#[derive(Debug, Clone)]
pub(crate) struct Confirm {
    /// For tools that may destroy something.
    pub(crate) destructive: ConfirmMode,
    /// How long a call waits for its confirmation.
    pub(crate) timeout: Duration,
    /// Calls that may wait for an operator.
    pub(crate) most: NonZeroUsize,
}

/// What holds for one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfirmOfPlugin {
    /// For tools that may destroy something; `None`: as for all plugins.
    destructive: Option<ConfirmMode>,
    /// By the names of commands, in which `*` stands for any letters.
    commands: BTreeMap<String, ConfirmMode>,
}

/// The section as it stands in the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    destructive: ConfirmMode,
    timeout: Seconds,
    max: i64,
}

impl Default for Given {
    fn default() -> Self {
        Self { destructive: ConfirmMode::Off, timeout: Seconds(600.0), max: 64 }
    }
}

pub(super) fn check(key: &Key<'_>, given: &Given) -> Result<Confirm, ConfigError> {
    Ok(Confirm {
        destructive: given.destructive,
        timeout: key.positive("confirm.timeout", given.timeout)?,
        most: key.count("confirm.max", given.max)?,
    })
}

/// A plugin's: a mode for what may destroy something, or a table of modes by command.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum OfPlugin {
    Destructive(ConfirmMode),
    Commands(BTreeMap<String, ConfirmMode>),
}

impl OfPlugin {
    pub(super) fn checked(&self) -> ConfirmOfPlugin {
        match self {
            Self::Destructive(mode) => {
                ConfirmOfPlugin { destructive: Some(*mode), commands: BTreeMap::new() }
            }
            Self::Commands(commands) => ConfirmOfPlugin { destructive: None, commands: commands.clone() },
        }
    }
}

impl<'de> Deserialize<'de> for OfPlugin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "`off`, `elicit`, `operator`, or a table with one of them by command";
        word_or_table::read(deserializer, expected, Self::Destructive, Self::Commands)
    }
}

impl Config {
    /// Returns who has to confirm a call of a plugin's command.
    pub(crate) fn confirmation(&self, plugin: &str, command: &str, is_destructive: bool) -> ConfirmMode {
        let own = self.plugin.get(plugin).and_then(|granted| granted.confirm.as_ref());
        if let Some(mode) = own.and_then(|own| own.of(command)) {
            return mode;
        }
        match is_destructive {
            true => own.and_then(|own| own.destructive).unwrap_or(self.confirm.destructive),
            false => ConfirmMode::Off,
        }
    }
}

impl ConfirmOfPlugin {
    /// The pattern with the most letters counts, and of two such the stricter one.
    fn of(&self, command: &str) -> Option<ConfirmMode> {
        let fits = self.commands.iter().filter(|(pattern, _)| is_like(pattern, command));
        let weight = |pattern: &str| (!pattern.contains('*'), pattern.len());
        fits.max_by_key(|(pattern, mode)| (weight(pattern), **mode)).map(|(_, mode)| *mode)
    }
}

/// Whether a name is like a pattern, in which `*` stands for any letters. `-` and `_` are the same in names.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.replace('-', "_"), name.replace('-', "_"));
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let (last, between) = parts.split_last().expect("a split has a part");
    for part in between {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::for_tests;

    #[test]
    fn a_star_stands_for_any_letters() {
        let cases = [
            ("rm", "rm", true),
            ("rm", "rmdir", false),
            ("*", "", true),
            ("rm*", "rmdir", true),
            ("*-all", "wipe_all", true),
            ("a*b*c", "a-x-b-y-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_command_that_is_named_counts_before_what_it_may_destroy() {
        let table = |text: &str| toml::Value::Table(text.parse().unwrap());
        let config = for_tests(&[
            ("confirm.destructive", "elicit".into()),
            ("plugin.a", table("confirm = 'operator'")),
            ("plugin.b", table("[confirm]\n'*' = 'operator'\n'get-*' = 'off'\nget-key = 'elicit'")),
            ("plugin.c", table("confirm = 'off'")),
        ])
        .unwrap();
        let cases = [
            ("other", "x", true, ConfirmMode::Elicit),
            ("other", "x", false, ConfirmMode::Off),
            ("a", "x", true, ConfirmMode::Operator),
            ("a", "x", false, ConfirmMode::Off),
            ("b", "x", false, ConfirmMode::Operator),
            ("b", "get_x", true, ConfirmMode::Off),
            ("b", "get-key", false, ConfirmMode::Elicit),
            ("c", "x", true, ConfirmMode::Off),
        ];
        for (plugin, command, is_destructive, expected) in cases {
            assert_eq!(config.confirmation(plugin, command, is_destructive), expected, "{plugin}.{command}");
        }
    }
}
