//! Answers requests of the control socket: each in one reply.

use serde_json::Value;
use smcp_control::{
    Activity, CallInfo, Cause, ContainerAddress, GroupActivity, PluginCounts, PluginState, Refusal,
    RefusalCode, Reloaded, Reply, Status, Withheld,
};

use super::{Control, Operator, doctor, shown};
use crate::catalog::{self, Made, RescanError};
use crate::config::{Difference, ReloadError};
use crate::protocol::Decision;

/// An audited object is shown to people; nobody needs more of it.
const OBJECT: usize = 500;

impl Control {
    pub(super) fn health(&self) -> Reply {
        Reply::Health { health: self.service.health().body }
    }

    pub(super) fn tools(&self) -> Reply {
        let catalog = self.service.catalog();
        let held = catalog.held().iter().map(|tool| shown::withheld(tool));
        let blocked = catalog.blocked().map(|plugin| Withheld { plugin: plugin.to_owned(), tool: None });
        Reply::Tools {
            tools: catalog.tools().iter().map(|tool| shown::tool(tool)).collect(),
            withheld: held.chain(blocked).collect(),
        }
    }

    /// Each change made through this door, with who asked for it and what came of it.
    pub(super) fn audit(&self, operator: Operator, action: &str, object: &str, reply: &Reply) {
        let outcome = match reply {
            Reply::Refused(refusal) => refusal.message.as_str(),
            _ => "ok",
        };
        let short = |text: &str| text.chars().take(OBJECT).collect::<String>();
        self.audit.note(operator.uid, operator.pid, &short(action), &short(object), outcome);
    }

    pub(super) fn status(&self) -> Reply {
        let health = self.service.health();
        let catalog = self.service.catalog();
        let config = self.current.get();
        let plugins = catalog.plugin_counts();
        let number = |key: &str| health.body["calls"][key].as_u64().unwrap_or_default();
        let count = |key: &str| usize::try_from(number(key)).unwrap_or(usize::MAX);
        Reply::Status(Status {
            status: health.status.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: uptime(&health.body),
            address: self.address.map(|address| address.to_string()),
            tls: self.tls.get().filter(|_| self.address.is_some()).map(|loaded| shown::tls(&loaded)),
            containers: self
                .reached
                .borrow()
                .iter()
                .map(|(address, bridge)| ContainerAddress {
                    address: address.to_string(),
                    bridge: bridge.clone(),
                })
                .collect(),
            plugins_directory: config.plugins.directory.display().to_string(),
            plugins_roots: config.plugins.roots.iter().map(|root| root.display().to_string()).collect(),
            plugins_owners: config.plugins.owners.clone(),
            state_directory: config.paths.state.display().to_string(),
            uid: rustix::process::geteuid().as_raw(),
            private_places: catalog::private_places(&config)
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            sandbox_mode: config.sandbox.mode.unwrap_or_default().as_str().to_owned(),
            plugins: PluginCounts {
                described: plugins.described,
                pending: plugins.pending,
                failed: plugins.failed,
            },
            tools: catalog.tools().len(),
            sessions: self.service.sessions().count(),
            calls_running: count("running"),
            calls_waiting: count("waiting"),
            calls_ok: number("ok"),
            calls_failed: number("failed"),
            approvals_waiting: self.service.approvals().count(),
        })
    }

    pub(super) fn plugins(&self) -> Reply {
        let catalog = self.service.catalog();
        let plugins = catalog.plugins().iter();
        Reply::Plugins {
            plugins: plugins.map(|(name, state)| shown::plugin(&catalog, name, state)).collect(),
        }
    }

    pub(super) fn plugin(&self, name: &str) -> Reply {
        let catalog = self.service.catalog();
        match catalog.plugins().get_key_value(name) {
            Some((name, state)) => {
                let now = shown::Now {
                    kept: self.service.warm_state(name),
                    group: self.service.group_figures(name),
                    has_groups: self.service.has_groups(),
                };
                Reply::Plugin(shown::plugin_detail(&catalog, self.service.letta(), name, state, now))
            }
            None => {
                let known: Vec<&str> = catalog.plugins().keys().map(String::as_str).collect();
                let near = catalog::nearest(name, known.iter().map(|name| (*name).to_owned()));
                let hint = near.map_or_else(
                    || "see `smcpctl plugin list`".to_owned(),
                    |near| format!("did you mean `{near}`? see `smcpctl plugin list`"),
                );
                refused(RefusalCode::NotFound, format!("no plugin is called `{}`", short(name)), Some(&hint))
            }
        }
    }

    /// A link that was made or removed is what gets audited; the rescan only follows from it.
    pub(super) async fn rescan(&self, operator: Operator, plan: bool, cause: Option<Cause>) -> Reply {
        let asked = match (plan, &cause) {
            (true, _) => self.rescans.plan(),
            (false, cause) => self.rescans.after(cause.as_ref().and_then(made)),
        };
        let changes = match asked {
            Ok(answer) => answer.await.unwrap_or(Err(RescanError::Stopping)),
            Err(error) => Err(error),
        };
        let reply = match changes {
            Ok(changes) => Reply::Changes(shown::changes(changes)),
            Err(error) => rescan_refused(&error),
        };
        match cause {
            Some(cause) => self.audit(operator, &cause.action, &cause.object, &reply),
            None if plan => {}
            None => self.audit(operator, "rescan", "", &reply),
        }
        reply
    }

    pub(super) async fn reload(&self, operator: Operator, plan: bool) -> Reply {
        let values = match self.reloads.request(plan).await {
            Ok(values) => values,
            Err(error) => {
                let reply = reload_refused(&error);
                if !plan {
                    self.audit(operator, "reload", "", &reply);
                }
                return reply;
            }
        };
        let keys: Vec<&str> = values.iter().map(|value| value.key.as_str()).collect();
        let object = keys.join(" ");
        let values: Vec<_> = values.iter().map(shown::value_change as fn(&Difference) -> _).collect();
        let mut reloaded = Reloaded { values, ..Reloaded::default() };
        if plan {
            return Reply::Reloaded(reloaded);
        }
        let answer = match self.rescans.request() {
            Ok(answer) => answer.await.unwrap_or(Err(RescanError::Stopping)),
            Err(error) => Err(error),
        };
        let reply = match answer {
            Ok(changes) => {
                reloaded.changes = shown::changes(changes);
                Reply::Reloaded(reloaded)
            }
            Err(error) => rescan_refused(&error),
        };
        self.audit(operator, "reload", &object, &reply);
        reply
    }

    pub(super) fn config(&self) -> Reply {
        Reply::Config { values: shown::config(&self.current.get()) }
    }

    pub(super) async fn doctor(&self) -> Reply {
        Reply::Findings { findings: doctor::examine(self).await }
    }

    pub(super) fn sessions(&self) -> Reply {
        let sessions = self.service.sessions().all();
        Reply::Sessions { sessions: sessions.iter().map(|session| shown::session(session)).collect() }
    }

    fn running(&self) -> Vec<CallInfo> {
        self.service.running().all().into_iter().map(|(id, call)| shown::call(id, &call)).collect()
    }

    pub(super) fn calls(&self) -> Reply {
        Reply::Calls { calls: self.running() }
    }

    /// Ends a call, whether it runs, waits for its turn or waits for an operator.
    pub(super) fn cancel(&self, operator: Operator, call: &str) -> Reply {
        let (object, reply) = match self.service.running().cancel(call) {
            true => (short(call), Reply::Done),
            false => match self.service.approvals().decide(call, Decision::Cancelled { uid: operator.uid }) {
                Some(wanted) => {
                    (format!("{} {} of {}", short(call), wanted.tool, wanted.caller), Reply::Done)
                }
                None => {
                    let message = format!("no call `{}` runs or waits", short(call));
                    let hint = "see `smcpctl calls` and `smcpctl approvals list`";
                    (short(call), refused(RefusalCode::NotFound, message, Some(hint)))
                }
            },
        };
        self.audit(operator, "cancel", &object, &reply);
        reply
    }

    fn groups(&self) -> Vec<GroupActivity> {
        let catalog = self.service.catalog();
        let of = |name: &String| {
            let group = shown::group(self.service.group_figures(name)?);
            Some(GroupActivity { plugin: name.clone(), group })
        };
        catalog.plugins().keys().filter_map(of).collect()
    }

    pub(super) fn activity(&self) -> Reply {
        let metrics = self.service.metrics();
        let calls = metrics.calls();
        Reply::Activity(Activity {
            uptime_seconds: metrics.uptime().as_secs(),
            sessions: self.service.sessions().count(),
            calls_ok: calls.ok,
            calls_failed: calls.failed,
            lanes: self.service.lanes().iter().map(shown::lane).collect(),
            calls: self.running(),
            approvals: self.service.approvals().count(),
            groups: self.groups(),
            tools: metrics.tools(std::time::Instant::now()).iter().map(shown::figures).collect(),
        })
    }
}

/// What an operator did that is approved by being done.
fn made(cause: &Cause) -> Option<Made> {
    let plugin = cause.object.split(' ').next().unwrap_or_default().to_owned();
    match cause.action.as_str() {
        "link" | "unlink" => Some(Made::Link(plugin)),
        "deps" => Some(Made::Environment(plugin)),
        _ => None,
    }
}

fn uptime(health: &Value) -> u64 {
    health["uptime_seconds"].as_u64().unwrap_or_default()
}

fn rescan_refused(error: &RescanError) -> Reply {
    match error {
        RescanError::Busy => refused(RefusalCode::Busy, error.to_string(), Some("try again")),
        RescanError::Unreadable { .. } | RescanError::Stopping => {
            refused(RefusalCode::Failed, error.to_string(), None)
        }
    }
}

fn reload_refused(error: &ReloadError) -> Reply {
    match error {
        ReloadError::Refused(_) => {
            refused(RefusalCode::Invalid, error.to_string(), Some("mend it, then reload again"))
        }
        ReloadError::Busy => refused(RefusalCode::Busy, error.to_string(), Some("try again")),
        ReloadError::Stopping => refused(RefusalCode::Failed, error.to_string(), None),
    }
}

/// A name as an answer repeats it.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

pub(super) fn refused(code: RefusalCode, message: String, hint: Option<&str>) -> Reply {
    Reply::Refused(Refusal { code, message, hint: hint.map(str::to_owned) })
}

/// The frames' word for a state of the catalog's.
pub(super) fn state(state: &catalog::PluginState) -> PluginState {
    match state {
        catalog::PluginState::Pending => PluginState::Pending,
        catalog::PluginState::Failed(_) => PluginState::Failed,
        catalog::PluginState::Described(_) => PluginState::Described,
    }
}
