//! The composition root: builds the parts in order, hands each what it uses, and takes them down in reverse.

mod flags;
mod inspect;
mod reload;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activation::{self, ActivationError, Chosen, Inherited};
use crate::audit::Audit;
use crate::catalog::{CatalogHandle, Discovery, Rescans};
use crate::config::{Config, ConfigError, Publisher, ReloadError, Reloads};
use crate::control::{Control, ControlError, Sockets};
use crate::events::{Event, Field, Kind};
use crate::executor::{Executor, confine, launch};
use crate::letta::Fetching;
use crate::metrics::Metrics;
use crate::paths;
use crate::protocol::Service;
use crate::pulse::pulse;
use crate::shutdown::Shutdown;
use crate::tls;
use crate::{logging, notify, oauth, transport};
use flags::Flags;

/// The exit status of a configuration that was refused; the service manager does not try again.
const REFUSED: u8 = 2;

/// How long a thread for blocking work waits for more: who describes plugins needs several, and an idle daemon none.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_millis(500);

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Paths(#[from] paths::PathsError),
    #[error("cannot start logging")]
    Log(#[from] logging::LogError),
    #[error(transparent)]
    Serve(#[from] transport::ServeError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Activation(#[from] ActivationError),
    #[error("cannot protect the daemon's memory")]
    Dumpable(#[source] rustix::io::Errno),
    #[error("cannot start the {what}")]
    Start { what: &'static str, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] tls::LoadError),
    #[error("stdio failed")]
    Stdio(#[source] std::io::Error),
}

impl DaemonError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Paths(_) | Self::Log(_) | Self::Activation(_) | Self::Tls(_) => REFUSED,
            Self::Serve(_) | Self::Control(_) | Self::Dumpable(_) | Self::Start { .. } | Self::Stdio(_) => 1,
        }
    }
}

/// Runs the program: the launcher's step, `inspect`, `--check`, or the daemon itself.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    match arguments.nth(1) {
        Some(first) if first == launch::SUBCOMMAND => return launch::main(arguments),
        Some(first) if first == launch::WAITING => return launch::wait(arguments),
        Some(first) if first == confine::SUBCOMMAND => return confine::main(arguments),
        Some(first) if first == inspect::SUBCOMMAND => return inspect::main(),
        Some(_) | None => {}
    }
    let flags = Flags::parse();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "the reason for not starting must be seen without logs")]
fn report(error: &DaemonError) {
    let mut text = format!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    eprintln!("smcpd: {text}");
}

fn run(flags: Flags) -> Result<(), DaemonError> {
    let config = reload::load(&flags)?;
    if flags.check {
        print_effective(&config);
        return Ok(());
    }
    // A server on stdio belongs to its client alone.
    let inherited = if flags.stdio { Inherited::default() } else { Inherited::take()? };
    // Keys are in this process's memory: neither a core dump nor a plugin of the same user may read it.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(DaemonError::Dumpable)?;
    let log = Arc::new(logging::start(&config.log)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_keep_alive(KEEP_ALIVE)
        .enable_all()
        .build()
        .map_err(|source| DaemonError::Start { what: "runtime", source })?;
    let ended = runtime.block_on(async {
        // The main thread only waits: what it ran itself, no worker could take over.
        let daemon = runtime.spawn(daemon(Arc::new(flags), config, inherited, Arc::clone(&log)));
        daemon.await.unwrap_or_else(|error| {
            Err(DaemonError::Start { what: "daemon", source: std::io::Error::other(error) })
        })
    });
    // A name that is still being looked up may take its time.
    runtime.shutdown_timeout(PATIENCE);
    ended
}

#[expect(clippy::print_stdout, reason = "the effective configuration is the result")]
fn print_effective(config: &Config) {
    println!("ok");
    for (key, value, origin) in &config.effective {
        println!("{key} = {value}  # {origin}");
    }
}

async fn daemon(
    flags: Arc<Flags>,
    config: Config,
    inherited: Inherited,
    log: Arc<logging::Guard>,
) -> Result<(), DaemonError> {
    let started = Instant::now();
    Event::of(Kind::Starting).text(Field::Version, env!("CARGO_PKG_VERSION")).write();
    let start = |what| move |source| DaemonError::Start { what, source };
    for directory in [&config.plugins.directory, &config.paths.state, &config.paths.cache] {
        paths::create_private(directory)?;
    }
    paths::create_runtime(&config.paths.runtime)?;
    if config.auth_disabled {
        tracing::warn!(
            "authentication is disabled (MCP_AUTH_DISABLED): whoever reaches the port may call every tool"
        );
    }
    let shutdown = Shutdown::default();
    let (executor_pulse, heart) = pulse("executor");
    let net = log.net().clone();
    net.configure(&config.redactor);
    let executor = Executor::start(reload::limits(&config), net.clone(), heart).map_err(start("executor"))?;
    let mut pulses = vec![executor_pulse];
    let door_is_ours = inherited.http.is_none();
    // Bound before anything is described: a client that comes early waits instead of being refused.
    let (listener, sockets) = match flags.stdio {
        true => (None, None),
        false => {
            let listener = listen(&config, inherited.http).await?;
            let passed = [inherited.control, inherited.call];
            (Some(listener), Some(Sockets::open(passed, &config.paths.runtime, &config.control).await?))
        }
    };
    let (publisher, current) = Publisher::new(config);
    let describing = CancellationToken::new();
    let metrics = Arc::new(Metrics::new());
    let (discovery, catalog, rescans) =
        Discovery::new(current.clone(), executor.clone(), Arc::clone(&metrics), describing.clone())
            .map_err(start("discovery"))?;
    let (fetching, letta) = Fetching::new(current.clone(), net);
    let (certificates, tls) = tls::Following::new(current.clone())?;
    let (issuer, oauth) = oauth::Following::new(current.clone());
    let service = Arc::new(Service::new(
        CatalogHandle::clone(&catalog),
        executor.clone(),
        current.clone(),
        letta.clone(),
        metrics,
        shutdown.clone(),
    ));
    let tasks = TaskTracker::new();
    let (reloads, requests) = Reloads::new();
    let reloading = reload::serve(
        flags,
        publisher,
        current.clone(),
        reload::Told {
            executor: executor.clone(),
            letta: letta.clone(),
            tls: tls.clone(),
            oauth: oauth.clone(),
            log: Arc::clone(&log),
        },
        requests,
        shutdown.clone(),
    );
    tasks.spawn(reloading);
    let mut signals = tasks.spawn(heed_signals(shutdown.clone(), reloads.clone(), rescans.clone()));
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    tasks.spawn(discovery.run(ready));
    tasks.spawn(fetching.run(shutdown.clone()));
    tasks.spawn(certificates.run(shutdown.clone()));
    tasks.spawn(issuer.run(shutdown.clone()));
    tasks.spawn(Arc::clone(&service).watch());
    let address = listener.as_ref().map(transport::Listener::address);
    let audit = Arc::new(Audit::default());
    let (reaches, reached) = tokio::sync::watch::channel(transport::Reached::new());
    if let Some(sockets) = sockets {
        let control = Control {
            service: Arc::clone(&service),
            rescans,
            reloads,
            current: current.clone(),
            audit: Arc::clone(&audit),
            logs: log.recent(),
            address,
            tls: tls.clone(),
            oauth: oauth.clone(),
            reached: reached.clone(),
        };
        let (control_pulse, control_heart) = pulse("control");
        let (call_pulse, call_heart) = pulse("call");
        pulses.extend([control_pulse, call_pulse]);
        tasks.spawn(sockets.serve(Arc::new(control), [control_heart, call_heart], shutdown.clone()));
    }
    let mut door = match listener {
        Some(listener) => {
            let visits = Arc::new(transport::Visits::new(tls, oauth));
            tasks.spawn(Arc::clone(&visits).look_after(current.clone(), shutdown.clone()));
            let front = transport::Front::new(
                Arc::clone(&service),
                current.clone(),
                listener.address(),
                visits,
                audit,
            );
            let front = Arc::new(front);
            if listener.address().ip().is_loopback() {
                let (front, port) = (Arc::clone(&front), listener.address().port());
                tasks.spawn(transport::serve_containers(front, port, reaches, shutdown.clone()));
            }
            let shutdown = shutdown.clone();
            let (http_pulse, heart) = pulse("http");
            pulses.push(http_pulse);
            tasks.spawn(async move {
                listener.serve(front, heart, shutdown).await;
                Ok(())
            })
        }
        None => tasks.spawn(transport::serve_stdio(Arc::clone(&service))),
    };
    tasks.spawn(watch::feed_watchdog(pulses, shutdown.clone()));
    // Plugins are waited for, and Letta beside them, for as long.
    let patience = current.get().plugins.startup_wait;
    tokio::select! {
        _ = async { tokio::join!(is_ready, tokio::time::timeout(patience, letta.asked())) } => {}
        () = shutdown.asked() => {}
    }
    service.set_ready();
    let line = service.status_line();
    notify::ready(&line, address);
    tasks.spawn(watch::tell_status(Arc::clone(&service), shutdown.clone()));
    Event::of(Kind::Ready)
        .text(Field::Version, env!("CARGO_PKG_VERSION"))
        .maybe(Field::Address, address.map(|address| address.to_string()))
        .duration(started.elapsed())
        .write_as(&format!("ready: {line}"));
    let mut ended = None;
    tokio::select! {
        () = shutdown.asked() => {}
        _ = &mut signals => {}
        // stdin ended, and what was asked has been answered.
        how = &mut door => ended = Some(how),
    }
    if !door_is_ours {
        // Who comes from here on waits for the next daemon. Who is here already may not have been heard yet.
        shutdown.close();
        tokio::time::sleep(LAST_WORDS).await;
    }
    let (drain, grace) = (current.get().execution.drain, current.get().execution.grace);
    tokio::select! {
        // In this order: who stops says so before asking for time.
        biased;
        () = stop(&service, &executor, &describing, &shutdown, drain) => {}
        // Never the first to end: it only asks for time.
        () = async { watch::extend(drain, grace).await; std::future::pending().await } => {}
    }
    shutdown.close();
    if ended.is_none() {
        // Every answer is on its way; a client that does not take its own is not waited for.
        ended = tokio::time::timeout(PATIENCE, &mut door).await.ok();
    }
    shutdown.end_now();
    let ended = match ended {
        Some(ended) => ended,
        None => door.await,
    };
    signals.abort();
    tasks.close();
    tasks.wait().await;
    Event::of(Kind::Stopped).write();
    flatten(ended)
}

/// Takes the socket that was passed to us where it is the one that the configuration means, or else binds one.
async fn listen(
    config: &Config,
    passed: Option<std::net::TcpListener>,
) -> Result<transport::Listener, DaemonError> {
    let Some(passed) = passed else { return Ok(transport::Listener::bind(&config.http).await?) };
    let address = passed.local_addr().map_err(ActivationError::Address)?;
    let chosen = config.chosen_address();
    let chosen = chosen.map(|(address, origin)| Chosen { address, origin: origin.to_string() });
    activation::agree(address, chosen, config.auth_disabled || config.is_guarded())?;
    Ok(transport::Listener::of(passed)?)
}

fn flatten(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), DaemonError> {
    match ended {
        Ok(result) => result.map_err(DaemonError::Stdio),
        Err(error) => Err(DaemonError::Start { what: "door", source: std::io::Error::other(error) }),
    }
}

/// How long an answer that is ready may take to leave.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// How long a request on a connection that is open already may take to arrive once the door is closed.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(100);

/// Refuses new work, lets running work finish, ends what is left: in this order, each with a deadline.
async fn stop(
    service: &Service,
    executor: &Executor,
    describing: &CancellationToken,
    shutdown: &Shutdown,
    drain: std::time::Duration,
) {
    shutdown.drain();
    notify::stopping(&format!("stopping: {}", service.status_line()));
    Event::of(Kind::Stopping).write_as(&format!("stopping: {}", service.status_line()));
    describing.cancel();
    executor.stop(Instant::now() + drain, shutdown.ending()).await;
    service.tasks().close();
    let answered = tokio::time::timeout(PATIENCE, service.tasks().wait());
    let _in_time = answered.await;
    for session in service.sessions().all() {
        service.sessions().close(&session);
    }
}

/// The first SIGTERM or SIGINT asks for a stop, the second one ends it at once. SIGHUP reads the configuration and
/// the plugins again.
async fn heed_signals(shutdown: Shutdown, reloads: Reloads, rescans: Rescans) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::error!("cannot watch for signals");
    };
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = next(&mut hangup) => {
                match reloads.request(false).await {
                    // One that was refused is told of where it is carried out.
                    Ok(_) | Err(ReloadError::Refused(_)) => {}
                    Err(error @ (ReloadError::Busy | ReloadError::Stopping)) => {
                        tracing::warn!(%error, "no reload");
                    }
                }
                if let Err(error) = rescans.request() {
                    tracing::warn!(%error, "no rescan");
                }
                continue;
            }
        }
        if shutdown.is_asked() {
            shutdown.end_now();
        } else {
            shutdown.ask();
        }
    }
}

async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
