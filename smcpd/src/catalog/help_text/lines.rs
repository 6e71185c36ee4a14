//! Help text as plain lines: colours, tabs, overstrikes and the frames of `rich` taken out.

use std::iter::Peekable;
use std::str::Chars;

/// One line without its outer blanks; `indent` counts the columns before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) indent: usize,
    pub(super) text: &'a str,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }
}

/// The text without anything that only a terminal understands.
#[derive(Debug)]
pub(super) struct Plain {
    text: String,
    /// Whether frames were drawn around the lists, as Typer does; their rows have more columns than two.
    pub(super) framed: bool,
}

impl Plain {
    pub(super) fn new(text: &str) -> Self {
        let mut plain = Self { text: String::with_capacity(text.len()), framed: false };
        for line in without_escapes(text).lines() {
            tick(line.len());
            plain.push_line(line);
        }
        plain
    }

    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        self.text
            .lines()
            .map(|line| {
                let text = line.trim();
                Line { indent: line.len() - line.trim_start().len(), text }
            })
            .collect()
    }

    fn push_line(&mut self, line: &str) {
        let trimmed = line.trim();
        match trimmed.chars().next() {
            Some('╭' | '┌' | '┏') => {
                self.framed = true;
                let title = trimmed.trim_matches(|c| is_frame(c) || c == ' ');
                if !title.is_empty() {
                    self.text.push_str(title);
                    self.text.push(':');
                }
            }
            Some('│' | '┃') => {
                self.framed = true;
                self.text.push(' ');
                self.text.push_str(trimmed.trim_matches(|c| c == '│' || c == '┃').trim_end());
            }
            Some(c) if is_frame(c) => {}
            _ => self.text.push_str(line.trim_end()),
        }
        self.text.push('\n');
    }
}

fn is_frame(c: char) -> bool {
    ('\u{2500}'..='\u{257f}').contains(&c)
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut column = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        tick(1);
        match c {
            '\n' => {
                plain.push('\n');
                column = 0;
            }
            '\t' => {
                let width = 8 - column % 8;
                plain.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            // `man` writes bold as the letter, a backspace, and the letter again.
            '\u{8}' => {
                if column > 0 {
                    plain.pop();
                    column -= 1;
                }
            }
            c if c.is_control() => {}
            // An indent is counted in bytes, so that every blank has to be one.
            c if c.is_whitespace() => {
                plain.push(' ');
                column += 1;
            }
            c => {
                plain.push(c);
                column += 1;
            }
        }
    }
    plain
}

fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        // A title or a link, up to BEL or `ESC \`; never past the line, should its end be missing.
        Some(']') => {
            while let Some(&c) = chars.peek() {
                tick(1);
                if c == '\n' {
                    return;
                }
                chars.next();
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some('(' | ')') => {
            chars.next();
            chars.next_if(char::is_ascii_alphanumeric);
        }
        Some(c) if c.is_ascii_graphic() => {
            chars.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {
        tick(1);
    }
    chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Joins lines into one text, less the indent common to all; `None` if there is nothing to read.
pub(super) fn paragraph(lines: &[Line<'_>]) -> Option<String> {
    let first = lines.iter().position(|line| !line.is_blank())?;
    let last = lines.iter().rposition(|line| !line.is_blank())?;
    let lines = lines.get(first..=last)?;
    let common = lines.iter().filter(|line| !line.is_blank()).map(|line| line.indent).min()?;
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        tick(line.text.len() + 1);
        if n > 0 {
            text.push('\n');
        }
        if !line.is_blank() {
            text.extend(std::iter::repeat_n(' ', line.indent - common));
            text.push_str(line.text);
        }
    }
    Some(text)
}

/// Counts the work done, so that a test can show it grows with the text and no faster.
#[cfg(not(test))]
#[inline]
pub(super) fn tick(_: usize) {}

#[cfg(test)]
pub(super) fn tick(steps: usize) {
    STEPS.with(|count| count.set(count.get() + steps));
}

#[cfg(test)]
thread_local! {
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
