//! `smcpctl connect`: how a client gets to this daemon, printed or written into the client's own file.
//!
//! `clients` knows each client's words, `write` puts them into a file without losing what is there. A key is never
//! taken from the command line, and never printed.

mod clients;
mod write;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::json;
use smcp_control::Tls;

use crate::cli::{Client, Connect, Transport};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::prompt;
use crate::table::{escape, print, print_json};
use clients::{Key, Offer, Way};

/// Prints what the client needs, or writes it.
pub(crate) async fn run(wanted: &Connect, socket: Option<PathBuf>, json: bool) -> Result<Exit, Failure> {
    let transport = wanted.transport.unwrap_or_else(|| clients::best(wanted.client));
    clients::supports(wanted.client, transport, wanted.write)?;
    if !is_plain(&wanted.name) {
        let message = format!("`{}` is no name: letters, digits, `_` and `-` make one", escape(&wanted.name));
        return Err(Failure::new(Exit::Usage, message).hint("choose another with --name"));
    }
    let mut notes = Vec::new();
    let way = match transport {
        Transport::Stdio => Way::Command(command(socket.as_deref())?),
        Transport::Http | Transport::Sse => {
            let base = match &wanted.url {
                Some(url) => checked(url)?,
                None => own_url(socket, &mut notes).await?,
            };
            let path = if transport == Transport::Http { "/mcp" } else { "/sse" };
            notes.extend(warning(wanted.client, &base));
            Way::Url(transport, with_path(&base, path))
        }
    };
    let key = key(wanted, transport, &mut notes)?;
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let offer = clients::offer(wanted.client, &wanted.name, &way, &key, home.as_deref());
    // What is shown only names the key.
    let hidden = if key == Key::None { Key::None } else { Key::Named };
    let shown = clients::offer(wanted.client, &wanted.name, &way, &hidden, home.as_deref());
    let written = match wanted.write {
        true => Some(write::into(wanted, &offer, matches!(key, Key::Given(_)))?),
        false => None,
    };
    show(wanted, transport, &shown, written.as_ref(), &notes, json)?;
    Ok(Exit::Ok)
}

#[expect(clippy::print_stderr, reason = "notes are no result")]
fn show(
    wanted: &Connect,
    transport: Transport,
    offer: &Offer,
    written: Option<&write::Written>,
    notes: &[String],
    as_json: bool,
) -> Result<(), Failure> {
    for note in notes {
        eprintln!("note: {}", escape(note));
    }
    if as_json {
        return print_json(
            "connect",
            &json!({
                "client": clients::name(wanted.client),
                "transport": match transport {
                    Transport::Http => "http",
                    Transport::Sse => "sse",
                    Transport::Stdio => "stdio",
                },
                "file": written.map(|written| written.file.clone()).or_else(|| offer.file.clone()),
                "document": offer.document(),
                "command": offer.command,
                "notes": notes,
                "written": written.map(|written| written.changed && !wanted.dry_run),
                "backup": written.and_then(|written| written.backup.clone()),
            }),
        );
    }
    match written {
        None => {
            if let (Some(document), Some(file)) = (offer.document(), &offer.file) {
                eprintln!("put this into `{}`, or let --write do it:", file.display());
                print(&format!("{document:#}\n"))?;
            }
            if let Some(command) = &offer.command {
                if offer.file.is_some() {
                    eprintln!("or run:");
                }
                print(&format!("{command}\n"))?;
            }
            Ok(())
        }
        Some(written) => {
            print(&said(wanted, written))?;
            match offer.document().filter(|_| wanted.dry_run && written.changed) {
                Some(document) => print(&format!("{document:#}\n")),
                None => Ok(()),
            }
        }
    }
}

fn said(wanted: &Connect, written: &write::Written) -> String {
    let file = written.file.display();
    match (written.changed, wanted.dry_run) {
        (false, _) => format!("`{file}` has it already\n"),
        (true, true) => format!("would write `{}` into `{file}`\n", wanted.name),
        (true, false) => match &written.backup {
            Some(backup) => {
                format!(
                    "wrote `{}` into `{file}`; what was there is in `{}`\n",
                    wanted.name,
                    backup.display()
                )
            }
            None => format!("wrote `{file}`\n"),
        },
    }
}

/// The command that bridges to the daemon which this one speaks to.
fn command(socket: Option<&Path>) -> Result<Vec<String>, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot find our own program: {error}")))?;
    let mut words = vec![own.display().to_string()];
    if let Some(socket) = socket {
        let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
        words.extend(["--socket".to_owned(), socket.display().to_string()]);
    }
    words.push("stdio".to_owned());
    Ok(words)
}

/// The daemon's own address, as a client on this host reaches it.
async fn own_url(socket: Option<PathBuf>, notes: &mut Vec<String>) -> Result<String, Failure> {
    let hint = "name its address with --url, or take --transport stdio, which needs none";
    let status = match Daemon::connect(socket, false).await {
        Ok(mut daemon) => daemon.fetch_status().await,
        Err(failure) => Err(failure),
    };
    let status = status.map_err(|failure| Failure::new(failure.exit, failure.message).hint(hint))?;
    let address = status.address.and_then(|address| address.parse::<SocketAddr>().ok());
    let Some(address) = address else {
        return Err(Failure::new(Exit::Failed, "the daemon serves no HTTP").hint(hint));
    };
    if let Some(tls) = &status.tls {
        return Ok(secure_url(address, tls, notes));
    }
    if !address.ip().is_unspecified() {
        return Ok(format!("http://{address}"));
    }
    notes.push("the daemon listens on every address; this is the one of this host itself".to_owned());
    Ok(format!("http://127.0.0.1:{}", address.port()))
}

/// A client connects by a name that is in the certificate, or not at all.
fn secure_url(address: SocketAddr, tls: &Tls, notes: &mut Vec<String>) -> String {
    if tls.client_certificates == "required" {
        notes
            .push("the daemon asks for a client certificate: give the client one, in its own way".to_owned());
    }
    let own = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    if tls.names.iter().any(|name| name.parse() == Ok(own)) {
        return format!("https://{}", SocketAddr::new(own, address.port()));
    }
    let name = tls.names.iter().find(|name| !name.contains('*') && name.parse::<IpAddr>().is_err());
    match name {
        Some(name) => {
            notes.push(format!(
                "the certificate is for `{name}`: see that it leads here, and that `http.hosts` has it"
            ));
            format!("https://{name}:{}", address.port())
        }
        None => {
            notes.push(
                "the certificate does not name this address: name one that it is for with --url".to_owned(),
            );
            format!("https://{}", SocketAddr::new(own, address.port()))
        }
    }
}

/// A URL that can stand in a file and in a shell's command without a surprise.
fn checked(url: &str) -> Result<String, Failure> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/[]%".contains(letter);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(is_plain) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::new(Exit::Usage, format!("`{}` is no URL of a server", escape(url)))
            .hint("write it as http://HOST:PORT or https://HOST, without a query")),
    }
}

/// A URL that names an endpoint itself stays as it is.
fn with_path(base: &str, path: &str) -> String {
    let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
    if after_scheme.contains('/') { base.to_owned() } else { format!("{base}{path}") }
}

fn warning(client: Client, base: &str) -> Option<String> {
    let is_letta = matches!(client, Client::Letta);
    (is_letta && !is_public(base)).then(|| {
        "Letta 0.16.7 and later refuse addresses that are not public: give it a public name with --url, \
         or take --transport stdio"
            .to_owned()
    })
}

fn is_public(base: &str) -> bool {
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match host.parse() {
        Ok(IpAddr::V4(v4)) => {
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified())
        }
        Ok(IpAddr::V6(v6)) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
        Err(_) => host.contains('.') && !host.ends_with(".internal") && !host.ends_with(".local"),
    }
}

/// A printed configuration only names the key; a written one has it, where the client knows no better way.
fn key(wanted: &Connect, transport: Transport, notes: &mut Vec<String>) -> Result<Key, Failure> {
    if wanted.key_file.is_none() && !wanted.prompt_key {
        return Ok(Key::None);
    }
    if transport == Transport::Stdio {
        notes.push("over stdio no key is needed; it is left out".to_owned());
        return Ok(Key::None);
    }
    if !wanted.write {
        return Ok(Key::Named);
    }
    if let Some(note) = clients::finds_key(wanted.client) {
        notes.push(note.to_owned());
        return Ok(Key::Named);
    }
    let key = match &wanted.key_file {
        None => prompt::secret("API key: ")?,
        Some(file) => {
            let read = match file.as_os_str() == "-" {
                true => std::io::read_to_string(std::io::stdin()),
                false => std::fs::read_to_string(file),
            };
            read.map_err(|error| {
                Failure::new(Exit::Usage, format!("cannot read the key from `{}`: {error}", file.display()))
            })?
        }
    };
    let key = key.lines().next().unwrap_or_default().trim();
    // RFC 6750, section 2.1: what a bearer token is made of.
    let is_token =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    match is_token {
        true => Ok(Key::Given(key.to_owned())),
        false => Err(Failure::new(Exit::Usage, "the key is empty, or has letters that no bearer token has")
            .hint("letters, digits and `-._~+/=` make one")),
    }
}

fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_or_refused() {
        for (url, taken) in [
            ("http://tools.example.org:8000/", "http://tools.example.org:8000"),
            ("https://[::1]:8000", "https://[::1]:8000"),
            ("https://example.org/smcp/mcp", "https://example.org/smcp/mcp"),
        ] {
            assert_eq!(checked(url).ok().as_deref(), Some(taken));
        }
        for url in
            ["", "tools:8000", "http://", "http:///x", "http://a b", "http://a\"", "http://a?k=$K", "ftp://a"]
        {
            assert!(checked(url).is_err(), "{url}");
        }
        assert_eq!(with_path("http://a:1", "/mcp"), "http://a:1/mcp");
        assert_eq!(with_path("http://a:1/x/mcp", "/mcp"), "http://a:1/x/mcp");
    }

    #[test]
    fn over_tls_a_name_of_the_certificate_is_taken() {
        for (address, names, url, noted) in [
            ("127.0.0.1:8443", &["127.0.0.1", "a.example"][..], "https://127.0.0.1:8443", 0),
            ("0.0.0.0:8443", &["127.0.0.1"], "https://127.0.0.1:8443", 0),
            ("[::1]:8443", &["*.example", "a.example"], "https://a.example:8443", 1),
            ("127.0.0.1:8443", &["192.0.2.1"], "https://127.0.0.1:8443", 1),
        ] {
            let tls = Tls {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                not_after: String::new(),
                client_certificates: "none".to_owned(),
            };
            let mut notes = Vec::new();
            assert_eq!(secure_url(address.parse().unwrap(), &tls, &mut notes), url);
            assert_eq!(notes.len(), noted, "{notes:?}");
        }
    }

    #[test]
    fn letta_is_warned_of_addresses_that_it_refuses() {
        for private in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://10.0.0.7",
            "http://192.168.1.2:80/mcp",
            "http://localhost:8000",
            "http://host.docker.internal:8000",
            "http://nas.local",
        ] {
            assert!(warning(Client::Letta, private).is_some(), "{private}");
            assert!(warning(Client::Cursor, private).is_none());
        }
        assert!(warning(Client::Letta, "https://tools.example.org").is_none());
        assert!(warning(Client::Letta, "https://[2001:4860::1]/mcp").is_none());
    }
}
