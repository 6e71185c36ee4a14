//! Positionals and subcommands: the usage knows how many and in what order, the rows know their help.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::parser_tree::{Action, Nargs, ValueType};
use super::commands::Commands;
use super::lines::tick;
use super::rows::{Row, Section};
use super::spelling::{bare_name, choices};
use super::usage::{Item, Reading};
use super::wording;
use super::{Builder, strings};

/// Where other libraries than argparse list positionals.
const TITLES: [&str; 4] = ["arguments", "args", "positional arguments", "positionals"];

/// A positional's row and, if it is the subcommands', those of the commands.
#[derive(Debug)]
struct Entry<'r, 'a> {
    row: Option<&'r Row<'a>>,
    commands: Vec<&'r Row<'a>>,
    /// In a section that holds nothing but what the parser itself listed.
    certain: bool,
    section: usize,
    taken: bool,
}

#[derive(Debug)]
struct Entries<'r, 'a> {
    all: Vec<Entry<'r, 'a>>,
    by_name: HashMap<&'r str, VecDeque<usize>>,
    /// Those over rows of commands.
    hosts: VecDeque<usize>,
    /// Those of which the usage says nothing.
    unnamed: VecDeque<usize>,
}

impl<'r, 'a> Entries<'r, 'a> {
    fn of_argparse(sections: &'r [Section<'a>], named: &HashSet<&str>) -> Self {
        let mut all = Vec::new();
        for (at, section) in sections.iter().enumerate() {
            let mut host: Option<Entry<'r, 'a>> = None;
            for (n, row) in section.rows.iter().enumerate() {
                if row.nested {
                    // With `metavar=""` the row above the commands is blank.
                    let above = n.checked_sub(1).and_then(|n| section.rows.get(n));
                    if above.is_none_or(|above| above.lines.end < row.lines.start) {
                        all.extend(host.take());
                        host = Some(Entry {
                            row: None,
                            commands: Vec::new(),
                            certain: false,
                            section: at,
                            taken: false,
                        });
                    }
                    if let Some(entry) = &mut host {
                        entry.commands.push(row);
                    }
                    continue;
                }
                all.extend(host.take());
                if !row.is_option() {
                    let certain = section.is_standard();
                    host = Some(Entry {
                        row: Some(row),
                        commands: Vec::new(),
                        certain,
                        section: at,
                        taken: false,
                    });
                }
            }
            all.extend(host);
        }
        Self::new(all, named)
    }

    fn of_others(sections: &'r [Section<'a>]) -> Self {
        let listed = sections.iter().enumerate().filter(|(_, section)| section.is_called(&TITLES));
        let rows = listed.flat_map(|(at, section)| section.rows.iter().map(move |row| (at, row)));
        let all = rows.filter(|(_, row)| !row.is_option()).map(|(section, row)| Entry {
            row: Some(row),
            commands: Vec::new(),
            certain: true,
            section,
            taken: false,
        });
        Self::new(all.collect(), &HashSet::new())
    }

    fn new(all: Vec<Entry<'r, 'a>>, named: &HashSet<&str>) -> Self {
        let mut by_name: HashMap<&str, VecDeque<usize>> = HashMap::new();
        let (mut hosts, mut unnamed) = (VecDeque::new(), VecDeque::new());
        for (at, entry) in all.iter().enumerate() {
            let name = entry.row.map(|row| plain_name(&row.head));
            if let Some(name) = name {
                by_name.entry(name).or_default().push_back(at);
            }
            if !entry.commands.is_empty() {
                hosts.push_back(at);
            } else if entry.certain && name.is_some_and(|name| !named.contains(name)) {
                unnamed.push_back(at);
            }
        }
        Self { all, by_name, hosts, unnamed }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(plain_name(name))?.front().copied()
    }

    fn take(&mut self, at: usize) -> Option<&Entry<'r, 'a>> {
        let entry = self.all.get_mut(at)?;
        entry.taken = true;
        if let Some(row) = entry.row
            && let Some(queue) = self.by_name.get_mut(plain_name(&row.head))
            && queue.front() == Some(&at)
        {
            queue.pop_front();
        }
        Some(entry)
    }

    fn next_host(&mut self) -> Option<usize> {
        let (all, hosts) = (&self.all, &mut self.hosts);
        std::iter::from_fn(|| hosts.pop_front()).find(|at| all.get(*at).is_some_and(|entry| !entry.taken))
    }
}

/// The name in `<name>`, `[name]`, `name...`.
fn plain_name(name: &str) -> &str {
    let name = name.strip_suffix("...").unwrap_or(name);
    let name = if choices(name).is_some() { name } else { name.strip_prefix('[').unwrap_or(name) };
    let name = name.strip_suffix("...").unwrap_or(name);
    let name = if name.starts_with(['{', '[', '(']) { name } else { name.strip_suffix(']').unwrap_or(name) };
    bare_name(name.strip_suffix("...").unwrap_or(name))
}

impl Builder<'_> {
    /// Adds the positionals and subcommands of an argparse parser: each has a row, or is none.
    pub(super) fn add_argparse_positionals(&mut self, sections: &[Section<'_>], reading: &Reading<'_>) {
        let named: HashSet<&str> = words(reading).map(plain_name).collect();
        let mut entries = Entries::of_argparse(sections, &named);
        let mut has_commands = false;
        for (n, item) in reading.items.iter().enumerate() {
            tick(1);
            let before_more = matches!(reading.items.get(n + 1), Some(Item::More { nameless: false }));
            match item {
                Item::Flag { .. } => {}
                Item::Word { name, nargs, required, group, .. } => {
                    let Some(at) = entries.find(name) else { continue };
                    let leads = !has_commands
                        && (entries.all.get(at).is_some_and(|entry| !entry.commands.is_empty())
                            || before_more && entries.unnamed.is_empty());
                    let Some(entry) = entries.take(at) else { continue };
                    if leads {
                        has_commands = true;
                        self.add_subcommands(entry, sections, name, *required);
                    } else {
                        self.use_entry(entry, sections);
                        self.add_positional(name, *nargs, *required, *group, entry.row);
                    }
                }
                Item::More { .. } if has_commands => {}
                Item::More { nameless: true } => {
                    if let Some(entry) = entries.next_host().and_then(|at| entries.take(at)) {
                        has_commands = true;
                        self.add_subcommands(entry, sections, "", true);
                    }
                }
                Item::More { nameless: false } => {
                    if let Some(entry) = entries.unnamed.pop_front().and_then(|at| entries.take(at)) {
                        self.use_entry(entry, sections);
                        let name = entry.row.map(|row| row.head.as_ref()).unwrap_or_default();
                        self.add_positional(name, Nargs::Remainder, false, None, entry.row);
                    }
                }
            }
        }
        // An author's own usage may leave out what the parser listed nonetheless.
        for entry in entries.all.iter().filter(|entry| !entry.taken) {
            let is_list = entry.certain
                || entry.row.is_some_and(|row| row.head.starts_with('{'))
                || sections.get(entry.section).is_some_and(Section::lists_commands)
                    && entry.row.is_none_or(leads_commands);
            if !entry.commands.is_empty() && is_list && !has_commands {
                has_commands = true;
                let name = entry.row.map(|row| row.head.as_ref()).unwrap_or_default();
                self.add_subcommands(entry, sections, name, true);
            } else if let Some(row) = entry.row.filter(|_| entry.certain) {
                self.use_entry(entry, sections);
                self.add_positional(&row.head, Nargs::One, false, None, Some(row));
            }
        }
    }

    fn use_entry(&mut self, entry: &Entry<'_, '_>, sections: &[Section<'_>]) {
        if let Some(section) = sections.get(entry.section) {
            self.use_lines(section.heading..section.heading + 1);
        }
        for row in entry.row.iter().chain(&entry.commands) {
            self.use_lines(row.lines.clone());
        }
    }

    fn add_subcommands(
        &mut self,
        entry: &Entry<'_, '_>,
        sections: &[Section<'_>],
        name: &str,
        required: bool,
    ) {
        self.use_entry(entry, sections);
        let mut commands = Commands::default();
        for row in &entry.commands {
            commands.add_row(row);
        }
        let row = entry.row.filter(|row| leads_commands(row));
        let head = row.map(|row| row.head.as_ref()).unwrap_or_default();
        for braces in [name, head] {
            commands.add_names(choices(braces).unwrap_or_default());
        }
        let dest = if name.is_empty() || name.starts_with('{') {
            "command".to_owned()
        } else {
            identifier(plain_name(name))
        };
        let help = row.and_then(|row| row.help.clone());
        self.parser.actions.push(commands.into_action(dest, required, help));
    }

    /// Adds the positionals and commands of anything but argparse.
    pub(super) fn add_other_positionals(
        &mut self,
        sections: &[Section<'_>],
        reading: &Reading<'_>,
        usage_seen: bool,
    ) {
        let mut entries = Entries::of_others(sections);
        let mut commands = Commands::default();
        // A list without a usage is one that somebody typed.
        for section in sections.iter().filter(|section| usage_seen && section.lists_commands()) {
            for row in section.rows.iter().filter(|row| !row.is_option()) {
                commands.add_row(row);
                self.use_lines(row.lines.clone());
            }
            self.use_lines(section.heading..section.heading + 1);
        }
        let mut commands = commands.without_help();
        let mut required = true;
        let listed = !commands.is_empty();
        let mut seen: HashSet<&str> = HashSet::new();
        for (n, item) in reading.items.iter().enumerate() {
            tick(1);
            let Item::Word { name, nargs, required: is_required, group, early } = item else { continue };
            let name = if self.layout.framed { without_braces(name) } else { name };
            let plain = plain_name(name);
            let entry =
                entries.find(name).and_then(|at| entries.take(at)).map(|entry| (entry.row, entry.section));
            if listed && (stands_for_arguments(plain) || stands_for_command(plain)) {
                required &= *is_required || stands_for_arguments(plain);
                continue;
            }
            // `service {start|stop}`, `tool {a,b} ...`
            let before_more = matches!(reading.items.get(n + 1), Some(Item::More { .. }));
            if name.starts_with('{') && commands.is_empty() && (name.contains('|') || before_more) {
                required = *is_required;
                commands.add_names(choices(name).unwrap_or_default());
                continue;
            }
            let is_program =
                *early && entry.is_none() && name == plain && *nargs == Nargs::One && is_lower(name);
            if is_program || !seen.insert(plain) {
                continue;
            }
            let row = entry.and_then(|(row, _)| row);
            if let Some((Some(row), section)) = entry {
                self.use_lines(row.lines.clone());
                self.use_lines(
                    sections.get(section).map_or(0..0, |section| section.heading..section.heading + 1),
                );
            }
            let nargs = if before_more && *nargs == Nargs::One { Nargs::AtLeastOne } else { *nargs };
            self.add_positional(name, nargs, *is_required, *group, row);
        }
        for entry in entries.all.iter().filter(|entry| !entry.taken) {
            self.use_entry(entry, sections);
            if let Some(row) = entry.row {
                let (nargs, required) = match (row.head.starts_with('['), row.head.ends_with("...")) {
                    (true, true) => (Nargs::Any, false),
                    (true, false) => (Nargs::Optional, false),
                    (false, true) => (Nargs::AtLeastOne, row.head.starts_with('<')),
                    (false, false) => (Nargs::One, row.head.starts_with('<')),
                };
                self.add_positional(&row.head, nargs, required, None, Some(row));
            }
        }
        if !commands.is_empty() {
            self.parser.actions.push(commands.into_action("command".to_owned(), required, None));
        }
    }

    fn add_positional(
        &mut self,
        name: &str,
        nargs: Nargs,
        required: bool,
        group: Option<usize>,
        row: Option<&Row<'_>>,
    ) {
        let help = row.and_then(|row| row.help.clone());
        let plain = plain_name(name);
        let mut choices = choices(plain);
        let dest = if choices.is_some() { self.free_dest("choice") } else { identifier(plain) };
        let metavar = (choices.is_none() && dest != plain).then(|| plain.to_owned());
        let mut required = required && matches!(nargs, Nargs::One | Nargs::Exactly(_) | Nargs::AtLeastOne);
        let text = help.as_deref().unwrap_or_default();
        if !self.layout.argparse {
            required |= wording::is_required(text) || row.is_some_and(|row| row.required);
            choices = choices.or_else(|| wording::choices(text));
        }
        self.join(group, self.parser.actions.len());
        self.parser.actions.push(Action {
            dest,
            value_type: ValueType::String,
            nargs,
            choices: choices.map(strings),
            default: wording::default(super::Kind::Store, nargs, text),
            required,
            help,
            metavar,
            ..Action::default()
        });
    }

    fn free_dest(&mut self, name: &str) -> String {
        self.unnamed += 1;
        if self.unnamed == 1 { name.to_owned() } else { format!("{name}_{}", self.unnamed) }
    }
}

fn words<'u>(reading: &'u Reading<'u>) -> impl Iterator<Item = &'u str> {
    reading.items.iter().filter_map(|item| match item {
        Item::Word { name, .. } => Some(*name),
        Item::Flag { .. } | Item::More { .. } => None,
    })
}

/// Tells whether a row over nested ones is theirs, and not the sentence that describes their group.
fn leads_commands(row: &Row<'_>) -> bool {
    row.head.starts_with('{') || !row.head.contains(' ')
}

fn stands_for_command(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "command" | "subcommand" | "cmd" | "commands" | "action")
        || name.ends_with(" command")
}

fn stands_for_arguments(name: &str) -> bool {
    ["args", "arg", "arguments"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Typer writes the one positional `name` as `{name}`.
fn without_braces(name: &str) -> &str {
    let inner = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    inner.filter(|inner| !inner.contains([',', '|'])).unwrap_or(name)
}

fn is_lower(name: &str) -> bool {
    !name.chars().any(char::is_uppercase)
}

/// Returns a name as a program would write it: `FILE NAME` as `file_name`.
fn identifier(name: &str) -> String {
    if is_lower(name) && !name.contains(' ') {
        return name.to_owned();
    }
    name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}
