//! How a row of help spells an option, and what the words after a flag say of its values.

use super::super::parser_tree::Nargs;
use super::lines::tick;

/// The left side of an option's row: `-s, --long VALUE`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Spelling<'a> {
    pub(super) flags: Vec<&'a str>,
    /// The flags that turn it off: what Click writes after a slash.
    pub(super) off: Vec<&'a str>,
    /// What stands for its values, as written; empty for a flag without any.
    pub(super) values: &'a str,
}

/// What is known of the values of an option or positional.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Values {
    pub(super) nargs: Nargs,
    pub(super) metavar: Option<String>,
    pub(super) choices: Option<Vec<String>>,
}

/// Tells whether a word is an option's: a dash, then a letter, or at least no number and no second word.
pub(super) fn is_flag(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    name.len() < word.len()
        && word.len() - name.len() <= 2
        && name.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '?' | '@' | '#' | '_'))
        && !(word.len() - name.len() == 1
            && name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && name.len() > 1)
}

/// Reads the left side of an option's row; `None` where it is something else.
pub(super) fn spelling(head: &str) -> Option<Spelling<'_>> {
    let mut found = Spelling::default();
    let mut off = false;
    let mut rest = head.trim();
    loop {
        let flag = flag_at(rest);
        let after = &rest[flag.len()..];
        let flag = flag.strip_suffix("...").unwrap_or(flag); // clap's flag that may come again
        if !is_flag(flag) {
            return None;
        }
        if off { &mut found.off } else { &mut found.flags }.push(flag);

        // What follows a flag is its values up to the next flag: `-s {a, b}, --long {a, b}`, `--color[=WHEN]`.
        let (values, separator, next) = split_values(after);
        let values = values.trim().trim_start_matches([':', '=']).trim();
        if !values.is_empty() {
            found.values = values;
        }
        if next.is_empty() {
            return Some(found);
        }
        off |= separator == b'/';
        rest = next;
    }
}

/// Cuts before the separator (`,` ` / ` ` | `) that leads to another flag.
fn split_values(after: &str) -> (&str, u8, &str) {
    // `-v --verbose`: one blank and no comma, as some write by hand.
    let next = after.trim_start();
    if next.len() < after.len() && next.starts_with("--") && is_flag(flag_at(next)) {
        return ("", b' ', next);
    }
    let mut depth = 0_usize;
    for (at, byte) in after.bytes().enumerate() {
        tick(1);
        match byte {
            b'{' | b'[' | b'<' | b'(' => depth += 1,
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            b',' | b'/' | b'|' if depth == 0 => {
                let next = after[at + 1..].trim_start();
                if next.starts_with('-') && is_flag(flag_at(next)) {
                    return (&after[..at], byte, next);
                }
            }
            _ => {}
        }
    }
    (after, 0, "")
}

/// Returns the flag that the text begins with, up to whatever cannot be part of one.
pub(super) fn flag_at(text: &str) -> &str {
    let end = text.find([' ', ',', '=', '[', '/', '|', ':']).unwrap_or(text.len());
    tick(end + 1);
    &text[..end]
}

/// Splits the words for values at blanks outside of brackets.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        tick(1);
        match byte {
            b'{' | b'[' | b'<' | b'(' => depth += 1,
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if byte == b' ' && depth == 0 {
            if let Some(start) = start.take() {
                found.push(&text[start..at]);
            }
        } else {
            start = start.or(Some(at));
        }
    }
    if let Some(start) = start {
        found.push(&text[start..]);
    }
    found
}

/// Reads the words for values: `X`, `[X]`, `[X ...]`, `X [X ...]`, `X X`, `...`, and their like in other styles.
pub(super) fn values(text: &str) -> Values {
    let found = words(text);
    let (nargs, name) = match found.as_slice() {
        ["..."] => (Nargs::Remainder, "..."),
        [one] => single(one),
        [.., tail] if is_more(tail) && found.len() == 2 => (Nargs::AtLeastOne, found[0]),
        [name, "..."] => (Nargs::AtLeastOne, *name),
        [name, rest @ ..] if rest.iter().all(|word| word == name) => (exactly(found.len()), *name),
        // `KEY VALUE` is a metavar for each of two; anything else may be one metavar with blanks in it.
        all if all.len() <= 4 && all.iter().all(|word| is_placeholder(word)) => (exactly(all.len()), text),
        _ => (Nargs::One, text),
    };
    let (nargs, name) = match name.strip_suffix("...") {
        Some(name) if nargs == Nargs::One && !name.is_empty() => (Nargs::AtLeastOne, name),
        _ => (nargs, name),
    };
    let choices = choices(name);
    let metavar =
        (choices.is_none() && name != "...").then(|| bare_name(name)).filter(|name| !name.is_empty());
    Values { nargs, metavar: metavar.map(str::to_owned), choices }
}

fn single(word: &str) -> (Nargs, &str) {
    let (inner, repeated) = match word.strip_suffix("...") {
        Some(word) if word.ends_with(']') => (word, true),
        _ => (word, false),
    };
    let Some(inner) = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) else {
        return (Nargs::One, word);
    };
    let inner = inner.trim().trim_start_matches('=');
    if choices(word).is_some() {
        return (Nargs::One, word);
    }
    match words(inner).as_slice() {
        [name] => match name.strip_suffix("...") {
            Some(name) if !name.is_empty() => (Nargs::Any, name),
            _ if repeated => (Nargs::Any, name),
            _ => (Nargs::Optional, name),
        },
        [name, "..."] => (Nargs::Any, name),
        [name, more] if is_more(more) => (Nargs::Any, name),
        _ => (Nargs::One, word),
    }
}

/// Tells whether a word is `[X ...]`: as many more as there are.
fn is_more(word: &str) -> bool {
    word.starts_with('[') && word.ends_with(" ...]")
}

fn exactly(count: usize) -> Nargs {
    u32::try_from(count).map_or(Nargs::One, Nargs::Exactly)
}

fn is_placeholder(word: &str) -> bool {
    let inner = bare_name(word);
    (word.starts_with('<') && word.ends_with('>') || inner.len() == word.len())
        && word != "RANGE" // Click's `INTEGER RANGE` is one value
        && inner.starts_with(|c: char| c.is_ascii_uppercase() || word.starts_with('<') && c.is_alphanumeric())
        && inner.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_-".contains(&b) || word.starts_with('<'))
}

/// Returns the name without the angle brackets of other styles.
pub(super) fn bare_name(word: &str) -> &str {
    let inner = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
    inner.filter(|inner| !inner.contains(['<', '>'])).unwrap_or(word)
}

/// Reads argparse's `{a,b}` and Click's `[a|b]`.
pub(super) fn choices(word: &str) -> Option<Vec<String>> {
    let (inner, separator) = match (word.as_bytes().first()?, word.as_bytes().last()?) {
        (b'{', b'}') if word.len() > 2 => {
            let inner = &word[1..word.len() - 1];
            (inner, if inner.contains('|') && !inner.contains(',') { '|' } else { ',' })
        }
        (b'[', b']') | (b'(', b')') if word.contains('|') && !word.contains('%') => {
            (&word[1..word.len() - 1], '|')
        }
        // Typer's choices; clap writes `<KEY=VALUE|PATH>` there.
        (b'<', b'>') if word.contains('|') && !word.bytes().any(|b| b.is_ascii_uppercase() || b == b'=') => {
            (&word[1..word.len() - 1], '|')
        }
        _ => return None,
    };
    tick(inner.len());
    let found: Vec<String> = inner.split(separator).map(|choice| choice.trim().to_owned()).collect();
    // An empty choice or a bracket within means that the text is something else.
    let is_plain = found
        .iter()
        .all(|choice| !choice.is_empty() && !choice.contains(' ') && !choice.starts_with(['-', '.']));
    (is_plain || word.starts_with('{')).then_some(found)
}
