//! Judges the daemon: what is wrong or will be, each with a stable code and the fix.
//!
//! The codes are listed in smcpctl(1); what `smcpctl` finds from outside has its own there. `plugins` judges plugins and their
//! tools, `doors` what lets callers in, `rights` who may change what runs.

mod doors;
mod plugins;
mod rights;

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use smcp_control::{CONTROL_SOCKET, Finding, Severity};

use super::Control;
use crate::auth;
use crate::catalog::{Catalog, Plugin, PluginState};
use crate::config::Config;
use crate::executor::sandbox::missing;
use crate::letta::Letta;

/// Fewer descriptors than this run out under a few hundred clients.
const DESCRIPTORS: u64 = 4_096;

/// Looks at everything that the daemon can see of itself.
pub(super) async fn examine(control: &Control) -> Vec<Finding> {
    let config = control.current.get();
    let catalog = control.service.catalog();
    let us = rustix::process::geteuid().as_raw();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let mut found = plugins::of_catalog(&catalog);
    found.extend(of_config(&config, us));
    found.extend(doors::of_keys(&config, &catalog, auth::now()));
    found.extend(of_descriptors(limit));
    if let Some(loaded) = control.tls.get() {
        found.extend(doors::of_certificate(loaded.not_before, loaded.not_after, SystemTime::now()));
        found.extend(doors::of_names(&loaded.names, &config.http.hosts));
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
    found.extend(doors::of_containers(&config, &control.reached.borrow()));
    found.extend(of_letta(&config, control.service.letta(), &catalog));
    found.extend(plugins::of_sandbox(&catalog, &missing()));
    found.extend(rights::of_path(&config.plugins.directory, "plugins-directory-open", us));
    let described = catalog.plugins().iter().filter_map(|(name, state)| match state {
        PluginState::Described(plugin) => Some((name.clone(), Arc::clone(plugin))),
        PluginState::Pending | PluginState::Failed(_) => None,
    });
    let of_files = move |_: &str, plugin: &Arc<Plugin>| {
        rights::of_risks(plugin.risks()).or_else(|| rights::of_entry(plugin, us))
    };
    for (name, of_files) in control.service.silent().look(described.collect(), of_files).await {
        found.extend(of_files.unwrap_or_else(|| Some(plugins::silent(&name))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_said() {
        let severity = |limit| of_descriptors(limit).map(|found| found.severity);
        assert_eq!(severity(None), None);
        assert_eq!(severity(Some(1024)), Some(Severity::Warning));
        assert_eq!(severity(Some(65_536)), None);
    }
}
