//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completion;

/// Administers smcpd, the tool server of this host
#[derive(Debug, Parser)]
#[command(name = "smcpctl", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Speak to the daemon at this socket
    #[arg(long, global = true, value_name = "SOCKET", env = "SMCP_SOCKET")]
    pub(crate) socket: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the daemon in one screen
    Status,
    /// Say whether the daemon is well; fails where it is not
    Health,
    /// Look for what is wrong or will be, each with a code and the fix
    Doctor {
        /// Fail where anything was found, warnings too
        #[arg(long)]
        strict: bool,
    },
    /// Look at plugins again now
    Rescan {
        /// Only say what would change
        #[arg(long)]
        plan: bool,
    },
    /// Read the configuration again, and look at plugins again
    Reload,
    /// List the tools, or show one
    Tools {
        #[command(subcommand)]
        command: Option<Tools>,
        /// Only the tools of this plugin
        #[arg(long, value_name = "NAME", add = completion::plugins())]
        plugin: Option<String>,
    },
    /// Call a tool; ends with 10 when the tool failed
    Call(Call),
    /// Manage plugins
    #[command(subcommand)]
    Plugin(Plugin),
    /// Manage the API keys of clients that come over HTTP
    #[command(subcommand)]
    Keys(Keys),
    /// Show how plugins stand to what was approved of them, and approve what they have become
    #[command(subcommand)]
    Pins(Pins),
    /// Look at profiles, the named selections of tools
    #[command(subcommand)]
    Profiles(Profiles),
    /// Say what allows or stops a call, one line each; ends with 11 where something stops it
    Why {
        #[arg(add = completion::tools())]
        tool: String,
        /// By the holder of this key; by default whoever has none
        #[arg(long = "as", value_name = "KEY", add = completion::keys())]
        key: Option<String>,
    },
    /// Decide on calls that wait for an operator
    #[command(subcommand)]
    Approvals(Approvals),
    /// List the sessions of clients
    Sessions,
    /// List the calls that run or wait
    Calls,
    /// Cancel a call
    Cancel {
        /// Its id, as `smcpctl calls` shows it, or `smcpctl approvals list`
        #[arg(add = completion::calls())]
        call: String,
    },
    /// Watch lanes, calls, tools and sessions; `c` cancels a call
    Top {
        /// Look again after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
        interval: f64,
    },
    /// Show the daemon's latest log records
    Logs(Records),
    /// Show the latest changes made to the daemon, and who made them
    Audit(Records),
    /// Check, show or reload the configuration
    #[command(subcommand)]
    Config(Config),
    /// Print a client's configuration for this daemon, or write it
    Connect(Connect),
    /// Bridge stdin and stdout to the daemon, for clients that start a command
    Stdio,
    /// Print a completion script for a shell
    Completion { shell: clap_complete::Shell },
    /// Print the versions of smcpctl and of the daemon
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// List the tools
    List {
        /// Only the tools of this plugin
        #[arg(long, value_name = "NAME", add = completion::plugins())]
        plugin: Option<String>,
    },
    /// Show a tool with its parameters
    Show {
        #[arg(add = completion::tools())]
        tool: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// A tool, such as `devops.status`
    #[arg(add = completion::tools())]
    pub(crate) tool: String,

    /// `key=value`, `key:=JSON` or `key=@FILE`
    #[arg(value_name = "ARGUMENT", add = completion::arguments())]
    pub(crate) arguments: Vec<String>,

    /// Read the arguments as one JSON object from this file; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) args: Option<PathBuf>,

    /// Ask for this argument on the terminal without showing it; may be given again
    #[arg(long, value_name = "KEY")]
    pub(crate) prompt: Vec<String>,

    /// Do not show the tool's progress and its stderr
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which records to show.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// Go on with what comes
    #[arg(long, short)]
    pub(crate) follow: bool,

    /// Only those of this plugin
    #[arg(long, value_name = "NAME", add = completion::plugins())]
    pub(crate) plugin: Option<String>,

    /// Only those of this tool, such as `devops.status`
    #[arg(long, value_name = "TOOL", add = completion::tools())]
    pub(crate) tool: Option<String>,

    /// Only what this caller asked for: `anonymous`, `key-1`, `stdio` or `uid 1000`
    #[arg(long, value_name = "CALLER")]
    pub(crate) caller: Option<String>,

    /// Only what came to this: `ok`, `timeout`, `plugin_error` and others
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) outcome: Option<String>,

    /// Only those that are no older, such as `90s`, `15m`, `2h` or `7d`
    #[arg(long, value_name = "DURATION", value_parser = crate::records::duration)]
    pub(crate) since: Option<std::time::Duration>,

    /// So many of the latest
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub(crate) lines: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List the keys; no secret is shown
    List,
    /// Make a key, and print its secret this once
    Create {
        /// What its holder is called in logs and records
        #[arg(long)]
        name: String,
        /// It reaches the tools of this profile alone; may be given again
        #[arg(long, value_name = "PROFILE", add = completion::profiles())]
        profile: Vec<String>,
        /// The agent that it is given to; what requests claim of themselves does not count then
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// It opens for so long, such as `12h` or `90d`
        #[arg(long, value_name = "DURATION", value_parser = crate::records::duration)]
        expires: Option<std::time::Duration>,
    },
    /// Take a key back, and end whatever was opened with it
    Revoke {
        #[arg(add = completion::keys())]
        name: String,
    },
    /// Give a key another secret, and print it this once
    Rotate {
        #[arg(add = completion::keys())]
        name: String,
        /// The old secret goes on for so long
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = crate::records::duration)]
        overlap: std::time::Duration,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Profiles {
    /// List the profiles
    List,
    /// Show a profile: its rules, the tools that it selects, and the keys that have it
    Show {
        #[arg(add = completion::profiles())]
        name: String,
    },
    /// Say whether the holder of a key reaches a tool; ends with 11 where not
    Test {
        #[arg(add = completion::keys())]
        key: String,
        #[arg(add = completion::tools())]
        tool: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check the configuration without using it
    Check {
        /// Check this file instead, by itself; needs no daemon
        file: Option<PathBuf>,
    },
    /// Show the values in use
    Show {
        /// With where each was set
        #[arg(long)]
        origin: bool,
    },
    /// Read the configuration again
    Reload,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List the calls that wait: tool, caller, agent, arguments
    List,
    /// Show one, each argument by itself
    Show {
        /// Its id, as `smcpctl approvals list` shows it
        #[arg(add = completion::approvals())]
        id: String,
    },
    /// Have one run
    Approve {
        /// Its id, as `smcpctl approvals list` shows it
        #[arg(add = completion::approvals())]
        id: String,
    },
    /// Have one refused
    Deny {
        /// Its id, as `smcpctl approvals list` shows it
        #[arg(add = completion::approvals())]
        id: String,
        /// Tell the client why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pins {
    /// List the plugins, each with its policy and whether it still is what was approved
    List,
    /// Say in words what is not as it was: files, interpreter, tools with their descriptions and parameters
    Diff {
        /// Only this plugin; by default every one of which something differs
        #[arg(add = completion::plugins())]
        plugin: Option<String>,
    },
    /// Approve a plugin as it is now
    Accept {
        #[arg(add = completion::plugins(), required_unless_present = "all")]
        plugin: Option<String>,
        /// Approve every plugin of which something differs
        #[arg(long, conflicts_with_all = ["plugin", "token"])]
        all: bool,
        /// Only if it still is what `pins diff` showed with this token
        #[arg(long, value_name = "TOKEN")]
        token: Option<String>,
        /// Only say what would be accepted
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List the plugins
    List,
    /// Show a plugin: where it is, how it was described, and what is wrong with it
    Show {
        #[arg(add = completion::plugins())]
        name: String,
    },
    /// Show what a plugin's processes are held to
    ///
    /// What was refused to a process nobody is told: the kernel tells it to the process alone. With --trace, a command of
    /// the plugin is run once under `strace`, as a call of it would be, which shows what was refused.
    Sandbox {
        #[arg(add = completion::plugins())]
        name: String,
        /// Each rule in words, with the key and the line that it comes from
        #[arg(long, conflicts_with = "trace")]
        explain: bool,
        /// Run a command of the plugin once, and list what was refused to it, by whom, and what allows it
        #[arg(long)]
        trace: bool,
        /// The command with its arguments, as the plugin itself reads them; they come last
        #[arg(
            value_name = "COMMAND",
            requires = "trace",
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        words: Vec<String>,
    },
    /// Link a plugin's directory, and say what became callable
    Link {
        /// Its directory, or the bare name of a plugin that came with smcp
        #[arg(add = completion::linkable())]
        path: PathBuf,
        /// The plugin's name; by default that of its directory
        #[arg(long)]
        name: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a plugin's link, never its files
    Unlink {
        #[arg(add = completion::plugins())]
        name: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Judge a plugin's directory: contract, schemas, names, permissions, arguments; needs no daemon
    Check {
        path: PathBuf,
        /// Fail on warnings too
        #[arg(long)]
        strict: bool,
    },
    /// Write a new plugin that passes `plugin check`; needs no daemon
    New {
        name: String,
        #[arg(long, value_enum, default_value_t)]
        lang: Language,
        /// Make it in this directory
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        into: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Print what the daemon finds out of a plugin as a contract; needs no daemon
    Describe {
        path: PathBuf,
        /// Save it as `contract.json` beside the entry point
        #[arg(long)]
        write: bool,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a linked plugin's virtual environment from its `requirements.txt`
    Deps {
        #[arg(add = completion::plugins())]
        name: String,
        /// Where this is run by root: do it as this user instead
        #[arg(long, value_name = "USER", default_value = "smcp")]
        user: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    #[command(hide = true)]
    DepsBuild(DepsBuild),
    /// The part of `--trace` that runs under strace, as the daemon's user
    #[command(hide = true)]
    TraceEnter,
    /// The part of `--trace` that runs as the daemon's user, without the sandbox
    #[command(hide = true)]
    TraceOutside,
}

/// The part of `plugin deps` that runs without root's rights, in a process of its own.
#[derive(Debug, Args)]
pub(crate) struct DepsBuild {
    /// The plugin's directory
    pub(crate) directory: PathBuf,
    /// The virtual environment to make
    pub(crate) target: PathBuf,
    /// `require`, `best-effort` or `off`
    #[arg(long, default_value = "best-effort")]
    pub(crate) mode: String,
    /// What the tools do not see
    #[arg(long)]
    pub(crate) hide: Vec<PathBuf>,
}

/// What a new plugin is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    #[default]
    Python,
    Bash,
    Rust,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The client
    pub(crate) client: Client,

    /// Write it into the client's own file; what was there is kept beside it
    #[arg(long)]
    pub(crate) write: bool,

    /// Write it into this file instead of the client's own
    #[arg(long, value_name = "FILE", requires = "write")]
    pub(crate) file: Option<PathBuf>,

    /// Only say what would be written
    #[arg(long, requires = "write")]
    pub(crate) dry_run: bool,

    /// How the client reaches the daemon; by default what suits it best
    #[arg(long, value_enum)]
    pub(crate) transport: Option<Transport>,

    /// The address of the daemon as the client sees it, such as `http://tools.example.org:8000`
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// What the client calls this server
    #[arg(long, default_value = "smcp")]
    pub(crate) name: String,

    /// Read the API key from this file; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Ask for the API key on the terminal without showing it
    #[arg(long, conflicts_with = "key_file")]
    pub(crate) prompt_key: bool,
}

/// A client whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    Letta,
    LettaCode,
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
}

/// How a client reaches the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP, at `/mcp`
    Http,
    /// HTTP+SSE, at `/sse`
    Sse,
    /// The client starts `smcpctl stdio`
    Stdio,
}
