//! `smcpd`: serves the commands of CLI plugins to AI agents as MCP tools.

use std::process::ExitCode;

fn main() -> ExitCode {
    smcpd::main()
}
