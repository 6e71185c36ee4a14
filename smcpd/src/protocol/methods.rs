//! The methods that are served, and the revisions that have them; `docs/protocol.md` shows the same table.

use super::revision::Revision;

/// A method of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Initialize,
    Ping,
    Discover,
    Listen,
    ListTools,
    CallTool,
    SetLevel,
    ListResources,
    ListTemplates,
    ReadResource,
    Subscribe,
    Unsubscribe,
    ListPrompts,
    GetPrompt,
    Complete,
    GetTask,
    UpdateTask,
    CancelTask,
}

/// A method with its name and the revisions that have it, both ends included.
struct Entry {
    method: Method,
    name: &'static str,
    since: Revision,
    until: Revision,
}

const fn entry(method: Method, name: &'static str, since: Revision, until: Revision) -> Entry {
    Entry { method, name, since, until }
}

const FIRST: Revision = Revision::V2024_11_05;
const SESSIONS: Revision = Revision::V2025_11_25;
const STATELESS: Revision = Revision::V2026_07_28;

const METHODS: [Entry; 18] = [
    entry(Method::Initialize, "initialize", FIRST, SESSIONS),
    entry(Method::Ping, "ping", FIRST, SESSIONS),
    entry(Method::Discover, "server/discover", STATELESS, STATELESS),
    entry(Method::Listen, "subscriptions/listen", STATELESS, STATELESS),
    entry(Method::ListTools, "tools/list", FIRST, STATELESS),
    entry(Method::CallTool, "tools/call", FIRST, STATELESS),
    entry(Method::SetLevel, "logging/setLevel", FIRST, SESSIONS),
    entry(Method::ListResources, "resources/list", FIRST, STATELESS),
    entry(Method::ListTemplates, "resources/templates/list", FIRST, STATELESS),
    entry(Method::ReadResource, "resources/read", FIRST, STATELESS),
    entry(Method::Subscribe, "resources/subscribe", FIRST, SESSIONS),
    entry(Method::Unsubscribe, "resources/unsubscribe", FIRST, SESSIONS),
    entry(Method::ListPrompts, "prompts/list", FIRST, STATELESS),
    entry(Method::GetPrompt, "prompts/get", FIRST, STATELESS),
    entry(Method::Complete, "completion/complete", FIRST, STATELESS),
    entry(Method::GetTask, "tasks/get", STATELESS, STATELESS),
    entry(Method::UpdateTask, "tasks/update", STATELESS, STATELESS),
    entry(Method::CancelTask, "tasks/cancel", STATELESS, STATELESS),
];

impl Method {
    /// Returns the method of that name, where the revision has it.
    pub(super) fn of(name: &str, revision: Revision) -> Option<Self> {
        let found = METHODS.iter().find(|entry| entry.name == name)?;
        (found.since..=found.until).contains(&revision).then_some(found.method)
    }
}

#[cfg(test)]
#[path = "methods_tests.rs"]
mod tests;
