//! The arguments of `aquifer laws` and `aquifer policy`.

use std::path::PathBuf;

use aquifer_shared::base::calendar;
use aquifer_shared::base::ids::{Hash32, IdentityKey};
use clap::{Args, Subcommand};

/// Which packs.
#[derive(Args, Debug)]
pub(crate) struct PackArguments {
    /// Folder of packs (*.toml): each goes before the one of the same id that comes along, or beside them
    #[arg(long, value_name = "DIR")]
    pub(crate) packs: Option<PathBuf>,
}

/// Commands about rule packs.
#[derive(Debug, Subcommand)]
pub(crate) enum LawsCommand {
    /// List the packs, or every value of one with its reference
    #[command(
        after_help = "Examples:\n  aquifer laws list\n  aquifer laws list gdpr\n  aquifer laws list house --text > our-packs/house.toml    a start for your own numbers"
    )]
    List {
        /// A pack, to see its values [default: all packs in short]
        #[arg(value_name = "PACK")]
        pack: Option<String>,
        /// Print the file of the pack as it is
        #[arg(long, requires = "pack", conflicts_with = "json")]
        text: bool,
        /// Which packs
        #[command(flatten)]
        packs: PackArguments,
    },
    /// Tell what nobody has reviewed, what has expired and what soon will; exit code 1 if something has expired
    #[command(
        after_help = "Examples:\n  aquifer laws status\n  aquifer laws status --packs our-packs --on 2027-01-01"
    )]
    Status {
        /// Which packs
        #[command(flatten)]
        packs: PackArguments,
        /// A day like 2027-01-31 [default: today, UTC]
        #[arg(long, value_name = "DATE", value_parser = day)]
        on: Option<i32>,
    },
    /// Compare a folder of packs with those that come along, or with another folder; exit code 1 if a value got laxer
    #[command(
        after_help = "Examples:\n  aquifer laws diff our-packs\n  aquifer laws diff our-packs --from last-year"
    )]
    Diff {
        /// The folder as it is to be
        #[arg(value_name = "DIR")]
        to: PathBuf,
        /// The folder as it was [default: the packs that come along]
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

/// Commands about decisions.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Sign a change of a unit's policy, or an exception for a screened use, as one of the officers; asks nobody
    #[command(
        after_help = "Examples:\n  aquifer policy sign 3f9c... >> policy.signed\n  aquifer policy sign --exception pilot.toml >> pilot.signed\n\nThe digest is what `aquifer-node policy status` prints at the unit: compare it with the files that you have read."
    )]
    Sign {
        /// The digest, 64 hexadecimal digits
        #[arg(required_unless_present = "exception", conflicts_with = "exception")]
        digest: Option<Hash32>,
        /// The file of an exception, which is shown before it is signed
        #[arg(long, value_name = "FILE")]
        exception: Option<PathBuf>,
    },
    /// Write an exception for a screened use, for two officers to sign; asks nobody
    #[command(
        after_help = "Example:\n  aquifer policy exception --site 3f9c... --purposes purposes.toml --purpose credit.score \\\n    --reason \"pilot agreed with the works council\" --until 2027-03-31 > pilot.toml\n\nThe site is what `aquifer-node policy status` or `aquifer-coordinator exceptions` prints. pilot.toml and pilot.signed go into the folder\nexceptions/ of that site, which reads them when it starts."
    )]
    Exception {
        /// Whose gates it is for
        #[arg(long, value_name = "KEY")]
        site: IdentityKey,
        /// The purposes declared there (TOML)
        #[arg(long, value_name = "FILE")]
        purposes: PathBuf,
        /// The purpose
        #[arg(long, value_name = "NAME")]
        purpose: String,
        /// Why, in your words
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Its first day [default: today, UTC]
        #[arg(long, value_name = "DATE", value_parser = day)]
        from: Option<i32>,
        /// Its last day, at most a year later
        #[arg(long, value_name = "DATE", value_parser = day)]
        until: i32,
    },
    /// Decide a made-up case; exit code 1 if it is denied
    #[command(
        after_help = "Example:\n  aquifer policy check --what-if case.toml --purposes purposes.toml\n\ncase.toml:\n  gate = \"train\"\n  purpose = \"churn.train\"\n  columns = [\"tenure\"]\n  categories = [\"contract\"]\n  controller = \"DE\"\n  about = \"run\"\n  place = [\"DE\", \"FR\"]\n  dpia = \"absent\"\n  transfer = \"within\"\n  population = 5000\n  epsilon_micro = 500000\n  delta_pico = 10000\n\nWhat is not said is not known, and denied. The case is made up: put no customer's facts into it."
    )]
    Check {
        /// The case (TOML)
        #[arg(long, value_name = "FILE")]
        what_if: PathBuf,
        /// The declared purposes (TOML)
        #[arg(long, value_name = "FILE")]
        purposes: PathBuf,
        /// Which packs
        #[command(flatten)]
        packs: PackArguments,
        /// The day, where the case names none [default: today, UTC]
        #[arg(long, value_name = "DATE", value_parser = day)]
        on: Option<i32>,
    },
}

fn day(text: &str) -> Result<i32, String> {
    let found = calendar::parse(text).filter(|day| *day >= 0);
    found.ok_or_else(|| "expected a date like 2027-01-31, from 1970 on".to_owned())
}
