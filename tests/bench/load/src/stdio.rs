//! A server on the other end of two pipes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Instant;

use serde_json::{Value, json};

use crate::Failure;
use crate::drive::{Tally, Work};
use crate::line::{hello, id_of};
use crate::programs::Program;

#[derive(Debug)]
pub(crate) struct Pipes {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Pipes {
    pub(crate) fn open(program: &Program) -> Result<Self, Failure> {
        let mut child = program
            .command()
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut pipes = Self { stdin: child.stdin.take(), stdout, child };
        pipes.write(&hello(0))?;
        pipes.read()?;
        pipes.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string())?;
        Ok(pipes)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        let stdin = self.stdin.as_mut().ok_or("stdin is closed")?;
        stdin.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    fn read(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line)? {
            0 => Err("the server has ended".into()),
            _ => Ok(line),
        }
    }

    /// Keeps as many requests under way as the work says.
    pub(crate) fn run(&mut self, work: &Work, outstanding: usize, ids: &mut u64) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut asked = HashMap::new();
        let mut left = work.count;
        while left > 0 || !asked.is_empty() {
            while left > 0 && asked.len() < outstanding {
                *ids += 1;
                left -= 1;
                work.pause_blocking();
                let params: Value = work.params(*ids)?;
                let body = json!({"jsonrpc": "2.0", "id": *ids, "method": work.method, "params": params})
                    .to_string();
                asked.insert(*ids, Instant::now());
                self.write(&body)?;
            }
            let answer = self.read()?;
            let came = Instant::now();
            let Some(id) = id_of(answer.as_bytes()) else { continue };
            match asked.remove(&id) {
                Some(began) => tally.add(came - began, work.verdict(id, answer.as_bytes())),
                None => tally.misdelivered += 1,
            }
        }
        Ok(tally)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // Its end of input is the server's order to stop.
        drop(self.stdin.take());
        _ = self.child.wait();
    }
}
