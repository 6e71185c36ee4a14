//! Makes a server of the files: certificate, key, and the authorities of clients with what they revoked.

use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use x509_parser::prelude::{CertificateRevocationList, FromDer, GeneralName, X509Certificate};

use crate::config;
use crate::paths;
use crate::stamp::Stamp;

/// No certificate, key or list of authorities is longer.
const LARGEST: u64 = 1 << 20;

/// Why there is no TLS with these files. Nothing in it is of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is longer than {LARGEST} bytes", .0.display())]
    Long(PathBuf),
    #[error("every user of this host can read the key `{path}`: `chmod o= {path}`", path = .0.display())]
    Open(PathBuf),
    #[error("`{}` has no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("`{}` has no private key in PEM that is not encrypted", .0.display())]
    NoKey(PathBuf),
    #[error("`{}` has a certificate that cannot be read: {reason}", path.display())]
    Certificate { path: PathBuf, reason: String },
    #[error("`{}` and `{}` do not belong together: {source}", certificate.display(), key.display())]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("`{}` has no usable authority: {source}", path.display())]
    Authorities { path: PathBuf, source: VerifierBuilderError },
    #[error("`{}` has no revocation list in PEM; `openssl crl -inform der` makes one of DER", .0.display())]
    NoList(PathBuf),
    #[error("`{}` has a revocation list that cannot be read: {reason}", path.display())]
    List { path: PathBuf, reason: String },
}

impl LoadError {
    /// The field of `[tls]` that it is about.
    pub(crate) fn field(&self, settings: &config::Tls) -> &'static str {
        let lists = settings.clients.as_ref().and_then(|clients| clients.crl.as_deref());
        let of = |path: &Path| match path {
            path if path == settings.certificate => "certificate",
            path if path == settings.key => "key",
            path if Some(path) == lists => "client_crl",
            _ => "client_ca",
        };
        match self {
            Self::Read { path, .. }
            | Self::Long(path)
            | Self::NoCertificate(path)
            | Self::Certificate { path, .. } => of(path),
            Self::Open(_) | Self::NoKey(_) | Self::Pair { .. } => "key",
            Self::Authorities { .. } => "client_ca",
            Self::NoList(_) | Self::List { .. } => "client_crl",
        }
    }
}

/// A server that is made of files.
pub(crate) struct Loaded {
    pub(super) settings: config::Tls,
    /// What the files were when they were read.
    pub(super) identity: Identity,
    pub(crate) server: Arc<ServerConfig>,
    /// Judges the certificates of clients, where they are asked for any.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Until when what is known of revoked certificates holds; after it no client's certificate is trusted.
    pub(crate) lists_until: Option<SystemTime>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The names and addresses that the certificate is for.
    pub(crate) names: Vec<String>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Loaded({:?})", self.settings)
    }
}

impl Loaded {
    /// How long a client may take over the handshake.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.settings.handshake_timeout
    }

    /// Returns `none`, `optional` or `required`.
    pub(crate) fn client_certificates(&self) -> &'static str {
        match &self.settings.clients {
            None => "none",
            Some(clients) if clients.required => "required",
            Some(_) => "optional",
        }
    }
}

/// The files as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity(Vec<Option<Stamp>>);

impl Identity {
    pub(super) fn of(settings: &config::Tls) -> Self {
        let of_clients =
            settings.clients.iter().flat_map(|clients| iter::once(&clients.ca).chain(&clients.crl));
        let all = [&settings.certificate, &settings.key].into_iter().chain(of_clients);
        Self(all.map(|path| Stamp::of(path)).collect())
    }
}

/// Reads the files and makes a server of them.
pub(crate) fn load(settings: &config::Tls) -> Result<Loaded, LoadError> {
    // Before they are read: what changes meanwhile is seen as a change.
    let identity = Identity::of(settings);
    let (chain, key) = (chain(&settings.certificate)?, key(&settings.key)?);
    let provider = Arc::new(ring::default_provider());
    let pair = |source| LoadError::Pair {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let verifier = settings.clients.as_ref().map(|clients| verifier(clients, &provider)).transpose()?;
    let (verifier, lists_until) = verifier.unzip();
    let lists_until = lists_until.flatten();
    let (not_before, not_after, names) = facts(&chain[0])
        .map_err(|reason| LoadError::Certificate { path: settings.certificate.clone(), reason })?;
    let builder = match &verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(pair)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    if verifier.is_some() {
        // A session that is taken up again brings its certificate along unjudged.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    let server = Arc::new(server);
    Ok(Loaded {
        settings: settings.clone(),
        identity,
        server,
        verifier,
        lists_until,
        not_before,
        not_after,
        names,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        return Err(LoadError::Long(path.to_owned()));
    }
    fs::read(path).map_err(failed)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| LoadError::NoCertificate(path.to_owned()))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    if paths::is_open(&fs::metadata(path).map_err(failed)?) {
        return Err(LoadError::Open(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| LoadError::NoKey(path.to_owned()))
}

/// The lists of a file, and when the first of them is out of date.
fn lists(path: &Path) -> Result<(Vec<CertificateRevocationListDer<'static>>, Option<SystemTime>), LoadError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    let lists =
        found.ok().filter(|lists| !lists.is_empty()).ok_or_else(|| LoadError::NoList(path.to_owned()))?;
    let mut until = None;
    for list in &lists {
        let (_, parsed) = CertificateRevocationList::from_der(list)
            .map_err(|error| LoadError::List { path: path.to_owned(), reason: error.to_string() })?;
        let next = parsed.next_update().map(|next| time(next.timestamp()));
        until = until.into_iter().chain(next).min();
    }
    Ok((lists, until))
}

/// Who judges the certificates of clients, and until when that can be done.
fn verifier(
    clients: &config::TlsClients,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ClientCertVerifier>, Option<SystemTime>), LoadError> {
    let mut roots = RootCertStore::empty();
    for authority in chain(&clients.ca)? {
        roots.add(authority).map_err(|error| LoadError::Certificate {
            path: clients.ca.clone(),
            reason: error.to_string(),
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    let (builder, until) = match &clients.crl {
        None => (builder, None),
        Some(path) => {
            let (lists, until) = lists(path)?;
            (builder.with_crls(lists).enforce_revocation_expiration(), until)
        }
    };
    let verifier = builder.build().map_err(|source| match (source, &clients.crl) {
        (VerifierBuilderError::InvalidCrl(error), Some(path)) => {
            LoadError::List { path: path.clone(), reason: rustls::Error::from(error).to_string() }
        }
        (source, _) => LoadError::Authorities { path: clients.ca.clone(), source },
    })?;
    Ok((verifier, until))
}

/// From when and until when a certificate holds, and whom it names.
fn facts(certificate: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime, Vec<String>), String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let names = match parsed.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(name).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let validity = parsed.validity();
    Ok((time(validity.not_before.timestamp()), time(validity.not_after.timestamp()), names))
}

pub(super) fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let found = if seconds < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    found.unwrap_or(epoch)
}

/// A name that a client may connect to.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

pub(super) fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}
