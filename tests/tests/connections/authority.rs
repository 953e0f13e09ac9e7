//! The coordinator's authority, with Ed25519 keys: signatures of one length, and so the same bytes on the wire for the same seed.

use std::time::Duration;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::certificates::{CertificateAuthority, certificate_pem};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};

use super::world::{DAY_MS, start};

/// Name of the server.
pub const SERVER: &str = "aquifer";

/// The coordinator's authority and its server's certificate, as text.
pub struct Authority {
    pub certificate_pem: String,
    key_pem: String,
    /// Certificate and key of its server.
    pub server: (String, String),
}

impl Authority {
    pub fn new(start: Timestamp) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = params(start.after_ms(DAY_MS), "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        let mut made = Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            server: Default::default(),
        };
        let own = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = params_of(
            start.after_ms(DAY_MS),
            SERVER,
            ExtendedKeyUsagePurpose::ServerAuth,
        );
        params.subject_alt_names = vec![SanType::DnsName(SERVER.try_into().unwrap())];
        let certificate = made.signed(params, &own);
        made.server = (certificate_pem(&certificate), own.serialize_pem());
        made
    }

    pub fn load(&self) -> CertificateAuthority {
        CertificateAuthority::load(&self.certificate_pem, &self.key_pem).unwrap()
    }

    pub fn client(&self, name: &Name, key: &KeyPair, until: Timestamp) -> Vec<u8> {
        let mut params = params_of(until, name.as_str(), ExtendedKeyUsagePurpose::ClientAuth);
        let uri = format!("aquifer://node/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        self.signed(params, key)
    }

    fn signed(&self, params: CertificateParams, key: &KeyPair) -> Vec<u8> {
        let own = KeyPair::from_pem(&self.key_pem).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, own).unwrap();
        params.signed_by(key, &issuer).unwrap().der().to_vec()
    }
}

fn params_of(until: Timestamp, name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = params(until, name);
    params.extended_key_usages = vec![usage];
    params
}

fn params(until: Timestamp, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = |moment: Timestamp| Duration::from_millis(moment.0);
    params.not_before = epoch + seconds(Timestamp(start().0 - DAY_MS));
    params.not_after = epoch + seconds(until);
    params.serial_number = Some(SerialNumber::from_slice(&[0x40; 16]));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
