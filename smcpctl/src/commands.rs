//! What each command does: asks the daemon, and shows the answer.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use serde_json::{Value, json};
use smcp_control::{Changes, Client, PluginInfo, Reply, Request, Status, ToolInfo, candidates};

use crate::cli::{Call, Cli, Command, Plugin, Tools};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};
use crate::{arguments, link};

/// The daemon, and how to show what it says.
struct Session {
    client: Client,
    json: bool,
}

/// Carries out one command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    if let Command::Completion { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "smcpctl", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Ok);
    }
    let client = Client::connect(&candidates(cli.socket)).await;
    if let Command::Version = cli.command {
        return version(client.ok().as_ref(), cli.json);
    }
    let mut session = Session { client: client?, json: cli.json };
    match cli.command {
        Command::Status => session.status().await,
        Command::Health => session.health().await,
        Command::Rescan => session.rescan().await,
        Command::Tools { command: None | Some(Tools::List), plugin } => {
            session.tools(plugin.as_deref()).await
        }
        Command::Tools { command: Some(Tools::Show { tool }), .. } => session.show(&tool).await,
        Command::Call(call) => session.call(&call).await,
        Command::Plugin(Plugin::List) => session.plugins().await,
        Command::Plugin(Plugin::Link { path, name, dry_run }) => {
            session.link(&path, name.as_deref(), dry_run).await
        }
        Command::Plugin(Plugin::Unlink { name, dry_run }) => session.unlink(&name, dry_run).await,
        Command::Sessions => session.sessions().await,
        Command::Calls => session.calls().await,
        Command::Cancel { call } => session.cancel(call).await,
        Command::Completion { .. } | Command::Version => Ok(Exit::Ok),
    }
}

fn version(daemon: Option<&Client>, as_json: bool) -> Result<Exit, Failure> {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = daemon.map(|client| client.hello().version.clone());
    if as_json {
        print_json("versions", &json!({"smcpctl": ours, "smcpd": theirs}))?;
    } else {
        print(&format!("smcpctl {ours}\nsmcpd {}\n", theirs.as_deref().unwrap_or("does not answer")))?;
    }
    Ok(Exit::Ok)
}

/// An answer of the wrong kind is a fault of the daemon's.
fn unexpected<T>(reply: &Reply) -> Result<T, Failure> {
    Err(Failure::new(Exit::Failed, format!("smcpd gave an answer to another question: {reply:?}")))
}

impl Session {
    async fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        Ok(self.client.ask(&request).await?)
    }

    async fn fetch_status(&mut self) -> Result<Status, Failure> {
        match self.ask(Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => unexpected(&other),
        }
    }

    async fn status(&mut self) -> Result<Exit, Failure> {
        let status = self.fetch_status().await?;
        if self.json {
            print_json("status", &status)?;
            return Ok(Exit::Ok);
        }
        let plugins = status.plugins;
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let rows = [
            row("status", format!("{}, up {} s, pid {}", status.status, status.uptime_seconds, status.pid)),
            row("version", status.version),
            row("address", status.address.unwrap_or_else(|| "none".to_owned())),
            row(
                "plugins",
                format!(
                    "{} described, {} pending, {} failed",
                    plugins.described, plugins.pending, plugins.failed
                ),
            ),
            row("directory", status.plugins_directory),
            row("tools", status.tools.to_string()),
            row("sessions", status.sessions.to_string()),
            row(
                "calls",
                format!(
                    "{} running, {} waiting, {} ok, {} failed",
                    status.calls_running, status.calls_waiting, status.calls_ok, status.calls_failed
                ),
            ),
        ];
        print_rows(&["WHAT", "VALUE"], &rows)?;
        Ok(Exit::Ok)
    }

    async fn health(&mut self) -> Result<Exit, Failure> {
        let health = match self.ask(Request::Health).await? {
            Reply::Health { health } => health,
            other => return unexpected(&other),
        };
        let status = health["status"].as_str().unwrap_or("unknown").to_owned();
        if self.json {
            print_json("health", &health)?;
        } else {
            print(&format!("{}\n", escape(&status)))?;
        }
        Ok(if status == "ok" { Exit::Ok } else { Exit::Failed })
    }

    async fn fetch_changes(&mut self) -> Result<Changes, Failure> {
        match self.ask(Request::Rescan).await? {
            Reply::Changes(changes) => Ok(changes),
            other => unexpected(&other),
        }
    }

    async fn rescan(&mut self) -> Result<Exit, Failure> {
        let changes = self.fetch_changes().await?;
        self.show_changes(&changes)?;
        Ok(Exit::Ok)
    }

    fn show_changes(&self, changes: &Changes) -> Result<(), Failure> {
        if self.json {
            return print_json("changes", changes);
        }
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row =
            |sign: &str, what: &str, more: String| rows.push(vec![sign.to_owned(), what.to_owned(), more]);
        changes.added.iter().for_each(|tool| row("added", tool, String::new()));
        changes.removed.iter().for_each(|tool| row("removed", tool, String::new()));
        changes.changed.iter().for_each(|change| row("changed", &change.tool, change.parameters.join(" ")));
        changes.failed.iter().for_each(|(plugin, reason)| row("failed", plugin, reason.clone()));
        if rows.is_empty() {
            return print("nothing changed\n");
        }
        print_rows(&["CHANGE", "NAME", "DETAIL"], &rows)
    }

    async fn fetch_tools(&mut self) -> Result<Vec<ToolInfo>, Failure> {
        match self.ask(Request::Tools).await? {
            Reply::Tools { tools } => Ok(tools),
            other => unexpected(&other),
        }
    }

    async fn tools(&mut self, plugin: Option<&str>) -> Result<Exit, Failure> {
        let mut tools = self.fetch_tools().await?;
        tools.retain(|tool| plugin.is_none_or(|plugin| tool.plugin.as_deref() == Some(plugin)));
        if let (Some(plugin), true) = (plugin, tools.is_empty()) {
            let failure =
                Failure::new(Exit::NotFound, format!("no tool belongs to a plugin called `{plugin}`"));
            return Err(failure.hint("see `smcpctl plugin list`"));
        }
        if self.json {
            print_json("tools", &tools)?;
            return Ok(Exit::Ok);
        }
        let rows: Vec<Vec<String>> =
            tools.iter().map(|tool| vec![signature(tool), first_line(&tool.description)]).collect();
        print_rows(&["TOOL", "DESCRIPTION"], &rows)?;
        Ok(Exit::Ok)
    }

    async fn find(&mut self, name: &str) -> Result<ToolInfo, Failure> {
        let alike = |name: &str| name.replace('-', "_").replacen("__", ".", 1);
        let tools = self.fetch_tools().await?;
        let found = tools.iter().find(|tool| tool.id == name || tool.name == name);
        found.or_else(|| tools.iter().find(|tool| alike(&tool.id) == alike(name))).cloned().ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("no tool is called `{name}`")).hint("see `smcpctl tools`")
        })
    }

    async fn show(&mut self, name: &str) -> Result<Exit, Failure> {
        let tool = self.find(name).await?;
        if self.json {
            print_json("tool", &tool)?;
            return Ok(Exit::Ok);
        }
        print(&format!(
            "{}\n{}\nname on the wire: {}\n\n",
            escape(&signature(&tool)),
            escape(&tool.description),
            tool.name
        ))?;
        let required = |name: &str| {
            tool.input_schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        let rows: Vec<Vec<String>> = properties(&tool)
            .map(|(name, schema)| {
                let need = if required(name) { "required" } else { "optional" };
                vec![
                    name.clone(),
                    kind(schema),
                    need.to_owned(),
                    first_line(schema["description"].as_str().unwrap_or_default()),
                ]
            })
            .collect();
        print_rows(&["PARAMETER", "TYPE", "", "DESCRIPTION"], &rows)?;
        Ok(Exit::Ok)
    }

    async fn call(&mut self, call: &Call) -> Result<Exit, Failure> {
        let tool = self.find(&call.tool).await?;
        let arguments = arguments::parse(&call.arguments, call.args.as_deref(), &tool.input_schema)?;
        let request = Request::Call { tool: tool.name.clone(), arguments };
        let result = match self.ask(request).await? {
            Reply::Called { result } => result,
            other => return unexpected(&other),
        };
        if self.json {
            print_json("result", &result)?;
        } else {
            let blocks = result["content"].as_array().cloned().unwrap_or_default();
            let shown: Vec<String> = blocks.iter().map(block).collect();
            print(&(shown.join("\n") + "\n"))?;
        }
        Ok(if result["isError"] == Value::Bool(true) { Exit::ToolFailed } else { Exit::Ok })
    }

    async fn fetch_plugins(&mut self) -> Result<Vec<PluginInfo>, Failure> {
        match self.ask(Request::Plugins).await? {
            Reply::Plugins { plugins } => Ok(plugins),
            other => unexpected(&other),
        }
    }

    async fn plugins(&mut self) -> Result<Exit, Failure> {
        let plugins = self.fetch_plugins().await?;
        if self.json {
            print_json("plugins", &plugins)?;
            return Ok(Exit::Ok);
        }
        let row = |plugin: &PluginInfo| {
            let state = format!("{:?}", plugin.state).to_lowercase();
            let detail = plugin.reason.clone().or_else(|| plugin.directory.clone()).unwrap_or_default();
            vec![plugin.name.clone(), state, plugin.tools.to_string(), detail]
        };
        print_rows(&["PLUGIN", "STATE", "TOOLS", "DETAIL"], &plugins.iter().map(row).collect::<Vec<_>>())?;
        Ok(Exit::Ok)
    }

    async fn plugins_directory(&mut self) -> Result<PathBuf, Failure> {
        Ok(PathBuf::from(self.fetch_status().await?.plugins_directory))
    }

    #[expect(clippy::print_stderr, reason = "warnings are no result")]
    async fn link(&mut self, path: &Path, name: Option<&str>, dry_run: bool) -> Result<Exit, Failure> {
        let directory = self.plugins_directory().await?;
        match link::plan(&directory, path, name)? {
            link::Plan::Nothing { name } => print(&format!("`{name}` is linked already\n"))?,
            link::Plan::Link { target, link, name, warnings } => {
                warnings.iter().for_each(|warning| eprintln!("warning: {}", escape(warning)));
                if dry_run {
                    print(&format!("would link `{name}` to `{}`\n", target.display()))?;
                    return Ok(Exit::Ok);
                }
                link::link(&target, &link)?;
                self.fetch_changes().await?;
                let plugins = self.fetch_plugins().await?;
                if let Some(reason) =
                    plugins.into_iter().find(|plugin| plugin.name == name).and_then(|plugin| plugin.reason)
                {
                    let failure = Failure::new(
                        Exit::Invalid,
                        format!("`{name}` is linked and cannot be described: {reason}"),
                    );
                    return Err(failure.hint(format!("mend it, or `smcpctl plugin unlink {name}`")));
                }
                self.plugin_tools(&name).await?;
            }
        }
        Ok(Exit::Ok)
    }

    /// What became callable.
    async fn plugin_tools(&mut self, name: &str) -> Result<(), Failure> {
        self.tools(Some(name)).await.map(|_| ())
    }

    async fn unlink(&mut self, name: &str, dry_run: bool) -> Result<Exit, Failure> {
        let directory = self.plugins_directory().await?;
        // What disappears is known only as long as it is there.
        let mut tools = self.fetch_tools().await?;
        tools.retain(|tool| tool.plugin.as_deref() == Some(name));
        if !link::unlink(&directory, name, dry_run)? {
            print(&format!("no plugin is called `{name}`\n"))?;
            return Ok(Exit::Ok);
        }
        if !dry_run {
            self.fetch_changes().await?;
        }
        let removed = tools.into_iter().map(|tool| tool.id).collect();
        self.show_changes(&Changes { removed, ..Changes::default() })?;
        Ok(Exit::Ok)
    }

    async fn sessions(&mut self) -> Result<Exit, Failure> {
        let sessions = match self.ask(Request::Sessions).await? {
            Reply::Sessions { sessions } => sessions,
            other => return unexpected(&other),
        };
        if self.json {
            print_json("sessions", &sessions)?;
            return Ok(Exit::Ok);
        }
        let row = |session: &smcp_control::SessionInfo| {
            let session = session.clone();
            vec![
                session.id,
                session.transport,
                session.revision,
                session.caller,
                session.in_flight.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
        print_rows(&["SESSION", "TRANSPORT", "REVISION", "CALLER", "REQUESTS"], &rows)?;
        Ok(Exit::Ok)
    }

    async fn calls(&mut self) -> Result<Exit, Failure> {
        let calls = match self.ask(Request::Calls).await? {
            Reply::Calls { calls } => calls,
            other => return unexpected(&other),
        };
        if self.json {
            print_json("calls", &calls)?;
            return Ok(Exit::Ok);
        }
        let row = |call: &smcp_control::CallInfo| {
            vec![call.id.clone(), call.tool.clone(), call.caller.clone(), format!("{} ms", call.milliseconds)]
        };
        print_rows(&["CALL", "TOOL", "CALLER", "SINCE"], &calls.iter().map(row).collect::<Vec<_>>())?;
        Ok(Exit::Ok)
    }

    async fn cancel(&mut self, call: String) -> Result<Exit, Failure> {
        match self.ask(Request::Cancel { call }).await? {
            Reply::Done => Ok(Exit::Ok),
            other => unexpected(&other),
        }
    }
}

fn properties(tool: &ToolInfo) -> impl Iterator<Item = (&String, &Value)> {
    tool.input_schema["properties"].as_object().into_iter().flatten()
}

/// `demo_math.calculate(operation, a: number, b: number)`
fn signature(tool: &ToolInfo) -> String {
    let required = tool.input_schema["required"].as_array().cloned().unwrap_or_default();
    let parameter = |(name, schema): (&String, &Value)| {
        let optional = if required.iter().any(|one| one == name) { "" } else { "?" };
        match schema["type"].as_str() {
            Some("string") | None => format!("{name}{optional}"),
            Some(kind) => format!("{name}{optional}: {kind}"),
        }
    };
    format!("{}({})", tool.id, properties(tool).map(parameter).collect::<Vec<_>>().join(", "))
}

fn kind(schema: &Value) -> String {
    match schema["enum"].as_array() {
        Some(choices) => choices
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join("|"),
        None => schema["type"].as_str().unwrap_or("any").to_owned(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A content block as a terminal can show it.
fn block(block: &Value) -> String {
    match block["text"].as_str() {
        Some(text) => text.lines().map(escape).collect::<Vec<_>>().join("\n"),
        None => format!("[{}]", escape(block["type"].as_str().unwrap_or("unknown"))),
    }
}
