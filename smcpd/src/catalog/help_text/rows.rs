//! The sections of help and the rows in them: a left side, then its help after two spaces or below.

use std::borrow::Cow;
use std::ops::Range;

use super::lines::{Line, tick};
use super::spelling::{flag_at, is_flag};

/// Where argparse lists what was put in no group.
const STANDARD: [&str; 3] = ["positional arguments", "optional arguments", "options"];

/// A title and the indented lines under it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) title: &'a str,
    pub(super) heading: usize,
    pub(super) body: Range<usize>,
    pub(super) rows: Vec<Row<'a>>,
}

impl Section<'_> {
    pub(super) fn is_standard(&self) -> bool {
        STANDARD.iter().any(|title| self.title.eq_ignore_ascii_case(title))
    }

    pub(super) fn is_called(&self, titles: &[&str]) -> bool {
        titles.iter().any(|title| self.title.eq_ignore_ascii_case(title))
    }

    pub(super) fn lists_commands(&self) -> bool {
        is_commands_title(self.title)
    }
}

/// One entry of a section.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Under another row: a subcommand of argparse.
    pub(super) nested: bool,
    /// The left side; a framed row has it in several columns, here joined.
    pub(super) head: Cow<'a, str>,
    pub(super) help: Option<String>,
    pub(super) lines: Range<usize>,
    /// Marked by an asterisk, as Typer does.
    pub(super) required: bool,
}

impl Row<'_> {
    pub(super) fn is_option(&self) -> bool {
        self.head.starts_with('-')
    }
}

/// How the rows of this text are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) argparse: bool,
    pub(super) framed: bool,
    /// Where rows begin; twice that is where argparse's subcommands begin.
    pub(super) indent: usize,
}

/// Tells whether a heading announces commands: `commands`, `Available Commands`, `SUBCOMMANDS`.
pub(super) fn is_commands_title(title: &str) -> bool {
    // `Basic Commands (Beginner)`
    let title =
        title.strip_suffix(')').and_then(|title| title.rsplit_once('(')).map_or(title, |(title, _)| title);
    let mut words = title.split_whitespace();
    let last = words.next_back().unwrap_or_default();
    let known =
        ["commands", "subcommands", "sub-commands"].iter().any(|name| last.eq_ignore_ascii_case(name));
    // More words than this are a sentence about commands.
    known && words.take(5).count() <= 4
}

/// Finds the headings and their bodies in all lines but the usage; rows are not read yet.
pub(super) fn sections<'a>(lines: &[Line<'a>], usage: &Range<usize>) -> Vec<Section<'a>> {
    let mut found: Vec<Section<'a>> = Vec::new();
    let mut open = false;
    // The next line that is not blank, for each line, without looking ahead again and again.
    let mut next_indent = vec![None; lines.len()];
    let mut below = None;
    for (at, line) in lines.iter().enumerate().rev() {
        next_indent[at] = below;
        if !line.is_blank() {
            below = Some(line.indent);
        }
    }
    for (at, line) in lines.iter().enumerate() {
        tick(1);
        if usage.contains(&at) {
            open = false;
        } else if line.is_blank() || line.indent > 0 {
            if open && let Some(section) = found.last_mut() {
                section.body.end = at + 1;
            }
        } else {
            let has_body = next_indent[at].is_some_and(|indent| indent > 0);
            let title = heading(line.text).filter(|_| has_body);
            open = title.is_some();
            found.extend(title.map(|title| Section {
                title,
                heading: at,
                body: at + 1..at + 1,
                rows: Vec::new(),
            }));
        }
    }
    found
}

fn heading(text: &str) -> Option<&str> {
    if let Some(title) = text.strip_suffix(':') {
        return Some(title.trim_end());
    }
    // `CORE COMMANDS`, `FLAGS`: no colon, but nothing else that is short and all capitals has lines indented under it.
    let capitals = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b' ');
    capitals.then_some(text)
}

/// Reads the rows of one section.
pub(super) fn rows<'a>(lines: &[Line<'a>], body: Range<usize>, layout: Layout) -> Vec<Row<'a>> {
    let mut found: Vec<Row<'a>> = Vec::new();
    // The column where the help of the current row begins; `None` until it has begun.
    let mut column: Option<usize> = None;
    let mut current = false;
    let mut blanks = 0_usize;
    for at in body {
        let Some(line) = lines.get(at) else { break };
        tick(line.text.len() + 1);
        if line.is_blank() {
            blanks += 1;
            continue;
        }
        let is_option = is_flag(flag_at(line.text));
        let after_nested = found.last().is_some_and(|row| row.nested);
        let starts_nested = layout.argparse
            && !is_option
            && line.indent == 2 * layout.indent
            && (blanks == 0 || !after_nested);
        let row_below = found.last_mut().filter(|_| current);
        let continues = match (&row_below, column) {
            (None, _) => false,
            (Some(_), Some(column)) if line.indent >= column => true,
            (Some(row), _) if starts_nested && !row.is_option() => false,
            // Help that begins below its row stands right there, and deeper than another row would.
            (Some(row), None) => {
                line.indent > layout.indent
                    && (blanks == 0 || !layout.argparse && line.indent >= layout.indent + 4)
                    && (!is_option || layout.argparse || line.indent > layout.indent + 4)
                    && !(row.nested && starts_nested)
            }
            // Lines that a person indented by eye.
            (Some(_), Some(_)) => blanks == 0 && line.indent > layout.indent && !is_option,
        };
        if let Some(row) = row_below.filter(|_| continues) {
            let column = *column.get_or_insert(line.indent);
            extend_help(row, line, column, blanks);
            row.lines.end = at + 1;
        } else {
            let reach = if is_option && !layout.argparse { 4 } else { 0 };
            let starts = line.indent <= layout.indent + reach;
            current = (starts || starts_nested) && line.indent > 0;
            if current {
                let (row, help_at) = row(line, at, layout.framed, starts_nested && !starts);
                column = help_at;
                found.push(row);
            }
        }
        blanks = 0;
    }
    found
}

fn extend_help(row: &mut Row<'_>, line: &Line<'_>, column: usize, blanks: usize) {
    let help = row.help.get_or_insert_default();
    if !help.is_empty() {
        help.extend(std::iter::repeat_n('\n', blanks + 1));
        help.extend(std::iter::repeat_n(' ', line.indent.saturating_sub(column)));
    }
    help.push_str(line.text);
}

/// Splits a line into its cells and its help, and tells the column of the latter.
fn row<'a>(line: &Line<'a>, at: usize, framed: bool, nested: bool) -> (Row<'a>, Option<usize>) {
    let mut rest = line.text;
    let required = framed && rest.starts_with("* ");
    if required {
        rest = rest[1..].trim_start();
    }
    let (cell, after) = split_cell(rest);
    let mut head = Cow::Borrowed(cell);
    rest = after;
    // Short flags and the metavar stand in columns of their own; a positional's metavar says nothing.
    for _ in 0..4 {
        let (cell, after) = split_cell(rest);
        let is_flags = is_flag(flag_at(cell));
        if !framed || !(is_flags || is_metavar(cell)) {
            break;
        }
        if head.starts_with('-') && cell != "<bool>" {
            head.to_mut().push_str(if is_flags { ", " } else { " " });
            head.to_mut().push_str(cell);
        }
        rest = after;
    }
    let help = (!rest.is_empty()).then(|| rest.to_owned());
    let column = help.is_some().then(|| {
        let before = &line.text[..line.text.len() - rest.len()];
        line.indent + before.chars().count()
    });
    (Row { nested, head, help, lines: at..at + 1, required }, column)
}

fn is_metavar(cell: &str) -> bool {
    let is_word = cell.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_- ".contains(&b));
    let is_bracketed = cell.starts_with(['[', '<']) && cell.ends_with([']', '>']) && !cell.contains(": ");
    !cell.is_empty() && (is_word || is_bracketed && !cell.eq_ignore_ascii_case("[required]"))
}

/// Cuts at the first two spaces outside of braces; choices may hold any text.
fn split_cell(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let (mut depth, mut first) = (0_usize, None);
    for (at, pair) in bytes.windows(2).enumerate() {
        tick(1);
        match pair {
            [b'{', _] => depth += 1,
            [b'}', _] => depth = depth.saturating_sub(1),
            _ => {}
        }
        if pair == b"  " {
            first = first.or(Some(at));
            if depth == 0 {
                return (&text[..at], text[at..].trim_start());
            }
        }
    }
    match first {
        Some(at) if depth > 0 => (&text[..at], text[at..].trim_start()),
        _ => (text, ""),
    }
}
