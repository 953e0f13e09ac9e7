//! The identity directory of a node or a person: keys, certificate, pinned authority, and where the coordinator is.
//!
//! Made whole by joining, never overwritten; only the certificate is replaced, by a renewal for the same key.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::at_rest::{AtRestFault, Vault};
use super::certificates::{
    CertificateFault, PeerCertificate, belongs_to, certificate_from_pem, certificate_pem,
    request_for,
};
use super::keys::{Identity, KeyFault, read_private, write_private};
use super::link::LinkError;
use super::platform::{Platform, System};
use super::quic::Link;
use super::tls::{Credentials, TlsFault, client_main};
use crate::base::ids::{IdentityKey, Name, Role};
use crate::base::limits::DOCUMENT_BYTES_MAX;

/// The TLS key, P-256 PEM.
pub const TLS_KEY: &str = "tls.key";
/// The Ed25519 identity.
pub const IDENTITY_KEY: &str = "identity.key";
/// The client certificate.
pub const CERTIFICATE: &str = "certificate.pem";
/// The pinned authority.
pub const AUTHORITY: &str = "ca.pem";
/// Where the coordinator is, and who the holder is to it.
pub const COORDINATOR: &str = "coordinator.json";

/// An identity directory cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryFault {
    /// Nobody joined from here.
    #[error("{} holds no identity ({file} is missing); run join with a ticket first", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// Somebody joined from here already.
    #[error("{} holds an identity already ({file}); choose another directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// The file that is there.
        file: &'static str,
    },
    /// A file cannot be read or written.
    #[error("could not read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The coordinator's file is malformed.
    #[error("{} is malformed at line {}, column {}, expected it as `join` wrote it: put it back from a backup", path.display(), source.line(), source.column())]
    Coordinator {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Files that do not belong together, or a certificate for somebody else.
    #[error("the certificate does not belong to this identity: its {what} differs")]
    Mismatch {
        /// What differs.
        what: &'static str,
    },
    /// A sealed key cannot be had.
    #[error("a sealed key cannot be had")]
    AtRest(#[from] AtRestFault),
    /// A key cannot be used.
    #[error("a key cannot be used")]
    Key(#[from] KeyFault),
    /// A certificate cannot be used.
    #[error("a certificate cannot be used")]
    Certificate(#[from] CertificateFault),
    /// Keys and certificates make no TLS configuration.
    #[error("keys and certificates cannot be used together")]
    Tls(#[from] TlsFault),
}

/// Where the coordinator is, and who the holder is to it: `coordinator.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorFile {
    /// `HOST:PORT` of the main endpoint.
    pub address: String,
    /// `HOST:PORT` of the join endpoint.
    pub address_join: String,
    /// Name in the coordinator's certificate.
    pub server_name: String,
    /// The holder's name.
    pub name: Name,
    /// The holder's role.
    pub role: Role,
    /// The key that signs releases.
    #[serde(with = "hex_key")]
    pub release_key: IdentityKey,
}

/// An identity directory that was read and is consistent.
pub struct IdentityDirectory {
    path: PathBuf,
    tls_key: Zeroizing<String>,
    identity: Identity,
    certificate: PeerCertificate,
    certificate_pem: String,
    authority: CertificateDer<'static>,
    coordinator: CoordinatorFile,
}

impl std::fmt::Debug for IdentityDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityDirectory")
            .field("path", &self.path)
            .field("coordinator", &self.coordinator)
            .finish_non_exhaustive()
    }
}

impl IdentityDirectory {
    /// Reads and checks a directory whose keys are plain: a person's.
    ///
    /// # Errors
    ///
    /// A file is missing, malformed, reachable for others, or does not belong to the rest.
    pub fn load(path: &Path) -> Result<Self, DirectoryFault> {
        Self::load_with(path, |file| Ok(read_private(&path.join(file))?))
    }

    /// Reads and checks a directory whose keys are sealed: a node's. Keys that are still plain are sealed on this occasion.
    ///
    /// # Errors
    ///
    /// As [`IdentityDirectory::load`]; or a key was sealed under another keyring.
    pub fn load_sealed(path: &Path, vault: &Vault) -> Result<Self, DirectoryFault> {
        Self::load_with(path, |file| Ok(vault.file(file).read(&path.join(file))?))
    }

    fn load_with(
        path: &Path,
        read: impl Fn(&str) -> Result<Zeroizing<Vec<u8>>, DirectoryFault>,
    ) -> Result<Self, DirectoryFault> {
        if let Some(file) = FILES.into_iter().find(|file| !path.join(file).exists()) {
            return Err(DirectoryFault::Missing {
                path: path.to_owned(),
                file,
            });
        }
        let coordinator_path = path.join(COORDINATOR);
        let coordinator = serde_json::from_str(&read_text(&coordinator_path)?);
        let coordinator: CoordinatorFile =
            coordinator.map_err(|source| DirectoryFault::Coordinator {
                path: coordinator_path,
                source,
            })?;
        let tls_key = read(TLS_KEY)?;
        let tls_key = str::from_utf8(&tls_key)
            .map_err(|_| CertificateFault::Pem { what: "key" })?
            .to_owned();
        let tls_key = Zeroizing::new(tls_key);
        let certificate_pem = read_text(&path.join(CERTIFICATE))?;
        let der = certificate_from_pem(&certificate_pem)?;
        let certificate = check_certificate(&der, &tls_key, &coordinator)?;
        Ok(Self {
            identity: Identity::from_bytes(&read(IDENTITY_KEY)?, &path.join(IDENTITY_KEY))?,
            authority: certificate_from_pem(&read_text(&path.join(AUTHORITY))?)?,
            path: path.to_owned(),
            tls_key,
            certificate,
            certificate_pem,
            coordinator,
        })
    }

    /// Where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The Ed25519 identity, for those who sign elsewhere.
    #[must_use]
    pub fn into_identity(self) -> Identity {
        self.identity
    }

    /// The Ed25519 identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }

    /// Where the coordinator is, and who the holder is to it.
    #[must_use]
    pub fn coordinator(&self) -> &CoordinatorFile {
        &self.coordinator
    }

    /// TLS for the main endpoint, with this certificate and the pinned authority.
    ///
    /// # Errors
    ///
    /// Key and certificate cannot be used together.
    pub fn client_config(&self) -> Result<Arc<QuicClientConfig>, DirectoryFault> {
        let own = Credentials {
            certificate_pem: &self.certificate_pem,
            key_pem: &self.tls_key,
        };
        Ok(client_main(&self.authority, own)?)
    }

    /// Connects to the coordinator's main endpoint with a configuration of [`IdentityDirectory::client_config`].
    ///
    /// # Errors
    ///
    /// As [`Link::open`]; a refused certificate shows only at the first message.
    pub async fn connect(&self, tls: Arc<QuicClientConfig>) -> Result<Link, LinkError> {
        let system: Arc<dyn Platform> = Arc::new(System);
        self.connect_on(&system, tls).await
    }

    /// [`IdentityDirectory::connect`] on a platform.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn connect_on(
        &self,
        platform: &Arc<dyn Platform>,
        tls: Arc<QuicClientConfig>,
    ) -> Result<Link, LinkError> {
        let coordinator = &self.coordinator;
        Link::open_on(
            platform,
            &coordinator.address,
            &coordinator.server_name,
            tls,
        )
        .await
    }

    /// A certificate request for the same TLS key, to renew the certificate.
    ///
    /// # Errors
    ///
    /// The key cannot be used.
    pub fn renewal_request(&self) -> Result<Vec<u8>, DirectoryFault> {
        Ok(request_for(&self.tls_key, &self.coordinator.name)?)
    }

    /// Stores a renewed certificate (DER) in place of the old one, in one step; the next connection uses it.
    ///
    /// # Errors
    ///
    /// A certificate for another key, name or role, or one that ends earlier; or the file cannot be written.
    pub fn store_renewed(&mut self, der: &[u8]) -> Result<(), DirectoryFault> {
        let renewed = check_certificate(der, &self.tls_key, &self.coordinator)?;
        if renewed.not_after < self.certificate.not_after {
            return Err(DirectoryFault::Mismatch { what: "end" });
        }
        let pem = certificate_pem(der);
        let beside = self.path.join(".certificate.pem.new");
        let target = self.path.join(CERTIFICATE);
        remove_if_there(&beside)?;
        write_private(&beside, pem.as_bytes())?;
        fs::rename(&beside, &target).map_err(at(&target))?;
        sync_directory(&self.path)?;
        (self.certificate, self.certificate_pem) = (renewed, pem);
        Ok(())
    }
}

/// An identity in the making: its keys are on disk before a ticket is spent, and nothing is in place before all is.
#[derive(Debug)]
pub struct Newcomer {
    path: PathBuf,
    stage: PathBuf,
}

impl Newcomer {
    /// Makes the directory if need be, and a place in it where files wait until they are complete.
    ///
    /// # Errors
    ///
    /// The directory holds an identity, or cannot be written.
    pub fn prepare(path: &Path) -> Result<Self, DirectoryFault> {
        if let Some(file) = FILES.into_iter().find(|file| path.join(file).exists()) {
            return Err(DirectoryFault::Occupied {
                path: path.to_owned(),
                file,
            });
        }
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder.create(path).map_err(at(path))?;
        let stage = path.join(STAGE);
        if stage.exists() {
            // A try that ended early; who wants its keys has read them by now.
            fs::remove_dir_all(&stage).map_err(at(&stage))?;
        }
        builder.recursive(false);
        builder.create(&stage).map_err(at(&stage))?;
        Ok(Self {
            path: path.to_owned(),
            stage,
        })
    }

    /// TLS key and identity of a try whose answer was lost, if there was one: its ticket may know them already.
    #[must_use]
    pub fn earlier_keys(path: &Path) -> Option<(Zeroizing<String>, Identity)> {
        let stage = path.join(STAGE);
        let tls_key = read_private(&stage.join(TLS_KEY)).ok()?;
        let tls_key = Zeroizing::new(str::from_utf8(&tls_key).ok()?.to_owned());
        Some((tls_key, Identity::load(&stage.join(IDENTITY_KEY)).ok()?))
    }

    /// Stores the keys that the request is about to be made with.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn store_keys(&self, tls_key_pem: &str, identity: &Identity) -> Result<(), DirectoryFault> {
        write_private(&self.stage.join(TLS_KEY), tls_key_pem.as_bytes())?;
        Ok(identity.save(&self.stage.join(IDENTITY_KEY))?)
    }

    /// Stores what the coordinator gave, and puts all files in place.
    ///
    /// # Errors
    ///
    /// The certificate is not for these keys, this name and this role, or a file cannot be written.
    pub fn complete(
        self,
        certificate: &[u8],
        authority: &[u8],
        coordinator: &CoordinatorFile,
    ) -> Result<IdentityDirectory, DirectoryFault> {
        let json = serde_json::to_string_pretty(coordinator);
        let json = json.map_err(|source| DirectoryFault::Coordinator {
            path: self.stage.join(COORDINATOR),
            source,
        })?;
        let put = |file: &str, text: &str| write_private(&self.stage.join(file), text.as_bytes());
        put(CERTIFICATE, &certificate_pem(certificate))?;
        put(AUTHORITY, &certificate_pem(authority))?;
        put(COORDINATOR, &(json + "\n"))?;
        IdentityDirectory::load(&self.stage)?;
        for file in FILES {
            let target = self.path.join(file);
            fs::rename(self.stage.join(file), &target).map_err(at(&target))?;
        }
        sync_directory(&self.path)?;
        fs::remove_dir(&self.stage).map_err(at(&self.stage))?;
        IdentityDirectory::load(&self.path)
    }

    /// Removes what was prepared; for a ticket that was not taken.
    pub fn abandon(self) {
        // What cannot be removed is removed by the next try.
        let _ = fs::remove_dir_all(&self.stage);
    }
}

fn check_certificate(
    der: &[u8],
    tls_key: &str,
    coordinator: &CoordinatorFile,
) -> Result<PeerCertificate, DirectoryFault> {
    let certificate = PeerCertificate::parse(der)?;
    let what = if !belongs_to(der, tls_key) {
        "key"
    } else if certificate.name != coordinator.name {
        "name"
    } else if certificate.role != coordinator.role {
        "role"
    } else {
        return Ok(certificate);
    };
    Err(DirectoryFault::Mismatch { what })
}

fn read_text(path: &Path) -> Result<String, DirectoryFault> {
    let length = fs::metadata(path).map_err(at(path))?.len();
    if length > DOCUMENT_BYTES_MAX as u64 {
        return Err(at(path)(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(at(path))
}

fn remove_if_there(path: &Path) -> Result<(), DirectoryFault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Makes renames within the directory durable.
fn sync_directory(path: &Path) -> Result<(), DirectoryFault> {
    let opened = File::open(path);
    opened.and_then(|dir| dir.sync_all()).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> DirectoryFault {
    let path = path.to_owned();
    move |source| DirectoryFault::File {
        path: path.clone(),
        source,
    }
}

/// Where an identity waits until it is complete.
const STAGE: &str = ".joining";
/// All files of an identity; the last is put in place last.
const FILES: [&str; 5] = [TLS_KEY, IDENTITY_KEY, AUTHORITY, CERTIFICATE, COORDINATOR];

/// A key as 64 hexadecimal digits.
mod hex_key {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::ids::IdentityKey;

    pub(super) fn serialize<S: Serializer>(key: &IdentityKey, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<IdentityKey, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;
    use crate::shell::certificates::{CertificateAuthority, FreshKey, new_request};

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    struct Case {
        dir: tempfile::TempDir,
        authority: CertificateAuthority,
        key: FreshKey<Vec<u8>>,
        coordinator: CoordinatorFile,
    }

    fn case() -> Case {
        Case {
            dir: tempfile::tempdir().unwrap(),
            authority: CertificateAuthority::create(&"aquifer".parse().unwrap(), NOW).unwrap(),
            key: new_request(&"north".parse().unwrap()).unwrap(),
            coordinator: CoordinatorFile {
                address: "127.0.0.1:7400".to_owned(),
                address_join: "127.0.0.1:7401".to_owned(),
                server_name: "aquifer".to_owned(),
                name: "north".parse().unwrap(),
                role: Role::Node,
                release_key: IdentityKey([3; 32]),
            },
        }
    }

    impl Case {
        fn issue(&self, name: &str, role: Role, days: u32) -> Vec<u8> {
            let name = name.parse().unwrap();
            let issued = self
                .authority
                .sign_csr(&self.key.value, &name, role, NOW, days);
            issued.unwrap().der
        }

        fn complete(&self, certificate: &[u8]) -> Result<IdentityDirectory, DirectoryFault> {
            let newcomer = Newcomer::prepare(self.dir.path())?;
            newcomer.store_keys(&self.key.key_pem, &Identity::generate()?)?;
            newcomer.complete(certificate, self.authority.certificate(), &self.coordinator)
        }
    }

    #[test]
    fn a_completed_identity_loads() {
        let case = case();
        let made = case.complete(&case.issue("north", Role::Node, 30)).unwrap();
        let loaded = IdentityDirectory::load(case.dir.path()).unwrap();
        assert_eq!(loaded.coordinator(), &case.coordinator);
        assert_eq!(loaded.certificate(), made.certificate());
        assert_eq!(loaded.identity().public(), made.identity().public());
        assert!(loaded.client_config().is_ok());
        assert!(!case.dir.path().join(".joining").exists());
    }

    #[test]
    fn an_identity_is_never_overwritten() {
        let case = case();
        let certificate = case.issue("north", Role::Node, 30);
        case.complete(&certificate).unwrap();
        assert!(matches!(
            case.complete(&certificate),
            Err(DirectoryFault::Occupied { .. })
        ));
    }

    #[track_caller]
    fn check_mismatch(name: &str, role: Role, expected: &str) {
        let case = case();
        let made = case.complete(&case.issue(name, role, 30));
        assert!(matches!(made, Err(DirectoryFault::Mismatch { what }) if what == expected));
        let loaded = IdentityDirectory::load(case.dir.path());
        assert!(matches!(loaded, Err(DirectoryFault::Missing { .. })));
    }

    #[test]
    fn a_certificate_for_another_name_is_not_stored() {
        check_mismatch("south", Role::Node, "name");
    }

    #[test]
    fn a_certificate_for_another_role_is_not_stored() {
        check_mismatch("north", Role::Operator, "role");
    }

    #[test]
    fn a_certificate_for_another_key_is_not_stored() {
        let (one, other) = (case(), case());
        let made = one.complete(&other.issue("north", Role::Node, 30));
        assert!(matches!(
            made,
            Err(DirectoryFault::Mismatch { what: "key" })
        ));
    }

    #[test]
    fn a_try_that_ended_early_is_no_obstacle() {
        let case = case();
        let newcomer = Newcomer::prepare(case.dir.path()).unwrap();
        let identity = Identity::generate().unwrap();
        newcomer.store_keys(&case.key.key_pem, &identity).unwrap();
        assert!(case.complete(&case.issue("north", Role::Node, 30)).is_ok());
    }

    #[test]
    fn a_renewed_certificate_replaces_the_old_one() {
        let case = case();
        let mut made = case.complete(&case.issue("north", Role::Node, 30)).unwrap();
        made.store_renewed(&case.issue("north", Role::Node, 60))
            .unwrap();
        let loaded = IdentityDirectory::load(case.dir.path()).unwrap();
        assert_eq!(loaded.certificate(), made.certificate());
        assert_eq!(made.certificate().not_after, NOW.after_ms(60 * 86_400_000));
        let earlier = made.store_renewed(&case.issue("north", Role::Node, 30));
        assert!(matches!(earlier, Err(DirectoryFault::Mismatch { .. })));
        assert!(made.renewal_request().is_ok());
    }

    #[test]
    fn a_malformed_file_is_placed() {
        let case = case();
        case.complete(&case.issue("north", Role::Node, 30)).unwrap();
        fs::write(case.dir.path().join(COORDINATOR), "{\n  \"adress\": 1}").unwrap();
        let error = IdentityDirectory::load(case.dir.path()).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
