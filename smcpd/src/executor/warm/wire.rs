//! What the daemon, a parent and its children say to each other; plain bytes in, plain bytes out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A longer line from a child is none of ours.
pub(super) const LINE: usize = 1 << 20;

/// Which kind of child a parent is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs the plugin's code ahead, and waits where it looks at what belongs to a call.
    Spare,
    /// The same, and not made of what has run already: that is out of date.
    Own,
    /// Takes its call at once.
    Fork,
}

impl Kind {
    pub(super) fn request(self) -> [u8; 1] {
        match self {
            Self::Spare => *b"S",
            Self::Own => *b"O",
            Self::Fork => *b"F",
        }
    }
}

/// What a parent is told at its start.
#[derive(Debug, Serialize)]
pub(super) struct Settings<'a> {
    pub(super) script: &'a str,
    pub(super) orig_argv: &'a [String],
    pub(super) root: &'a str,
    pub(super) preload: &'a [String],
    /// Variables that come with a call.
    pub(super) names: &'a [&'a str],
    /// Seconds that a model serves.
    pub(super) spare_age: f64,
}

/// What a parent answers to its settings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Ready(Ready),
    /// It cannot run this plugin as a cold start would, and why.
    Unfit(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct Ready {
    pub(super) version: String,
    pub(super) kib: u64,
    /// What the operator might want to know: a module that could not be preloaded.
    #[serde(default)]
    pub(super) said: Vec<String>,
    pub(super) files: Vec<PathBuf>,
}

/// A line of a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Pid(i32),
    Waiting(Waiting),
    /// The plugin's code ended before it looked at its call.
    Ended(Ended),
    Refused(String),
    /// From here on the plugin's code has its call.
    Running,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Waiting {
    pub(super) at: String,
    pub(super) kib: u64,
    pub(super) files: Vec<PathBuf>,
    /// How long ago its code was run, in milliseconds, where that was in a model.
    #[serde(default)]
    pub(super) age: u64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Ended {
    pub(super) status: i32,
    pub(super) said: String,
}

/// Reads a line of a child, without its line feed; nothing where it is none.
pub(super) fn said(line: &[u8]) -> Option<Said> {
    let line = std::str::from_utf8(line).ok()?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "pid" => rest.parse().ok().filter(|pid| *pid > 1).map(Said::Pid),
        "waiting" => serde_json::from_str(rest).ok().map(Said::Waiting),
        "ended" => serde_json::from_str(rest).ok().map(Said::Ended),
        "refused" => Some(Said::Refused(rest.to_owned())),
        "running" => Some(Said::Running),
        _ => None,
    }
}

/// Writes bytes with their length before them.
pub(super) fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("our own texts are short");
    [&length.to_le_bytes(), bytes].concat()
}

/// What a call begins with: the length of the rest, how many arguments and variables there are, and nothing.
pub(in super::super) const HEADER: usize = 16;
/// A longer call is started anew.
const LONGEST: u32 = 8 << 20;

/// Writes a call: its header, then arguments, then variables, each ended by a NUL, which none of them holds. Nothing where
/// it is too long, or holds one after all.
pub(super) fn call<'a>(
    argv: &[OsString],
    variables: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
) -> Option<Vec<u8>> {
    let mut message = vec![0; HEADER];
    let mut push = |parts: &[&[u8]]| {
        let whole = parts.iter().all(|part| !part.contains(&0));
        parts.iter().for_each(|part| message.extend_from_slice(part));
        message.push(0);
        whole
    };
    for argument in argv {
        push(&[argument.as_bytes()]).then_some(())?;
    }
    let mut count = 0u32;
    for (name, value) in variables {
        push(&[name.as_bytes(), b"=", value.as_bytes()]).then_some(())?;
        count += 1;
    }
    let length = u32::try_from(message.len() - HEADER).ok().filter(|length| *length <= LONGEST)?;
    let head = [length, u32::try_from(argv.len()).ok()?, count, 0];
    for (at, number) in head.iter().enumerate() {
        message[at * 4..][..4].copy_from_slice(&number.to_le_bytes());
    }
    Some(message)
}

/// Reads the header of a call: the length of the rest, and how many arguments that begins with.
pub(in super::super) fn header(bytes: [u8; HEADER]) -> Option<(usize, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = number(0).filter(|length| *length <= LONGEST)?;
    Some((usize::try_from(length).ok()?, usize::try_from(number(4)?).ok()?))
}

/// What follows a call's header.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Parts<'a> {
    pub(in super::super) argv: Vec<&'a OsStr>,
    pub(in super::super) variables: Vec<(&'a OsStr, &'a OsStr)>,
}

/// Reads what follows a header that counted so many arguments.
pub(in super::super) fn parts(rest: &[u8], arguments: usize) -> Option<Parts<'_>> {
    let mut texts: Vec<&[u8]> = rest.split(|byte| *byte == 0).collect();
    // What follows the last NUL.
    texts.pop().filter(|after| after.is_empty())?;
    let variables = if arguments <= texts.len() { texts.split_off(arguments) } else { return None };
    let variables = variables.into_iter().map(|text| {
        let at = text.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&text[..at]), OsStr::from_bytes(&text[at + 1..])))
    });
    Some(Parts {
        argv: texts.into_iter().map(OsStr::from_bytes).collect(),
        variables: variables.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_one_of_five_or_nothing() {
        let waiting = Waiting { at: "argv".into(), kib: 7, files: vec!["/a b".into()], age: 0 };
        let of_a_model = Waiting { at: "argv".into(), kib: 7, files: Vec::new(), age: 9 };
        let ended = Ended { status: 3, said: "no".into() };
        let cases = [
            ("pid 12", Some(Said::Pid(12))),
            ("pid 1", None),
            ("pid -4", None),
            ("pid", None),
            ("pid x", None),
            (r#"waiting {"at":"argv","kib":7,"files":["/a b"],"more":1}"#, Some(Said::Waiting(waiting))),
            (r#"waiting {"at":"argv","kib":7,"files":[],"age":9}"#, Some(Said::Waiting(of_a_model))),
            ("waiting", None),
            ("waiting {}", None),
            (r#"ended {"status":3,"said":"no"}"#, Some(Said::Ended(ended))),
            ("refused not now", Some(Said::Refused("not now".into()))),
            ("running", Some(Said::Running)),
            ("", None),
            ("hello", None),
        ];
        for (line, expected) in cases {
            assert_eq!(said(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(said(b"\xff"), None);
    }

    #[test]
    fn a_call_is_counted_and_ended_by_nul() {
        let argv = ["say", "", "--text=é"].map(OsString::from);
        let variables = [("A", "1"), ("B", "")].map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        let message = call(&argv, variables.into_iter()).unwrap();
        let body = "say\0\0--text=é\0A=1\0B=\0".as_bytes();
        let length = u8::try_from(body.len()).unwrap();
        assert_eq!(message[..16], [length, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&message[16..], body);
        assert_eq!(call(&["a\0b".into()], std::iter::empty()), None);
        assert_eq!(call(&["x".repeat(9 << 20).into()], std::iter::empty()), None);
        assert_eq!(with_length(b"ab"), b"\x02\0\0\0ab");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            argv in prop::collection::vec("[^\0]{0,8}", 0..5),
            variables in prop::collection::vec(("[A-Z]{1,4}", "[^\0]{0,8}"), 0..5),
        ) {
            let argv: Vec<OsString> = argv.into_iter().map(OsString::from).collect();
            let variables: Vec<(&OsStr, &OsStr)> =
                variables.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))).collect();
            let message = call(&argv, variables.iter().copied()).unwrap();
            let (length, arguments) = header(message[..HEADER].try_into().unwrap()).unwrap();
            prop_assert_eq!(length, message.len() - HEADER);
            let argv = argv.iter().map(OsString::as_os_str).collect();
            prop_assert_eq!(parts(&message[HEADER..], arguments), Some(Parts { argv, variables }));
        }

        #[test]
        fn whatever_is_given_as_a_call_does_not_panic(
            head in any::<[u8; HEADER]>(), rest in prop::collection::vec(any::<u8>(), 0..60), arguments in 0usize..9,
        ) {
            let _any = header(head);
            let _any = parts(&rest, arguments);
        }

        #[test]
        fn whatever_is_given_as_a_line_does_not_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _any = said(&line);
        }
    }
}
