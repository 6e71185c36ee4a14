//! What allows or stops a call, in the order in which it is looked at: key, expiry, profile, tool, plugin, pin, confirm,
//! sandbox, limits.

use smcp_control::{Reason, RefusalCode, Reply};

use super::requests::refused;
use super::{Control, shown};
use crate::auth::{self, Grant, Scope};
use crate::catalog::{Catalog, FindError, Kind, PluginState, Tool, withheld};
use crate::config::{Config, ConfirmMode};
use crate::executor::sandbox::missing;

impl Control {
    pub(super) fn why(&self, tool: &str, key: Option<&str>) -> Reply {
        let (config, catalog) = (self.current.get(), self.service.catalog());
        let mut reasons = Vec::new();
        let keys = &config.keys;
        let named = key.map(|name| (name, keys.named(name)));
        let grant = match named {
            Some((name, None)) => {
                let short: String = name.chars().filter(|one| !one.is_control()).take(80).collect();
                let short = if short.contains(auth::PREFIX) { "***".to_owned() } else { short };
                let message = format!("no key is called `{short}`");
                return refused(RefusalCode::NotFound, message, Some("see `smcpctl keys list`"));
            }
            Some((name, Some((grant, expires)))) => {
                reasons.push(reason("key", true, format!("`{name}` is a key")));
                reasons.extend(expires.map(|expires| {
                    let (at, is_over) = (shown::time(expires), expires <= auth::now());
                    let message =
                        if is_over { format!("expired at {at}") } else { format!("opens until {at}") };
                    reason("expiry", !is_over, message)
                }));
                grant.clone()
            }
            None => {
                let message = match (config.auth_disabled, keys.is_open()) {
                    (true, _) => "none is needed: authentication is disabled",
                    (false, true) => "none is needed: there is no key",
                    (false, false) => "one is needed: see `smcpctl keys list`",
                };
                reasons.push(reason("key", keys.is_open(), message));
                keys.anonymous()
            }
        };
        let found = match catalog.find(tool) {
            // It is there for whoever judges it.
            Err(FindError::Held { tool: id, .. }) => catalog.find_held(&id).cloned().ok_or(None),
            Err(FindError::Blocked { .. }) => Err(None),
            Err(error @ (FindError::Unknown { .. } | FindError::Ambiguous { .. })) => Err(Some(error)),
            Ok(found) => Ok(found),
        };
        match &found {
            Ok(found) => {
                reasons.push(profile(&config, &grant, found));
                reasons.push(reason(
                    "tool",
                    true,
                    format!("`{}`, on the wire `{}`", found.id(), found.wire_name()),
                ));
            }
            Err(Some(error)) => reasons.push(reason("tool", false, error.to_string())),
            Err(None) => {}
        }
        let plugin = found.as_ref().ok().and_then(|tool| tool.plugin_name()).map(str::to_owned);
        let plugin = plugin.or_else(|| catalog.blocked_of(tool).map(str::to_owned));
        let plugin = plugin.or_else(|| tool.split_once('.').map(|(plugin, _)| plugin.to_owned()));
        if let Some(name) = plugin {
            let is_held = found.as_ref().is_ok_and(|found| catalog.find_held(found.id()).is_some());
            reasons.extend(state(&catalog, &name));
            reasons.extend(pin(&catalog, &config, &name, is_held));
        }
        if let Ok(found) = &found {
            reasons.extend(self.confirmation(&config, found));
            reasons.extend(sandbox(found));
            reasons.extend(self.limits(&config, found));
        }
        Reply::Why { reasons }
    }

    /// Who has to say yes to a call before it runs.
    fn confirmation(&self, config: &Config, tool: &Tool) -> Option<Reason> {
        let Kind::Command { plugin, index } = tool.kind() else { return None };
        let command = &plugin.description().commands[*index];
        let by_operator = "an operator, by `smcpctl approvals list` and `smcpctl approvals approve ID`";
        let (waiting, most) = (self.service.approvals().count(), config.confirm.most.get());
        let message = match config.confirmation(plugin.name(), &command.name, command.may_destroy()) {
            ConfirmMode::Off => return Some(reason("confirm", true, "nobody has to confirm it")),
            ConfirmMode::Elicit => {
                format!(
                    "the client's user has to confirm each call, and where the client cannot ask, {by_operator}"
                )
            }
            ConfirmMode::Operator if waiting >= most => {
                let message = format!(
                    "{waiting} calls wait for an operator already, and `confirm.max` is {most}: see \
                                       `smcpctl approvals list`"
                );
                return Some(reason("confirm", false, message));
            }
            ConfirmMode::Operator => format!("each call waits for {by_operator}"),
        };
        Some(reason("confirm", true, message))
    }

    /// How long a call may take, and whether it would have to wait.
    fn limits(&self, config: &Config, tool: &Tool) -> Option<Reason> {
        let Kind::Command { plugin, .. } = tool.kind() else { return None };
        let time = plugin.default_timeout().map_or_else(
            || "takes as long as it likes".to_owned(),
            |timeout| format!("takes at most {} s", timeout.as_secs_f64()),
        );
        let lanes = self.service.lanes();
        let busy = lanes.iter().find(|lane| *lane.lane == *plugin.name());
        let (running, waiting) = busy.map_or((0, 0), |lane| (lane.counts.running, lane.counts.waiting));
        let most = config.execution.queue;
        let message = format!("{time}; {running} running, {waiting} of at most {most} waiting before it");
        Some(reason("limits", waiting < most.max(1), message))
    }
}

fn reason(what: &str, allows: bool, message: impl Into<String>) -> Reason {
    Reason { what: what.to_owned(), allows, message: message.into() }
}

fn profile(config: &Config, grant: &Grant, tool: &Tool) -> Reason {
    let Scope::Profiles(names) = grant.scope() else {
        return reason("profile", true, "none: every tool is reached");
    };
    match config.profiles.first(names, &tool.facts()) {
        Some(name) => reason("profile", true, format!("`{name}` selects it")),
        None => {
            let name = |name: &std::sync::Arc<str>| match config.profiles.named.contains_key(&**name) {
                true => format!("`{name}`"),
                false => format!("`{name}` (which is no more)"),
            };
            let names: Vec<String> = names.iter().map(name).collect();
            let names = if names.is_empty() { "no profile".to_owned() } else { names.join(", ") };
            reason("profile", false, format!("{names}: none of them selects it"))
        }
    }
}

fn state(catalog: &Catalog, name: &str) -> Option<Reason> {
    let (allows, message) = match catalog.plugins().get(name)? {
        // Its pin says more.
        PluginState::Failed(reason) if withheld(reason).is_some() => return None,
        PluginState::Described(_) => (true, format!("`{name}` is described")),
        PluginState::Pending => (false, format!("`{name}` is still being described")),
        PluginState::Failed(reason) => (false, format!("`{name}` cannot be described: {reason}")),
    };
    Some(reason("plugin", allows, message))
}

/// Whether the plugin is what was approved, and what becomes of the tool where it is not.
fn pin(catalog: &Catalog, config: &Config, name: &str, is_held: bool) -> Option<Reason> {
    let drift = match catalog.plugins().get(name)? {
        PluginState::Described(plugin) => plugin.standing().drift(),
        PluginState::Failed(reason) => Some(withheld(reason)?.split("; see `").next().unwrap_or_default()),
        PluginState::Pending => return None,
    };
    let Some(drift) = drift else {
        return Some(reason("pin", true, format!("`{name}` is what was approved")));
    };
    let way_out = format!("see `smcpctl pins diff {name}`, then `smcpctl pins accept {name}`");
    let is_described = matches!(catalog.plugins().get(name), Some(PluginState::Described(_)));
    let becomes = match (is_described, is_held) {
        (true, false) => "and this tool is served all the same",
        (true, true) => "and this tool is withheld",
        (false, _) => "and none of its tools is served",
    };
    let policy = config.pin_policy(name).as_str();
    let message = format!(
        "`{name}` is not what was approved ({drift}), {becomes} (`pins.policy` is \"{policy}\"): {way_out}"
    );
    Some(reason("pin", is_described && !is_held, message))
}

fn sandbox(tool: &Tool) -> Option<Reason> {
    let Kind::Command { plugin, .. } = tool.kind() else { return None };
    let Some(held) = plugin.sandbox() else { return Some(reason("sandbox", true, "off")) };
    let lacking: Vec<String> =
        missing().iter().filter(|feature| feature.is_required()).map(ToString::to_string).collect();
    Some(match (lacking.is_empty(), held.required) {
        (true, _) => reason("sandbox", true, "holds it"),
        (false, true) => {
            reason("sandbox", false, format!("is required, and this kernel lacks {}", lacking.join(", ")))
        }
        (false, false) => reason("sandbox", true, format!("holds it without {}", lacking.join(", "))),
    })
}
