//! Encryption at rest: where the master key comes from, the keyring that it opens, and the only way to open a database or a
//! sealed file.
//!
//! The master key opens nothing but the keyring, a small file in the directory that holds one random data key. Keys of files are
//! derived from the data key by what the file is for. So a new master key costs one small file, not the data.
//! Never prints a key, and makes no keyring beside files that rest on another.

mod config;
mod database;
mod keyring;
mod keys;
mod permissions;
mod rotation;
mod sealed;
mod source;
mod takeover;
mod vault;

use std::io;
use std::path::{Path, PathBuf};

pub use config::AtRestConfig;
pub use database::{Shape, open_any, open_sqlite};
pub use keys::DatabaseKey;
pub use permissions::check_directory;
pub use rotation::{Rotated, rotate};
pub use sealed::{SealKey, is_sealed};
pub use vault::{KEY_FILE, KEYRING_FILE, Vault};

/// Keys at rest cannot be had, or something is not protected as it must be.
#[derive(Debug, thiserror::Error)]
pub enum AtRestFault {
    /// A file cannot be read or written.
    #[error("could not {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Group or others can reach what only its owner may.
    #[error("{} has mode {mode:04o}, expected no permission for group and others (at most {expected:04o}); run: chmod {expected:o} {}", path.display(), path.display())]
    Exposed {
        /// File or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The most that is taken.
        expected: u32,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {found}, expected user {expected}, who runs this program; run: chown {expected} {}", path.display(), path.display())]
    Owner {
        /// File or directory.
        path: PathBuf,
        /// Its owner.
        found: u32,
        /// The user of the process.
        expected: u32,
    },
    /// The key file lies where everybody may look.
    #[error("the key file {} lies in a directory of mode {mode:04o} that everybody on this machine may list, expected at most 0750; run: chmod o-rwx {}", path.display(), directory.display())]
    Listed {
        /// The key file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
        /// Permission bits of the directory.
        mode: u32,
    },
    /// There is no key where one must be.
    #[error("{place} is missing, and {} was made with its key: put the key back from where it is kept", keyring.display())]
    Missing {
        /// Where a key was looked for.
        place: String,
        /// What it would open.
        keyring: PathBuf,
    },
    /// There is no key, and it is not ours to make.
    #[error(
        "{place} is missing: make a key (for example with `openssl rand -hex 32`) and put it there"
    )]
    NotThere {
        /// Where a key was looked for.
        place: String,
    },
    /// The place of the key is not ours to write.
    #[error(
        "{place} gives the key and cannot be written from here: put a new key elsewhere and name it with --to"
    )]
    NotOurs {
        /// Where the key is.
        place: String,
    },
    /// What was found is no key.
    #[error("{place} holds {found}, expected 64 hexadecimal digits{or_bytes}")]
    NoKey {
        /// Where it was found.
        place: String,
        /// What it is, without a byte of it.
        found: String,
        /// What else is taken there.
        or_bytes: &'static str,
    },
    /// The command that gives the key does not.
    #[error("the key command `{program}` {problem}")]
    Command {
        /// Its program; arguments may be secret.
        program: String,
        /// What happened.
        problem: String,
    },
    /// The key is another one.
    #[error("{place} holds the key {found}, but {} opens with {expected} only: name the right key under [at_rest]", keyring.display())]
    OtherKey {
        /// Where the key was found.
        place: String,
        /// Its mark.
        found: String,
        /// Marks of the keys that open it.
        expected: String,
        /// The keyring.
        keyring: PathBuf,
    },
    /// The keyring is damaged.
    #[error("{} is no keyring, or it is damaged: put it back from a backup", path.display())]
    Keyring {
        /// The keyring.
        path: PathBuf,
    },
    /// The keyring is gone while sealed files are there.
    #[error("{} is missing, and {} is sealed with its key: put it back from a backup", path.display(), sealed.display())]
    KeyringMissing {
        /// The keyring.
        path: PathBuf,
        /// A file that rests on it.
        sealed: PathBuf,
    },
    /// A sealed file does not open.
    #[error("{} was not sealed under this directory's keyring and this name, or it is damaged", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// A plain file where all files are encrypted.
    #[error("{} is plain, and all files of its directory are encrypted: somebody else put it there; put the encrypted one back from a backup", path.display())]
    Plain {
        /// The file.
        path: PathBuf,
    },
    /// A file of keys cannot be used.
    #[error("a key at rest cannot be used")]
    Key(#[from] super::keys::KeyFault),
    /// Text of a section that is none.
    #[error(
        "{text:?} is no key source ({problem}), expected as under [at_rest], for example: key_file = \"/run/keys/aquifer.key\""
    )]
    Source {
        /// What was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
}

impl AtRestFault {
    /// Whether this is a refusal by rule rather than a failure: something is open to others, or another's.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Exposed { .. } | Self::Owner { .. } | Self::Listed { .. } | Self::Plain { .. }
        )
    }
}

/// The refusal by rule among the causes of an error, if one is.
#[must_use]
pub fn refusal_in(error: &anyhow::Error) -> Option<&AtRestFault> {
    let mut causes = error.chain();
    let found = causes.find_map(|cause| cause.downcast_ref::<AtRestFault>());
    found.filter(|fault| fault.is_refusal())
}

/// Names file and deed when the system says no.
fn at<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> AtRestFault + 'a {
    move |source| AtRestFault::File {
        what,
        path: path.to_owned(),
        source,
    }
}
