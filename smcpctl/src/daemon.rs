//! The running daemon, as commands ask it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use smcp_control::{
    Cause, Changes, Client, ClientError, ConfigValue, Launch, PluginDetail, PluginInfo, Reply, Request,
    Status, ToolInfo, Withheld, candidates,
};

use crate::exit::{Exit, Failure};

/// A connection to the daemon, and how to show what it says.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) client: Client,
    /// Results are for programs.
    pub(crate) json: bool,
}

/// An answer of the wrong kind is a fault of the daemon's.
pub(crate) fn unexpected<T>(reply: &Reply) -> Result<T, Failure> {
    Err(Failure::new(Exit::Failed, format!("smcpd gave an answer to another question: {reply:?}")))
}

impl Daemon {
    pub(crate) async fn connect(socket: Option<PathBuf>, json: bool) -> Result<Self, Failure> {
        Ok(Self { client: Client::connect(&candidates(socket)).await?, json })
    }

    /// Asks and waits; on a terminal it says so after a moment.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        let since = Instant::now();
        let deadline = deadline(&request);
        let mut waiting = Waiting::default();
        let asking = self.client.ask(&request);
        tokio::pin!(asking);
        loop {
            tokio::select! {
                reply = &mut asking => return Ok(reply?),
                () = tokio::time::sleep(PATIENCE) => waiting.say(since.elapsed()),
            }
            if deadline.is_some_and(|deadline| since.elapsed() > deadline) {
                return Err(ClientError::Silent.into());
            }
        }
    }

    pub(crate) async fn fetch_status(&mut self) -> Result<Status, Failure> {
        match self.ask(Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_config(&mut self) -> Result<Vec<ConfigValue>, Failure> {
        match self.ask(Request::Config).await? {
            Reply::Config { values } => Ok(values),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_tools(&mut self) -> Result<Vec<ToolInfo>, Failure> {
        match self.ask(Request::Tools).await? {
            Reply::Tools { tools, .. } => Ok(tools),
            other => unexpected(&other),
        }
    }

    /// The tools, and what is not among them because nobody approved it.
    pub(crate) async fn fetch_tools_and_withheld(
        &mut self,
    ) -> Result<(Vec<ToolInfo>, Vec<Withheld>), Failure> {
        match self.ask(Request::Tools).await? {
            Reply::Tools { tools, withheld } => Ok((tools, withheld)),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_plugins(&mut self) -> Result<Vec<PluginInfo>, Failure> {
        match self.ask(Request::Plugins).await? {
            Reply::Plugins { plugins } => Ok(plugins),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_plugin(&mut self, name: &str) -> Result<PluginDetail, Failure> {
        match self.ask(Request::Plugin { name: name.to_owned() }).await? {
            Reply::Plugin(plugin) => Ok(plugin),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_launch(&mut self, plugin: &str, words: &[String]) -> Result<Launch, Failure> {
        match self.ask(Request::Launch { plugin: plugin.to_owned(), words: words.to_owned() }).await? {
            Reply::Launch(launch) => Ok(launch),
            other => unexpected(&other),
        }
    }

    /// Asks for a rescan, because of what we did where there is a `cause`.
    pub(crate) async fn rescan(&mut self, plan: bool, cause: Option<Cause>) -> Result<Changes, Failure> {
        match self.ask(Request::Rescan { plan, cause }).await? {
            Reply::Changes(changes) => Ok(changes),
            other => unexpected(&other),
        }
    }
}

/// Nothing that takes longer goes without a sign of life.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a daemon that is well answers at once.
const AT_ONCE: Duration = Duration::from_secs(15);

/// How long an answer may take; `None`: as long as plugins need to be described, or to run.
fn deadline(request: &Request) -> Option<Duration> {
    match request {
        Request::Call { .. }
        | Request::Pins { .. }
        | Request::AcceptPin { .. }
        | Request::Rescan { .. }
        | Request::Reload { .. }
        | Request::Stdio
        | Request::Logs { .. }
        | Request::Audit { .. } => None,
        Request::Health
        | Request::Tools
        | Request::Status
        | Request::Plugins
        | Request::Plugin { .. }
        | Request::Launch { .. }
        | Request::Config
        | Request::Doctor
        | Request::Sessions
        | Request::Calls
        | Request::Cancel { .. }
        | Request::Approvals
        | Request::Decide { .. }
        | Request::Activity
        | Request::Keys
        | Request::KeyCreate { .. }
        | Request::KeyRevoke { .. }
        | Request::KeyRotate { .. }
        | Request::Profiles
        | Request::Why { .. } => Some(AT_ONCE),
    }
}

/// One line on a terminal that is written over, and taken away at the end.
#[derive(Debug, Default)]
struct Waiting {
    is_shown: bool,
}

impl Waiting {
    fn say(&mut self, since: Duration) {
        let mut stderr = std::io::stderr().lock();
        if stderr.is_terminal() {
            self.is_shown = true;
            // A terminal that is gone needs no sign.
            let _gone = write!(stderr, "\r\u{1b}[Kwaiting for smcpd  {} s", since.as_secs());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_shown {
            let _gone = write!(std::io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}
