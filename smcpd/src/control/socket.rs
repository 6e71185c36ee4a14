//! Binds the sockets and carries the conversations.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket;
use smcp_control::{
    Access, CALL_SOCKET, CONTROL_SOCKET, Hello, PROTOCOL, RefusalCode, Reply, Request, WireError, read, write,
};
use tokio::io::BufReader;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::requests::refused;
use super::{Control, Input, Operator, Output, peer};
use crate::auth::KeyChange;
use crate::config::{self, SocketRights};
use crate::protocol::lines;
use crate::pulse::Heart;
use crate::shutdown::Shutdown;

/// Conversations of operators at once; one more waits.
const OPERATORS: usize = 64;
/// The same on the call socket, where each agent's bridge (`smcpctl stdio`) stays for its whole life.
const CALLERS: usize = 1_024;
/// A client that asks nothing for that long is let go.
const IDLE: Duration = Duration::from_secs(600);
/// A client that does not take an answer for that long is let go.
const WRITING: Duration = Duration::from_secs(30);

/// The bound sockets; their files go with them.
#[derive(Debug)]
pub(crate) struct Sockets {
    listeners: Vec<(Listener, Access)>,
}

/// Why a socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("another smcpd answers at `{}`: stop it, or give this one another XDG_RUNTIME_DIR", .0.display())]
    InUse(PathBuf),
    #[error("`{}` is in the way: it is not a socket", .0.display())]
    InTheWay(PathBuf),
    #[error("cannot use the socket that was passed to us")]
    Passed(#[source] io::Error),
    #[error("cannot bind `{}`", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

impl Sockets {
    /// Takes the sockets that were passed to us, whose files and rights are the service manager's, and binds the others
    /// in `directory`. A living daemon's socket is never displaced, a dead one's is removed.
    pub(crate) async fn open(
        inherited: [Option<UnixListener>; 2],
        directory: &Path,
        rights: &config::Control,
    ) -> Result<Self, ControlError> {
        let [control, call] = inherited;
        let control = match control {
            Some(passed) => take(passed)?,
            None => bind(&directory.join(CONTROL_SOCKET), &rights.control).await?,
        };
        let call = match call {
            Some(passed) => take(passed)?,
            None => bind(&directory.join(CALL_SOCKET), &rights.call).await?,
        };
        Ok(Self { listeners: vec![(control, Access::Control), (call, Access::Call)] })
    }

    /// Serves until everything is to end.
    pub(crate) async fn serve(self, control: Arc<Control>, hearts: [Heart; 2], shutdown: Shutdown) {
        let serving = self.listeners.into_iter().zip(hearts).map(|((listener, access), heart)| {
            accept(listener, access, Arc::clone(&control), heart, shutdown.clone())
        });
        futures_util::future::join_all(serving).await;
    }
}

fn take(passed: UnixListener) -> Result<Listener, ControlError> {
    let passed = uds_local_socket::tokio::Listener::try_from(OwnedFd::from(passed));
    Ok(Listener::UdSocket(passed.map_err(ControlError::Passed)?))
}

/// Nobody else can open the socket before it has its group and mode.
async fn bind(path: &Path, rights: &SocketRights) -> Result<Listener, ControlError> {
    let failed = |source| ControlError::Bind { path: path.to_owned(), source };
    let name = || path.to_fs_name::<GenericFilePath>();
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(ControlError::InTheWay(path.to_owned()));
        }
        if Stream::connect(name().map_err(failed)?).await.is_ok() {
            return Err(ControlError::InUse(path.to_owned()));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let options = ListenerOptions::new().name(name().map_err(failed)?).mode(0o600);
    let listener = options.create_tokio().map_err(failed)?;
    // The unit's filter of system calls has no chown: who asks for no group needs none.
    if rights.group.is_some() {
        std::os::unix::fs::chown(path, None, rights.group).map_err(failed)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(rights.mode)).map_err(failed)?;
    Ok(listener)
}

async fn accept(
    listener: Listener,
    access: Access,
    control: Arc<Control>,
    mut heart: Heart,
    shutdown: Shutdown,
) {
    let slots = Arc::new(Semaphore::new(match access {
        Access::Control => OPERATORS,
        Access::Call => CALLERS,
    }));
    let conversations = TaskTracker::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = next => accepted,
            () = heart.beat() => continue,
            () = shutdown.ending() => break,
        };
        match accepted {
            Ok(stream) => {
                let (control, shutdown) = (Arc::clone(&control), shutdown.clone());
                conversations.spawn(async move {
                    let _slot = slot;
                    tokio::select! {
                        ended = converse(stream, access, &control) => if let Err(error) = ended {
                            tracing::debug!(%error, "a control connection ended badly");
                        },
                        () = shutdown.ending() => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    conversations.close();
    conversations.wait().await;
}

async fn converse(stream: Stream, access: Access, control: &Control) -> Result<(), WireError> {
    let credentials = stream.peer_creds()?;
    let operator = Operator { uid: credentials.euid().unwrap_or(u32::MAX), pid: credentials.pid() };
    let is_a_plugins = credentials.pid().is_some_and(|pid| peer::is_a_plugins(pid, operator.uid));
    if is_a_plugins {
        tracing::warn!(
            pid = credentials.pid(),
            "a process of a plugin wants to use the daemon's socket: refused"
        );
    }
    let (input, mut output) = tokio::io::split(stream);
    let mut input: Input = BufReader::new(input);
    let hello = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned(), access };
    send(&mut output, &hello).await?;
    loop {
        let request = match tokio::time::timeout(IDLE, read::<Request>(&mut input)).await {
            Err(_) | Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(request))) => request,
            Ok(Err(WireError::Malformed(reason))) => {
                send(&mut output, &unknown(&reason)).await?;
                continue;
            }
            Ok(Err(error)) => return Err(error),
        };
        if is_a_plugins {
            send(&mut output, &not_for_plugins()).await?;
            continue;
        }
        if request.access() > access {
            send(&mut output, &not_permitted()).await?;
            continue;
        }
        if request == Request::Stdio {
            send(&mut output, &Reply::Done).await?;
            let grant = operator.peer().grant;
            return lines::serve(Arc::clone(&control.service), grant, input, output)
                .await
                .map_err(WireError::Io);
        }
        let reply = tokio::select! {
            reply = answer(control, operator, request, &mut output) => reply?,
            // A client that closes the connection, or talks out of turn, no longer waits for the answer.
            _ = tokio::io::AsyncBufReadExt::fill_buf(&mut input) => return Ok(()),
        };
        match send(&mut output, &reply).await {
            Err(WireError::TooLarge) => send(&mut output, &too_large()).await?,
            sent => sent?,
        }
    }
}

/// Who asks before there is a catalog would hear that there is no such tool, and waits instead.
fn needs_catalog(request: &Request) -> bool {
    matches!(
        request,
        Request::Tools
            | Request::Call { .. }
            | Request::Plugins
            | Request::Plugin { .. }
            | Request::Launch { .. }
            | Request::Pins { .. }
            | Request::Profiles
            | Request::Why { .. }
    )
}

/// Carries out one request, and returns the last reply to it. Dropping the future ends what it waits for.
async fn answer(
    control: &Control,
    operator: Operator,
    request: Request,
    output: &mut Output,
) -> Result<Reply, WireError> {
    if needs_catalog(&request) {
        control.service.until_ready().await;
    }
    Ok(match request {
        Request::Health => control.health(),
        Request::Tools => control.tools(),
        Request::Call { tool, arguments, follow } => {
            return control.call(operator, &tool, &arguments, follow, output).await;
        }
        // The conversation has become another one before it comes here.
        Request::Stdio => Reply::Done,
        Request::Status => control.status(),
        Request::Plugins => control.plugins(),
        Request::Plugin { name } => control.plugin(&name),
        Request::Launch { plugin, words } => control.launch(operator, &plugin, words).await,
        Request::Rescan { plan, cause } => control.rescan(operator, plan, cause).await,
        Request::Reload { plan } => control.reload(operator, plan).await,
        Request::Config => control.config(),
        Request::Doctor => control.doctor().await,
        Request::Sessions => control.sessions(),
        Request::Calls => control.calls(),
        Request::Cancel { call } => control.cancel(operator, &call),
        Request::Activity => control.activity(),
        Request::Keys => control.keys(),
        Request::KeyCreate { name, agent, profiles, expires_seconds } => {
            let change = KeyChange::Create { name, profiles, agent, expires: expires_seconds };
            control.change_key(operator, change).await
        }
        Request::KeyRevoke { name } => control.change_key(operator, KeyChange::Revoke { name }).await,
        Request::KeyRotate { name, overlap_seconds } => {
            control.change_key(operator, KeyChange::Rotate { name, overlap: overlap_seconds }).await
        }
        Request::Approvals => control.approvals(),
        Request::Decide { id, approve, reason } => control.decide(operator, &id, approve, reason),
        Request::Pins { plugin } => control.pins(plugin).await,
        Request::AcceptPin { plugin, token } => control.accept_pin(operator, &plugin, &token).await,
        Request::Profiles => control.profiles(),
        Request::Why { tool, key } => control.why(&tool, key.as_deref()),
        Request::Logs { lines, follow, filter } => {
            return control.logs(lines, follow, &filter, output).await;
        }
        Request::Audit { lines, follow, filter } => {
            return control.audited(lines, follow, &filter, output).await;
        }
    })
}

pub(super) async fn send(output: &mut Output, frame: &impl serde::Serialize) -> Result<(), WireError> {
    match tokio::time::timeout(WRITING, write(output, frame)).await {
        Ok(written) => written,
        Err(_) => Err(WireError::Io(io::ErrorKind::TimedOut.into())),
    }
}

fn unknown(reason: &str) -> Reply {
    refused(RefusalCode::Unknown, format!("smcpd does not know this request: {reason}"), None)
}

fn not_permitted() -> Reply {
    let message = "this socket offers tools alone".to_owned();
    refused(
        RefusalCode::NotPermitted,
        message,
        Some("administration needs the control socket: join its group, `smcp-admin`"),
    )
}

fn not_for_plugins() -> Reply {
    let message = "a plugin's process may not use the daemon's sockets".to_owned();
    refused(RefusalCode::NotPermitted, message, Some("let whoever calls the plugin do it"))
}

fn too_large() -> Reply {
    let message = format!("the answer is larger than {} bytes", smcp_control::FRAME);
    refused(RefusalCode::Failed, message, Some("call the tool over HTTP"))
}
