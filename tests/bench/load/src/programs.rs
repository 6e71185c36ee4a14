//! Programs that are run to be timed: directly, and servers until their first list.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::line::PATIENCE;

#[derive(Debug, Deserialize)]
pub(crate) struct Program {
    argv: Vec<String>,
    directory: PathBuf,
    environment: std::collections::BTreeMap<String, String>,
}

impl Program {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).current_dir(&self.directory).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it so often, one run after another, and returns how long each took, in ms.
    pub(crate) fn execute(&self, count: usize, pause: Duration) -> Result<Value, Failure> {
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            std::thread::sleep(pause);
            let began = Instant::now();
            let output = self.command().stdout(Stdio::piped()).output()?;
            took.push(milliseconds(began.elapsed()));
            if !output.status.success() {
                return Err(format!("{}: {}", self.argv.join(" "), output.status).into());
            }
        }
        Ok(json!({ "ms": took }))
    }

    /// Starts a server and returns how long it took until a list of `tools` tools came, in ms; then ends it.
    pub(crate) fn until_listed(&self, address: &str, tools: usize) -> Result<Value, Failure> {
        let began = Instant::now();
        let mut child = self.command().stdout(Stdio::null()).spawn()?;
        let listed = first_list(address, tools, began);
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM)?;
        child.wait()?;
        Ok(json!({ "ms": milliseconds(listed?) }))
    }
}

fn first_list(address: &str, tools: usize, began: Instant) -> Result<Duration, Failure> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let request = format!(
        "POST /messages/ HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut seen = 0;
    while began.elapsed() < PATIENCE {
        let Ok(mut stream) = TcpStream::connect(address) else {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        };
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let elapsed = began.elapsed();
        seen = answer.matches("\"inputSchema\"").count();
        if seen >= tools {
            return Ok(elapsed);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{seen} of {tools} tools were listed").into())
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
