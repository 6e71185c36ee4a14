//! How the daemon is: for people, for `/health`, for Prometheus.

use bytes::Bytes;
use serde_json::json;

use super::{Health, Service, Transport};
use crate::auth::Grant;
use crate::catalog::Fields;
use crate::executor::GroupFigures;
use crate::metrics::{GroupMoment, Moment};

impl Service {
    /// Returns one line for people: what is served and what is going on.
    pub(crate) fn status_line(&self) -> String {
        let catalog = self.catalog.snapshot();
        let counts = self.executor.counts();
        format!(
            "{} tools from {} plugins, {} calls running, {} waiting, {} sessions",
            catalog.tools().len(),
            catalog.plugin_counts().described,
            counts.running,
            counts.waiting,
            self.sessions.count(),
        )
    }

    pub(crate) fn health(&self) -> Health {
        let catalog = self.catalog.snapshot();
        let status = match (self.is_draining(), self.ready.is_cancelled()) {
            (true, _) => "draining",
            (false, false) => "starting",
            (false, true) => "ok",
        };
        let calls = self.metrics.calls();
        let counts = self.executor.counts();
        Health {
            status,
            body: json!({
                "status": status,
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_seconds": self.metrics.uptime().as_secs(),
                "plugins": catalog.plugin_counts(),
                "tools": catalog.tools().len(),
                "sessions": self.sessions.count(),
                "calls": {
                    "total": calls.ok + calls.failed,
                    "ok": calls.ok,
                    "failed": calls.failed,
                    "running": counts.running,
                    "waiting": counts.waiting,
                },
            }),
        }
    }

    /// Everything that is counted and measured, as Prometheus reads it.
    pub(crate) fn figures(&self) -> String {
        let catalog = self.catalog.snapshot();
        let (plugins, counts, sessions) =
            (catalog.plugin_counts(), self.executor.counts(), self.sessions.all());
        let of = |transport| sessions.iter().filter(|session| session.transport() == transport).count();
        let [parents, spares, launchers] = self.executor.warm_counts();
        self.metrics.render(&Moment {
            running: counts.running,
            waiting: counts.waiting,
            approvals: self.approvals.count(),
            processes: self.executor.processes(),
            warm: [("parent", parents), ("spare", spares), ("launcher", launchers)],
            sessions: [
                ("http", of(Transport::Http)),
                ("sse", of(Transport::Sse)),
                ("stdio", of(Transport::Stdio)),
            ],
            streams: sessions.iter().filter(|session| session.has_stream()).count(),
            plugins: [
                ("described", plugins.described),
                ("failed", plugins.failed),
                ("pending", plugins.pending),
            ],
            tools: catalog.tools().len(),
            groups: catalog.plugins().keys().filter_map(|name| self.group_moment(name)).collect(),
        })
    }

    fn group_moment(&self, plugin: &str) -> Option<GroupMoment> {
        let GroupFigures { processes, memory, cpu_seconds } = self.executor.group_figures(plugin)?;
        Some(GroupMoment { plugin: plugin.to_owned(), processes, memory, cpu_seconds })
    }

    /// Whether a grant reaches every tool, and so may read figures of all of them.
    pub(crate) fn reaches_all(&self, grant: &Grant) -> bool {
        self.seen_by(grant).tools().len() == self.catalog.snapshot().tools().len()
    }

    /// The catalog as one message, for `/sse` streams that open with it.
    pub(crate) fn manifest(&self, grant: &Grant) -> Bytes {
        let tools = self.seen_by(grant).listed(Fields::Titled);
        let before = br#"{"jsonrpc":"2.0","method":"notifications/tools/list","params":"#;
        [before, tools.as_ref(), b"}"].concat().into()
    }
}
