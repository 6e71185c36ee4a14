//! Who is to blame, and what would allow it.

use super::*;

fn config() -> Vec<ConfigValue> {
    let value = |key: &str, value: &str| ConfigValue {
        key: key.to_owned(),
        value: value.to_owned(),
        origin: "smcpd.toml:1".to_owned(),
        pending: None,
    };
    vec![value("plugin.p.sandbox.write", r#"["/srv"]"#), value("sandbox.write", r#"["/all"]"#)]
}

fn judged(held: &Sandbox, attempt: &Attempt, error: &str, allowed: Option<bool>, exists: bool) -> Finding {
    let config = config();
    let devices = ["/dev/null".to_owned(), "/dev/pts".to_owned()];
    let rules =
        Rules { plugin: "p", program: Path::new("/opt/p/cli"), held, devices: &devices, config: &config };
    let call =
        Call { pid: 7, name: "openat".to_owned(), arguments: Vec::new(), error: Some(error.to_owned()) };
    rules.judge(&call, attempt, Answer { allowed, exists })
}

/// By whom, and the line that allows it.
fn verdict(
    held: &Sandbox,
    attempt: &Attempt,
    error: &str,
    allowed: Option<bool>,
    exists: bool,
) -> (By, Option<String>) {
    let finding = judged(held, attempt, error, allowed, exists);
    (finding.by, finding.allow.map(|allow| format!("{} {}", allow.section, allow.line)))
}

fn held() -> Sandbox {
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    Sandbox {
        mode: "best-effort".to_owned(),
        hidden: paths(&["/h", "/no/hidden"]),
        read: paths(&["/h/own"]),
        write: paths(&["/state", "/no/w"]),
        exec: Some(paths(&["/no/bin"])),
        connect: Some(vec![443]),
        ..Sandbox::default()
    }
}

fn file(want: Want, path: &str) -> Attempt {
    Attempt::File(want, path.into())
}

#[test]
fn a_file_is_refused_by_the_sandbox_by_its_modes_or_by_nobody_knows_whom() {
    use By::{Permissions, Unknown};
    use Want::{Connect, Make, Read, Run, Write};
    let line = |line: &str| Some(format!("[plugin.p.sandbox] {line}"));
    let read = |path: &str| (By::Sandbox, line(&format!("read = [\"{path}\"]")));
    let write = |path: &str| (By::Sandbox, line(&format!("write = [\"/srv\", \"{path}\"]")));
    let yes = Some(true);
    let cases = [
        (file(Read, "/h/key"), "EACCES", yes, true, read("/h/key")),
        (file(Read, "/h/own/x"), "EACCES", yes, true, (Unknown, None)),
        (file(Read, "/no"), "EACCES", yes, true, (By::Sandbox, None)),
        (file(Read, "/no/elsewhere"), "EACCES", yes, true, (Unknown, None)),
        (file(Read, "/no/elsewhere"), "EACCES", Some(false), true, (Permissions, None)),
        // Both are against it: the line alone does not help.
        (file(Read, "/h/key"), "EACCES", Some(false), true, (Permissions, line(r#"read = ["/h/key"]"#))),
        // Rules for files never say that.
        (file(Read, "/h/key"), "EPERM", yes, true, (Unknown, None)),
        (file(Write, "/no/a/old"), "EACCES", yes, true, write("/no/a/old")),
        (file(Write, "/no/a/new"), "EACCES", yes, false, write("/no/a")),
        (file(Make, "/no/a/x"), "EACCES", yes, true, write("/no/a")),
        (file(Make, "/no/w/x"), "EACCES", yes, false, (Unknown, None)),
        (file(Make, "/no/w/x"), "EACCES", Some(false), false, (Permissions, None)),
        (file(Write, "/dev/null"), "EACCES", yes, true, (Unknown, None)),
        (file(Connect, "/h/control.sock"), "EACCES", yes, true, read("/h/control.sock")),
        (file(Connect, "/no/a.sock"), "EACCES", yes, true, (Unknown, None)),
        (file(Run, "/opt/p/cli"), "EACCES", yes, true, (Unknown, None)),
        (file(Run, "/no/bin/x"), "EACCES", yes, true, (Unknown, None)),
        (file(Run, "/no/x"), "EACCES", yes, true, (By::Sandbox, line(r#"exec = ["/no/bin", "/no/x"]"#))),
        (file(Read, "/proc/1/environ"), "EACCES", yes, true, (By::Sandbox, None)),
        (file(Read, "/proc/cpuinfo"), "EACCES", None, true, (Unknown, None)),
    ];
    for (attempt, error, allowed, exists, expected) in cases {
        assert_eq!(
            verdict(&held(), &attempt, error, allowed, exists),
            expected,
            "{attempt:?} {error} {allowed:?}"
        );
    }
    let whole = Sandbox { exec: None, ..held() };
    assert_eq!(verdict(&whole, &file(Run, "/h/x"), "EACCES", yes, true), read("/h/x"));
    assert_eq!(verdict(&whole, &file(Run, "/no/x"), "EACCES", Some(false), true), (Permissions, None));
    let why = judged(&held(), &file(Read, "/h/key"), "EACCES", Some(false), true).why;
    assert_eq!(why, "its user may not, whatever the sandbox says; and `/h` is hidden");
}

#[test]
fn a_port_a_process_and_a_system_call_have_rules_of_their_own() {
    use By::{Permissions, Sandbox, Unknown};
    let line = |line: &str| Some(format!("[plugin.p.sandbox] {line}"));
    let socket = |family: &str| Attempt::Socket(family.to_owned());
    let none = smcp_control::Sandbox { connect: Some(Vec::new()), ..held() };
    let any = smcp_control::Sandbox { connect: None, ..held() };
    let cases = [
        (held(), Attempt::Reach(80), "EACCES", None, (Sandbox, line("connect = [443, 80]"))),
        (held(), Attempt::Reach(443), "EACCES", None, (Unknown, None)),
        (any.clone(), Attempt::Reach(80), "EACCES", None, (Unknown, None)),
        (held(), Attempt::Reach(80), "EPERM", None, (Unknown, None)),
        (held(), Attempt::Listen(8080), "EACCES", None, (Sandbox, line("network = true"))),
        (any.clone(), Attempt::Listen(80), "EACCES", None, (Permissions, None)),
        (any.clone(), Attempt::Listen(8080), "EACCES", None, (Unknown, None)),
        (none.clone(), socket("AF_INET"), "EPERM", None, (Sandbox, line("network = true"))),
        (none, socket("AF_UNIX"), "EPERM", None, (Permissions, None)),
        (any, socket("AF_PACKET"), "EPERM", None, (Permissions, None)),
        (held(), Attempt::Abstract("x".to_owned()), "EPERM", None, (Sandbox, None)),
        (held(), Attempt::Signal(9), "EPERM", Some(true), (Sandbox, None)),
        (held(), Attempt::Signal(9), "EPERM", Some(false), (Permissions, None)),
        (held(), Attempt::Unneeded, "EPERM", None, (Sandbox, None)),
        (held(), Attempt::Unneeded, "EACCES", None, (Unknown, None)),
        (held(), Attempt::Unheld(None), "EPERM", None, (Permissions, None)),
        (held(), Attempt::Unclear, "EACCES", None, (Unknown, None)),
    ];
    for (held, attempt, error, allowed, expected) in cases {
        assert_eq!(
            verdict(&held, &attempt, error, allowed, false),
            expected,
            "{attempt:?} {error} {allowed:?}"
        );
    }
}

#[test]
fn what_the_kernel_lacks_is_not_to_blame() {
    let missing =
        ["rules for files (…)", "filter of system calls (…)", "rules for ports (…)", "rules for signals (…)"];
    let lacking = Sandbox { missing: missing.map(str::to_owned).to_vec(), ..held() };
    let attempts = [
        (file(Want::Read, "/h/key"), "EACCES"),
        (Attempt::Reach(80), "EACCES"),
        (Attempt::Listen(8080), "EACCES"),
        (Attempt::Abstract("x".to_owned()), "EPERM"),
        (Attempt::Signal(9), "EPERM"),
        (Attempt::Unneeded, "EPERM"),
    ];
    for (attempt, error) in attempts {
        assert_eq!(verdict(&held(), &attempt, error, Some(true), true).0, By::Sandbox, "{attempt:?}");
        assert_eq!(verdict(&lacking, &attempt, error, Some(true), true).0, By::Unknown, "{attempt:?}");
    }
}

#[test]
fn a_name_that_is_no_bare_key_is_quoted() {
    let (held, config) = (held(), config());
    let section = |plugin| {
        Rules { plugin, program: Path::new("/x"), held: &held, devices: &[], config: &config }.section()
    };
    assert_eq!(section("a-b_1"), "[plugin.a-b_1.sandbox]");
    assert_eq!(section("a.b"), "[plugin.\"a.b\".sandbox]");
}
