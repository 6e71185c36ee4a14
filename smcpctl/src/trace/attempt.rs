//! What a system call that was refused wanted to do.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use super::strace::{Call, directory, unquoted};

/// What was wanted, in the terms in which a sandbox allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    File(Want, PathBuf),
    /// To connect to a TCP port.
    Reach(u16),
    /// To listen on one.
    Listen(u16),
    /// To open a socket of this kind.
    Socket(String),
    /// To connect to a socket that has no file.
    Abstract(String),
    /// To signal a process, or a group where it is negative.
    Signal(i32),
    /// A system call that no plugin needs.
    Unneeded,
    /// What no sandbox of ours holds.
    Unheld(Option<PathBuf>),
    /// What cannot be told from what strace shows.
    Unclear,
}

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Want {
    Read,
    Write,
    Run,
    /// To make, rename or remove it: its directory is what changes.
    Make,
    /// To connect to the socket that it is.
    Connect,
}

/// System calls that are looked at, besides those that no plugin needs: what opens, changes or runs files, moves to another
/// directory, opens sockets, or signals. A name that this strace does not know is passed over.
pub(super) const LOOKED_AT: &[&str] = &["%file", "%network", "fchdir", "kill", "tkill", "tgkill"];
/// The same, where newer kernels have them.
pub(super) const LOOKED_AT_IF_KNOWN: &[&str] =
    &["pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "openat2", "execveat"];

/// Says what a call wanted. `refused_calls` are those that no plugin needs; `base` is where a relative path begins that has
/// no directory of its own, where that is known.
pub(super) fn of(call: &Call, refused_calls: &[String], base: Option<&Path>) -> Vec<Attempt> {
    if refused_calls.contains(&call.name) {
        return vec![Attempt::Unneeded];
    }
    let argument = |at: usize| call.arguments.get(at).map_or("", String::as_str);
    let path = |at: usize| resolved(None, argument(at), base);
    let path_at = |at: usize| resolved(Some(argument(at)), argument(at + 1), base);
    let file = |want: Want, path: Option<PathBuf>| match path {
        Some(path) => Attempt::File(want, path),
        None => Attempt::Unclear,
    };
    let one = |want: Want, at: usize| vec![file(want, path(at))];
    let one_at = |want: Want, at: usize| vec![file(want, path_at(at))];
    match call.name.as_str() {
        "open" => one(wanted(argument(1)), 0),
        "openat" | "openat2" => one_at(wanted(argument(2)), 0),
        "creat" | "truncate" => one(Want::Write, 0),
        "execve" => one(Want::Run, 0),
        "execveat" => one_at(Want::Run, 0),
        "mkdir" | "rmdir" | "unlink" | "mknod" => one(Want::Make, 0),
        "mkdirat" | "unlinkat" | "mknodat" => one_at(Want::Make, 0),
        "symlink" | "link" => one(Want::Make, 1),
        "symlinkat" => one_at(Want::Make, 1),
        "linkat" => one_at(Want::Make, 2),
        "rename" => vec![file(Want::Make, path(0)), file(Want::Make, path(1))],
        "renameat" | "renameat2" => vec![file(Want::Make, path_at(0)), file(Want::Make, path_at(2))],
        "connect" => vec![address(argument(1), base, Attempt::Reach, Want::Connect)],
        "bind" => vec![address(argument(1), base, Attempt::Listen, Want::Make)],
        "socket" => vec![Attempt::Socket(argument(0).to_owned())],
        "kill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "tkill" => {
            vec![argument(0).parse().map_or(Attempt::Unclear, Attempt::Signal)]
        }
        // What only looks, or changes what is not held: the path comes first, or behind its directory.
        _ => vec![Attempt::Unheld(path(0).or_else(|| path_at(0)))],
    }
}

/// What the flags of an `open` say.
fn wanted(flags: &str) -> Want {
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
    let has = |flag: &&str| {
        flags.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_').any(|word| word == *flag)
    };
    if writes.iter().any(has) { Want::Write } else { Want::Read }
}

/// `{sa_family=AF_INET, sin_port=htons(443), …}`; only what begins with its family is believed.
fn address(text: &str, base: Option<&Path>, port: fn(u16) -> Attempt, want: Want) -> Attempt {
    let number = |rest: &str| rest.split(')').next()?.parse().ok();
    let internet = ["{sa_family=AF_INET, sin_port=htons(", "{sa_family=AF_INET6, sin6_port=htons("];
    if let Some(found) = internet.iter().find_map(|start| number(text.strip_prefix(start)?)) {
        return port(found);
    }
    let Some(name) = text.strip_prefix("{sa_family=AF_UNIX, sun_path=") else { return Attempt::Unclear };
    let name = name.trim_end_matches('}');
    if let Some(name) = name.strip_prefix('@').and_then(unquoted) {
        return Attempt::Abstract(String::from_utf8_lossy(&name).into_owned());
    }
    resolved(None, name, base).map_or(Attempt::Unclear, |path| Attempt::File(want, path))
}

/// The whole path of an argument, where it can be told.
fn resolved(beside: Option<&str>, argument: &str, base: Option<&Path>) -> Option<PathBuf> {
    let path = PathBuf::from(OsString::from_vec(unquoted(argument)?));
    if path.as_os_str().is_empty() {
        return None;
    }
    let whole = match beside {
        _ if path.is_absolute() => path,
        Some(beside) => match directory(beside) {
            Some(found) => PathBuf::from(OsString::from_vec(found)).join(path),
            None if beside == "AT_FDCWD" => base?.join(path),
            None => return None,
        },
        None => base?.join(path),
    };
    Some(without_dots(&whole))
}

/// Takes out `.`, and `..` with what is before it: a link on the way is then passed over, which the real path mends.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::strace::{Event, Reader};

    fn attempts(line: &str) -> Vec<Attempt> {
        let Some(Event::Call(call)) = Reader::default().read(&format!("7 {line} = -1 EACCES (…)")) else {
            panic!("{line}")
        };
        of(&call, &["ptrace".to_owned()], Some(Path::new("/state")))
    }

    #[test]
    fn each_call_says_what_it_wanted() {
        use Want::{Connect, Make, Read, Run, Write};
        let file = |want, path: &str| Attempt::File(want, path.into());
        let cases = [
            (r#"openat(AT_FDCWD</w>, "a", O_RDONLY|O_CLOEXEC)"#, file(Read, "/w/a")),
            (r#"openat(AT_FDCWD</w>, "../a/./b", O_RDWR)"#, file(Write, "/a/b")),
            (r#"openat(3</d>, "a", O_RDONLY|O_CREAT, 0600)"#, file(Write, "/d/a")),
            (r#"openat(AT_FDCWD, "a", O_RDONLY)"#, file(Read, "/state/a")),
            (r#"openat(3, "a", O_RDONLY)"#, Attempt::Unclear),
            (r#"openat2(3</d>, "a", {flags=O_WRONLY|O_EXCL, resolve=0}, 24)"#, file(Write, "/d/a")),
            (r#"open("/a", O_RDONLY)"#, file(Read, "/a")),
            (r#"open("/a"..., O_RDONLY)"#, Attempt::Unclear),
            (r#"execve("/bin/a", ["a"], 0x7 /* 3 vars */)"#, file(Run, "/bin/a")),
            (r#"mkdir("a", 0777)"#, file(Make, "/state/a")),
            (r#"unlinkat(AT_FDCWD</w>, "/a", 0)"#, file(Make, "/a")),
            (r#"symlink("/target", "/a")"#, file(Make, "/a")),
            (r#"symlinkat("/target", AT_FDCWD</w>, "a")"#, file(Make, "/w/a")),
            (r#"linkat(AT_FDCWD</w>, "/old", AT_FDCWD</w>, "/new", 0)"#, file(Make, "/new")),
            (
                r#"connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("1.1.1.1")}, 16)"#,
                Attempt::Reach(443),
            ),
            (
                r#"bind(3<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0)}, 28)"#,
                Attempt::Listen(80),
            ),
            (r#"connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/a"}, 9)"#, file(Connect, "/run/a")),
            (r#"bind(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="a"}, 9)"#, file(Make, "/state/a")),
            (
                r#"connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path=@"x"}, 9)"#,
                Attempt::Abstract("x".to_owned()),
            ),
            (
                r#"connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="{sa_family=AF_INET, sin_port=htons(1)"}, 9)"#,
                file(Connect, "/state/{sa_family=AF_INET, sin_port=htons(1)"),
            ),
            ("connect(3<socket:[1]>, 0x7ffc, 16)", Attempt::Unclear),
            ("socket(AF_INET6, SOCK_STREAM, IPPROTO_IP)", Attempt::Socket("AF_INET6".to_owned())),
            ("kill(1, SIGTERM)", Attempt::Signal(1)),
            ("tgkill(-4, 5, 0)", Attempt::Signal(-4)),
            ("kill(x, 0)", Attempt::Unclear),
            ("ptrace(PTRACE_TRACEME)", Attempt::Unneeded),
            (r#"chmod("/a", 0600)"#, Attempt::Unheld(Some("/a".into()))),
            (r#"newfstatat(AT_FDCWD</w>, "a", 0x7ff, 0)"#, Attempt::Unheld(Some("/w/a".into()))),
            ("unheard_of()", Attempt::Unheld(None)),
        ];
        for (line, expected) in cases {
            assert_eq!(attempts(line), [expected], "{line}");
        }
        let both = [file(Make, "/w/a"), file(Make, "/b")];
        assert_eq!(attempts(r#"renameat2(AT_FDCWD</w>, "a", AT_FDCWD</w>, "/b", 0)"#), both);
    }

    #[test]
    fn a_path_that_begins_nowhere_known_is_not_guessed() {
        let Some(Event::Call(call)) = Reader::default().read(r#"7 mkdir("a", 0777) = -1 EACCES (…)"#)
        else {
            panic!()
        };
        assert_eq!(of(&call, &[], None), [Attempt::Unclear]);
    }
}
