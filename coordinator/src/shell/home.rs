//! The coordinator's directory: its authority, its release key, its configuration, and an empty store.
//!
//! Made whole by `init` and never overwritten. The server's own key is not kept at all: every start makes a new one.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::DOCUMENT_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::facts::FactsError;
use aquifer_shared::domain::history::Event;
use aquifer_shared::shell::at_rest::{AtRestFault, KEY_FILE, KEYRING_FILE, Vault};
use aquifer_shared::shell::certificates::{CertificateAuthority, CertificateFault};
use aquifer_shared::shell::keys::{Identity, KeyFault, write_private};
use aquifer_shared::shell::policy_text::Written;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::config::{Config, ConfigError};
use super::declarations;
use super::lawful::LawError;
use super::server_certificate::SERVER_DAYS;
use super::store::{Store, StoreFault, sqlite_file};
use crate::core::gates::Gates;

/// The authority's private key.
pub const AUTHORITY_KEY: &str = "ca.key";
/// The authority's certificate.
pub const AUTHORITY: &str = "ca.pem";
/// The Ed25519 key that signs releases.
pub const RELEASE_KEY: &str = "release.key";
/// The configuration.
pub const CONFIG: &str = "coordinator.toml";

/// What a coordinator is, read from its directory.
pub struct Home {
    /// The directory.
    pub dir: PathBuf,
    /// How it runs.
    pub config: Config,
    /// The text that it was read from.
    pub(super) written: Written,
    /// Issues certificates.
    pub authority: Arc<CertificateAuthority>,
    /// Signs releases.
    pub release: Arc<Identity>,
    /// Keys of its files.
    pub vault: Arc<Vault>,
}

/// A coordinator's directory cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum HomeFault {
    /// Something is there that would be overwritten.
    #[error("{} exists already and is never overwritten; choose another directory", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// The store is another coordinator's.
    #[error("the store {store} holds a registry already; choose an empty database")]
    StoreInUse {
        /// The store, without its password.
        store: String,
    },
    /// No coordinator was made here.
    #[error("{} is missing; run `aquifer-coordinator init` first, or name its directory with --dir", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("could not read or write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration cannot be used.
    #[error("{} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ConfigError,
    },
    /// Something is open to others, or keys at rest cannot be had.
    #[error(transparent)]
    AtRest(#[from] AtRestFault),
    /// A key cannot be made or used.
    #[error("a key of the coordinator cannot be made or used")]
    Key(#[from] KeyFault),
    /// A certificate cannot be made or used.
    #[error("a certificate of the coordinator cannot be made or used")]
    Certificate(#[from] CertificateFault),
    /// What is declared of law cannot be used.
    #[error("the rules of law cannot be used")]
    Law(#[from] LawError),
    /// What is declared for documents cannot be used.
    #[error("what documents are to say cannot be used")]
    Facts(#[from] FactsError),
    /// The store cannot be opened.
    #[error("the store cannot be used")]
    Store(#[from] StoreFault),
}

impl HomeFault {
    /// Whether this is a refusal by rule (exit code 1) rather than a failure (exit code 2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Occupied { .. } | Self::StoreInUse { .. } => true,
            Self::AtRest(fault) => fault.is_refusal(),
            _ => false,
        }
    }
}

impl Home {
    /// Makes a coordinator: authority, release key, empty store, commented configuration. All or nothing.
    ///
    /// # Errors
    ///
    /// One of the files exists, the store is not empty, or something cannot be written; nothing is left behind then.
    pub async fn create(dir: &Path, config: &Config, now: Timestamp) -> Result<Self, HomeFault> {
        let store = sqlite_file(config.store.expose(), dir);
        let mut taken = FILES
            .map(|file| dir.join(file))
            .into_iter()
            .chain(store.clone());
        if let Some(path) = taken.find(|path| path.exists()) {
            return Err(HomeFault::Occupied { path });
        }
        private_dir(dir, true)?;
        config.at_rest.check(dir)?;
        let fresh = [KEYRING_FILE, KEY_FILE].map(|file| dir.join(file));
        let fresh = fresh.into_iter().filter(|path| !path.exists());
        let fresh: Vec<PathBuf> = fresh.collect();
        let stage = dir.join(STAGE);
        if stage.exists() {
            // Keys of a try that ended early; nobody ever saw them.
            fs::remove_dir_all(&stage).map_err(at(&stage))?;
        }
        let mut placed = Vec::new();
        let made = fill(dir, config, now, &mut placed).await;
        // What is left there is of no use to anybody.
        let _ = fs::remove_dir_all(&stage);
        if let Err(fault) = made {
            placed
                .iter()
                .chain(&store)
                .chain(&fresh)
                .for_each(|path| drop(fs::remove_file(path)));
            return Err(fault);
        }
        Self::load(dir)
    }

    /// Reads a coordinator's directory.
    ///
    /// # Errors
    ///
    /// A file is missing, malformed or readable for others.
    pub fn load(dir: &Path) -> Result<Self, HomeFault> {
        let missing = FILES.into_iter().rev().map(|file| dir.join(file));
        if let Some(path) = missing.into_iter().find(|path| !path.exists()) {
            return Err(HomeFault::Missing { path });
        }
        let path = dir.join(CONFIG);
        let text = read_text(&path)?;
        let written = Written::new(&text);
        let config = Config::parse(&text);
        let config = config.map_err(|source| HomeFault::Config { path, source })?;
        config.at_rest.check(dir)?;
        let vault = Vault::open(dir, &config.at_rest)?;
        let read = |file: &str| vault.file(file).read(&dir.join(file));
        let key = read(AUTHORITY_KEY)?;
        let key = str::from_utf8(&key).map_err(|_| CertificateFault::Pem { what: "key" })?;
        let authority = CertificateAuthority::load(&read_text(&dir.join(AUTHORITY))?, key)?;
        Ok(Self {
            dir: dir.to_owned(),
            authority: Arc::new(authority),
            release: Arc::new(Identity::from_bytes(
                &read(RELEASE_KEY)?,
                &dir.join(RELEASE_KEY),
            )?),
            config,
            written,
            vault: Arc::new(vault),
        })
    }

    /// The gates that `[law]` declares; without it, those that let only synthetic studies through.
    ///
    /// # Errors
    ///
    /// A purpose or a pack that is wrong.
    pub fn gates(&self) -> Result<Gates, HomeFault> {
        let declared = self.config.law.as_ref();
        let gates = declared.map(|law| law.gates(&self.dir)).transpose()?;
        Ok(gates.unwrap_or_else(Gates::undeclared))
    }

    /// What enters the history at a start: the rules in force, and what `[facts]` declares.
    ///
    /// # Errors
    ///
    /// A word or a text of `[facts]` that is wrong.
    pub fn declared(&self, gates: &Gates, now: Timestamp) -> Result<Vec<Event>, HomeFault> {
        Ok(declarations::declared(
            self.config.facts.as_ref(),
            gates,
            now,
        )?)
    }

    /// Opens the coordinator's store.
    ///
    /// # Errors
    ///
    /// If it cannot be opened or brought up to date.
    pub async fn store(&self) -> Result<Store, StoreFault> {
        Store::open(
            self.config.store.expose(),
            &self.dir,
            &self.vault.database(STORE),
        )
        .await
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home")
            .field("dir", &self.dir)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Makes everything aside and puts it in place, the configuration last; notes what is in place.
async fn fill(
    dir: &Path,
    config: &Config,
    now: Timestamp,
    placed: &mut Vec<PathBuf>,
) -> Result<(), HomeFault> {
    let stage = dir.join(STAGE);
    private_dir(&stage, false)?;
    let name: Name = "aquifer".parse().expect("a plain word is a name");
    let authority = CertificateAuthority::create(&name, now)?;
    // Tried here, so that a name which no certificate can carry is refused before anything is made.
    authority.server_certificate(config.server_name.as_str(), now, SERVER_DAYS)?;
    let put = |file: &str, text: &str| write_private(&stage.join(file), text.as_bytes());
    put(AUTHORITY, &authority.certificate_pem())?;
    put(CONFIG, &config.to_text())?;
    let vault = Vault::open(dir, &config.at_rest)?;
    let seal = |file: &str, bytes: &[u8]| vault.file(file).write(&stage.join(file), bytes);
    seal(AUTHORITY_KEY, authority.key_pem().as_bytes())?;
    seal(RELEASE_KEY, &Identity::generate()?.to_bytes()?)?;
    let store = Store::open(config.store.expose(), dir, &vault.database(STORE)).await?;
    let empty = store.is_empty().await;
    store.close().await;
    if !empty? {
        let store = config.store.to_string();
        return Err(HomeFault::StoreInUse { store });
    }
    for file in FILES {
        let target = dir.join(file);
        let moved = renameat_with(CWD, stage.join(file), CWD, &target, RenameFlags::NOREPLACE);
        moved.map_err(|error| at(&target)(error.into()))?;
        placed.push(target);
    }
    let opened = File::open(dir);
    opened.and_then(|dir| dir.sync_all()).map_err(at(dir))
}

fn private_dir(path: &Path, parents: bool) -> Result<(), HomeFault> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(parents);
    builder.create(path).map_err(at(path))
}

fn read_text(path: &Path) -> Result<String, HomeFault> {
    let length = fs::metadata(path).map_err(at(path))?.len();
    if length > DOCUMENT_BYTES_MAX as u64 {
        return Err(at(path)(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> HomeFault {
    let path = path.to_owned();
    move |source| HomeFault::File {
        path: path.clone(),
        source,
    }
}

/// All files of a coordinator but its store; the last is put in place last.
const FILES: [&str; 4] = [AUTHORITY_KEY, AUTHORITY, RELEASE_KEY, CONFIG];
const STAGE: &str = ".init";
/// Role of the store among the databases of the directory.
const STORE: &str = "store";

#[cfg(test)]
mod tests {
    use aquifer_shared::shell::at_rest::DatabaseKey;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn config() -> Config {
        let address = |text: &str| text.parse().unwrap();
        Config::new(address("127.0.0.1:7400"), address("127.0.0.1:7401"))
    }

    /// A directory as a coordinator takes it.
    fn private() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_was_made_is_read_back() {
        let dir = private();
        let dir = dir.path().join("a b%20?c/coordinator");
        let made = Home::create(&dir, &config(), NOW).await.unwrap();
        assert_eq!(
            names(&dir),
            [
                "at-rest.key",
                "at-rest.keyring",
                "ca.key",
                "ca.pem",
                "coordinator.toml",
                "release.key",
                "store.sqlite"
            ]
        );
        for file in names(&dir) {
            assert_eq!(
                dir.join(&file).metadata().unwrap().mode() & 0o777,
                0o600,
                "{file}"
            );
        }
        let home = Home::load(&dir).unwrap();
        assert_eq!(home.authority.certificate(), made.authority.certificate());
        assert_eq!(home.release.public(), made.release.public());
        assert_eq!(home.config, config());
        assert!(home.store().await.unwrap().is_empty().await.unwrap());
    }

    #[tokio::test]
    async fn nothing_is_overwritten() {
        for file in [
            "ca.key",
            "ca.pem",
            "release.key",
            "coordinator.toml",
            "store.sqlite",
        ] {
            let dir = private();
            fs::write(dir.path().join(file), "mine").unwrap();
            let fault = Home::create(dir.path(), &config(), NOW).await.unwrap_err();
            assert!(
                fault.is_refusal() && fault.to_string().contains(file),
                "{fault}"
            );
            assert_eq!(names(dir.path()), [file]);
            assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), "mine");
        }
    }

    #[tokio::test]
    async fn what_failed_leaves_nothing_behind() {
        let dir = private();
        let mut config = config();
        config.store = "sqlite://no/such/place.sqlite".parse().unwrap();
        assert!(Home::create(dir.path(), &config, NOW).await.is_err());
        config.store = "sqlite://store.sqlite".parse().unwrap();
        config.server_name = "-_-".parse().unwrap();
        assert!(Home::create(dir.path(), &config, NOW).await.is_err());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[tokio::test]
    async fn a_try_that_ended_early_does_not_stand_in_the_way() {
        let dir = private();
        fs::create_dir(dir.path().join(STAGE)).unwrap();
        fs::write(dir.path().join(STAGE).join("ca.key"), "half").unwrap();
        assert!(Home::create(dir.path(), &config(), NOW).await.is_ok());
        assert_eq!(names(dir.path()).len(), 7);
    }

    #[tokio::test]
    async fn a_store_in_use_is_refused_and_kept() {
        let dir = private();
        let other = private();
        let mut config = config();
        let path = other.path().join("other.sqlite");
        let url = format!("sqlite://{}", path.display());
        config.store = url.parse().unwrap();
        Store::open(&url, other.path(), &DatabaseKey::new([7; 32]))
            .await
            .unwrap()
            .close()
            .await;
        let fault = Home::create(dir.path(), &config, NOW).await.unwrap_err();
        assert!(matches!(fault, HomeFault::Occupied { path: found } if found == path));
        assert!(path.exists());
    }

    #[test]
    fn a_directory_without_a_coordinator_says_what_to_do() {
        let dir = private();
        let fault = Home::load(dir.path()).unwrap_err();
        assert!(matches!(fault, HomeFault::Missing { path } if path.ends_with(CONFIG)));
    }

    #[tokio::test]
    async fn a_malformed_configuration_is_named_with_its_place() {
        let dir = private();
        Home::create(dir.path(), &config(), NOW).await.unwrap();
        fs::write(dir.path().join(CONFIG), "\nlisten = 3\n").unwrap();
        let fault = Home::load(dir.path()).unwrap_err();
        assert!(matches!(fault, HomeFault::Config { source, .. } if source.line == 2));
    }
}
