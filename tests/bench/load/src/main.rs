//! The fast half of `tests/bench/run`: what sends requests and keeps the time, and the server that is the bound.
//!
//! `smcp-bench drive` takes one order a line on stdin and answers each with one line of JSON. `smcp-bench bare FILE`
//! serves `ping`, and FILE as the result of `tools/list`, with nothing checked, until its stdin ends. With PROGRAM, in JSON,
//! a call runs that.

#![expect(
    clippy::disallowed_methods,
    reason = "it has one thread, one order at a time, and is ended by who started it"
)]

mod answer;
mod bare;
mod connection;
mod drive;
mod events;
mod hold;
mod line;
mod programs;
mod stdio;

use std::io::Write;
use std::process::ExitCode;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["drive"] => drive::main(),
        ["bare", list] => bare::main(list, None),
        ["bare", list, program] => bare::main(list, Some(program)),
        _ => Err("usage: smcp-bench drive | bare FILE [PROGRAM]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell where stderr is closed.
            _ = writeln!(std::io::stderr(), "smcp-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says one line, at once.
fn say(line: &serde_json::Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
