//! The keyring: one data key, sealed under a master key; under two of them while one follows the other.
//!
//! Whole or as it was before, at any moment. What it says of plain files is bound to the data key, and a slot to the version that
//! says so: who does not have the key changes neither, and cannot put an older form in its place.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::{DataKey, MasterKey, hex};
use super::sealed::{open, seal};
use super::{AtRestFault, at};
use crate::shell::keys::{random_bytes32, read_private, write_private};

/// A data key and the master keys that give it; the last of them is the newest.
pub(super) struct Keyring {
    path: PathBuf,
    slots: Vec<Slot>,
    /// Whether files of before, which are plain, are sealed when they are read: until there are none any more.
    takes_plain: bool,
    /// What shows that this was said by who has the data key; none in a keyring of before.
    plain_seal: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    /// Mark of the master key.
    master: String,
    /// The data key under it, in hexadecimal digits.
    sealed: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    slots: Vec<Slot>,
    /// Not in version 1, of whose directories nobody knows.
    takes_plain: Option<bool>,
    /// In hexadecimal digits; not in versions 1 and 2.
    plain_seal: Option<String>,
}

impl Written {
    fn is_known(&self) -> bool {
        let held = (self.takes_plain.is_some(), self.plain_seal.is_some());
        match self.version {
            1 => held == (false, false),
            2 => held == (true, false),
            VERSION => held == (true, true),
            _ => false,
        }
    }
}

impl Keyring {
    /// A keyring with a new data key; not on disk yet.
    pub(super) fn generate(
        path: &Path,
        master: &MasterKey,
        takes_plain: bool,
    ) -> Result<(Self, DataKey), AtRestFault> {
        let data = DataKey::new(*Zeroizing::new(random_bytes32()?));
        let mut keyring = Self {
            path: path.to_owned(),
            slots: Vec::new(),
            takes_plain,
            plain_seal: None,
        };
        keyring.add(master, &data)?;
        keyring.bind(master, &data)?;
        Ok((keyring, data))
    }

    /// Reads a keyring; none where there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, AtRestFault> {
        if !path.try_exists().map_err(at("look for", path))? {
            return Ok(None);
        }
        let written = serde_json::from_slice::<Written>(&read_private(path)?).ok();
        let written = written.filter(|it| it.is_known() && (1..=2).contains(&it.slots.len()));
        match written {
            Some(written) => Ok(Some(Self {
                path: path.to_owned(),
                slots: written.slots,
                takes_plain: written.takes_plain.unwrap_or(true),
                plain_seal: written.plain_seal,
            })),
            None => Err(AtRestFault::Keyring {
                path: path.to_owned(),
            }),
        }
    }

    /// The data key, if this master key is one of those that give it, and what the keyring says of plain files is what was said with it.
    pub(super) fn open(&self, master: &MasterKey, place: &str) -> Result<DataKey, AtRestFault> {
        let mark = master.mark();
        let Some(slot) = self.slots.iter().find(|slot| slot.master == mark) else {
            let marks = self.slots.iter().map(|slot| slot.master.as_str());
            return Err(AtRestFault::OtherKey {
                place: place.to_owned(),
                found: mark,
                expected: marks.collect::<Vec<_>>().join(" or "),
                keyring: self.path.clone(),
            });
        };
        let none = || AtRestFault::Keyring {
            path: self.path.clone(),
        };
        let (data, is_bound) = match slot.open(master, LABEL) {
            Some(data) => (data, true),
            None => (slot.open(master, LABEL_BEFORE).ok_or_else(none)?, false),
        };
        match &self.plain_seal {
            Some(seal) if self.says(&data, seal) => Ok(data),
            None if !is_bound => Ok(data),
            _ => Err(none()),
        }
    }

    /// Whether what it says of plain files was said by who has the data key.
    fn says(&self, data: &DataKey, seal: &str) -> bool {
        let expected = data.of_plain(self.takes_plain);
        unhex(seal).is_some_and(|seal| verify_slices_are_equal(&seal, expected.expose()).is_ok())
    }

    /// Whether files of before are taken.
    pub(super) fn takes_plain(&self) -> bool {
        self.takes_plain
    }

    /// From now on a plain file is refused.
    pub(super) fn refuse_plain(&mut self) {
        self.takes_plain = false;
    }

    /// Binds this master's slot, and what is said of plain files, as they are now; whether anything of that is new.
    pub(super) fn bind(&mut self, master: &MasterKey, data: &DataKey) -> Result<bool, AtRestFault> {
        let mark = master.mark();
        let mut changed = false;
        let own = self.slots.iter_mut().find(|slot| slot.master == mark);
        if let Some(own) = own.filter(|slot| slot.open(master, LABEL).is_none()) {
            *own = Slot::seal(master, data)?;
            changed = true;
        }
        let seal = hex(data.of_plain(self.takes_plain).expose())
            .as_str()
            .to_owned();
        changed |= self.plain_seal.replace(seal.clone()) != Some(seal);
        Ok(changed)
    }

    /// Adds a master key behind all others.
    pub(super) fn add(&mut self, master: &MasterKey, data: &DataKey) -> Result<(), AtRestFault> {
        let slot = Slot::seal(master, data)?;
        self.slots.retain(|own| own.master != slot.master);
        self.slots.push(slot);
        Ok(())
    }

    /// Drops all master keys but this one; whether there were others.
    pub(super) fn keep_only(&mut self, master: &MasterKey) -> bool {
        let (mark, before) = (master.mark(), self.slots.len());
        self.slots.retain(|slot| slot.master == mark);
        self.slots.len() != before
    }

    /// Whether this master key came last.
    pub(super) fn is_newest(&self, master: &MasterKey) -> bool {
        self.slots
            .last()
            .is_some_and(|slot| slot.master == master.mark())
    }

    /// Puts it on disk in one step.
    pub(super) fn save(&self) -> Result<(), AtRestFault> {
        let written = Written {
            version: VERSION,
            slots: self.slots.clone(),
            takes_plain: Some(self.takes_plain),
            plain_seal: self.plain_seal.clone(),
        };
        let text = serde_json::to_string_pretty(&written).expect("text and numbers are JSON");
        replace(&self.path, text.as_bytes())
    }
}

impl Slot {
    fn seal(master: &MasterKey, data: &DataKey) -> Result<Self, AtRestFault> {
        let sealed = seal(master.of_keyring().expose(), LABEL, data.bytes())?;
        Ok(Self {
            master: master.mark(),
            sealed: hex(&sealed).as_str().to_owned(),
        })
    }

    /// The data key, if it was sealed under this label.
    fn open(&self, master: &MasterKey, label: &str) -> Option<DataKey> {
        let opened = open(master.of_keyring().expose(), label, &unhex(&self.sealed)?)?;
        let key = <[u8; 32]>::try_from(opened.as_slice()).ok()?;
        Some(DataKey::new(*Zeroizing::new(key)))
    }
}

/// Puts a private file in another's place, in one step that is on disk when this returns.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), AtRestFault> {
    let beside = beside(path, ".new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at("remove", &beside)(error));
        }
        _ => {}
    }
    write_private(&beside, bytes)?;
    std::fs::rename(&beside, path).map_err(at("replace", path))?;
    sync_folder_of(path)
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// Waits until names in a file's folder are on disk.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), AtRestFault> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at("write", folder))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

const VERSION: u32 = 3;
/// Of slots whose keyring must say by the data key whether plain files are taken.
const LABEL: &str = "aquifer/at-rest/keyring/2";
/// Of slots of before.
const LABEL_BEFORE: &str = "aquifer/at-rest/keyring/1";
