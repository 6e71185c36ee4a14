//! `smcpctl`: the operator's hand on `smcpd`.
//!
//! Results go to stdout, everything else to stderr. `cli` is the command line and `commands` finds what carries a
//! command out: `status`, `tools`, `call`, `plugins` (with `link`, which changes the plugins directory), `plugin` for
//! whoever writes them, `keys`, `profiles`, `changes`, `records`, `doctor`, `top`, `trace`, `connect`, `bridge`. They ask the `daemon`, read `arguments` and secrets (`prompt`), find the
//! programs `beside` us, show things by `table`, and end by `exit`. `completion` helps whoever types.

mod approvals;
mod arguments;
mod beside;
mod bridge;
mod call;
mod changes;
mod cli;
mod commands;
mod completion;
mod connect;
mod daemon;
mod doctor;
mod exit;
mod journal;
mod keys;
mod link;
mod pins;
mod plugin;
mod plugins;
mod profiles;
mod prompt;
mod records;
mod sandboxed;
mod status;
mod table;
mod tools;
mod top;
mod trace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if completion::answer() {
        return ExitCode::SUCCESS;
    }
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&exit::Failure::new(exit::Exit::Failed, error.to_string())),
    };
    let ended = runtime.block_on(commands::run(cli));
    // A program that we no longer wait for holds nobody up.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure),
    }
}

#[expect(clippy::print_stderr, reason = "what went wrong is for people, and is no result")]
fn report(failure: &exit::Failure) -> ExitCode {
    eprintln!("error: {}", failure.message);
    if let Some(hint) = &failure.hint {
        eprintln!("hint: {hint}");
    }
    failure.exit.into()
}
