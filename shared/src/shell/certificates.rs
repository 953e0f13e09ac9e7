//! Certificates: the coordinator's own authority, requests of those who join, and what a certificate says about its holder.
//!
//! The authority decides every field; of a request only the public key is taken. Revocation is the registry's business.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use super::keys::random_bytes32;
use crate::base::hash::sha256;
use crate::base::ids::{Hash32, Name, Role};
use crate::base::limits::GREETING_BYTES_MAX;
use crate::base::time::Timestamp;

/// A certificate, a request or an authority is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A certificate request that does not parse or is not signed by its own key.
    #[error("the certificate request is malformed or not signed by its own key")]
    Request,
    /// A request for another kind of key.
    #[error("the certificate request holds another kind of key, expected ECDSA P-256")]
    KeyKind,
    /// A validity outside the limits.
    #[error("a certificate for {got} days, expected 1 to {DAYS_MAX}")]
    Days {
        /// Asked for.
        got: u32,
    },
    /// A server name that no certificate can carry.
    #[error("the server name {got:?} is neither a host name nor an IP address")]
    ServerName {
        /// Found.
        got: String,
    },
    /// PEM text that does not hold what it should.
    #[error("the {what} is not the expected PEM text")]
    Pem {
        /// Certificate or key.
        what: &'static str,
    },
    /// Certificate and key of the authority are not a pair.
    #[error("the authority's certificate and key do not belong together, or it is no authority")]
    Mismatch,
    /// A certificate that the product's authority would not have issued.
    #[error("the certificate's {what} is missing or malformed")]
    Peer {
        /// Which part.
        what: &'static str,
    },
    /// The library refused, or there was no randomness.
    #[error("the certificate library refused")]
    Library,
}

/// The coordinator's certificate authority: pinned by everybody who joins.
pub struct CertificateAuthority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A certificate that was just issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    /// The certificate.
    pub der: Vec<u8>,
    /// SHA-256 of it: what the registry knows the holder by.
    pub fingerprint: Hash32,
    /// Its last moment.
    pub not_after: Timestamp,
}

/// A fresh TLS key with something for it: a request (DER) or a certificate.
pub struct FreshKey<T> {
    /// The private key, PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
    /// What belongs to it.
    pub value: T,
}

/// What a certificate says about its holder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate.
    pub fingerprint: Hash32,
    /// The holder's name.
    pub name: Name,
    /// The holder's role.
    pub role: Role,
    /// The certificate's first moment.
    pub not_before: Timestamp,
    /// The certificate's last moment.
    pub not_after: Timestamp,
}

impl CertificateAuthority {
    /// A new authority (ECDSA P-256, ten years).
    ///
    /// # Errors
    ///
    /// There is no randomness.
    pub fn create(name: &Name, now: Timestamp) -> Result<Self, CertificateFault> {
        let key = KeyPair::generate().map_err(|_| CertificateFault::Library)?;
        let mut params = params(now, DAYS_MAX)?;
        // Two authorities of one name are told apart by their subjects, and so in what is said of a foreign certificate.
        let mark = sha256(key.der_bytes()).to_string();
        let subject = format!("{name} authority {}", &mark[..16]);
        params.distinguished_name.push(DnType::CommonName, subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|_| CertificateFault::Library)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key,
        })
    }

    /// The authority from its files.
    ///
    /// # Errors
    ///
    /// Text that is not PEM, or a certificate that does not belong to the key.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, CertificateFault> {
        let certificate = certificate_from_pem(certificate_pem)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| CertificateFault::Pem { what: "key" })?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| CertificateFault::Mismatch)?;
        let own = &parsed.public_key().subject_public_key.data;
        if own.as_ref() != key.der_bytes() || !parsed.is_ca() {
            return Err(CertificateFault::Mismatch);
        }
        Ok(Self { certificate, key })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate as text.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }

    /// The authority's private key as text, for its file alone.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// A client certificate for the key of a request; name, role and validity are the authority's choice.
    ///
    /// # Errors
    ///
    /// A malformed request, another kind of key, or a validity outside the limits.
    pub fn sign_csr(
        &self,
        csr: &[u8],
        name: &Name,
        role: Role,
        now: Timestamp,
        days: u32,
    ) -> Result<Issued, CertificateFault> {
        let mut request = read_request(csr)?;
        let mut params = params(now, days)?;
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        let uri = identity_uri(name, role)
            .try_into()
            .map_err(|_| CertificateFault::Library)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let not_after = timestamp(params.not_after.unix_timestamp());
        request.params = params;
        let certificate = request
            .signed_by(&self.issuer()?)
            .map_err(|_| CertificateFault::Library)?;
        let der = certificate.der().to_vec();
        Ok(Issued {
            fingerprint: sha256(&der),
            der,
            not_after,
        })
    }

    /// A key and a certificate (PEM) for the coordinator's own server.
    ///
    /// # Errors
    ///
    /// A name that is neither host name nor address, or a validity outside the limits.
    pub fn server_certificate(
        &self,
        server_name: &str,
        now: Timestamp,
        days: u32,
    ) -> Result<FreshKey<String>, CertificateFault> {
        let bad_name = |_| CertificateFault::ServerName {
            got: server_name.chars().take(80).collect(),
        };
        rustls_pki_types::ServerName::try_from(server_name).map_err(|_| bad_name(()))?;
        let key = KeyPair::generate().map_err(|_| CertificateFault::Library)?;
        let named = CertificateParams::new(vec![server_name.to_owned()]);
        let mut params = params(now, days)?;
        params.subject_alt_names = named.map_err(|_| bad_name(()))?.subject_alt_names;
        params
            .distinguished_name
            .push(DnType::CommonName, server_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer()?)
            .map_err(|_| CertificateFault::Library)?;
        Ok(FreshKey {
            key_pem: Zeroizing::new(key.serialize_pem()),
            value: certificate_pem(certificate.der()),
        })
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, CertificateFault> {
        Issuer::from_ca_cert_der(&self.certificate, &self.key)
            .map_err(|_| CertificateFault::Library)
    }
}

impl PeerCertificate {
    /// Reads a certificate that the authority issued to a node or a person.
    ///
    /// # Errors
    ///
    /// A certificate without the one name and role that the authority writes.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateFault> {
        let missing = |what| CertificateFault::Peer { what };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| missing("encoding"))?;
        if !rest.is_empty() {
            return Err(missing("encoding"));
        }
        let names = parsed.subject_alternative_name();
        let names = names.ok().flatten().ok_or_else(|| missing("identity"))?;
        let [GeneralName::URI(uri)] = names.value.general_names[..] else {
            return Err(missing("identity"));
        };
        let (name, role) = read_identity_uri(uri).ok_or_else(|| missing("identity"))?;
        let mut common = parsed.subject().iter_common_name();
        if common.next().and_then(|text| text.as_str().ok()) != Some(name.as_str()) {
            return Err(missing("common name"));
        }
        Ok(Self {
            fingerprint: sha256(der),
            name,
            role,
            not_before: timestamp(parsed.validity().not_before.timestamp()),
            not_after: timestamp(parsed.validity().not_after.timestamp()),
        })
    }

    /// Whether less than a third of its life is left: time to renew it.
    #[must_use]
    pub fn wants_renewal(&self, now: Timestamp) -> bool {
        let life_ms = self.not_after.since_ms(self.not_before);
        self.not_after.since_ms(now) < life_ms / 3
    }
}

/// A fresh TLS key and a request for it; the name is a courtesy, the authority decides.
///
/// # Errors
///
/// There is no randomness.
pub fn new_request(name: &Name) -> Result<FreshKey<Vec<u8>>, CertificateFault> {
    let key = KeyPair::generate().map_err(|_| CertificateFault::Library)?;
    let key_pem = Zeroizing::new(key.serialize_pem());
    let value = request_for(&key_pem, name)?;
    Ok(FreshKey { key_pem, value })
}

/// A request (DER) for a key that exists: what a renewal sends.
///
/// # Errors
///
/// Text that is not a P-256 key.
pub fn request_for(key_pem: &str, name: &Name) -> Result<Vec<u8>, CertificateFault> {
    let key = KeyPair::from_pem_and_sign_algo(key_pem, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_| CertificateFault::Pem { what: "key" })?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, name.as_str());
    let request = params
        .serialize_request(&key)
        .map_err(|_| CertificateFault::Library)?;
    Ok(request.der().to_vec())
}

/// Whether a request parses, is signed by its own key, and holds the kind of key that the authority signs.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_request(csr: &[u8]) -> Result<(), CertificateFault> {
    read_request(csr).map(|_| ())
}

/// Whether the certificate is for this key: checked before what a coordinator sent is stored.
#[must_use]
pub fn belongs_to(certificate: &[u8], key_pem: &str) -> bool {
    let key = KeyPair::from_pem(key_pem);
    let parsed = X509Certificate::from_der(certificate);
    let (Ok(key), Ok((_, parsed))) = (key, parsed) else {
        return false;
    };
    parsed.public_key().subject_public_key.data.as_ref() == key.der_bytes()
}

/// A certificate as PEM text.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The first certificate of a PEM text.
///
/// # Errors
///
/// There is none.
pub fn certificate_from_pem(pem: &str) -> Result<CertificateDer<'static>, CertificateFault> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateFault::Pem {
        what: "certificate",
    })
}

fn read_request(csr: &[u8]) -> Result<CertificateSigningRequestParams, CertificateFault> {
    if csr.len() > GREETING_BYTES_MAX {
        return Err(CertificateFault::Request);
    }
    let der = CertificateSigningRequestDer::from(csr);
    let request =
        CertificateSigningRequestParams::from_der(&der).map_err(|_| CertificateFault::Request)?;
    // The library takes the curve from the signature's algorithm, which a longer key may share.
    let uncompressed_p256 = request.public_key.der_bytes().len() == 65;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 || !uncompressed_p256 {
        return Err(CertificateFault::KeyKind);
    }
    Ok(request)
}

/// Parameters that all certificates of the product share: validity and a random serial number.
fn params(now: Timestamp, days: u32) -> Result<CertificateParams, CertificateFault> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(CertificateFault::Days { got: days });
    }
    let now = Duration::from_secs(now.0.min(NOW_MS_MAX) / 1_000);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut serial = random_bytes32().map_err(|_| CertificateFault::Library)?;
    // Positive and without leading zeros, as the encoding wants it.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + DAY * days;
    params.serial_number = Some(SerialNumber::from_slice(&serial[..16]));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn identity_uri(name: &Name, role: Role) -> String {
    format!("aquifer://{role}/{name}")
}

fn read_identity_uri(uri: &str) -> Option<(Name, Role)> {
    let (role, name) = uri.strip_prefix("aquifer://")?.split_once('/')?;
    Some((name.parse().ok()?, role.parse().ok()?))
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

/// Longest validity: ten years, the authority's own.
const DAYS_MAX: u32 = 3_650;
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A certificate is valid this long before it is issued, for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);
/// Clocks beyond the year 9000 are taken for that, so that sums of dates stay within the calendar.
const NOW_MS_MAX: u64 = 221_845_392_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn authority() -> CertificateAuthority {
        CertificateAuthority::create(&name("aquifer"), NOW).unwrap()
    }

    #[test]
    fn what_is_issued_names_its_holder() {
        let request = new_request(&name("liar")).unwrap();
        let issued = authority()
            .sign_csr(&request.value, &name("north"), Role::Node, NOW, 30)
            .unwrap();
        let peer = PeerCertificate::parse(&issued.der).unwrap();
        let not_before = peer.not_before;
        assert!(not_before <= NOW);
        let not_after = NOW.after_ms(30 * 24 * 3_600 * 1_000);
        assert_eq!(
            peer,
            PeerCertificate {
                fingerprint: issued.fingerprint,
                name: name("north"),
                role: Role::Node,
                not_before,
                not_after
            }
        );
        assert_eq!(issued.not_after, not_after);
        assert!(belongs_to(&issued.der, &request.key_pem));
        assert!(!belongs_to(&issued.der, &authority().key_pem()));
    }

    #[test]
    fn a_request_cannot_make_itself_an_authority() {
        let key = KeyPair::generate().unwrap();
        let mut greedy = CertificateParams::new(vec!["aquifer".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let csr = greedy.serialize_request(&key).unwrap();
        let issued = authority()
            .sign_csr(csr.der(), &name("north"), Role::Node, NOW, 30)
            .unwrap();
        let (_, parsed) = X509Certificate::from_der(&issued.der).unwrap();
        assert!(!parsed.is_ca());
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(PeerCertificate::parse(&issued.der).is_ok());
    }

    #[test]
    fn renewals_for_the_same_key_are_told_apart() {
        let (authority, request) = (authority(), new_request(&name("north")).unwrap());
        let sign = || {
            let issued = authority.sign_csr(&request.value, &name("north"), Role::Node, NOW, 30);
            issued.unwrap().fingerprint
        };
        assert_ne!(sign(), sign());
    }

    #[test]
    fn malformed_requests_are_refused() {
        let mut csr = new_request(&name("north")).unwrap().value;
        let last = csr.len() - 1;
        csr[last] ^= 1;
        assert!(matches!(
            check_request(&csr),
            Err(CertificateFault::Request)
        ));
        assert!(matches!(check_request(b""), Err(CertificateFault::Request)));
        let long = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&long)
            .unwrap();
        assert!(matches!(
            check_request(csr.der()),
            Err(CertificateFault::KeyKind)
        ));
    }

    #[test]
    fn validity_has_limits() {
        let csr = new_request(&name("north")).unwrap().value;
        let sign = |now, days| authority().sign_csr(&csr, &name("north"), Role::Node, now, days);
        assert!(matches!(sign(NOW, 0), Err(CertificateFault::Days { .. })));
        assert!(sign(NOW, DAYS_MAX + 1).is_err());
        assert!(sign(Timestamp(0), 1).is_ok());
        assert!(sign(Timestamp(u64::MAX), DAYS_MAX).is_ok());
    }

    #[test]
    fn an_authority_reads_back() {
        let first = authority();
        let loaded =
            CertificateAuthority::load(&first.certificate_pem(), &first.key_pem()).unwrap();
        assert_eq!(loaded.certificate(), first.certificate());
        assert!(matches!(
            CertificateAuthority::load(&first.certificate_pem(), &authority().key_pem()),
            Err(CertificateFault::Mismatch)
        ));
        assert!(matches!(
            CertificateAuthority::load("none", &first.key_pem()),
            Err(CertificateFault::Pem { .. })
        ));
    }

    #[test]
    fn a_server_certificate_is_for_hosts_and_addresses() {
        let issue = |server: &str| authority().server_certificate(server, NOW, 90);
        for good in ["aquifer", "coordinator.example.org", "10.0.0.7", "::1"] {
            assert!(issue(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "ä"] {
            assert!(
                matches!(issue(bad), Err(CertificateFault::ServerName { .. })),
                "{bad}"
            );
        }
        let server = certificate_from_pem(&issue("aquifer").unwrap().value).unwrap();
        assert!(PeerCertificate::parse(&server).is_err());
    }
}
