//! `[tls]`: the certificate of our own port, and whose certificates clients may show.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Key;
use super::credentials::Credentials;
use super::file::Seconds;
use super::layers::Origin;
use super::{ConfigError, Effective, profiles};
use crate::auth::Profiles;
use crate::tls;

/// What the port speaks TLS with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// `None`: clients are asked for no certificate.
    pub(crate) clients: Option<TlsClients>,
    pub(crate) handshake_timeout: Duration,
    /// Names in certificates with the profiles that they reach, `None` for everything; nobody else is let in, unless it is
    /// empty.
    pub(crate) callers: BTreeMap<String, Option<Vec<String>>>,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsClients {
    pub(crate) ca: PathBuf,
    /// Lists of those that were revoked; with it, a certificate that no list speaks of is not trusted.
    pub(crate) crl: Option<PathBuf>,
    /// Whoever shows none is not connected.
    pub(crate) required: bool,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuth {
    Required,
    Optional,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) client_crl: Option<PathBuf>,
    pub(super) client_auth: Option<ClientAuth>,
    pub(super) handshake_timeout: Seconds,
    pub(super) callers: BTreeMap<String, GivenCaller>,
}

/// Who a certificate may name.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GivenCaller {
    pub(super) profiles: Option<Vec<String>>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            client_crl: None,
            client_auth: None,
            handshake_timeout: Seconds(10.0),
            callers: BTreeMap::new(),
        }
    }
}

/// The name of a credential, and where it stands.
pub(super) type Passed = Option<(String, PathBuf)>;

/// Credentials win over the file, each over its own key.
pub(super) fn check(
    key: &Key<'_>,
    credentials: &Credentials,
    known: &Profiles,
    effective: &mut Effective,
) -> Result<Option<Tls>, ConfigError> {
    let given = &key.layers.file.tls;
    let handshake_timeout = key.positive("tls.handshake_timeout", given.handshake_timeout)?;
    let mut choose = |field: &str, passed: &Passed, written: &Option<PathBuf>| {
        let name = format!("tls.{field}");
        if let Some((credential, path)) = passed {
            effective.retain(|(known, _, _)| *known != name);
            let shown = toml::Value::String(path.display().to_string()).to_string();
            effective.push((name, shown, Origin::Credential(credential.clone())));
            return Ok(Some(path.clone()));
        }
        match written {
            Some(path) if !path.is_absolute() => {
                Err(key.refuse(&name, format!("is `{}`: a path begins with /", path.display())))
            }
            written => Ok(written.clone()),
        }
    };
    let certificate = choose("certificate", &credentials.tls_certificate, &given.certificate)?;
    let private = choose("key", &credentials.tls_key, &given.key)?;
    let authorities = choose("client_ca", &credentials.tls_client_ca, &given.client_ca)?;
    // No credential: those stay as they were at the start, and a list is renewed more often than a daemon is restarted.
    let lists = choose("client_crl", &None, &given.client_crl)?;
    let lacks = |set: &str, other: &str| {
        key.refuse(&format!("tls.{set}"), format!("is set, and `tls.{other}` is not: set it too"))
    };
    let (certificate, private) = match (certificate, private) {
        (Some(certificate), Some(private)) => (certificate, private),
        (Some(_), None) => return Err(lacks("certificate", "key")),
        (None, Some(_)) => return Err(lacks("key", "certificate")),
        (None, None) if authorities.is_some() => return Err(lacks("client_ca", "certificate")),
        (None, None) if given.client_auth.is_some() => return Err(lacks("client_auth", "certificate")),
        (None, None) if !given.callers.is_empty() => return Err(lacks("callers", "certificate")),
        (None, None) if lists.is_some() => return Err(lacks("client_crl", "certificate")),
        (None, None) => return Ok(None),
    };
    let required = given.client_auth != Some(ClientAuth::Optional);
    let clients = match authorities {
        Some(ca) => Some(TlsClients { ca, crl: lists, required }),
        None if lists.is_some() => return Err(lacks("client_crl", "client_ca")),
        None if given.client_auth.is_some() => return Err(lacks("client_auth", "client_ca")),
        None => None,
    };
    if clients.is_none() && !given.callers.is_empty() {
        return Err(lacks("callers", "client_ca"));
    }
    for (name, caller) in &given.callers {
        let names = caller.profiles.iter().flatten();
        profiles::check_named(key, known, &format!("tls.callers.{name}.profiles"), names)?;
    }
    // A table without anything in it would be shown nowhere, and its coming and going be no change.
    let bare = given.callers.iter().filter(|(_, caller)| caller.profiles.is_none());
    effective.extend(bare.map(|(name, _)| {
        (format!("tls.callers.{name}"), "{}".to_owned(), key.layers.origin("tls.client_ca"))
    }));
    let callers =
        given.callers.iter().map(|(name, caller)| (name.clone(), caller.profiles.clone())).collect();
    let checked = Tls { certificate, key: private, clients, handshake_timeout, callers };
    if let Err(error) = tls::load(&checked) {
        let field = format!("tls.{}", error.field(&checked));
        let origin =
            effective.iter().find(|(known, _, _)| *known == field).map(|(_, _, origin)| origin.clone());
        let origin = origin.unwrap_or(Origin::Default);
        return Err(ConfigError::Value { key: field, origin, message: format!("cannot be used: {error}") });
    }
    Ok(Some(checked))
}
