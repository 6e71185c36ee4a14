//! Judges the daemon: what is wrong or will be, each with a stable code and the fix.
//!
//! The codes are listed in smcpctl(1); what `smcpctl` finds from outside has its own there.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use smcp_control::{CONTROL_SOCKET, Finding, Severity};

use super::{Control, profiles};
use crate::auth;
use crate::catalog::{Catalog, Plugin, PluginState, Risk, withheld};
use crate::config::Config;
use crate::executor::sandbox::{Feature, missing};
use crate::letta::Letta;

/// From how many tools on which clients or models are in trouble.
const TOOL_COUNTS: [(usize, Severity, &str); 3] = [
    (128, Severity::Warning, "OpenAI and VS Code take at most 128"),
    (80, Severity::Warning, "some clients take at most 80"),
    (40, Severity::Note, "Cursor takes at most 40, and models choose worse among many"),
];
const DAY: u64 = 86_400;
/// A key that expires within this is told of.
const SOON: u64 = 14 * DAY;
/// Fewer descriptors than this run out under a few hundred clients.
const DESCRIPTORS: u64 = 4_096;

/// Looks at everything that the daemon can see of itself.
pub(super) fn examine(control: &Control) -> Vec<Finding> {
    let config = control.current.get();
    let catalog = control.service.catalog();
    let us = rustix::process::geteuid().as_raw();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let mut found = of_catalog(&catalog);
    found.extend(of_config(&config, us));
    found.extend(of_keys(&config, &catalog, auth::now()));
    found.extend(of_descriptors(limit));
    if let Some(loaded) = control.tls.get() {
        found.extend(of_certificate(loaded.not_before, loaded.not_after, SystemTime::now()));
        found.extend(of_names(&loaded.names, &config.http.hosts));
        found.extend(loaded.lists_until.filter(|until| *until < SystemTime::now()).map(|_| {
            finding(
                "revocations-expired",
                Severity::Error,
                "tls.client_crl",
                "a revocation list is out of date: no client's certificate is taken",
                "renew it: the files of `[tls]` are read again when they change",
            )
        }));
    }
    found.extend(control.oauth.failure().map(|(reason, is_known)| {
        let so = if is_known { "tokens are judged by earlier ones" } else { "no token is taken" };
        finding(
            "token-keys",
            Severity::Error,
            "oauth",
            format!("the issuer's keys cannot be had, and {so}: {reason}"),
            "mend that, or `oauth.jwks`, then `smcpctl reload`",
        )
    }));
    found.extend(control.tls.failure().map(|reason| {
        finding(
            "certificate-refused",
            Severity::Error,
            "tls",
            format!("the files that are there now are not used: {reason}"),
            "mend them; they are read again when they change",
        )
    }));
    found.extend(of_containers(&config, &control.reached.borrow()));
    found.extend(of_letta(&config, control.service.letta(), &catalog));
    found.extend(of_sandbox(&catalog, &missing()));
    let directory = &config.plugins.directory;
    found.extend(
        std::fs::metadata(directory)
            .ok()
            .and_then(|is| of_rights(Rights::of(&is, us), directory, "plugins-directory-open")),
    );
    for state in catalog.plugins().values() {
        let PluginState::Described(plugin) = state else { continue };
        found.extend(of_risks(plugin.risks()).or_else(|| of_entry(plugin, us)));
    }
    let socket = config.paths.runtime.join(CONTROL_SOCKET);
    let open = std::fs::metadata(&socket).is_ok_and(|is| is.mode() & 0o006 != 0);
    if open {
        found.push(finding(
            "control-socket-open",
            Severity::Error,
            socket.display().to_string(),
            "every user of this host may administer the daemon",
            "set `control.mode` to \"0660\" and `control.group`, and restart",
        ));
    }
    found
}

fn finding(
    code: &str,
    severity: Severity,
    subject: impl Into<String>,
    message: impl Into<String>,
    fix: impl Into<String>,
) -> Finding {
    Finding {
        code: code.to_owned(),
        severity,
        subject: subject.into(),
        message: message.into(),
        fix: fix.into(),
    }
}

fn of_catalog(catalog: &Catalog) -> Vec<Finding> {
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
fn of_sandbox(catalog: &Catalog, missing: &[Feature]) -> Vec<Finding> {
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

fn of_config(config: &Config, us: u32) -> Vec<Finding> {
    let mut found = Vec::new();
    if us == 0 {
        found.push(finding(
            "runs-as-root",
            Severity::Warning,
            "smcpd",
            "every plugin runs with the rights of root",
            "run it by its unit, or as a user of its own",
        ));
    }
    if config.auth_disabled {
        found.push(finding(
            "auth-disabled",
            Severity::Warning,
            "MCP_AUTH_DISABLED",
            "whoever reaches the port may call every tool",
            "set MCP_API_KEY or `auth.key_files` instead",
        ));
    } else if !config.is_guarded() {
        found.push(finding(
            "no-key",
            Severity::Note,
            "auth",
            "no key is set: every user of this host may call every tool",
            "`smcpctl keys create --name NAME`, or set `auth.key_files` or MCP_API_KEY",
        ));
    }
    for (key, value) in &config.pending {
        found.push(finding(
            "config-pending",
            Severity::Warning,
            key,
            format!("it was set to {value} since the start"),
            "restart the daemon",
        ));
    }
    found
}

/// Keys that open nothing or soon will, and profiles that do not select what they name.
fn of_keys(config: &Config, catalog: &Catalog, now: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in &config.keys.created().keys {
        match key.expires {
            Some(expires) if expires <= now => found.push(finding(
                "key-expired",
                Severity::Note,
                &key.name,
                "it has expired and opens nothing",
                format!("`smcpctl keys revoke {}`, and create another", key.name),
            )),
            Some(expires) if expires - now <= SOON => found.push(finding(
                "key-expires",
                Severity::Warning,
                &key.name,
                format!("it expires in {} days", (expires - now) / DAY),
                "create another, give it to its holder, and revoke this one",
            )),
            Some(_) | None => {}
        }
        for profile in key.profiles.iter().filter(|name| !config.profiles.named.contains_key(*name)) {
            found.push(finding(
                "profile-gone",
                Severity::Error,
                &key.name,
                format!("its profile `{profile}` is not defined: it reaches nothing by it"),
                format!("define `[profile.{profile}]`, or revoke the key and create another"),
            ));
        }
    }
    let tools: Vec<_> = catalog.tools().iter().map(|tool| tool.facts()).collect();
    for (name, profile) in &config.profiles.named {
        for rule in profiles::unused(profile, &tools) {
            found.push(finding(
                "profile-unused",
                Severity::Note,
                name,
                format!("no tool fits `{rule}`"),
                format!("mend it in {}; see `smcpctl tools`", profile.origin),
            ));
        }
    }
    found
}

fn of_letta(config: &Config, letta: &Letta, catalog: &Catalog) -> Vec<Finding> {
    let Some(settings) = &config.letta else { return Vec::new() };
    let mut found = Vec::new();
    if let Some((reason, is_known)) = letta.failure() {
        let so = match is_known {
            true => "plugins get those that were fetched before",
            false => "plugins run without them",
        };
        found.push(finding(
            "letta-unreachable",
            Severity::Warning,
            "letta",
            format!("the agent's variables cannot be fetched, and {so}: {reason}"),
            "mend that, or `letta.url` and the key, then `smcpctl reload`",
        ));
    }
    for name in settings.plugins.iter().filter(|name| !catalog.plugins().contains_key(*name)) {
        found.push(finding(
            "letta-no-plugin",
            Severity::Note,
            name,
            "`letta.plugins` names it, and it is not linked",
            format!("`smcpctl plugin link PATH --name {name}`, or take it off the list"),
        ));
    }
    found
}

/// A certificate is to be renewed within the last third of its time, and two weeks before its end at the latest.
fn of_certificate(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Option<Finding> {
    const EARLY: Duration = Duration::from_secs(14 * 86_400);
    let whole = not_after.duration_since(not_before).unwrap_or_default();
    let fix = "renew it: the files of `[tls]` are read again when they change";
    let (code, severity, message) = if now < not_before {
        ("certificate-early", Severity::Error, "it is not valid yet: clients refuse it".to_owned())
    } else {
        match not_after.duration_since(now) {
            Err(_) => {
                ("certificate-expired", Severity::Error, "it has expired: clients refuse it".to_owned())
            }
            Ok(left) if left < EARLY.min(whole / 3) => {
                let left = match left.as_secs() / 3600 {
                    hours @ 0..48 => format!("{hours} hours"),
                    hours => format!("{} days", hours / 24),
                };
                ("certificate-expires", Severity::Warning, format!("it expires in {left}"))
            }
            Ok(_) => return None,
        }
    };
    Some(finding(code, severity, "tls.certificate", message, fix))
}

/// A client that connects by a name of the certificate is answered where that name is one of ours.
fn of_names(names: &[String], hosts: &[String]) -> Option<Finding> {
    let is_ours = |name: &&String| {
        let bare = |host: &str| host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.contains('*')
            || name.parse::<IpAddr>().is_ok()
            || ["localhost", "host.docker.internal"].contains(&name.as_str())
            || hosts.iter().any(|host| bare(host) == name.to_ascii_lowercase())
    };
    let name = names.iter().find(|name| !is_ours(name))?;
    Some(finding(
        "certificate-name",
        Severity::Warning,
        name,
        "the certificate is for it, and requests to it are refused",
        format!("add \"{name}\" to `http.hosts`"),
    ))
}

/// Those of the host's bridges that containers come over.
fn of_containers(config: &Config, reached: &[(SocketAddr, String)]) -> Option<Finding> {
    let subject = reached.iter().map(|(address, bridge)| format!("{address} ({bridge})"));
    let subject = subject.collect::<Vec<_>>().join(", ");
    match () {
        // Who listens to everybody without a key hears of that elsewhere.
        () if reached.is_empty() || config.auth_disabled => None,
        () if config.allow_containers => Some(finding(
            "containers-open",
            Severity::Warning,
            subject,
            "every container there may call every tool without a key",
            "set a key, and `auth.allow_containers = false`",
        )),
        () if config.keys.is_open() => Some(finding(
            "containers-refused",
            Severity::Note,
            subject,
            "containers reach the daemon there, and are refused: no key is set",
            "set a key, or `auth.allow_containers = true`; or `http.listen = [\"loopback\"]`",
        )),
        () => None,
    }
}

fn of_descriptors(limit: Option<u64>) -> Option<Finding> {
    let limit = limit.filter(|limit| *limit < DESCRIPTORS)?;
    Some(finding(
        "few-descriptors",
        Severity::Warning,
        "nofile",
        format!("the daemon may open {limit} files and connections, and clients will wait for one"),
        "raise it: `LimitNOFILE=65536` in the unit, or `ulimit -n`",
    ))
}

/// Whose a file is and who may write it.
#[derive(Debug, Clone, Copy)]
struct Rights {
    mode: u32,
    owner: u32,
    us: u32,
}

impl Rights {
    fn of(found: &Metadata, us: u32) -> Self {
        Self { mode: found.mode(), owner: found.uid(), us }
    }
}

/// What others may write, they may make the daemon run.
fn of_rights(rights: Rights, path: &Path, code: &str) -> Option<Finding> {
    let shown = path.display().to_string();
    let (severity, message, fix) = match rights.mode {
        mode if mode & 0o002 != 0 && mode & 0o1000 == 0 => {
            (Severity::Error, "everyone may write it".to_owned(), format!("chmod o-w {shown}"))
        }
        mode if mode & 0o020 != 0 => {
            (Severity::Warning, "its group may write it".to_owned(), format!("chmod g-w {shown}"))
        }
        _ if rights.owner != 0 && rights.owner != rights.us => (
            Severity::Note,
            format!("it belongs to uid {}, who may change what runs", rights.owner),
            format!("chown root {shown}"),
        ),
        _ => return None,
    };
    Some(finding(code, severity, shown, message, fix))
}

/// What became of the rights since the plugin was looked at: of its entry point and its directory.
fn of_entry(plugin: &Plugin, us: u32) -> Option<Finding> {
    let entry =
        ["cli.py", "cli"].map(|name| plugin.directory().join(name)).into_iter().find(|path| path.is_file());
    let paths = entry.iter().map(std::path::PathBuf::as_path).chain([plugin.directory()]);
    paths
        .filter_map(|path| of_rights(Rights::of(&std::fs::metadata(path).ok()?, us), path, "plugin-open"))
        .next()
}

/// What the group of a plugin's files may change is said of the first of them.
fn of_risks(risks: &[Risk]) -> Option<Finding> {
    let (first, rest) = risks.split_first()?;
    let message = match rest.len() {
        0 => "its group may write it".to_owned(),
        more => format!("its group may write it, and {more} more of the plugin's"),
    };
    let path = first.path.display().to_string();
    Some(finding("plugin-open", Severity::Warning, path, message, first.fix()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_of_where_they_need_no_key_or_have_none() {
        let reached = [(SocketAddr::from(([172, 17, 0, 1], 8000)), "docker0".to_owned())];
        let mut config = crate::config::for_tests(&[]).unwrap();
        let code = |config: &Config, reached: &[_]| of_containers(config, reached).map(|found| found.code);
        assert_eq!(code(&config, &[]), None);
        assert_eq!(code(&config, &reached).unwrap(), "containers-refused");
        assert_eq!(of_containers(&config, &reached).unwrap().subject, "172.17.0.1:8000 (docker0)");
        config.allow_containers = true;
        assert_eq!(code(&config, &reached).unwrap(), "containers-open");
        config.auth_disabled = true;
        assert_eq!(code(&config, &reached), None);
    }

    #[test]
    fn rights_are_judged_by_who_may_change_what_runs() {
        let judged = |mode, owner| {
            let found = of_rights(Rights { mode, owner, us: 7 }, Path::new("/p"), "plugin-open");
            found.map(|found| (found.severity, found.fix))
        };
        assert_eq!(judged(0o100644, 0), None);
        assert_eq!(judged(0o100644, 7), None);
        assert_eq!(judged(0o100646, 0), Some((Severity::Error, "chmod o-w /p".to_owned())));
        assert_eq!(judged(0o100666, 0), Some((Severity::Error, "chmod o-w /p".to_owned())));
        assert_eq!(judged(0o100664, 7), Some((Severity::Warning, "chmod g-w /p".to_owned())));
        assert_eq!(judged(0o100644, 9), Some((Severity::Note, "chown root /p".to_owned())));
    }

    #[test]
    fn a_certificate_is_to_be_renewed_in_time_and_its_names_answered() {
        let day = |count: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(count * 86_400);
        let found =
            |from, until, now| of_certificate(day(from), day(until), day(now)).map(|found| found.code);
        for (from, until, now, expected) in [
            (10, 100, 50, None),
            (10, 100, 85, None),
            (10, 100, 87, Some("certificate-expires")),
            (10, 100, 101, Some("certificate-expired")),
            (10, 100, 9, Some("certificate-early")),
            (10, 16, 13, None),
            (10, 16, 15, Some("certificate-expires")),
        ] {
            assert_eq!(found(from, until, now).as_deref(), expected, "{from} {until} {now}");
        }
        let names = |names: &[&str], hosts: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            of_names(&owned(names), &owned(hosts)).map(|found| found.subject)
        };
        assert_eq!(names(&["localhost", "127.0.0.1", "*.example"], &[]), None);
        assert_eq!(names(&["a.example"], &["A.example:8443"]), None);
        assert_eq!(names(&["localhost", "a.example"], &["b.example"]).as_deref(), Some("a.example"));
    }

    #[test]
    fn too_many_tools_and_too_few_descriptors_are_said() {
        let severity = |found: Option<Finding>| found.map(|found| found.severity);
        assert_eq!(severity(of_count(40)), None);
        assert_eq!(severity(of_count(41)), Some(Severity::Note));
        assert_eq!(severity(of_count(81)), Some(Severity::Warning));
        assert!(of_count(129).unwrap().message.contains("OpenAI"));
        assert_eq!(severity(of_descriptors(None)), None);
        assert_eq!(severity(of_descriptors(Some(1024))), Some(Severity::Warning));
        assert_eq!(severity(of_descriptors(Some(65_536))), None);
    }
}
