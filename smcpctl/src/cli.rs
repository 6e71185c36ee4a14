//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Look at plugins again now
    Rescan,
    /// List the tools, or show one
    Tools {
        #[command(subcommand)]
        command: Option<Tools>,
        /// Only the tools of this plugin
        #[arg(long, value_name = "NAME")]
        plugin: Option<String>,
    },
    /// Call a tool; ends with 10 when the tool failed
    Call(Call),
    /// Manage plugins
    #[command(subcommand)]
    Plugin(Plugin),
    /// List the sessions of clients
    Sessions,
    /// List the calls that run or wait
    Calls,
    /// Cancel a call
    Cancel {
        /// Its id, as `smcpctl calls` shows it
        call: String,
    },
    /// Print a completion script for a shell
    Completion { shell: clap_complete::Shell },
    /// Print the versions of smcpctl and of the daemon
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tools {
    /// List the tools
    List,
    /// Show a tool with its parameters
    Show { tool: String },
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// A tool, such as `devops.status`
    pub(crate) tool: String,

    /// `key=value`, `key:=JSON` or `key=@FILE`
    #[arg(value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,

    /// Read the arguments as one JSON object from this file; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) args: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List the plugins
    List,
    /// Link a plugin's directory, and say what became callable
    Link {
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
        name: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}
