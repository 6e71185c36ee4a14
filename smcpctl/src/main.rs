//! `smcpctl`: the operator's hand on `smcpd`.

use clap::Parser;

/// Administers smcpd, the tool server of this host
#[derive(Debug, Parser)]
#[command(name = "smcpctl", version, arg_required_else_help = true)]
struct Flags {}

fn main() {
    let Flags {} = Flags::parse();
}
