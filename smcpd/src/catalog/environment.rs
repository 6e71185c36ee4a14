//! What a plugin finds in its environment: the daemon's own, less what is the daemon's alone, plus what each
//! call and the operator give it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::config;
use crate::letta::Variables;

/// The daemon's keys, and what systemd gave to the daemon.
const WITHHELD: [&str; 14] = [
    "MCP_API_KEY",
    "MCP_API_KEYS",
    "LETTA_SERVER_PASSWORD",
    "LETTA_API_KEY",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
];

/// What `env = "declared"` passes besides the declared names.
const BASE: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
];

/// The variables of one plugin, before those of a call. Nothing shows their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    chosen: BTreeMap<OsString, OsString>,
    /// The names that the operator grants this plugin.
    granted: BTreeSet<String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.chosen.keys()).finish()
    }
}

impl Environment {
    /// Chooses from `own`, the daemon's environment.
    pub(crate) fn choose(
        own: impl Iterator<Item = (OsString, OsString)>,
        policy: config::Environment,
        declared: &[&str],
        granted: &BTreeMap<String, String>,
    ) -> Self {
        let is = |name: &OsStr, list: &[&str]| list.iter().any(|known| OsStr::new(known) == name);
        let passes = |name: &OsStr| match policy {
            config::Environment::Inherit => true,
            config::Environment::Declared => is(name, &BASE) || is(name, declared),
        };
        let mut chosen: BTreeMap<OsString, OsString> =
            own.filter(|(name, _)| !is(name, &WITHHELD) && passes(name)).collect();
        for (name, value) in [("PYTHONUNBUFFERED", "1"), ("PYTHONIOENCODING", "utf-8"), ("PYTHONUTF8", "1")] {
            chosen.insert(name.into(), value.into());
        }
        if !chosen.contains_key(OsStr::new("LANG")) {
            chosen.insert("LANG".into(), "C.UTF-8".into());
        }
        chosen.extend(granted.iter().map(|(name, value)| (name.into(), value.into())));
        Self { chosen, granted: granted.keys().cloned().collect() }
    }

    /// Adds the variables of an agent; what the operator grants wins over them.
    pub(crate) fn add(&mut self, variables: &Variables) {
        for (name, value) in variables.iter().filter(|(name, _)| !self.granted.contains(*name)) {
            self.chosen.insert(name.into(), value.into());
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.chosen.get(OsStr::new(name))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.chosen.remove(OsStr::new(name));
    }

    /// Sets a variable; one whose value cannot be one (it holds a NUL) is left out.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        let value = value.into();
        if !value.as_encoded_bytes().contains(&0) {
            self.chosen.insert(name.into(), value);
        }
    }

    pub(crate) fn into_pairs(self) -> Vec<(OsString, OsString)> {
        self.chosen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_pass_unless_granted_and_declared_narrows_the_rest() {
        let own = || {
            [
                "PATH=/bin",
                "MCP_API_KEY=k",
                "LETTA_API_KEY=k",
                "NOTIFY_SOCKET=/s",
                "TOKEN=t",
                "OTHER=o",
                "LANG=de",
            ]
            .iter()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        };
        let names = |environment: Environment| {
            let ours = ["PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8"];
            let names: Vec<String> =
                environment.into_pairs().into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
            names.into_iter().filter(|name| !ours.contains(&name.as_str())).collect::<Vec<_>>()
        };
        let none = BTreeMap::new();
        let inherit = Environment::choose(own(), config::Environment::Inherit, &[], &none);
        assert_eq!(names(inherit), ["LANG", "OTHER", "PATH", "TOKEN"]);
        let declared =
            Environment::choose(own(), config::Environment::Declared, &["TOKEN", "MCP_API_KEY"], &none);
        assert_eq!(names(declared), ["LANG", "PATH", "TOKEN"]);
        let granted = BTreeMap::from([("LETTA_API_KEY".to_owned(), "g".to_owned())]);
        let granted = Environment::choose(own(), config::Environment::Declared, &[], &granted);
        assert_eq!(granted.get("LETTA_API_KEY"), Some(&"g".into()));
    }

    #[test]
    fn an_agents_variables_win_over_what_is_inherited_and_never_over_what_is_granted() {
        let own = [("INHERITED", "own"), ("BOTH", "own")].map(|(name, value)| (name.into(), value.into()));
        let granted = BTreeMap::from([("GRANTED".to_owned(), "operator".to_owned())]);
        let mut environment =
            Environment::choose(own.into_iter(), config::Environment::Inherit, &[], &granted);
        let theirs = [("GRANTED", "agent"), ("BOTH", "agent"), ("NEW", "agent")];
        environment
            .add(&theirs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect());
        for (name, value) in
            [("GRANTED", "operator"), ("BOTH", "agent"), ("NEW", "agent"), ("INHERITED", "own")]
        {
            assert_eq!(environment.get(name), Some(&value.into()), "{name}");
        }
        assert!(!format!("{environment:?}").contains("agent"));
    }

    #[test]
    fn no_agent_may_set_what_is_withheld_or_what_we_set_ourselves() {
        let ours = ["PYTHONUNBUFFERED", "SMCP_CALLER", "SMCP_CALL_ID", "TRACEPARENT", "PATH"];
        for name in WITHHELD.iter().chain(&ours) {
            assert!(crate::letta::is_reserved(name), "{name}");
        }
    }
}
