//! Tables for people: aligned on a terminal, tab-separated elsewhere, and never a control character of a plugin's.

use std::io::{IsTerminal, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::exit::{Exit, Failure};

/// Writes the result of a command.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    // `smcpctl tools | head` is no failure.
    print_on(text).map(|_| ())
}

/// Writes a part of a result; `false` when nobody reads any more.
pub(crate) fn print_on(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Exit::Failed, format!("cannot write the result: {error}"))),
    }
}

/// Writes a value as JSON, under the number of its format.
pub(crate) fn print_json(what: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
    let body = serde_json::json!({"version": 1, what: value});
    print(&(plain(&format!("{body:#}")) + "\n"))
}

/// Writes rows under their headings.
pub(crate) fn print_rows(headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    print(&lay_out(headings, rows, std::io::stdout().is_terminal().then(width)))
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col).max(20))
}

/// `width` is that of the terminal; without one there is none.
fn lay_out(headings: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let escaped: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    let Some(width) = width else {
        return escaped.iter().map(|row| row.join("\t") + "\n").collect();
    };
    let all = || {
        std::iter::once(headings.iter().map(|heading| (*heading).to_owned()).collect())
            .chain(escaped.iter().cloned())
    };
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            all().filter_map(|row: Vec<String>| row.get(column).map(|cell| cell.width())).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(cut(line.trim_end(), width));
        text.push('\n');
    }
    text
}

/// Some letters take two columns, some none.
fn padded(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

/// As much of a line as fits.
fn cut(line: &str, width: usize) -> &str {
    let mut used = 0;
    let fits = |letter: char| {
        used += letter.width().unwrap_or(0);
        used <= width
    };
    let end: usize = line
        .chars()
        .take_while({
            let mut fits = fits;
            move |letter| fits(*letter)
        })
        .map(char::len_utf8)
        .sum();
    line[..end].trim_end()
}

/// `41.2 MiB`
pub(crate) fn mebibytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a tenth of a MiB is enough")]
    let count = bytes as f64 / f64::from(1 << 20);
    format!("{count:.1} MiB")
}

/// A time as people say it: `59 s`, `3 min 20 s`, `5 h 12 min`, `2 d 3 h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// Shows control characters instead of obeying them.
pub(crate) fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|letter| match letter {
            letter if letter.is_control() || is_invisible(letter) => {
                letter.escape_default().collect::<Vec<_>>()
            }
            letter => vec![letter],
        })
        .collect()
}

/// Writes what a terminal obeys, or nobody sees, as JSON's own escapes. They stand in strings alone.
pub(crate) fn plain(json: &str) -> String {
    let mut units = [0; 2];
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter != '\n' && (letter.is_control() || is_invisible(letter)) {
            true => text.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"))),
            false => text.push(letter),
        }
    }
    text
}

/// Marks of direction, tags and other letters without a shape, which change what a line seems to say.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_two_units_that_matter() {
        let said = [59, 200, 18_720, 183_600].map(duration);
        assert_eq!(said, ["59 s", "3 min 20 s", "5 h 12 min", "2 d 3 h"]);
    }

    #[test]
    fn a_terminal_gets_columns_and_a_pipe_gets_tabs() {
        let rows = vec![
            vec!["one".to_owned(), "a\u{1b}[31mb".to_owned()],
            vec!["three".to_owned(), "c\nd".to_owned()],
        ];
        assert_eq!(lay_out(&["A", "B"], &rows, None), "one\ta\\u{1b}[31mb\nthree\tc\\nd\n");
        assert_eq!(lay_out(&["A", "B"], &rows, Some(40)), "A      B\none    a\\u{1b}[31mb\nthree  c\\nd\n");
        assert_eq!(lay_out(&["A", "B"], &rows, Some(8)), "A      B\none    a\nthree  c\n");
        let wide = vec![vec!["日本".to_owned(), "x".to_owned()], vec!["ab".to_owned(), "y".to_owned()]];
        assert_eq!(lay_out(&["A", "B"], &wide, Some(40)), "A     B\n日本  x\nab    y\n");
        assert_eq!(lay_out(&["A", "B"], &wide, Some(3)), "A\n日\nab\n");
        assert_eq!(escape("a\u{202e}b\u{e0041}"), "a\\u{202e}b\\u{e0041}");
    }

    #[test]
    fn json_is_the_same_json_without_what_a_terminal_obeys() {
        let value = serde_json::json!({"a": "\u{9b}31m\u{7f}\u{e0041}\u{1b} \u{e4}\u{202e}"});
        let text = plain(&format!("{value:#}"));
        assert_eq!(text, "{\n  \"a\": \"\\u009b31m\\u007f\\udb40\\udc41\\u001b ä\\u202e\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
