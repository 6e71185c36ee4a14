//! `smcpd launch`: the step between the daemon and a program, taken in the child.
//!
//! It ties the child's life to the daemon's, enters the plugin's control group, puts the sandbox on, then becomes the
//! program. Doing that here, in a process of its own, is what keeps `unsafe` out of the daemon. `smcpd launch-waiting` does
//! the same before there is a call, says so on the socket that is its stdin, and gets its call there.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::groups;
use super::sandbox::Sandbox;
use super::warm::wire;

/// What the launcher writes on stderr when it cannot become the program, and the status it exits with then.
pub(super) const FAILED: &str = "smcpd launch: ";
pub(super) const FAILED_STATUS: i32 = 127;

/// The hidden subcommands' names.
pub(crate) const SUBCOMMAND: &str = "launch";
pub(crate) const WAITING: &str = "launch-waiting";

/// Becomes the program: `arguments` are the daemon's pid, the file by which a control group is entered (empty:
/// none), the sandbox, the program, and what follows it.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = match hold(&mut arguments) {
        Ok(program) => program,
        Err(reason) => return refuse(&reason),
    };
    refuse(&Command::new(program).args(arguments).exec().to_string())
}

/// Becomes the program once its call has come; `arguments` are those of [`main`], nothing following the program.
pub(crate) fn wait(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match hold(&mut arguments).and_then(|program| become_next(&program).map_err(|error| error.to_string())) {
        // The daemon wants it no more.
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => refuse(&reason),
    }
}

/// Holds this process as the first four of `arguments` say; returns the program.
fn hold(arguments: &mut impl Iterator<Item = OsString>) -> Result<OsString, String> {
    let daemon = arguments.next().and_then(|pid| pid.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let entrance = arguments.next().unwrap_or_default();
    let sandbox = arguments.next().and_then(|text| serde_json::from_str::<Sandbox>(text.to_str()?).ok());
    let (Some(sandbox), Some(program)) = (sandbox, arguments.next()) else {
        return Err("this is for the daemon's own use".to_owned());
    };
    // The kernel kills us when the thread that started us ends: the executor starts us from one that lives
    // as long as the daemon.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // A daemon that died before the line above took effect would have left us behind.
    if getppid() != daemon {
        return Err("the daemon is gone".to_owned());
    }
    if !entrance.is_empty() {
        groups::enter(Path::new(&entrance))
            .map_err(|error| format!("cannot enter its control group: {error}"))?;
    }
    sandbox.confine(Path::new(&program)).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })?;
    Ok(program)
}

/// Says that it waits, takes a call, and becomes the program. Returns where the daemon let it go.
fn become_next(program: &OsStr) -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    writeln!(socket, "pid {}", getpid())?;
    let Some(Call { arguments, bytes, descriptors }) = receive(&mut socket)? else { return Ok(()) };
    let parts = wire::parts(&bytes[wire::HEADER..], arguments);
    let wire::Parts { argv, variables } = parts.ok_or(io::ErrorKind::InvalidData)?;
    let [stdin, stdout, stderr] = descriptors.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    // From here on the call may have had an effect.
    socket.write_all(b"running\n")?;
    Err(Command::new(program).args(argv).env_clear().envs(variables).exec())
}

/// A call as it came.
struct Call {
    /// How many arguments its header counts.
    arguments: usize,
    /// All of it, its header too.
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Receives a whole call; nothing where the daemon's end was closed first.
fn receive(socket: &mut UnixStream) -> io::Result<Option<Call>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 64 << 10];
    let buffers = &mut [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(&*socket, buffers, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
    if got == 0 {
        return Ok(None);
    }
    let descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    bytes.truncate(got);
    more(socket, &mut bytes, wire::HEADER)?;
    let header = bytes.first_chunk().copied().and_then(wire::header);
    let (length, arguments) = header.ok_or(io::ErrorKind::InvalidData)?;
    more(socket, &mut bytes, wire::HEADER + length)?;
    Ok(Some(Call { arguments, bytes, descriptors }))
}

/// Reads on where there are not so many bytes yet.
fn more(socket: &mut UnixStream, bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let got = bytes.len();
    bytes.resize(length.max(got), 0);
    socket.read_exact(&mut bytes[got..])
}

#[expect(clippy::print_stderr, reason = "the daemon reads the reason from our stderr")]
pub(super) fn refuse(reason: &str) -> ExitCode {
    eprintln!("{FAILED}{reason}");
    ExitCode::from(u8::try_from(FAILED_STATUS).expect("127 fits"))
}
