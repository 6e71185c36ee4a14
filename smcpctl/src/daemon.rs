//! The running daemon, as commands ask it.

use std::path::PathBuf;

use smcp_control::{
    Cause, Changes, Client, PluginDetail, PluginInfo, Reply, Request, Status, ToolInfo, candidates,
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

    pub(crate) async fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        Ok(self.client.ask(&request).await?)
    }

    pub(crate) async fn fetch_status(&mut self) -> Result<Status, Failure> {
        match self.ask(Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn fetch_tools(&mut self) -> Result<Vec<ToolInfo>, Failure> {
        match self.ask(Request::Tools).await? {
            Reply::Tools { tools } => Ok(tools),
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

    /// Asks for a rescan, because of what we did where there is a `cause`.
    pub(crate) async fn rescan(&mut self, plan: bool, cause: Option<Cause>) -> Result<Changes, Failure> {
        match self.ask(Request::Rescan { plan, cause }).await? {
            Reply::Changes(changes) => Ok(changes),
            other => unexpected(&other),
        }
    }
}
