//! Which command does what.

use smcp_control::{Client, candidates};

use crate::cli::{Approvals, Cli, Command, Config, Pins, Plugin, Tools};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::table::print;
use crate::{
    approvals, bridge, call, changes, completion, connect, doctor, keys, pins, plugin, plugins, profiles,
    records, sandboxed, status, tools, top, trace,
};

/// Carries out one command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    // These need no daemon, or say themselves what it means that there is none.
    match &cli.command {
        Command::Completion { shell } => {
            print(&completion::script(*shell)?)?;
            return Ok(Exit::Ok);
        }
        Command::Version => {
            let client = Client::connect(&candidates(cli.socket)).await;
            return status::version(client.ok().as_ref(), cli.json);
        }
        Command::Doctor { strict } => return doctor::run(&cli, *strict).await,
        Command::Config(Config::Check { file: Some(file) }) => {
            return changes::check_file(file, cli.json).await;
        }
        Command::Stdio => return bridge::run(cli.socket).await,
        Command::Connect(wanted) => return connect::run(wanted, cli.socket.clone(), cli.json).await,
        Command::Plugin(command) => {
            if let Some(done) = plugin::without_daemon(command, cli.json).await {
                return done;
            }
        }
        _ => {}
    }
    let mut daemon = match Daemon::connect(cli.socket, cli.json).await {
        // A configuration can be checked before there is a daemon to use it.
        Err(failure) if failure.exit == Exit::Unreachable && is_check(&cli.command) => {
            return changes::check_own(cli.json).await;
        }
        connected => connected?,
    };
    let daemon = &mut daemon;
    match cli.command {
        Command::Status => status::status(daemon).await,
        Command::Health => status::health(daemon).await,
        Command::Rescan { plan } => changes::rescan(daemon, plan).await,
        Command::Reload | Command::Config(Config::Reload) => changes::reload(daemon, false).await,
        Command::Config(Config::Check { .. }) => changes::reload(daemon, true).await,
        Command::Config(Config::Show { origin }) => changes::config(daemon, origin).await,
        Command::Tools { command: None, plugin } => tools::list(daemon, plugin.as_deref()).await,
        Command::Tools { command: Some(Tools::List { plugin: named }), plugin } => {
            tools::list(daemon, named.or(plugin).as_deref()).await
        }
        Command::Tools { command: Some(Tools::Show { tool }), .. } => tools::show(daemon, &tool).await,
        Command::Call(asked) => call::call(daemon, &asked).await,
        Command::Plugin(Plugin::List) => plugins::list(daemon).await,
        Command::Plugin(Plugin::Show { name }) => plugins::show(daemon, &name).await,
        Command::Plugin(Plugin::Sandbox { name, trace: true, words, .. }) => {
            trace::trace(daemon, &name, &words).await
        }
        Command::Plugin(Plugin::Sandbox { name, explain, .. }) => {
            sandboxed::show(daemon, &name, explain).await
        }
        Command::Plugin(Plugin::Link { path, name, dry_run }) => {
            plugins::link(daemon, &path, name.as_deref(), dry_run).await
        }
        Command::Plugin(Plugin::Deps { name, user, dry_run }) => {
            plugin::deps(daemon, &name, &user, dry_run).await
        }
        Command::Plugin(Plugin::Unlink { name, dry_run }) => plugins::unlink(daemon, &name, dry_run).await,
        Command::Keys(command) => keys::run(daemon, command).await,
        Command::Pins(Pins::List) => pins::list(daemon).await,
        Command::Pins(Pins::Diff { plugin }) => pins::diff(daemon, plugin).await,
        Command::Pins(Pins::Accept { plugin: Some(plugin), token, dry_run, .. }) => {
            pins::accept(daemon, plugin, token, dry_run).await
        }
        Command::Pins(Pins::Accept { plugin: None, dry_run, .. }) => pins::accept_all(daemon, dry_run).await,
        Command::Profiles(command) => profiles::run(daemon, command).await,
        Command::Why { tool, key } => profiles::why(daemon, tool, key).await,
        Command::Approvals(Approvals::List) => approvals::list(daemon).await,
        Command::Approvals(Approvals::Show { id }) => approvals::show(daemon, &id).await,
        Command::Approvals(Approvals::Approve { id }) => approvals::decide(daemon, id, true, None).await,
        Command::Approvals(Approvals::Deny { id, reason }) => {
            approvals::decide(daemon, id, false, reason).await
        }
        Command::Sessions => status::sessions(daemon).await,
        Command::Calls => status::calls(daemon).await,
        Command::Cancel { call } => status::cancel(daemon, call).await,
        Command::Logs(which) => records::logs(daemon, &which).await,
        Command::Audit(which) => records::audit(daemon, &which).await,
        Command::Top { interval } => top::run(daemon, interval).await,
        // They were carried out above.
        Command::Completion { .. }
        | Command::Version
        | Command::Doctor { .. }
        | Command::Stdio
        | Command::Connect(_)
        | Command::Plugin(
            Plugin::Check { .. }
            | Plugin::New { .. }
            | Plugin::Describe { .. }
            | Plugin::DepsBuild(_)
            | Plugin::TraceEnter
            | Plugin::TraceOutside,
        ) => Ok(Exit::Ok),
    }
}

fn is_check(command: &Command) -> bool {
    matches!(command, Command::Config(Config::Check { .. }))
}
