//! What the wording of an option's help gives away: its kind, its default, its choices.

use serde_json::Value;

use super::super::parser_tree::{Kind, Nargs};
use super::lines::tick;
use super::spelling::{Spelling, Values};

/// Tells what an option does with its values, by its flags and, for a lone short one, by its help.
pub(super) fn kind(spelling: &Spelling<'_>, values: &Values, help: Option<&str>) -> Kind {
    if !spelling.values.is_empty() {
        return if values.nargs == Nargs::Exactly(0) { Kind::StoreTrue } else { Kind::Store };
    }
    let has = |flag: &str| spelling.flags.contains(&flag);
    let says = |text: &str| help.is_some_and(|help| contains(help, text));
    let is_lone = |names: &[&str]| spelling.flags.iter().all(|flag| names.contains(flag));
    if has("--help") || is_lone(&["-h", "-?", "-help"]) && (help.is_none() || says("help")) {
        Kind::Help
    } else if has("--version") || is_lone(&["-V", "-v", "-version"]) && says("version") && says("exit") {
        Kind::Version
    } else if has_opposite(spelling) {
        Kind::BooleanOptional
    } else {
        Kind::StoreTrue
    }
}

/// Tells whether there is a `--no-x` beside `--x`.
fn has_opposite(spelling: &Spelling<'_>) -> bool {
    // Both end their flags: argparse adds each opposite right behind its flag, Click after the slash.
    let last = spelling.off.last().or(spelling.flags.last());
    let Some(name) = last.and_then(|flag| flag.strip_prefix("--no-")) else { return false };
    spelling.flags.iter().any(|flag| flag.strip_prefix("--") == Some(name))
}

/// Reads the default from the end of the help, where argparse, Click, clap and cobra put it.
pub(super) fn default(kind: Kind, nargs: Nargs, help: &str) -> Option<Value> {
    let said = said_default(help)?;
    match (kind, nargs) {
        (Kind::BooleanOptional, _) => match said {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            // Click and Typer name the flag.
            said if said.starts_with("no-") => Some(Value::Bool(false)),
            _ => None,
        },
        // A list is printed as its author's language prints lists; that is no value.
        (Kind::Store, Nargs::One | Nargs::Optional) => Some(Value::String(said.replace('\n', " "))),
        _ => None,
    }
}

fn said_default(help: &str) -> Option<&str> {
    tick(help.len());
    let help = help.trim_end();
    let said = if let Some(said) = closing(help, "(default:") {
        said
    } else if let Some(said) = closing(help, "(default") {
        let quoted = said.strip_prefix('"').and_then(|said| said.strip_suffix('"'));
        if quoted.is_none() && (said.contains(char::is_whitespace) || said.ends_with(']')) {
            return None; // a sentence, or a list as Go prints it
        }
        quoted.unwrap_or(said)
    } else {
        notes(help).find_map(|note| note.strip_prefix("default: "))?
    };
    let said = said.trim();
    (!said.is_empty() && !matches!(said, "None" | "==SUPPRESS==" | "(dynamic)")).then_some(said)
}

/// Returns what stands between the last `opening`, the blank or line break after it, and the `)` at the end.
fn closing<'h>(help: &'h str, opening: &str) -> Option<&'h str> {
    let said = &help[help.rfind(opening)? + opening.len()..];
    said.starts_with(char::is_whitespace).then(|| said.trim_start().strip_suffix(')')).flatten()
}

/// Tells whether Click or Typer marked this as required.
pub(super) fn is_required(help: &str) -> bool {
    notes(help).any(|note| note == "required")
}

/// Reads clap's `[possible values: a, b]`.
pub(super) fn choices(help: &str) -> Option<Vec<String>> {
    listed(help, "possible values: ")
}

/// Reads clap's `[aliases: a, b]`.
pub(super) fn aliases(help: &str) -> Vec<String> {
    listed(help, "aliases: ").unwrap_or_default()
}

fn listed(help: &str, name: &str) -> Option<Vec<String>> {
    let list = notes(help).find_map(|note| note.strip_prefix(name))?;
    let found: Vec<String> = list.split(',').map(|item| item.trim().to_owned()).collect();
    found.iter().all(|item| !item.is_empty()).then_some(found)
}

/// Goes through the notes in square brackets at the end: `[default: 5; required] [possible values: a, b]`.
fn notes(help: &str) -> impl Iterator<Item = &str> {
    let mut rest = help.trim_end();
    std::iter::from_fn(move || {
        let inner = rest.strip_suffix(']')?;
        let at = inner.rfind('[')?;
        tick(inner.len() - at);
        rest = rest[..at].trim_end();
        Some(&inner[at + 1..])
    })
    .flat_map(|note| note.split("; ").map(str::trim))
}

fn contains(text: &str, word: &str) -> bool {
    tick(text.len());
    text.to_ascii_lowercase().contains(word)
}
