//! The arguments of `aquifer audit`.

use std::path::PathBuf;

use aquifer_shared::domain::pack::Quarter;
use clap::Subcommand;

use crate::law_args::PackArguments;

/// Commands of auditors about packs and receipts.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Make the pack of a quarter from the coordinator's history; it is checked before it is written
    #[command(
        after_help = "Example:\n  aquifer audit pack --quarter 2026Q4 --purposes purposes.toml --packs our-packs --out 2026Q4\n\nEach entry and proof is hashed again here. Name the rules that decisions were made by with --purposes and --packs: their texts go into the pack, and the clocks of rights among them. The coordinator adds the list of its parts and a signed statement of which program it is."
    )]
    Pack {
        /// Like 2026Q4
        #[arg(long, value_name = "QUARTER")]
        quarter: Quarter,
        /// New folder [default: the quarter's name]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The declared purposes in force (TOML)
        #[arg(long, value_name = "FILE")]
        purposes: Option<PathBuf>,
        /// Which rule packs were in force
        #[command(flatten)]
        packs: PackArguments,
        /// Results of the released build's tests: a JSON object of ids, each passed or failed (scripts/test-results)
        #[arg(long, value_name = "FILE")]
        tests: Option<PathBuf>,
    },
    /// Check a pack or a receipt, offline; the exit code is the number of the first check that fails
    #[command(
        after_help = "Examples:\n  aquifer audit verify 2026Q4 --policy keys.txt --previous 2026Q3\n  aquifer audit verify 2026Q4-north --coordinator 2026Q4 --coordinator-policy keys.txt\n  aquifer audit verify receipt.json\n\nExit codes: 0 nothing failed, 2 cannot be read, else the first check that failed: 10 format, 11 files, 12 tree, 13 signature, 14 witnesses, 15 order, 16 kinds, 17 personal-data, 18 payloads, 19 budget, 20 policy, 21 proofs, 22 report, 23 sample, 24 previous, 25 issuer, 26 sbom, 27 provenance, 28 extracts, 29 programs, 30 held.\nscripts/verify-audit does the same with nothing but Python."
    )]
    Verify {
        /// Folder of a pack, or file of a receipt
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Keys of the log and its witnesses from elsewhere (C2SP tlog-policy) [default: those that came along]
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The pack of the quarter before
        #[arg(long, value_name = "PACK")]
        previous: Option<PathBuf>,
        /// For a pack of a unit: one of the coordinator, made later, whose log holds the unit's checkpoints
        #[arg(long, value_name = "PACK")]
        coordinator: Option<PathBuf>,
        /// Keys of the coordinator's log and its witnesses from elsewhere: without them its pack shows that it agrees with itself
        #[arg(long, value_name = "FILE", requires = "coordinator")]
        coordinator_policy: Option<PathBuf>,
    },
    /// Choose decisions of a pack by your seed, and add the list to the pack as decisions.sample
    #[command(
        after_help = "Example:\n  aquifer audit sample 2026Q4 --seed \"dice 4 1 6 6 2\" --count 25\n\nGive the seed after you were given the pack: nobody could know then which decisions you would look at."
    )]
    Sample {
        /// Folder of a pack
        #[arg(value_name = "PACK")]
        pack: PathBuf,
        /// Your seed, 1 to 256 bytes
        #[arg(long, value_name = "TEXT")]
        seed: String,
        /// How many decisions
        #[arg(long, value_name = "N", default_value_t = 25)]
        count: usize,
    },
    /// Print the proof that an entry of a pack is in the log (C2SP tlog-proof)
    #[command(after_help = "Example:\n  aquifer audit prove 4711 --pack 2026Q4")]
    Prove {
        /// Index in the log
        #[arg(value_name = "INDEX")]
        index: u64,
        /// Folder of a pack
        #[arg(long, value_name = "PACK")]
        pack: PathBuf,
        /// New file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
