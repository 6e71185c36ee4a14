//! From checked values to the words of a command line: what goes in is what the plugin's parser reads back.
//!
//! `[root options] command path [options] [-- positionals] [remainder]`. A value always shares its word with
//! its flag where there is one, so that no value can ever become a flag.

use std::borrow::Cow;
use std::ffi::OsString;

use serde_json::Value;

use super::arguments::{ArgumentError, Values};
use super::model::{Command, Parameter, Shape};

/// Linux takes no single word longer than this, its closing NUL included (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 << 10;

/// Returns the words that follow the program's name.
pub(crate) fn build(command: &Command, values: &Values<'_>) -> Result<Vec<OsString>, ArgumentError> {
    let mut line = Line::default();
    let deepest = command.path.len();
    for level in 0..=deepest {
        let here = || values.iter().filter(|(parameter, _)| parameter.level.min(deepest) == level);
        let last = level == deepest;
        // A list of no fixed length would swallow the command's own name; an option behind it ends it.
        let (lists, others): (Vec<_>, Vec<_>) = here()
            .filter(|(parameter, _)| parameter.flag.is_some())
            .partition(|(parameter, _)| is_open_ended(parameter));
        for (parameter, value) in lists.iter().chain(&others) {
            line.option(parameter, value)?;
        }
        if let (false, true, Some((parameter, _))) = (last, others.is_empty(), lists.last()) {
            return refuse(
                parameter,
                "takes any number of values and stands before the command: it cannot be told apart",
            );
        }
        let positionals = || here().filter(|(parameter, _)| parameter.flag.is_none());
        let remainder = command.parameters.iter().any(|parameter| parameter.shape == Shape::Remainder);
        line.positionals(positionals(), last && !remainder)?;
        if !last {
            line.push(None, &command.path[level])?;
        }
    }
    Ok(line.words)
}

/// Returns `--name=value`.
pub(crate) fn flag(name: &str, value: &str) -> Result<OsString, ArgumentError> {
    sayable(|| name.to_owned(), &format!("--{name}={value}"))
}

/// Judges one word; the error is about what `name` returns.
fn sayable(name: impl Fn() -> String, word: &str) -> Result<OsString, ArgumentError> {
    if word.contains('\0') {
        return Err(ArgumentError::Value { name: name(), reason: "holds a NUL character".to_owned() });
    }
    if word.len() >= LONGEST {
        let reason = format!("is {} bytes long: one argument may have at most {}", word.len(), LONGEST - 1);
        return Err(ArgumentError::Value { name: name(), reason });
    }
    Ok(word.into())
}

#[derive(Default)]
struct Line {
    words: Vec<OsString>,
}

impl Line {
    fn push(&mut self, parameter: Option<&Parameter>, word: &str) -> Result<(), ArgumentError> {
        let name = || parameter.map_or_else(|| "the command".to_owned(), |parameter| parameter.name.clone());
        self.words.push(sayable(name, word)?);
        Ok(())
    }

    fn option(&mut self, parameter: &Parameter, value: &Value) -> Result<(), ArgumentError> {
        let flag = parameter.flag.as_deref().unwrap_or_default();
        match (&parameter.shape, value) {
            (Shape::SwitchOn, Value::Bool(on)) if *on => self.push(Some(parameter), flag),
            (Shape::SwitchOff, Value::Bool(on)) if !*on => self.push(Some(parameter), flag),
            (Shape::SwitchOn | Shape::SwitchOff, Value::Bool(_)) => Ok(()),
            (Shape::OnOff { off }, Value::Bool(on)) => {
                self.push(Some(parameter), if *on { flag } else { off })
            }
            (Shape::Count, Value::Number(times)) => {
                (0..times.as_u64().unwrap_or(0)).try_for_each(|_| self.push(Some(parameter), flag))
            }
            (Shape::List, Value::Array(items)) => self.list(parameter, flag, items),
            (Shape::RepeatList, Value::Array(lists)) => lists.iter().try_for_each(|list| match list {
                Value::Array(items) => self.list(parameter, flag, items),
                one => self.list(parameter, flag, std::slice::from_ref(one)),
            }),
            (Shape::Repeat, Value::Array(items)) => {
                items.iter().try_for_each(|item| self.joined(parameter, flag, &word(item)))
            }
            (_, value) => self.joined(parameter, flag, &word(value)),
        }
    }

    /// Flag and value in one word. argparse before 3.13 reads `--flag=--` as an empty list.
    fn joined(&mut self, parameter: &Parameter, flag: &str, value: &str) -> Result<(), ArgumentError> {
        if value == "--" {
            return refuse(parameter, "is `--`, which the command line cannot say");
        }
        self.push(Some(parameter), &joined(flag, value))
    }

    /// The flag once, then a word for each value.
    fn list(&mut self, parameter: &Parameter, flag: &str, items: &[Value]) -> Result<(), ArgumentError> {
        self.push(Some(parameter), flag)?;
        items.iter().try_for_each(|item| self.bare(parameter, &word(item), false))
    }

    /// A word without a flag before it, which the parser must not take for anything else.
    fn bare(&mut self, parameter: &Parameter, word: &str, behind_dashes: bool) -> Result<(), ArgumentError> {
        if word == "--" {
            return refuse(parameter, "is `--`, which the command line cannot say");
        }
        let negative = parameter.words.negative_numbers && is_negative_number(word);
        if word.starts_with('-') && word != "-" && !behind_dashes && !negative {
            return refuse(parameter, "begins with `-`, which the command line cannot say here");
        }
        if word.starts_with(|first| parameter.words.file_prefixes.contains(first)) {
            return refuse(parameter, "begins with a character that the plugin reads as the name of a file");
        }
        self.push(Some(parameter), word)
    }

    fn positionals<'a>(
        &mut self,
        values: impl Iterator<Item = &'a (Cow<'a, Parameter>, Value)>,
        dashes: bool,
    ) -> Result<(), ArgumentError> {
        let mut begun = false;
        for (parameter, value) in values {
            let words: Vec<String> = match value {
                Value::Array(items) if parameter.shape != Shape::Positional => {
                    items.iter().map(word).collect()
                }
                one => vec![word(one)],
            };
            for (index, word) in words.iter().enumerate() {
                if dashes && !begun {
                    self.push(None, "--")?;
                    begun = true;
                }
                // What follows the first word of a remainder is taken as it stands.
                match (&parameter.shape, index) {
                    (Shape::Remainder, 1..) if is_ambiguous(word, &parameter.words.long_flags) => {
                        return refuse(
                            parameter,
                            "holds an abbreviation of several of the command's own flags",
                        );
                    }
                    (Shape::Remainder, 1..) => self.push(Some(parameter), word)?,
                    _ => self.bare(parameter, word, dashes)?,
                }
            }
        }
        Ok(())
    }
}

/// `--flag=value`, and `-xvalue` where only a short flag exists.
fn joined(flag: &str, value: &str) -> String {
    match flag.starts_with("--") || flag.chars().count() > 2 {
        true => format!("{flag}={value}"),
        // argparse reads `-x=v` as `v` too, and `-x` with nothing as a missing value.
        false if value.is_empty() || value.starts_with('=') => format!("{flag}={value}"),
        false => format!("{flag}{value}"),
    }
}

/// A value as one word: text as it is, everything else as compact JSON.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_open_ended(parameter: &Parameter) -> bool {
    matches!(parameter.shape, Shape::RepeatList) || parameter.shape == Shape::List && parameter.most.is_none()
}

/// What argparse itself takes for a negative number: `-5`, `-5.5`, `-.5`.
fn is_negative_number(word: &str) -> bool {
    let Some(digits) = word.strip_prefix('-') else { return false };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits.split_once('.') {
        None => all_digits(digits),
        Some((whole, fraction)) => (whole.is_empty() || all_digits(whole)) && all_digits(fraction),
    }
}

/// Whether a parser on the way would take the word for an abbreviation of two of its flags.
fn is_ambiguous(word: &str, parsers: &[Vec<String>]) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    name.starts_with("--")
        && parsers.iter().any(|flags| {
            !flags.iter().any(|flag| flag == word || flag == name)
                && flags.iter().filter(|flag| flag.starts_with(name)).count() > 1
        })
}

fn refuse<T>(parameter: &Parameter, reason: &str) -> Result<T, ArgumentError> {
    Err(ArgumentError::Value { name: parameter.name.clone(), reason: reason.to_owned() })
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
