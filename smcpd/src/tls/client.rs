//! Who a client's certificate says it is, for as long as it holds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::load::{Loaded, address, time};

/// A longer name is no name.
const LONGEST: usize = 128;

/// A client that proved whose certificate it has.
#[derive(Debug)]
pub(crate) struct Client {
    name: Arc<str>,
    chain: Vec<CertificateDer<'static>>,
    not_after: SystemTime,
    /// What found the certificate good last.
    judged_by: Mutex<Arc<Loaded>>,
}

impl Client {
    /// Reads the chain that `server` has judged; `None` where the certificate names nobody.
    pub(crate) fn of(chain: &[CertificateDer<'_>], server: &Arc<Loaded>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(Self {
            name: subject(&parsed)?.into(),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            not_after: time(parsed.validity().not_after.timestamp()),
            judged_by: Mutex::new(Arc::clone(server)),
        })
    }

    /// Returns who it is, if its certificate is still good: a connection may outlive it, or the trust in its authority, and
    /// it may be revoked meanwhile.
    pub(crate) fn name(&self, server: Option<&Arc<Loaded>>, now: SystemTime) -> Option<Arc<str>> {
        let server = server?;
        if now > self.not_after || server.lists_until.is_some_and(|until| now > until) {
            return None;
        }
        let mut judged_by = self.judged_by.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&judged_by, server) {
            let (own, above) = self.chain.split_first()?;
            let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).ok()?);
            server.verifier.as_ref()?.verify_client_cert(own, above, now).ok()?;
            *judged_by = Arc::clone(server);
        }
        Some(Arc::clone(&self.name))
    }
}

/// The common name, else the first alternative one. Two common names are none: who reads them may take either.
fn subject(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut common = certificate.subject().iter_common_name();
    if let Some(first) = common.next() {
        return match common.next() {
            None => plain(first.as_str().ok()?),
            Some(_) => None,
        };
    }
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.first()? {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => plain(name),
        GeneralName::IPAddress(bytes) => address(bytes),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

/// What can stand in a log and be compared: no control, no mark that is not seen.
fn plain(name: &str) -> Option<String> {
    let is_seen = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
    let name = name.trim();
    (!name.is_empty() && name.len() <= LONGEST && name.chars().all(is_seen)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn named(common: Option<&str>, others: Vec<SanType>) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = others;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        subject(&X509Certificate::from_der(certificate.der()).unwrap().1)
    }

    #[test]
    fn a_certificate_names_whom_its_common_name_or_first_other_name_says() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let long = "x".repeat(LONGEST + 1);
        for (common, others, expected) in [
            (Some("letta-1"), vec![], Some("letta-1")),
            (Some("letta-1"), vec![dns("other.example")], Some("letta-1")),
            (Some(" ops team "), vec![], Some("ops team")),
            (None, vec![dns("a.example"), dns("b.example")], Some("a.example")),
            (
                None,
                vec![SanType::URI("spiffe://example/agent".try_into().unwrap())],
                Some("spiffe://example/agent"),
            ),
            (None, vec![SanType::IpAddress([192, 0, 2, 1].into())], Some("192.0.2.1")),
            (None, vec![], None),
            (Some("a\nb"), vec![], None),
            (Some("a\u{202e}b"), vec![], None),
            (Some("root\0"), vec![], None),
            (Some(&long), vec![], None),
        ] {
            assert_eq!(named(common, others).as_deref(), expected, "{common:?}");
        }
    }
}
