//! Reads what `strace -f -o` writes: one event a line, each behind the number of the process.
//!
//! Whatever a program calls itself or its files, its names come quoted. A line that is no event of strace's is passed over.

use std::collections::HashMap;

/// Calls of so many processes at once may be cut in two.
const CUT_IN_TWO: usize = 4_096;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Call(Call),
    /// A process is gone.
    Ended(i32, End),
}

/// A system call that returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) pid: i32,
    pub(super) name: String,
    /// As strace shows them.
    pub(super) arguments: Vec<String>,
    /// `EACCES`, where it failed.
    pub(super) error: Option<String>,
}

/// How a process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Exited(i32),
    /// By its name.
    Killed(String),
}

/// Puts together what strace had to write in two lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a call that another process interrupted, by its process.
    begun: HashMap<i32, String>,
}

impl Reader {
    pub(super) fn read(&mut self, line: &str) -> Option<Event> {
        let digits = line.len() - line.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (pid, rest) = line.split_at(digits);
        let pid: i32 = pid.parse().ok()?;
        let rest = rest.trim();
        if let Some(end) = rest.strip_prefix("+++ ") {
            self.begun.remove(&pid);
            return read_end(end.strip_suffix(" +++")?).map(|end| Event::Ended(pid, end));
        }
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            if self.begun.len() < CUT_IN_TWO {
                self.begun.insert(pid, begun.to_owned());
            }
            return None;
        }
        let Some(resumed) = rest.strip_prefix("<... ") else { return read_call(pid, rest).map(Event::Call) };
        let (name, end) = resumed.split_once(" resumed>")?;
        let begun = self.begun.remove(&pid)?;
        match begun.split_once('(') {
            Some((known, _)) if known == name => read_call(pid, &(begun + end)).map(Event::Call),
            _ => None,
        }
    }
}

/// `exited with 0`, `killed by SIGSEGV (core dumped)`
fn read_end(text: &str) -> Option<End> {
    if let Some(status) = text.strip_prefix("exited with ") {
        return Some(End::Exited(status.parse().ok()?));
    }
    let signal = text.strip_prefix("killed by ")?.split(' ').next()?;
    Some(End::Killed(signal.to_owned()))
}

/// `openat(AT_FDCWD</>, "etc", O_RDONLY) = -1 EACCES (Permission denied)`
fn read_call(pid: i32, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(name) {
        return None;
    }
    let (arguments, rest) = split(rest)?;
    let mut words = rest.trim_start().strip_prefix("= ")?.split(' ');
    let error = match words.next()? {
        "-1" => Some(words.next().filter(|word| word.starts_with('E') && is_name(word))?.to_owned()),
        // It never returned: its process is gone.
        "?" => return None,
        _ => None,
    };
    Some(Call { pid, name: name.to_owned(), arguments, error })
}

/// Splits what is between a call's parentheses, and returns what follows them.
fn split(text: &str) -> Option<(Vec<String>, &str)> {
    let bytes = text.as_bytes();
    let (mut arguments, mut begin, mut depth, mut at) = (Vec::new(), 0, 0_usize, 0);
    let add = |arguments: &mut Vec<String>, argument: &str| arguments.push(argument.trim().to_owned());
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = past(bytes, at + 1, b'"')?,
            // The number of a shift.
            b'<' if bytes.get(at + 1) == Some(&b'<') => at += 1,
            // What a descriptor stands for.
            b'<' => at = past(bytes, at + 1, b'>')?,
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                if at > begin || !arguments.is_empty() {
                    add(&mut arguments, &text[begin..at]);
                }
                return Some((arguments, &text[at + 1..]));
            }
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                add(&mut arguments, &text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Finds where what `end` ends does so, from `at` on.
fn past(bytes: &[u8], mut at: usize, end: u8) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            byte if *byte == end => return Some(at),
            _ => at += 1,
        }
    }
}

/// Reads a quoted argument. `None` where it is no string, or strace did not show all of it.
pub(super) fn unquoted(argument: &str) -> Option<Vec<u8>> {
    let inner = argument.strip_prefix('"')?.strip_suffix('"')?;
    plain(inner, b'"')
}

/// Reads where the descriptor of an argument leads: `3</etc>`, `AT_FDCWD</>`.
pub(super) fn directory(argument: &str) -> Option<Vec<u8>> {
    let (_, rest) = argument.split_once('<')?;
    let inner = rest.strip_suffix('>')?;
    if inner.starts_with('/') { plain(inner, b'>') } else { None }
}

/// Undoes C's escapes; nothing may stand unescaped that would have ended the text.
fn plain(text: &str, end: u8) -> Option<Vec<u8>> {
    let mut bytes = text.bytes().peekable();
    let mut found = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == end {
            return None;
        }
        if byte != b'\\' {
            found.push(byte);
            continue;
        }
        found.push(match bytes.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'x' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(|byte| matches!(byte, b'0'..=b'7')) else { break };
                    value = value * 8 + u32::from(digit - b'0');
                }
                u8::try_from(value).ok()?
            }
            other => other,
        });
    }
    Some(found)
}

#[cfg(test)]
#[path = "strace_tests.rs"]
mod tests;
