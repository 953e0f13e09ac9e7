//! What is checked, by name and number, and what was found.

use crate::base::limits::PACK_FINDINGS_MAX;

macro_rules! checks {
    ($($variant:ident $number:literal $name:literal $doc:literal;)*) => {
        /// A check of a pack or a receipt. Name and number never change their meaning.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Check {
            $(#[doc = $doc] $variant = $number,)*
        }

        impl Check {
            /// All checks, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in output and documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

checks! {
    Format 10 "format" "Every file is known, there, and readable.";
    Files 11 "files" "Every file is the one that the manifest lists.";
    Tree 12 "tree" "Leaves and hashes give the root of every checkpoint; the last continues the first.";
    Signature 13 "signature" "The log signed every checkpoint.";
    Witnesses 14 "witnesses" "A quorum of witnesses signed the first and the last checkpoint; whatever they signed is theirs.";
    Order 15 "order" "Every leaf says its own index; times never go back; no event is there twice.";
    Kinds 16 "kinds" "Every leaf is one of the closed list.";
    PersonalData 17 "personal-data" "No entry of a coordinator's log is about persons; not run for a unit's own.";
    Payloads 18 "payloads" "Every payload that is there is what its leaf commits to.";
    Budget 19 "budget" "Spends are those of the log, and epsilon follows from them.";
    Policy 20 "policy" "The rules behind every decision are in the bundle.";
    Proofs 21 "proofs" "Every listed entry is in the log.";
    Report 22 "report" "The report says what follows from the log.";
    Sample 23 "sample" "The sample is what its seed chooses.";
    Previous 24 "previous" "The log continues that of the pack before.";
    Issuer 25 "issuer" "The issuer signed the receipt.";
    Sbom 26 "sbom" "The list of parts is one; every part that is named is there.";
    Provenance 27 "provenance" "The log signed which program made this very pack, of which parts.";
    Extracts 28 "extracts" "Clocks are those of the rules, alarms those of the log.";
    Programs 29 "programs" "Every sum that names programs of nodes names the program of each of its nodes, once.";
    Held 30 "held" "The coordinator's log holds the checkpoints of a unit's.";
}

impl Check {
    /// Its number: the exit code where it is the first that fails.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Something that is not as it must be, with its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Path in the pack.
    pub file: String,
    /// Index in the log, where one can be told.
    pub index: Option<u64>,
    /// What was found and what was expected.
    pub what: String,
}

impl Finding {
    pub(super) fn of(file: &str, index: Option<u64>, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            index,
            what: what.into(),
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Nothing was found.
    Passed,
    /// Something was found.
    Failed,
    /// It could not be done, or was not asked for.
    NotRun(&'static str),
}

/// One check with what it found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub state: State,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// How many there were.
    pub found: usize,
}

impl Checked {
    pub(super) fn new(check: Check, mut findings: Vec<Finding>) -> Self {
        let found = findings.len();
        findings.truncate(PACK_FINDINGS_MAX);
        let state = if found == 0 {
            State::Passed
        } else {
            State::Failed
        };
        Self {
            check,
            state,
            findings,
            found,
        }
    }

    pub(super) fn not_run(check: Check, why: &'static str) -> Self {
        Self {
            check,
            state: State::NotRun(why),
            findings: Vec::new(),
            found: 0,
        }
    }
}

/// All checks of one pack or receipt, in the order of their numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict(pub Vec<Checked>);

impl Verdict {
    pub(super) fn new(mut checks: Vec<Checked>) -> Self {
        checks.sort_by_key(|checked| checked.check);
        Self(checks)
    }

    /// Number of the first check that failed; 0 if none did.
    #[must_use]
    pub fn code(&self) -> u8 {
        let mut failed = self.0.iter().filter(|one| one.state == State::Failed);
        failed.next().map_or(0, |one| one.check.number())
    }

    /// How one check ended.
    #[must_use]
    pub fn of(&self, check: Check) -> Option<&Checked> {
        self.0.iter().find(|one| one.check == check)
    }
}
