//! What strace writes, and what nobody should.

use proptest::prelude::*;

use super::*;

fn call(name: &str, arguments: &[&str], error: Option<&str>) -> Option<Event> {
    Some(Event::Call(Call {
        pid: 7,
        name: name.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        error: error.map(str::to_owned),
    }))
}

#[test]
fn a_line_is_an_event_or_nothing() {
    let cases = [
        (
            r#"7     openat(AT_FDCWD</tmp/a b>, "/etc/\"x\",\n", O_RDONLY|O_CLOEXEC) = -1 EACCES (Permission denied)"#,
            call(
                "openat",
                &["AT_FDCWD</tmp/a b>", r#""/etc/\"x\",\n""#, "O_RDONLY|O_CLOEXEC"],
                Some("EACCES"),
            ),
        ),
        (
            r#"7 openat(AT_FDCWD</a(b,c\">, "x", O_RDONLY) = 3</a(b,c\"/x>"#,
            call("openat", &[r#"AT_FDCWD</a(b,c\">"#, r#""x""#, "O_RDONLY"], None),
        ),
        (
            "7 ptrace(PTRACE_TRACEME)            = -1 EPERM (Operation not permitted)",
            call("ptrace", &["PTRACE_TRACEME"], Some("EPERM")),
        ),
        ("7 getpid() = 7", call("getpid", &[], None)),
        (
            r#"7 execve("/bin/a", ["a", "b)"...], 0x7ffc /* 35 vars */) = 0"#,
            call("execve", &[r#""/bin/a""#, r#"["a", "b)"...]"#, "0x7ffc /* 35 vars */"], None),
        ),
        (
            r#"7 connect(3<socket:[15]>, {sa_family=AF_UNIX, sun_path=@"a}("}, 6) = -1 ECONNREFUSED (Connection refused)"#,
            call(
                "connect",
                &["3<socket:[15]>", r#"{sa_family=AF_UNIX, sun_path=@"a}("}"#, "6"],
                Some("ECONNREFUSED"),
            ),
        ),
        ("7 f(1<<3, [110 => 2]) = 0x10", call("f", &["1<<3", "[110 => 2]"], None)),
        ("7 +++ exited with 3 +++", Some(Event::Ended(7, End::Exited(3)))),
        (
            "7 +++ killed by SIGSEGV (core dumped) +++",
            Some(Event::Ended(7, End::Killed("SIGSEGV".to_owned()))),
        ),
        ("7 exit_group(0) = ?", None),
        ("7 --- SIGCHLD {si_signo=SIGCHLD} ---", None),
        (r#"7 open("a = -1 EACCES (Permission denied)"#, None),
        (r#"7 open("a") = -1"#, None),
        ("7 open(3</a) = -1 EACCES (Permission denied)", None),
        ("7 <... open resumed>) = -1 EACCES (Permission denied)", None),
        ("open() = 0", None),
        ("99999999999 open() = 0", None),
        ("7 o-pen() = 0", None),
        ("", None),
    ];
    for (line, expected) in cases {
        assert_eq!(Reader::default().read(line), expected, "{line}");
    }
}

#[test]
fn a_call_in_two_lines_is_one_and_nobody_elses() {
    let mut reader = Reader::default();
    let expected = call("openat", &["AT_FDCWD</>", r#""a""#, "O_RDONLY"], Some("EACCES"));
    assert_eq!(reader.read(r#"7 openat(AT_FDCWD</>, "a" <unfinished ...>"#), None);
    assert_eq!(reader.read(r#"8 kill(1, SIGTERM <unfinished ...>"#), None);
    assert_eq!(reader.read("9 <... openat resumed>, O_RDONLY) = -1 EACCES (Permission denied)"), None);
    assert_eq!(reader.read("7 <... openat resumed>, O_RDONLY) = -1 EACCES (Permission denied)"), expected);
    // The rest of another call, and a process that was gone before it came.
    assert_eq!(reader.read("8 <... open resumed>) = 0"), None);
    assert_eq!(reader.read("7 open( <unfinished ...>"), None);
    assert!(reader.read("7 +++ exited with 0 +++").is_some());
    assert_eq!(reader.read("7 <... open resumed>) = 0"), None);
}

#[test]
fn a_string_is_read_whole_or_not_at_all() {
    let cases: [(&str, Option<&[u8]>); 9] = [
        (r#""/a/b""#, Some(b"/a/b")),
        (r#""\"\\\n\t\v\f\r""#, Some(b"\"\\\n\t\x0b\x0c\r")),
        (r#""\303\2741\0""#, Some(b"\xc3\xbc1\0")),
        (r#""\xc3\xbc""#, Some(b"\xc3\xbc")),
        (r#""/a"..."#, None),
        (r#""\777""#, None),
        (r#""\"#, None),
        (r#""a"b""#, None),
        ("NULL", None),
    ];
    for (argument, expected) in cases {
        assert_eq!(unquoted(argument).as_deref(), expected, "{argument}");
    }
    let cases: [(&str, Option<&[u8]>); 6] = [
        (r"AT_FDCWD</a\74b>", Some(b"/a<b")),
        ("3</>", Some(b"/")),
        ("3<socket:[15]>", None),
        ("3</a>b>", None),
        ("3</a>(deleted)", None),
        ("AT_FDCWD", None),
    ];
    for (argument, expected) in cases {
        assert_eq!(directory(argument).as_deref(), expected, "{argument}");
    }
}

/// As strace quotes bytes.
fn quoted(bytes: &[u8]) -> String {
    let escaped = bytes.iter().enumerate().map(|(at, byte)| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        // Short where no digit follows.
        _ if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => format!("\\{byte:03o}"),
        _ => format!("\\{byte:o}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

proptest! {
    #[test]
    fn whatever_a_file_is_called_it_is_read_back(name in prop::collection::vec(1..=255_u8, 0..60), cut in any::<prop::sample::Index>()) {
        let line = format!("7 mkdirat(AT_FDCWD</>, {}, 0777) = -1 EPERM (Operation not permitted)", quoted(&name));
        let Some(Event::Call(read)) = Reader::default().read(&line) else { panic!("{line}") };
        prop_assert_eq!(unquoted(&read.arguments[1]), Some(name));
        // Between the arguments and the end, strace may have cut it anywhere.
        let mut reader = Reader::default();
        let rest = line.strip_prefix("7 ").unwrap();
        let from = "mkdirat(".len();
        let at = from + cut.index(rest.find(") = -1").unwrap() - from);
        prop_assert_eq!(reader.read(&format!("7 {}<unfinished ...>", &rest[..at])), None);
        prop_assert_eq!(reader.read("8 +++ exited with 0 +++"), Some(Event::Ended(8, End::Exited(0))));
        prop_assert_eq!(reader.read(&format!("7 <... mkdirat resumed>{}", &rest[at..])), Some(Event::Call(read)));
    }

    #[test]
    fn no_line_stops_the_reader(lines in prop::collection::vec("(7 )?[a-z+<>.(){}\\[\\]\"\\\\, =?0-9-]{0,40}|\\PC{0,40}", 0..20)) {
        let mut reader = Reader::default();
        for line in lines {
            if let Some(Event::Call(call)) = reader.read(&line) {
                for argument in &call.arguments {
                    let _whatever = (unquoted(argument), directory(argument));
                }
            }
        }
        prop_assert_eq!(reader.read("7 getpid() = 7"), call("getpid", &[], None));
    }
}
