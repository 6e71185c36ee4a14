//! The names of tools: `plugin.command` for people, `plugin__command` on the wire, and every spelling that
//! `tools/call` takes.

use std::collections::HashMap;

use crate::config::Separator;

/// OpenAI, Anthropic and Claude Desktop take no longer one.
pub(crate) const LONGEST: usize = 64;
/// Letta refuses more than 48, and some clients add a prefix of their own.
pub(crate) const LONG: usize = 45;

/// Returns whether every client takes the letters of this name.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What is wrong with the name of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Letters,
    TooLong,
    /// It works, but not everywhere.
    Long,
}

/// Judges a name on the wire; a dot is fine only where the operator chose it.
pub(crate) fn fault(wire: &str, separator: Separator) -> Option<Fault> {
    let letters = match separator {
        Separator::Dot => wire.replacen('.', "_", 1),
        Separator::DoubleUnderscore | Separator::Underscore => wire.to_owned(),
    };
    match wire.len() {
        _ if !is_plain(&letters) => Some(Fault::Letters),
        length if length > LONGEST => Some(Fault::TooLong),
        length if length > LONG => Some(Fault::Long),
        _ => None,
    }
}

impl Fault {
    pub(crate) fn message(self, wire: &str) -> String {
        let length = wire.len();
        match self {
            Self::Letters => {
                format!("clients take only letters, digits, `_` and `-` in a name, not `{wire}`")
            }
            Self::TooLong => format!("the name `{wire}` has {length} letters, clients take {LONGEST}"),
            Self::Long => format!(
                "the name `{wire}` has {length} letters: Letta takes 48, and some clients add a prefix"
            ),
        }
    }
}

/// Finds tools by any of their spellings.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<String, usize>,
    alike: HashMap<String, Vec<usize>>,
}

/// Why a name names no one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotFound {
    Unknown,
    /// The tools that the spelling may mean.
    Ambiguous(Vec<usize>),
}

impl Index {
    /// Takes a tool's wire name and identity, and no other spelling.
    pub(crate) fn claim(&mut self, tool: usize, wire: &str, plugin: Option<&str>, command: &str) {
        self.exact.insert(wire.to_owned(), tool);
        // The identity is exact as well: it is what people type.
        self.exact.entry(joined(plugin, ".", command)).or_insert(tool);
    }

    /// Adds a tool under its wire name and under `plugin`, `command` joined in the three ways.
    pub(crate) fn add(&mut self, tool: usize, wire: &str, plugin: Option<&str>, command: &str) {
        self.claim(tool, wire, plugin, command);
        let joined = |separator| joined(plugin, separator, command);
        for name in [wire.to_owned(), joined("__"), joined("."), joined("_")] {
            let tools = self.alike.entry(alike(name)).or_insert_with(|| Vec::with_capacity(1));
            if !tools.contains(&tool) {
                tools.push(tool);
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Result<usize, NotFound> {
        if let Some(tool) = self.exact.get(name) {
            return Ok(*tool);
        }
        match self.alike.get(&alike(name.to_owned())).map(Vec::as_slice) {
            None | Some([]) => Err(NotFound::Unknown),
            Some([tool]) => Ok(*tool),
            Some(several) => Err(NotFound::Ambiguous(several.to_vec())),
        }
    }

    pub(crate) fn is_taken(&self, wire: &str) -> Option<usize> {
        self.exact.get(wire).copied()
    }
}

/// Whether a name may be that of a plugin's tool, in any of the spellings.
pub(crate) fn is_of(name: &str, plugin: &str) -> bool {
    let (name, plugin) = (alike(name.to_owned()), alike(plugin.to_owned()));
    name.strip_prefix(&plugin).is_some_and(|rest| rest.len() > 1 && rest.starts_with(['.', '_']))
}

fn joined(plugin: Option<&str>, separator: &str, command: &str) -> String {
    match plugin {
        Some(plugin) => [plugin, separator, command].concat(),
        None => command.to_owned(),
    }
}

fn alike(name: String) -> String {
    if name.contains('-') { name.replace('-', "_") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_finds_the_tool_and_an_ambiguous_one_names_the_candidates() {
        let mut index = Index::default();
        index.add(0, "dev-ops__click-button", Some("dev-ops"), "click-button");
        index.add(1, "a_b__c", Some("a_b"), "c");
        index.add(2, "a__b_c", Some("a"), "b_c");
        index.add(3, "health", None, "health");
        index.add(4, "a-b__c", Some("a-b"), "c");
        let cases = [
            ("dev-ops__click-button", Ok(0)),
            ("dev-ops.click-button", Ok(0)),
            ("dev_ops_click_button", Ok(0)),
            ("dev_ops__click-button", Ok(0)),
            ("dev-ops.click_button", Ok(0)),
            ("health", Ok(3)),
            ("a_b__c", Ok(1)),
            ("a-b__c", Ok(4)),
            ("a_b.c", Ok(1)),
            ("a.b-c", Ok(2)),
            ("a_b_c", Err(NotFound::Ambiguous(vec![1, 2, 4]))),
            ("a-b-c", Err(NotFound::Ambiguous(vec![1, 2, 4]))),
            ("Health", Err(NotFound::Unknown)),
            ("dev-ops", Err(NotFound::Unknown)),
            ("", Err(NotFound::Unknown)),
        ];
        for (name, expected) in cases {
            assert_eq!(index.find(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_is_a_plugins_where_it_begins_with_it_in_any_spelling() {
        let of = ["a-b.c", "a_b.c", "a_b__c", "a-b_c", "a-b__"];
        let not = ["a-b", "a-b.", "a-bc.d", "a.b", "x.a-b", ""];
        assert!(of.iter().all(|name| is_of(name, "a-b")) && !not.iter().any(|name| is_of(name, "a-b")));
    }
}
