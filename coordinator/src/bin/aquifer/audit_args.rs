//! The arguments of `aquifer audit`.

use std::path::PathBuf;

use clap::Subcommand;

/// Commands of auditors about packs and receipts.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check a pack or a receipt, offline; the exit code is the number of the first check that fails
    #[command(
        after_help = "Examples:\n  aquifer audit verify 2026Q4 --policy keys.txt --previous 2026Q3\n  aquifer audit verify receipt.json\n\nExit codes: 0 nothing failed, 2 cannot be read, else the first check that failed: 10 format, 11 files, 12 tree, 13 signature, 14 witnesses, 15 order, 16 kinds, 17 personal-data, 18 payloads, 19 budget, 20 policy, 21 proofs, 22 report, 23 sample, 24 previous, 25 issuer.\nscripts/verify-audit does the same with nothing but Python."
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
