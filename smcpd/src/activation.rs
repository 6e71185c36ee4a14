//! The sockets that the service manager opened for us (`sd_listen_fds(3)`), each known by its `FileDescriptorName=`.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// What was passed to us; whatever was not, the daemon opens itself.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) control: Option<UnixListener>,
    pub(crate) call: Option<UnixListener>,
    pub(crate) http: Option<TcpListener>,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Control,
    Call,
    Http,
}

/// Why the sockets cannot be used; their units are to be mended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error(
        "systemd passed a socket called `{0}`: `FileDescriptorName=` must be control, call or http, each of them once"
    )]
    Name(String),
    #[error("systemd passed a socket as `{name}` that is none of its kind")]
    Kind { name: String, source: std::io::Error },
    #[error("the socket that systemd passed has no address")]
    Address(#[source] std::io::Error),
    #[error(
        "systemd listens on {inherited}, and the configuration asks for {configured} ({origin}): \
         change `ListenStream=` with `systemctl edit smcpd-http.socket`, or take the setting out"
    )]
    Elsewhere { inherited: SocketAddr, configured: SocketAddr, origin: String },
    #[error(
        "systemd listens on {0}, which others can reach, and no API key is set: \
         set `auth.key_files`, or listen on 127.0.0.1 in smcpd-http.socket"
    )]
    Open(SocketAddr),
}

impl Inherited {
    /// Takes what was passed; call it once, before there are threads.
    pub(crate) fn take() -> Result<Self, ActivationError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, (name, purpose)) in assign(&names, passed.len())?.into_iter().enumerate() {
            let wrong = |source| ActivationError::Kind { name: name.clone(), source };
            match purpose {
                Use::Control => inherited.control = passed.take_unix_listener(index).map_err(wrong)?,
                Use::Call => inherited.call = passed.take_unix_listener(index).map_err(wrong)?,
                Use::Http => inherited.http = passed.take_tcp_listener(index).map_err(wrong)?,
            }
        }
        Ok(inherited)
    }
}

/// Says what each of `count` sockets is for.
fn assign(names: &str, count: usize) -> Result<Vec<(String, Use)>, ActivationError> {
    let mut names = names.split(':');
    let mut found: Vec<(String, Use)> = Vec::new();
    for _ in 0..count {
        let name = names.next().unwrap_or_default();
        let purpose = match name {
            "control" => Use::Control,
            "call" => Use::Call,
            "http" => Use::Http,
            other => return Err(ActivationError::Name(other.to_owned())),
        };
        if found.iter().any(|(_, known)| *known == purpose) {
            return Err(ActivationError::Name(name.to_owned()));
        }
        found.push((name.to_owned(), purpose));
    }
    Ok(found)
}

/// An address that somebody chose, and where.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) address: SocketAddr,
    pub(crate) origin: String,
}

/// Decides whether an inherited socket is what the configuration means; `is_guarded` says that callers need a key, or
/// that the operator wants none.
pub(crate) fn agree(
    inherited: SocketAddr,
    chosen: Option<Chosen>,
    is_guarded: bool,
) -> Result<(), ActivationError> {
    if let Some(Chosen { address, origin }) = chosen.filter(|chosen| chosen.address != inherited) {
        return Err(ActivationError::Elsewhere { inherited, configured: address, origin });
    }
    if !inherited.ip().is_loopback() && !is_guarded {
        return Err(ActivationError::Open(inherited));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_known_by_their_names_and_a_strange_one_is_refused() {
        let names = |text, count| {
            assign(text, count).map(|found| found.into_iter().map(|(_, purpose)| purpose).collect::<Vec<_>>())
        };
        assert_eq!(names("", 0).unwrap(), []);
        assert_eq!(names("http:control:call", 3).unwrap(), [Use::Http, Use::Control, Use::Call]);
        assert_eq!(names("call", 1).unwrap(), [Use::Call]);
        for (text, count) in [("", 1), ("unknown", 1), ("control", 2), ("http:http", 2), ("smcpd.socket", 1)]
        {
            assert!(names(text, count).is_err(), "{text}");
        }
    }

    #[test]
    fn an_inherited_socket_must_be_what_was_configured_and_guarded_beyond_loopback() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let chosen = |text: &str| Some(Chosen { address: at(text), origin: "--port".to_owned() });
        assert!(agree(at("127.0.0.1:8000"), None, false).is_ok());
        assert!(agree(at("127.0.0.1:8000"), chosen("127.0.0.1:8000"), false).is_ok());
        let refused = agree(at("127.0.0.1:8000"), chosen("127.0.0.1:9000"), true).unwrap_err().to_string();
        assert!(refused.contains("--port") && refused.contains("smcpd-http.socket"), "{refused}");
        assert!(matches!(agree(at("0.0.0.0:8000"), None, false), Err(ActivationError::Open(_))));
        assert!(agree(at("0.0.0.0:8000"), None, true).is_ok());
    }
}
