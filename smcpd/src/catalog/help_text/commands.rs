//! Lists of commands: argparse's own, those of other libraries, and those that an author typed into an epilog.

use std::collections::HashSet;

use super::super::parser_tree::{Action, Kind, Nargs, Parser, Subcommand};
use super::lines::{Line, tick};
use super::rows::{Row, is_commands_title};
use super::wording;

/// What argparse prints for the `help=SUPPRESS` of a command, which it means to hide.
const SUPPRESSED: &str = "==SUPPRESS==";

const LONGEST_NAME: usize = 64;

/// The commands of one parser, each once, aliases apart.
#[derive(Debug, Default)]
pub(super) struct Commands {
    found: Vec<Subcommand>,
    /// Every name and alias that is spoken for, hidden ones as well.
    known: HashSet<String>,
}

impl Commands {
    pub(super) fn add_row(&mut self, row: &Row<'_>) {
        if let Some(mut entry) = entry(&row.head) {
            entry.help.clone_from(&row.help);
            self.add(entry);
        }
    }

    /// Adds what only the braces name.
    pub(super) fn add_names(&mut self, names: Vec<String>) {
        for name in names {
            self.add(Subcommand { name, ..Subcommand::default() });
        }
    }

    fn add(&mut self, mut entry: Subcommand) {
        if let Some(help) = &entry.help {
            entry.aliases.extend(wording::aliases(help));
        }
        tick(1 + entry.aliases.len());
        if !is_name(&entry.name) || !self.known.insert(entry.name.clone()) {
            return;
        }
        entry.aliases.retain(|alias| is_name(alias) && self.known.insert(alias.clone()));
        if entry.help.as_deref() != Some(SUPPRESSED) {
            self.found.push(entry);
        }
    }

    /// Drops the `help` that clap and cobra add to every list.
    pub(super) fn without_help(mut self) -> Self {
        self.found.retain(|entry| {
            let says_help =
                entry.help.as_ref().is_some_and(|help| help.to_ascii_lowercase().contains("help"));
            entry.name != "help" || !says_help
        });
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_action(self, dest: String, required: bool, help: Option<String>) -> Action {
        Action {
            dest,
            kind: Kind::Subcommands,
            nargs: Nargs::Subcommand,
            required,
            help,
            commands: self.found,
            ..Action::default()
        }
    }
}

/// Reads the left side of a command's row: `name`, `name (alias, alias)`, `name, alias`, `name ARGS`.
fn entry(head: &str) -> Option<Subcommand> {
    tick(head.len());
    let (name, rest) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
    let (name, has_more) = match name.strip_suffix(',') {
        Some(name) => (name, true),
        None => (name.strip_suffix(':').unwrap_or(name), false),
    };
    let listed = match rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(aliases) => aliases,
        None if has_more => rest.trim_end_matches(':'),
        None => "",
    };
    let aliases =
        listed.split(',').map(|alias| alias.trim().to_owned()).filter(|alias| is_name(alias)).collect();
    // Words after the name are its arguments or a sentence; only the former may follow a command.
    let is_sentence =
        listed.is_empty() && rest.split(' ').any(|word| word.starts_with(|c: char| c.is_lowercase()));
    let name = name.trim_matches('`').to_owned();
    (is_name(&name) && !is_sentence).then_some(Subcommand {
        name,
        aliases,
        help: None,
        parser: Parser::default(),
    })
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || "_-.:+".contains(c))
        && !name.ends_with([':', '.'])
}

/// Reads names from the lists that no parser printed: an `Available commands:` among lines that nothing else claimed.
pub(super) fn typed(lines: &[Line<'_>], used: &[bool], program: &str) -> Vec<(String, Option<String>)> {
    let mut found = Typed { program, commands: Vec::new(), known: HashSet::new() };
    let mut list: Option<List> = None;
    for (line, used) in lines.iter().zip(used) {
        tick(line.text.len() + 1);
        if line.is_blank() {
            continue;
        }
        if *used {
            list = None;
            continue;
        }
        if let Some(open) = &mut list {
            let (is_item, text) = without_bullet(line.text);
            let column = *open.column.get_or_insert(line.indent);
            if line.indent > open.heading || is_item && line.indent == open.heading {
                if line.indent == column {
                    found.row(text);
                }
                continue;
            }
            list = None;
        }
        if let Some((title, rest)) = line.text.split_once(':')
            && is_commands_title(title)
        {
            if rest.trim().is_empty() {
                list = Some(List { heading: line.indent, column: None });
            } else {
                found.sentence(rest);
            }
        }
    }
    found.commands
}

struct List {
    heading: usize,
    column: Option<usize>,
}

struct Typed<'p> {
    program: &'p str,
    commands: Vec<(String, Option<String>)>,
    known: HashSet<String>,
}

impl Typed<'_> {
    fn row(&mut self, text: &str) {
        let text =
            text.strip_prefix(self.program).filter(|rest| rest.starts_with(' ')).unwrap_or(text).trim_start();
        let (head, help) = split_typed(text);
        if let Some(entry) = entry(head) {
            self.add(entry.name, (!help.is_empty()).then(|| help.to_owned()));
        }
    }

    /// Reads `Available commands: a, b, c`, but nothing that is less surely a list.
    fn sentence(&mut self, text: &str) {
        let names: Vec<&str> = text.trim().trim_end_matches('.').split(',').map(str::trim).collect();
        if names.len() > 1 && names.iter().all(|name| is_name(name)) {
            for name in names {
                self.add(name.to_owned(), None);
            }
        }
    }

    fn add(&mut self, name: String, help: Option<String>) {
        if self.known.insert(name.clone()) {
            self.commands.push((name, help));
        }
    }
}

/// Splits at the first of what a person puts between a command and its help.
fn split_typed(text: &str) -> (&str, &str) {
    let found = ["  ", " - ", " – ", " — ", ": "]
        .iter()
        .filter_map(|separator| text.find(separator).map(|at| (at, separator.len())))
        .min();
    let Some((at, length)) = found else { return (text, "") };
    let help = text[at + length..].trim_start();
    let help = ["- ", "– ", "— ", ": "].iter().find_map(|dash| help.strip_prefix(dash)).unwrap_or(help);
    (&text[..at], help.trim())
}

fn without_bullet(text: &str) -> (bool, &str) {
    match ["- ", "* ", "• "].iter().find_map(|bullet| text.strip_prefix(bullet)) {
        Some(text) => (true, text.trim_start()),
        None => (false, text),
    }
}
