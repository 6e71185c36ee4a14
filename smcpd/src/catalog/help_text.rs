//! Reads what a program's `--help` says of its arguments, where its parser cannot be asked.
//!
//! The text goes through four steps: `lines` takes out what is meant for a terminal, `rows` finds the sections and
//! their rows, `usage` reads the usage line, and the [`Builder`] here brings the two together. The usage decides what
//! must be given and what excludes what; the rows say how options are spelled. `spelling` and `wording` read the
//! left and the right side of a row, `positionals` and `commands` do what their names say.
//!
//! Written for argparse from 3.6 on, and reads most of what Click, Typer, clap, cobra and a person at a shell print.
//! Whatever could mean two things becomes a string. Any text has some reading, found in time linear in its length.

mod commands;
mod lines;
#[cfg(test)]
mod odd_tests;
mod positionals;
mod rows;
mod spelling;
#[cfg(test)]
mod tests;
mod usage;
mod wording;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_json::Value;

use super::parser_tree::{Action, Exclusive, Kind, Nargs, Parser};
use lines::{Line, Plain, tick};
use rows::{Layout, Row, Section};
use spelling::{Spelling, Values, flag_at, is_flag};
use usage::{Item, Reading, Usage};

/// What one help text says: a parser whose subcommands, if any, have empty parsers still to be asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Help {
    pub(crate) usage_seen: bool,
    pub(crate) parser: Parser,
    /// The names in an `Available commands:` list that an author typed; empty where argparse lists any itself. In the
    /// text of another program such a list is the parser's as well, and both have it.
    pub(crate) epilog_commands: Vec<(String, Option<String>)>,
}

/// Reads a help text; what is none reads as a parser without actions.
pub(crate) fn parse(text: &str) -> Help {
    let plain = Plain::new(text);
    let lines = plain.lines();
    let usage = usage::find(&lines);
    let usage_seen = usage.is_some();
    let usage = usage.unwrap_or_default();

    let mut sections = rows::sections(&lines, &usage.lines);
    let below = sections.partition_point(|section| section.heading < usage.lines.start);
    let argparse = is_argparse(&usage, sections.get(below..).unwrap_or_default());
    if argparse {
        // What stands before argparse's own sections is the description, whatever it looks like.
        let is_own = |section: &Section<'_>| section.heading >= usage.lines.start && section.is_standard();
        sections.drain(..sections.iter().position(is_own).unwrap_or(0));
    } else {
        sections.retain(|section| !section.title.to_ascii_lowercase().starts_with("example"));
        let has_options = |section: &Section<'_>| {
            let mut body = lines.get(section.body.clone()).unwrap_or_default().iter();
            body.any(|line| is_flag(flag_at(line.text)))
        };
        if usage_seen && !sections.iter().any(has_options) {
            // `ls` and `tar` put no heading over their options.
            let body = usage.lines.end..lines.len();
            sections.push(Section { title: "", heading: usage.lines.start, body, rows: Vec::new() });
        }
    }
    let common =
        sections.iter().filter(|section| section.is_standard()).find_map(|section| indent(&lines, section));
    for section in &mut sections {
        let own = if argparse { common } else { indent(&lines, section) };
        let layout = Layout { argparse, framed: plain.framed, indent: own.unwrap_or(2) };
        section.rows = rows::rows(&lines, section.body.clone(), layout);
    }

    let layout = Layout { argparse, framed: plain.framed, indent: common.unwrap_or(2) };
    let mut builder = Builder::new(layout, lines.len());
    builder.use_lines(usage.lines.clone());
    let parts = spelled(&sections);
    let reading = read(&usage, &parts);
    builder.add_options(&parts, &sections, &reading);
    builder.add_usage_flags(&reading);
    if argparse {
        builder.add_argparse_positionals(&sections, &reading);
    } else {
        builder.add_other_positionals(&sections, &reading, usage_seen);
    }
    builder.close_groups(&reading);
    builder.finish(&lines, &usage, usage_seen)
}

/// Tells argparse by its headings, which no other library uses, or by its `-h` and an `options:` that many do.
fn is_argparse(usage: &Usage, sections: &[Section<'_>]) -> bool {
    let first = usage.forms.first().map(String::as_str).unwrap_or_default();
    sections.iter().any(|section| {
        section.is_called(&["positional arguments", "optional arguments"])
            || section.title == "options"
            || section.is_standard() && first.contains("[-h]")
    })
}

/// Returns where the rows of a section begin: at its first line, or further left where an option's row does.
fn indent(lines: &[Line<'_>], section: &Section<'_>) -> Option<usize> {
    let body = lines.get(section.body.clone())?;
    let mut filled = body.iter().filter(|line| !line.is_blank() && line.indent > 0);
    let first = filled.next()?.indent;
    let least = filled.filter(|line| line.text.starts_with('-')).map(|line| line.indent).min();
    Some(first.min(least.unwrap_or(first)))
}

/// An option's row, read.
struct Spelled<'r, 'a> {
    section: usize,
    row: &'r Row<'a>,
    spelling: Spelling<'r>,
}

fn spelled<'r, 'a>(sections: &'r [Section<'a>]) -> Vec<Spelled<'r, 'a>> {
    let rows =
        sections.iter().enumerate().flat_map(|(at, section)| section.rows.iter().map(move |row| (at, row)));
    let options = rows.filter(|(_, row)| row.is_option());
    options
        .filter_map(|(section, row)| Some(Spelled { section, row, spelling: spelling::spelling(&row.head)? }))
        .collect()
}

fn read<'u>(usage: &'u Usage, options: &[Spelled<'_, '_>]) -> Reading<'u> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for option in options {
        let count = usage::count(option.spelling.values);
        for flag in &option.spelling.flags {
            counts.entry(flag).or_insert(count);
        }
    }
    let values_of = |flag: &str| counts.get(flag).copied();
    let mut readings = usage.forms.iter().map(|form| usage::read(form, &values_of));
    let Some(mut reading) = readings.next() else { return Reading::default() };
    for other in readings {
        reading.is_short |= other.is_short;
        reading.items.extend(other.items);
        reading.groups.clear();
    }
    if usage.forms.len() > 1 {
        // What one form requires the other may not know.
        for item in &mut reading.items {
            if let Item::Flag { required, group, .. } | Item::Word { required, group, .. } = item {
                *required = false;
                *group = None;
            }
        }
    }
    reading
}

/// A parser in the making.
struct Builder<'r> {
    parser: Parser,
    layout: Layout,
    /// The action of each flag.
    flags: HashMap<&'r str, usize>,
    /// The members of each exclusive group of the usage.
    members: Vec<Vec<usize>>,
    /// The lines that are neither description nor epilog.
    used: Vec<bool>,
    /// How many positionals have no name but their choices.
    unnamed: usize,
}

impl<'r> Builder<'r> {
    fn new(layout: Layout, lines: usize) -> Self {
        Self {
            parser: Parser::default(),
            layout,
            flags: HashMap::new(),
            members: Vec::new(),
            used: vec![false; lines],
            unnamed: 0,
        }
    }

    fn use_lines(&mut self, lines: Range<usize>) {
        if let Some(used) = self.used.get_mut(lines) {
            tick(used.len());
            used.fill(true);
        }
    }

    fn add_options(&mut self, options: &[Spelled<'r, '_>], sections: &[Section<'_>], reading: &Reading<'_>) {
        let named: HashSet<&str> = reading
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Flag { flag, .. } => Some(*flag),
                Item::Word { .. } | Item::More { .. } => None,
            })
            .collect();
        // argparse names every option in a usage of its own making, so that a row that is not there is no row but a
        // line of the epilog.
        let is_complete = self.layout.argparse && !named.is_empty() && !reading.is_short;
        for option in options {
            let Some(section) = sections.get(option.section) else { continue };
            let is_named = option.spelling.flags.iter().any(|flag| named.contains(flag));
            let is_known = option.spelling.flags.iter().any(|flag| self.flags.contains_key(flag));
            if is_known || is_complete && !is_named && !section.is_standard() {
                continue;
            }
            self.use_lines(section.heading..section.heading + 1);
            self.use_lines(option.row.lines.clone());
            self.add_option(&option.spelling, option.row.help.clone(), option.row.required);
        }
    }

    fn add_option(&mut self, spelling: &Spelling<'r>, help: Option<String>, marked: bool) {
        let mut values = if spelling.values.is_empty() {
            Values { nargs: Nargs::Exactly(0), ..Values::default() }
        } else {
            spelling::values(spelling.values)
        };
        let text = help.as_deref().unwrap_or_default();
        let kind = wording::kind(spelling, &values, help.as_deref());
        let mut required = false;
        if !self.layout.argparse {
            required = marked || wording::is_required(text);
            if kind == Kind::Store {
                values.choices = values.choices.or_else(|| wording::choices(text));
            }
        }
        let mut flags = spelling.flags.clone();
        if kind == Kind::BooleanOptional {
            flags.extend(&spelling.off);
        }
        let dest = dest(&flags);
        let metavar = values.metavar.filter(|metavar| *metavar != dest.to_uppercase());
        let at = self.parser.actions.len();
        for flag in &flags {
            self.flags.entry(flag).or_insert(at);
        }
        self.parser.actions.push(Action {
            dest,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            kind,
            nargs: values.nargs,
            choices: values.choices.map(strings),
            default: wording::default(kind, values.nargs, text),
            required,
            help,
            metavar,
            ..Action::default()
        });
        if kind != Kind::BooleanOptional && !spelling.off.is_empty() {
            // `--upper / --lower` is two flags, one of them at most.
            let off = Spelling { flags: spelling.off.clone(), ..Spelling::default() };
            self.parser.exclusive.push(Exclusive { required: false, members: vec![at, at + 1] });
            self.add_option(&off, None, false);
        }
    }

    /// Brings in what the usage says of options, and those that only the usage names.
    fn add_usage_flags(&mut self, reading: &Reading<'r>) {
        self.members = vec![Vec::new(); reading.groups.len()];
        for item in &reading.items {
            tick(1);
            let Item::Flag { flag, values, required, group } = item else { continue };
            let at = match self.flags.get(flag) {
                Some(at) => *at,
                // `[-abc]` is three options of an old program or one of another.
                None if !flag.starts_with("--") && flag.chars().count() > 2 && values.is_empty() => continue,
                None => {
                    let spelling = Spelling { flags: vec![flag], off: Vec::new(), values };
                    self.add_option(&spelling, None, false);
                    self.parser.actions.len() - 1
                }
            };
            if let Some(action) = self.parser.actions.get_mut(at) {
                action.required |= *required && !matches!(action.kind, Kind::Help | Kind::Version);
            }
            self.join(*group, at);
        }
    }

    /// Makes an action a member of the usage's group.
    fn join(&mut self, group: Option<usize>, action: usize) {
        if let Some(members) = group.and_then(|group| self.members.get_mut(group))
            && members.last() != Some(&action)
        {
            members.push(action);
        }
    }

    fn close_groups(&mut self, reading: &Reading<'_>) {
        let groups = std::mem::take(&mut self.members);
        for (mut members, required) in groups.into_iter().zip(&reading.groups) {
            tick(members.len());
            members.sort_unstable();
            members.dedup();
            match members.as_slice() {
                [] => {}
                // `--x | --no-x` is one option, `-h | --help` another.
                [one] => {
                    if let Some(action) = self.parser.actions.get_mut(*one) {
                        action.required |= *required;
                    }
                }
                _ => self.parser.exclusive.push(Exclusive { required: *required, members }),
            }
        }
    }

    fn finish(mut self, lines: &[Line<'_>], usage: &Usage, usage_seen: bool) -> Help {
        let start = usage.lines.end;
        let own = self.used.get(start..).unwrap_or_default();
        let first = own.iter().position(|used| *used).map_or(lines.len(), |at| at + start);
        let last = own.iter().rposition(|used| *used).map_or(lines.len(), |at| at + start + 1);
        let mut description = lines::paragraph(lines.get(start..first).unwrap_or_default());
        if !self.layout.argparse {
            // clap and cobra say first what the program is.
            let end = self.used.iter().position(|used| *used).unwrap_or(lines.len());
            description = description.or_else(|| lines::paragraph(lines.get(..end).unwrap_or_default()));
        }
        self.parser.description = description;
        self.parser.epilog = lines::paragraph(lines.get(last..).unwrap_or_default());
        let program = usage.forms.first().and_then(|form| form.split(' ').next()).unwrap_or_default();
        let listed = self.parser.actions.iter().flat_map(|action| &action.commands);
        let mut epilog_commands: Vec<_> =
            listed.map(|command| (command.name.clone(), command.help.clone())).collect();
        if epilog_commands.is_empty() {
            epilog_commands = commands::typed(lines, &self.used, program);
        } else if self.layout.argparse {
            epilog_commands.clear();
        }
        Help { usage_seen, parser: self.parser, epilog_commands }
    }
}

/// Returns the name argparse gives an option: its first long flag, else its first.
fn dest(flags: &[&str]) -> String {
    let flag =
        flags.iter().find(|flag| flag.starts_with("--")).or(flags.first()).copied().unwrap_or_default();
    flag.trim_start_matches('-').replace('-', "_")
}

fn strings(choices: Vec<String>) -> Vec<Value> {
    choices.into_iter().map(Value::String).collect()
}
