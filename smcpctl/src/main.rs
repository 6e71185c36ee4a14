//! `smcpctl`: the operator's hand on `smcpd`.
//!
//! Results go to stdout, everything else to stderr. `cli` is the command line, `exit` what went wrong in the
//! shell's language, `commands` what each command does, `arguments` turns `key=value` into a tool's arguments,
//! `link` changes the plugins directory, `table` shows things to people.

mod arguments;
mod cli;
mod commands;
mod exit;
mod link;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&exit::Failure::new(exit::Exit::Failed, error.to_string())),
    };
    match runtime.block_on(commands::run(cli)) {
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
