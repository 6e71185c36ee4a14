//! Answers requests of the control socket.

use serde_json::{Map, Value};
use smcp_control::{
    CallInfo, Change, Changes, PluginCounts, PluginInfo, PluginState, Refusal, RefusalCode, Reply, Request,
    SessionInfo, Status, ToolInfo,
};
use tokio_util::sync::CancellationToken;

use super::{Control, Operator};
use crate::auth::Caller;
use crate::catalog::{self, ErrorCode, Fields, FindError, RescanError, Tool, ToolOutput};
use crate::protocol::{Peer, Revision};

impl Control {
    /// Carries out one request. Dropping the future ends what it waits for.
    pub(super) async fn answer(&self, operator: Operator, request: Request) -> Reply {
        match request {
            Request::Health => Reply::Health { health: self.service.health().body },
            Request::Tools => Reply::Tools { tools: self.tools() },
            Request::Call { tool, arguments } => self.call(operator, &tool, &arguments).await,
            Request::Status => Reply::Status(self.status()),
            Request::Plugins => Reply::Plugins { plugins: self.plugins() },
            Request::Rescan => {
                self.audit(operator, "rescan", "");
                self.rescan().await
            }
            Request::Sessions => Reply::Sessions { sessions: self.sessions() },
            Request::Calls => Reply::Calls { calls: self.calls() },
            Request::Cancel { call } => {
                self.audit(operator, "cancel", &call);
                match self.service.running().cancel(&call) {
                    true => Reply::Done,
                    false => refused(
                        RefusalCode::NotFound,
                        format!("no call `{call}` is running"),
                        Some("see `smcpctl calls`"),
                    ),
                }
            }
        }
    }

    /// Each change made through this door, with who asked for it.
    fn audit(&self, operator: Operator, action: &str, object: &str) {
        tracing::info!(uid = operator.uid, pid = operator.pid, action, object, "control");
    }

    fn tools(&self) -> Vec<ToolInfo> {
        self.service.catalog().tools().iter().map(|tool| tool_info(tool)).collect()
    }

    async fn call(&self, operator: Operator, name: &str, arguments: &Map<String, Value>) -> Reply {
        let tool = match self.service.catalog().find(name) {
            Ok(tool) => tool,
            Err(error @ (FindError::Unknown { .. } | FindError::Ambiguous { .. })) => {
                return refused(RefusalCode::NotFound, error.to_string(), Some("see `smcpctl tools`"));
            }
        };
        let peer = Peer {
            session: None,
            revision: Revision::LATEST,
            caller: Caller::User(operator.uid),
            agent: None,
        };
        let output = self.service.call_tool(&peer, &tool, arguments, None, &CancellationToken::new()).await;
        let output = output.unwrap_or_else(|reason| ToolOutput::failed(ErrorCode::InvalidArguments, reason));
        Reply::Called { result: output.into_result() }
    }

    fn status(&self) -> Status {
        let health = self.service.health();
        let catalog = self.service.catalog();
        let plugins = catalog.plugin_counts();
        let number = |key: &str| health.body["calls"][key].as_u64().unwrap_or_default();
        let count = |key: &str| usize::try_from(number(key)).unwrap_or(usize::MAX);
        Status {
            status: health.status.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: health.body["uptime_seconds"].as_u64().unwrap_or_default(),
            address: self.address.map(|address| address.to_string()),
            plugins_directory: self.plugins.display().to_string(),
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
        }
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        let catalog = self.service.catalog();
        let tools_of =
            |name: &str| catalog.tools().iter().filter(|tool| tool.plugin_name() == Some(name)).count();
        let info = |(name, state): (&String, &catalog::PluginState)| {
            let (state, directory, reason) = match state {
                catalog::PluginState::Pending => (PluginState::Pending, None, None),
                catalog::PluginState::Failed(reason) => (PluginState::Failed, None, Some(reason.clone())),
                catalog::PluginState::Described(plugin) => {
                    (PluginState::Described, Some(plugin.directory().display().to_string()), None)
                }
            };
            PluginInfo { name: name.clone(), state, directory, tools: tools_of(name), reason }
        };
        catalog.plugins().iter().map(info).collect()
    }

    async fn rescan(&self) -> Reply {
        let changes = match self.rescans.request() {
            Ok(answer) => answer.await.unwrap_or(Err(RescanError::Stopping)),
            Err(error) => Err(error),
        };
        match changes {
            Ok(changes) => Reply::Changes(in_frame(changes)),
            Err(error @ RescanError::Busy) => {
                refused(RefusalCode::Busy, error.to_string(), Some("try again"))
            }
            Err(error @ (RescanError::Unreadable { .. } | RescanError::Stopping)) => {
                refused(RefusalCode::Failed, error.to_string(), None)
            }
        }
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        let sessions = self.service.sessions().all();
        let info = |session: &std::sync::Arc<crate::protocol::Session>| SessionInfo {
            id: session.short_id().to_owned(),
            transport: session.transport().to_string(),
            revision: session.revision().as_str().to_owned(),
            caller: session.caller().to_string(),
            in_flight: session.in_flight(),
        };
        sessions.iter().map(info).collect()
    }

    fn calls(&self) -> Vec<CallInfo> {
        let info = |(id, call): (String, crate::protocol::Call)| CallInfo {
            id,
            tool: call.tool,
            caller: call.caller.to_string(),
            milliseconds: u64::try_from(call.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.service.running().all().into_iter().map(info).collect()
    }
}

fn tool_info(tool: &Tool) -> ToolInfo {
    let mut listed = tool.to_json(Fields::Plain);
    ToolInfo {
        id: tool.id().to_owned(),
        name: tool.wire_name().to_owned(),
        plugin: tool.plugin_name().map(str::to_owned),
        description: listed["description"].as_str().unwrap_or_default().to_owned(),
        input_schema: listed["inputSchema"].take(),
    }
}

fn in_frame(changes: catalog::Changes) -> Changes {
    let change = |change: catalog::Change| Change { tool: change.tool, parameters: change.parameters };
    Changes {
        added: changes.added,
        removed: changes.removed,
        changed: changes.changed.into_iter().map(change).collect(),
        failed: changes.failed,
    }
}

fn refused(code: RefusalCode, message: String, hint: Option<&str>) -> Reply {
    Reply::Refused(Refusal { code, message, hint: hint.map(str::to_owned) })
}
