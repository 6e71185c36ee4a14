//! Says when the host's interfaces may have changed.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Interfaces, and addresses of IPv4 and IPv6, that come and go (rtnetlink(7)).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// A change comes in several messages.
const SETTLES: Duration = Duration::from_millis(100);
/// How often is looked where the kernel tells, in case a message was lost, and where it does not: the packaged unit may
/// open no such socket.
const TOLD: Duration = Duration::from_secs(60);
const UNTOLD: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Changes {
    told: Option<AsyncFd<OwnedFd>>,
}

impl Changes {
    pub(super) fn watch() -> Self {
        let told = listen().and_then(registered);
        if let Err(error) = &told {
            tracing::debug!(%error, "the kernel does not tell of interfaces: they are looked at");
        }
        Self { told: told.ok() }
    }

    /// Waits for the next moment at which to look.
    pub(super) async fn next(&mut self) {
        let Some(told) = &self.told else { return tokio::time::sleep(UNTOLD).await };
        tokio::select! {
            changed = changed(told) => match changed {
                Ok(()) => tokio::time::sleep(SETTLES).await,
                Err(error) => {
                    tracing::warn!(%error, "the kernel does not tell of interfaces any more: they are looked at");
                    self.told = None;
                }
            },
            () = tokio::time::sleep(TOLD) => {}
        }
    }
}

fn listen() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(socket)
}

#[expect(
    deprecated,
    reason = "it is meant for descriptors that are closed early; this one is owned to the end"
)]
fn registered(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Waits for a message and takes all there are; what they say is read elsewhere.
async fn changed(told: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut ready = told.readable().await?;
        let read = ready.try_io(|socket| {
            let mut buffer = [0u8; 4096];
            match recv(socket.get_ref(), &mut buffer, RecvFlags::TRUNC) {
                // Some were lost: all the more reason to look.
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => Ok(()),
                Err(error) => Err(error.into()),
            }
        });
        if let Ok(read) = read {
            read?;
            // Those that come with it; the next call waits again.
            while let Ok(Ok(())) = ready.try_io(|socket| {
                let mut buffer = [0u8; 4096];
                recv(socket.get_ref(), &mut buffer, RecvFlags::TRUNC).map(drop).map_err(io::Error::from)
            }) {}
            return Ok(());
        }
    }
}
