//! Who refused a call: the sandbox, or whoever would have without it; and which line of the configuration allows it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use smcp_control::{ConfigValue, Sandbox};

use super::attempt::{Attempt, Want};
use super::outside::Answer;
use super::strace::Call;

/// Sockets that a plugin without a network has.
const LOCAL: [&str; 2] = ["AF_UNIX", "AF_NETLINK"];

/// What was refused, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// In words.
    pub(super) what: String,
    /// The system call, and what it failed with.
    pub(super) call: String,
    pub(super) error: String,
    pub(super) by: By,
    pub(super) why: String,
    /// What allows it, where the sandbox is what refuses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow: Option<Allow>,
    pub(super) times: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    Sandbox,
    /// Nothing that is known here explains it.
    Unknown,
    /// Whoever tries it without the sandbox is refused too.
    Permissions,
}

/// A line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Allow {
    pub(super) section: String,
    pub(super) line: String,
}

/// What a plugin is held to, and where that is written.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) plugin: &'a str,
    pub(super) program: &'a Path,
    pub(super) held: &'a Sandbox,
    /// What every plugin has.
    pub(super) devices: &'a [String],
    pub(super) config: &'a [ConfigValue],
}

/// A rule that does not allow it, and the key that would.
#[derive(Debug)]
struct Against {
    why: String,
    allow: Option<Allow>,
}

impl Rules<'_> {
    /// `outside` is what came of asking the same without the sandbox.
    pub(super) fn judge(&self, call: &Call, attempt: &Attempt, outside: Answer) -> Finding {
        let error = call.error.clone().unwrap_or_default();
        let against = self.against(attempt, &error, outside.exists);
        let (by, why, allow) = match (outside.allowed, against) {
            (Some(false), None) => {
                (By::Permissions, "its user may not, whatever the sandbox says".to_owned(), None)
            }
            (Some(false), Some(against)) => {
                let why = format!("its user may not, whatever the sandbox says; and {}", against.why);
                (By::Permissions, why, against.allow)
            }
            (_, Some(against)) => (By::Sandbox, against.why, against.allow),
            (_, None) => {
                let (by, why) = unexplained(attempt);
                (by, why.to_owned(), None)
            }
        };
        Finding { what: in_words(call, attempt), call: call.name.clone(), error, by, why, allow, times: 1 }
    }

    /// The rule that does not allow an attempt. Each kind of rule fails with an error of its own.
    fn against(&self, attempt: &Attempt, error: &str, exists: bool) -> Option<Against> {
        let is_access = error == "EACCES";
        let ports = self.held.connect.as_deref();
        match attempt {
            Attempt::File(want, path) if is_access && !self.lacks("rules for files") => {
                self.against_file(*want, &real(path), exists)
            }
            Attempt::Reach(port) if is_access && !self.lacks("rules for ports") => {
                let ports = ports.filter(|ports| !ports.contains(port))?;
                let all: Vec<_> = ports.iter().chain([port]).map(u16::to_string).collect();
                self.refuses("it connects to the ports of `connect` alone", Some(("connect", all)))
            }
            Attempt::Listen(_) if is_access && !self.lacks("rules for ports") => {
                ports?;
                let allow = Allow { section: self.section(), line: "network = true".to_owned() };
                let why = "with `connect`, it listens on no port; `network = true` in its place allows all".to_owned();
                Some(Against { why, allow: Some(allow) })
            }
            Attempt::Socket(family) if !is_access && !self.lacks("filter of system calls") => {
                let has_none = ports.is_some_and(<[u16]>::is_empty) && !LOCAL.contains(&family.as_str());
                let allow = Allow { section: self.section(), line: "network = true".to_owned() };
                has_none.then(|| Against { why: "it has no network".to_owned(), allow: Some(allow) })
            }
            Attempt::Abstract(_) if !is_access && !self.lacks("rules for signals") => {
                self.refuses("it reaches abstract sockets of its own processes alone; nothing but `sandbox = \"off\"` allows more", None)
            }
            Attempt::Signal(_) if !is_access && !self.lacks("rules for signals") => {
                self.refuses("it signals its own processes alone; nothing but `sandbox = \"off\"` allows more", None)
            }
            Attempt::Unneeded if !is_access && !self.lacks("filter of system calls") => {
                self.refuses("no plugin needs this system call; nothing but `sandbox = \"off\"` allows it", None)
            }
            Attempt::File(..)
            | Attempt::Reach(_)
            | Attempt::Listen(_)
            | Attempt::Socket(_)
            | Attempt::Abstract(_)
            | Attempt::Signal(_)
            | Attempt::Unneeded
            | Attempt::Unheld(_)
            | Attempt::Unclear => None,
        }
    }

    fn against_file(&self, want: Want, path: &Path, exists: bool) -> Option<Against> {
        let is_in = |list: &[String]| list.iter().any(|one| path.starts_with(real(Path::new(one))));
        let own = |key: &'static str, path: &Path| Some((key, self.with_own(key, path)));
        if is_of_a_process(path) {
            return self.refuses(
                "it looks into its own processes alone; nothing but `sandbox = \"off\"` allows more",
                None,
            );
        }
        if let (Want::Run, Some(runs)) = (want, &self.held.exec) {
            let is_own = path == real(self.program);
            let all =
                || runs.iter().map(|one| quoted(one)).chain([quoted(&path.display().to_string())]).collect();
            return match is_own || is_in(runs) || path.file_name().is_some_and(is_loader) {
                true => None,
                false => self.refuses("it runs its own program and what `exec` names", Some(("exec", all()))),
            };
        }
        if is_in(&self.held.write) || self.devices.iter().any(|device| path.starts_with(device)) {
            return None;
        }
        match want {
            Want::Read | Want::Run | Want::Connect => {
                if is_in(&self.held.read) {
                    return None;
                }
                let hidden = |one: &&String| path.starts_with(real(Path::new(one)));
                if let Some(hidden) = self.held.hidden.iter().find(hidden) {
                    return self.refuses(&format!("`{hidden}` is hidden"), own("read", path));
                }
                let is_above = |one: &String| real(Path::new(one)).starts_with(path);
                let why = "something in it is hidden: it can be passed and not be listed; open what is in it by name";
                if want == Want::Read && self.held.hidden.iter().any(is_above) {
                    self.refuses(why, None)
                } else {
                    None
                }
            }
            Want::Write | Want::Make => {
                let in_place = exists && want == Want::Write;
                let granted = if in_place { path } else { path.parent().unwrap_or(path) };
                self.refuses("it writes its state, scratch and what `write` names", own("write", granted))
            }
        }
    }

    fn refuses(&self, why: &str, allow: Option<(&str, Vec<String>)>) -> Option<Against> {
        let line = |(key, values): (&str, Vec<String>)| format!("{key} = [{}]", values.join(", "));
        let allow = allow.map(|allow| Allow { section: self.section(), line: line(allow) });
        Some(Against { why: why.to_owned(), allow })
    }

    /// The plugin's own list, and a path more.
    fn with_own(&self, key: &str, path: &Path) -> Vec<String> {
        let key = format!("plugin.{}.sandbox.{key}", self.plugin);
        let given = self.config.iter().find(|value| value.key == key);
        let given: Vec<String> =
            given.and_then(|value| serde_json::from_str(&value.value).ok()).unwrap_or_default();
        given.iter().map(|one| quoted(one)).chain([quoted(&path.display().to_string())]).collect()
    }

    fn section(&self) -> String {
        let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        match self.plugin.chars().all(is_bare) {
            true => format!("[plugin.{}.sandbox]", self.plugin),
            false => format!("[plugin.{}.sandbox]", quoted(self.plugin)),
        }
    }

    /// Whether this kernel has none of it.
    fn lacks(&self, feature: &str) -> bool {
        self.held.missing.iter().any(|missing| missing.contains(feature))
    }
}

/// As TOML takes it too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `/proc/1/environ`
fn is_of_a_process(path: &Path) -> bool {
    let below = path.strip_prefix("/proc").ok().and_then(|below| below.iter().next()?.to_str());
    below.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_loader(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("ld-linux-") || name.starts_with("ld-musl-"))
}

/// Where a path really leads; whose processes `/proc/self` is, is another's to say.
fn real(path: &Path) -> PathBuf {
    if path.starts_with("/proc") {
        return path.to_owned();
    }
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    })
}

/// Where no rule of the sandbox is against it, and nobody knows better.
fn unexplained(attempt: &Attempt) -> (By, &'static str) {
    match attempt {
        Attempt::Unheld(_) => (By::Permissions, "the sandbox does not hold this call"),
        Attempt::Listen(port) if *port < 1024 => (By::Permissions, "only root listens on a port below 1024"),
        Attempt::Socket(_) => {
            (By::Permissions, "the sandbox does not hold such a socket: its user may not open it")
        }
        Attempt::Unclear => (By::Unknown, "strace does not show what it was about"),
        Attempt::File(..)
        | Attempt::Reach(_)
        | Attempt::Listen(_)
        | Attempt::Abstract(_)
        | Attempt::Signal(_)
        | Attempt::Unneeded => {
            (By::Unknown, "neither a rule of the sandbox nor its user's rights explain it")
        }
    }
}

fn in_words(call: &Call, attempt: &Attempt) -> String {
    match attempt {
        Attempt::File(want, path) => {
            let verb = match want {
                Want::Read => "read",
                Want::Write => "write",
                Want::Run => "run",
                Want::Make => "make, rename or remove",
                Want::Connect => "connect to",
            };
            format!("{verb} `{}`", path.display())
        }
        Attempt::Reach(port) => format!("connect to TCP port {port}"),
        Attempt::Listen(port) => format!("listen on TCP port {port}"),
        Attempt::Socket(family) => format!("open a socket of {family}"),
        Attempt::Abstract(name) => format!("connect to the abstract socket `{name}`"),
        Attempt::Signal(pid) if *pid < 0 => format!("signal the processes of group {}", pid.unsigned_abs()),
        Attempt::Signal(pid) => format!("signal process {pid}"),
        Attempt::Unneeded | Attempt::Unclear | Attempt::Unheld(None) => {
            format!("the system call `{}`", call.name)
        }
        Attempt::Unheld(Some(path)) => format!("`{}` on `{}`", call.name, path.display()),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
