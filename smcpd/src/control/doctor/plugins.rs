//! Plugins and their tools: what became of them, how many there are, and what holds them.

use std::collections::BTreeMap;
use std::path::Path;

use smcp_control::{Finding, Severity};

use super::finding;
use crate::catalog::{Catalog, PluginState, withheld};
use crate::executor::sandbox::Feature;

/// From how many tools on which clients or models are in trouble.
const TOOL_COUNTS: [(usize, Severity, &str); 3] = [
    (128, Severity::Warning, "OpenAI and VS Code take at most 128"),
    (80, Severity::Warning, "some clients take at most 80"),
    (40, Severity::Note, "Cursor takes at most 40, and models choose worse among many"),
];

pub(super) fn of_catalog(catalog: &Catalog) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, state) in catalog.plugins() {
        match state {
            PluginState::Described(plugin) => {
                found.extend(plugin.standing().drift().map(|drift| drifted(name, Severity::Warning, drift)));
            }
            PluginState::Pending => found.push(finding(
                "plugin-pending",
                Severity::Note,
                name,
                "it is still being described",
                "wait, or see `smcpctl logs`",
            )),
            PluginState::Failed(reason) if withheld(reason).is_some() => {
                let drift = withheld(reason).unwrap_or_default();
                found.push(drifted(name, Severity::Error, drift.split("; see `").next().unwrap_or(drift)));
            }
            PluginState::Failed(reason) => found.push(finding(
                "plugin-failed",
                Severity::Error,
                name,
                format!("it cannot be described: {reason}"),
                format!("mend it, or `smcpctl plugin unlink {name}`"),
            )),
        }
    }
    if catalog.plugins().is_empty() {
        found.push(finding(
            "no-plugins",
            Severity::Note,
            "plugins",
            "no plugin is linked",
            "`smcpctl plugin link PATH`",
        ));
    }
    if !catalog.has_python {
        found.push(finding(
            "no-interpreter",
            Severity::Warning,
            "python3",
            "no python3 was found: plugins that need one fail",
            "install it, or set `plugins.python`",
        ));
    }
    for problem in &catalog.problems {
        const NAME: &str = "set `tool_name` in the plugin's contract, or link it under a shorter name";
        const OFFER: &str = "choose another name in one of the two contracts, or unlink one of the plugins";
        const UNSEEN: &str = "look at the plugin before you trust it: honest words hide nothing";
        let (code, severity, fix) = match (problem.is_tool, problem.left_out) {
            (true, true) => ("tool-left-out", Severity::Error, NAME),
            (true, false) => ("name-long", Severity::Warning, NAME),
            (false, true) => ("offer-left-out", Severity::Error, OFFER),
            (false, false) => ("hidden-text", Severity::Warning, UNSEEN),
        };
        found.push(finding(code, severity, &problem.tool, &problem.message, fix));
    }
    found.extend(of_count(catalog.tools().len()));
    found
}

pub(super) fn silent(plugin: &str) -> Finding {
    finding(
        "plugin-silent",
        Severity::Error,
        plugin,
        "its files do not answer, and it stays as it was",
        "look at the file system that its link leads to; once it answers, the plugin is looked at again",
    )
}

fn drifted(plugin: &str, severity: Severity, drift: &str) -> Finding {
    finding(
        "pin-drift",
        severity,
        plugin,
        format!("it is not what was approved: {drift}"),
        format!("`smcpctl pins diff {plugin}`, then `smcpctl pins accept {plugin}` or mend it"),
    )
}

/// What holds the plugins less than the configuration would have it.
pub(super) fn of_sandbox(catalog: &Catalog, missing: &[Feature]) -> Vec<Finding> {
    let plugins = || {
        catalog.plugins().iter().filter_map(|(name, state)| match state {
            PluginState::Described(plugin) => Some((name, plugin.sandbox())),
            PluginState::Pending | PluginState::Failed(_) => None,
        })
    };
    let mut found = Vec::new();
    let mut open: BTreeMap<(&Path, &Path), Vec<&str>> = BTreeMap::new();
    if plugins().any(|(_, held)| held.is_some()) {
        found.extend(missing.iter().map(|feature| {
            let severity = if feature.is_required() { Severity::Warning } else { Severity::Note };
            finding(
                "sandbox-missing",
                severity,
                "kernel",
                format!("it has no {feature}: plugins are not held by them"),
                "run a newer kernel with it switched on; in a container, let its filter of system calls allow it",
            )
        }));
    }
    for (name, held) in plugins() {
        let Some(held) = held else {
            found.push(finding(
                "sandbox-off",
                Severity::Note,
                name,
                "nothing but the unit holds it: its `sandbox` is \"off\"",
                format!("grant it what it needs in [plugin.{name}.sandbox]"),
            ));
            continue;
        };
        if let Some(pair) = held.files.open_all_the_same() {
            open.entry(pair).or_default().push(name);
        }
    }
    found.extend(open.into_iter().map(|((hidden, write), names)| {
        finding(
            "sandbox-open",
            Severity::Warning,
            names.join(", "),
            format!("may write `{}`, and the daemon's `{}` is below", write.display(), hidden.display()),
            "move the daemon's directories, or grant less",
        )
    }));
    found
}

fn of_count(tools: usize) -> Option<Finding> {
    let (_, severity, why) = TOOL_COUNTS.into_iter().find(|(count, _, _)| tools > *count)?;
    Some(finding(
        "many-tools",
        severity,
        "tools",
        format!("there are {tools} tools: {why}"),
        "unlink plugins that nobody needs",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_tools_are_said() {
        let severity = |found: Option<Finding>| found.map(|found| found.severity);
        assert_eq!(severity(of_count(40)), None);
        assert_eq!(severity(of_count(41)), Some(Severity::Note));
        assert_eq!(severity(of_count(81)), Some(Severity::Warning));
        assert!(of_count(129).unwrap().message.contains("OpenAI"));
    }
}
