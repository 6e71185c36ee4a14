//! The pure parts, for the benchmarks of `tests/bench/load`: text in, and how much came of it. Not a part of the crate's
//! interface, and only there with the feature `bench`.

use std::time::Duration;

use serde_json::Value;

use crate::catalog::pure;
use crate::executor::{Captured, End, Outcome};
use crate::protocol::jsonrpc::{self, Frame, Message};

/// The commands of a contract.
#[derive(Debug)]
pub struct Contract(pure::Commands);

impl Contract {
    /// Reads what a plugin prints for `--describe`; `None` where it is no contract.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        pure::Commands::read(text).map(Self)
    }

    /// Returns the words of a call, or why there are none.
    ///
    /// # Errors
    /// The arguments do not fit the command, or there is no such command.
    pub fn argv(&self, command: &str, arguments: &Value) -> Result<usize, String> {
        self.0.argv(command, arguments).map(|words| words.len())
    }

    /// Returns how long the JSON of all input schemas is.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.0.listed().len()
    }
}

/// Reads a request and returns how long its answer with an empty result is; 0 where it is no request.
#[must_use]
pub fn answered(frame: &[u8]) -> usize {
    match jsonrpc::parse(frame) {
        Ok(Frame::One(Message::Request(request))) => jsonrpc::success(&request.id, "", b"{}").len(),
        Ok(_) => 0,
        Err(refusal) => refusal.to_bytes().len(),
    }
}

/// Reads what a program printed and returns how many blocks of content a client gets.
#[must_use]
pub fn output(stdout: &[u8]) -> usize {
    let mut captured = Captured::new(8 << 20);
    captured.push(stdout);
    let outcome = Outcome {
        end: End::Exited(0),
        stdout: captured,
        stderr: Captured::new(0),
        ran: Duration::ZERO,
        spilled: None,
    };
    let output = crate::catalog::from_outcome(outcome);
    output.content.len() + usize::from(output.structured.is_some())
}

/// Reads a help text and returns how many actions its parser has.
#[must_use]
pub fn help(text: &str) -> usize {
    pure::help(text)
}
