//! `smcpd inspect PATH`: judges one plugin without serving anything. `smcpctl plugin check` and `plugin describe`
//! run it and show what it prints.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use super::{DaemonError, reload, report};
use crate::catalog;
use crate::config::{Config, Sources};
use crate::executor::Executor;
use crate::paths::{self, Mode};
use crate::pulse::pulse;
use crate::redact::Net;

/// The word that asks for it.
pub(super) const SUBCOMMAND: &str = "inspect";

/// Judges a plugin and prints what was found
#[derive(Debug, Parser)]
#[command(name = "smcpd inspect")]
struct Flags {
    /// The plugin's directory, or a link to it
    path: PathBuf,

    /// The plugin's name; by default that of its directory or link
    #[arg(long)]
    name: Option<String>,

    /// Print JSON; there is no other form yet
    #[arg(long, required = true)]
    json: bool,

    /// Use the system's configuration
    #[arg(long)]
    system: bool,

    /// Read this file instead of the default one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Parses the flags behind the subcommand, and prints one JSON object; a plugin that is not sound is no failure.
pub(super) fn main() -> ExitCode {
    let flags = Flags::parse_from(std::env::args_os().skip(1));
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(flags: &Flags) -> Result<(), DaemonError> {
    let start = |what| move |source| DaemonError::Start { what, source };
    let environment = |name: &str| std::env::var_os(name);
    let mode = if flags.system { Mode::System } else { Mode::User };
    let config = Config::load(Sources {
        mode,
        file: flags.config.as_deref(),
        environment: &environment,
        flags: vec![],
    })?;
    paths::create_private(&config.paths.cache)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(start("runtime"))?;
    let found = runtime.block_on(async {
        let executor = Executor::start(reload::limits(&config), Net::default(), pulse("executor").1)
            .map_err(start("executor"))?;
        let cancel = CancellationToken::new();
        let found =
            catalog::inspect(Arc::new(config), &executor, &flags.path, flags.name.as_deref(), &cancel).await;
        executor.stop(std::time::Instant::now(), async {}).await;
        found.map_err(start("inspection"))
    })?;
    print(&found);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what was found is the result")]
fn print(found: &serde_json::Value) {
    println!("{found}");
}
