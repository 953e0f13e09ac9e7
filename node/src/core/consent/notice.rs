//! Notices that were shown: a consent counts for the text that the person saw.

use aquifer_shared::base::ids::{Hash32, Name};

/// One text of a notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Which notice.
    pub id: Name,
    /// Its version, from 1.
    pub version: u32,
    /// Language, as in `de`.
    pub lang: String,
    /// SHA-256 of the exact text.
    pub sha256: Hash32,
    /// Whether it says something else than the version before.
    pub material: bool,
    /// Who judged that, where it does not.
    pub signer: Option<String>,
}

/// All notices of the unit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NoticeBook {
    notices: Vec<Notice>,
}

/// A list that does not hold together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoticeFault {
    /// The same text twice.
    #[error("notice {id} version {version} ({lang}) is listed twice")]
    Twice {
        /// Which.
        id: Name,
        /// Version.
        version: u32,
        /// Language.
        lang: String,
    },
    /// A change that is called cosmetic by nobody.
    #[error(
        "notice {id} version {version} is not material, expected the name of who judged that in `signer`"
    )]
    Unsigned {
        /// Which.
        id: Name,
        /// Version.
        version: u32,
    },
    /// Languages of one version differ in what they say of it.
    #[error(
        "notice {id} version {version} is material in one language and not in another, expected the same in all"
    )]
    Torn {
        /// Which.
        id: Name,
        /// Version.
        version: u32,
    },
    /// More than fit.
    #[error("{0} notices, expected at most 65535")]
    TooMany(usize),
}

impl NoticeBook {
    /// Checks a list.
    ///
    /// # Errors
    ///
    /// A text that is there twice, a cosmetic change without a signer, languages that disagree, too many.
    pub fn new(notices: Vec<Notice>) -> Result<Self, NoticeFault> {
        if notices.len() >= usize::from(u16::MAX) {
            return Err(NoticeFault::TooMany(notices.len()));
        }
        for (place, notice) in notices.iter().enumerate() {
            let (id, version) = (notice.id.clone(), notice.version);
            let same = |other: &&Notice| other.id == id && other.version == version;
            let before = || notices[..place].iter().filter(same);
            if before().any(|other| other.lang == notice.lang) {
                let lang = notice.lang.clone();
                return Err(NoticeFault::Twice { id, version, lang });
            }
            if before().any(|other| other.material != notice.material) {
                return Err(NoticeFault::Torn { id, version });
            }
            if !notice.material && notice.signer.is_none() {
                return Err(NoticeFault::Unsigned { id, version });
            }
        }
        Ok(Self { notices })
    }

    /// The number of the text with this hash.
    #[must_use]
    pub fn number(&self, sha256: &Hash32) -> Option<u16> {
        let mut all = self.notices.iter();
        let place = all.position(|notice| notice.sha256 == *sha256)?;
        u16::try_from(place).ok()
    }

    /// The notice of a number.
    #[must_use]
    pub fn get(&self, number: u16) -> Option<&Notice> {
        self.notices.get(usize::from(number))
    }

    /// The newest version that says the same as the text of this number: cosmetic changes keep a consent, a material one voids it.
    #[must_use]
    pub fn says_as_much_as(&self, number: u16) -> Option<u32> {
        let shown = self.get(number)?;
        let mut version = shown.version;
        let next = |version: u32| {
            let mut all = self.notices.iter();
            all.any(|other| {
                other.id == shown.id
                    && Some(other.version) == version.checked_add(1)
                    && !other.material
            })
        };
        while next(version) {
            version += 1;
        }
        Some(version)
    }

    /// How many texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.notices.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }
}
