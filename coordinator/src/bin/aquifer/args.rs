//! The arguments of `aquifer`, with help and examples.

use std::path::PathBuf;

use aquifer_coordinator::shell::cli::parse_duration_ms;
use aquifer_shared::base::ids::{Name, Role};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::audit_args::AuditCommand;
use crate::facts::{DossierArguments, FactsCommand};
use crate::law_args::{LawsCommand, PolicyCommand};

/// Submit and approve studies, read models, predict: for operators, approvers, analysts and auditors.
#[derive(Debug, Parser)]
#[command(
    name = "aquifer",
    version,
    after_help = "Exit codes: 0 done, 1 refused by a rule, 2 failed.\n\nExamples:\n  aquifer join - < ada.ticket\n  aquifer study submit churn.toml --contract contract.toml --dry-run\n  aquifer model card churn\n  aquifer predict --model churn --input hypothetical '{\"tenure\": 3}'"
)]
pub(crate) struct Arguments {
    /// Directory of your identity, made by `aquifer join` [default: ~/.aquifer]
    #[arg(long, global = true, env = "AQUIFER_DIR", value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Redeem a ticket: makes your keys here and stores them with your certificate
    #[command(after_help = "Example:\n  aquifer join - --dir ~/.aquifer < ada.ticket")]
    Join {
        /// The ticket, one line that starts with aquifer-ticket-1; `-` reads it from standard input, out of sight of others on the machine
        ticket: String,
    },
    /// Show name, role and identity key of this directory; asks nobody
    #[command(
        after_help = "Examples:\n  aquifer whoami\n  aquifer whoami --identity    the key that units pin as approver"
    )]
    Whoami {
        /// Print the 64 digits of the identity key and nothing else
        #[arg(long, conflicts_with = "json")]
        identity: bool,
    },
    /// Submit, approve and follow studies
    #[command(subcommand)]
    Study(StudyCommand),
    /// Read, check and export models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Predict for made-up customers or segments; the inputs stay on this machine
    #[command(
        after_help = "Examples:\n  aquifer predict --model churn --input hypothetical --explain '{\"tenure\": 3, \"plan\": \"month\"}'\n  aquifer predict --model churn@2 --input segment --file segments.csv --out predicted.csv --threshold 0.3\n  aquifer predict --model-file churn.json --input hypothetical '{\"tenure\": 3}'\n\nA unit scores its own customers at home: aquifer-node score --model churn --out scores.csv"
    )]
    Predict(PredictArguments),
    /// Ask a question in SQL; the answer is private, priced, and paid for by the units' budgets (analysts)
    #[command(
        after_help = "Examples:\n  aquifer query --purpose reporting \"SELECT contract, COUNT(*) AS n FROM customers GROUP BY contract\"\n  aquifer query --purpose reporting --rho-micro 2000 --format csv - < question.sql"
    )]
    Query(QueryArguments),
    /// Show what a question would cost and how exact its answer would be; spends nothing (analysts)
    #[command(
        after_help = "Example:\n  aquifer explain --purpose reporting \"SELECT contract, AVG(monthly_charges) FROM customers GROUP BY contract\""
    )]
    Explain(QueryArguments),
    /// List tables and columns that may be asked about, with bounds and levels; spends nothing
    #[command(
        after_help = "Examples:\n  aquifer catalogue\n  aquifer catalogue --format csv > columns.csv"
    )]
    Catalogue(LookArguments),
    /// Show what is left of your share of each standing study; the units' own budgets are hard, and may end before (analysts)
    #[command(after_help = "Examples:\n  aquifer budget\n  aquifer budget --json")]
    Budget(LookArguments),
    /// List and show past answers: price, privacy, units, and the statement that gives each again, free
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Show units and people, and who is connected
    #[command(
        after_help = "Examples:\n  aquifer nodes\n  aquifer nodes --pins >> members.toml    what units add to node.toml for shared-noise, once each key and operator was checked by voice"
    )]
    Nodes {
        /// Print names and keys of all units as member tables for node.toml
        #[arg(long)]
        pins: bool,
    },
    /// Read the coordinator's history: entries, the checkpoint that nodes have signed, proofs
    #[command(subcommand)]
    History(HistoryCommand),
    /// Make, list and revoke tokens for the HTTPS door
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check, make and show data contracts
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Read rule packs: list their values, tell how fresh they are, compare versions; asks nobody
    #[command(subcommand)]
    Laws(LawsCommand),
    /// Decide made-up cases by rule packs, write exceptions, sign as an officer; asks nobody
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Make and check audit packs, check receipts, draw samples
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make documents out of an audit pack alone: model card, privacy notice, record of processing; asks nobody
    #[command(subcommand)]
    Facts(FactsCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  aquifer completions bash > ~/.local/share/bash-completion/completions/aquifer"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Commands about the history.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Show entries, the newest unless one is named
    #[command(
        after_help = "Examples:\n  aquifer history show\n  aquifer history show --from 0 --json\n  aquifer history show --keys > keys.txt"
    )]
    Show {
        /// The first entry to show
        #[arg(long, value_name = "INDEX")]
        from: Option<u64>,
        /// The keys of the log and its witnesses instead, as `aquifer audit verify --policy` takes them (C2SP tlog-policy)
        #[arg(long, conflicts_with = "from")]
        keys: bool,
    },
    /// Print the newest checkpoint with the signatures of the nodes that saw it (a C2SP note)
    #[command(after_help = "Example:\n  aquifer history checkpoint > checkpoint")]
    Checkpoint,
    /// Print the proof that an entry is in the history (C2SP tlog-proof); checked here before it is printed
    #[command(after_help = "Example:\n  aquifer history prove 7 > entry-7.proof")]
    Prove {
        /// Which entry, from 0
        index: u64,
    },
}

/// Commands about studies.
#[derive(Debug, Subcommand)]
pub(crate) enum StudyCommand {
    /// Check a study file, expand it to its terms and register it (operators)
    #[command(
        after_help = "Examples:\n  aquifer study submit churn.toml --contract contract.toml --dry-run\n  aquifer study submit churn.toml --contract contract.toml"
    )]
    Submit {
        /// The study file (TOML)
        file: PathBuf,
        /// The contract file (TOML)
        #[arg(long, value_name = "FILE")]
        contract: PathBuf,
        /// Print the terms, register nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Sign a study with your identity key (approvers)
    #[command(after_help = "Example:\n  aquifer study approve 3f9c2a71b0de")]
    Approve(StudyArgument),
    /// List all studies
    List,
    /// Show terms, members and rounds of a study
    Show(StudyArgument),
    /// Follow a study until it ends; exit code 1 if it ends without a published model
    Watch(StudyArgument),
    /// Stop a study; what was spent stays spent (operators)
    Abort(StudyArgument),
}

/// Which study.
#[derive(Args, Debug)]
pub(crate) struct StudyArgument {
    /// Name (the newest of that name), hash, or a unique start of the hash
    #[arg(value_name = "ID")]
    pub(crate) study: String,
}

/// Commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List published and held models
    List,
    /// Show a model in short: study, privacy, quality
    Show(ModelArgument),
    /// Print the card: statement, quality, every curve with a plot
    #[command(
        after_help = "Examples:\n  aquifer model card churn\n  aquifer model card churn --html churn.html"
    )]
    Card {
        /// Which model
        #[command(flatten)]
        model: ModelArgument,
        /// Write the card as one HTML page instead
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Write the signed model file
    #[command(after_help = "Example:\n  aquifer model export churn@2 --out churn-2.json")]
    Export {
        /// Which model
        #[command(flatten)]
        model: ModelArgument,
        /// New file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Learn the model again from its released sums; compare model, card and statement; exit code 1 if they differ
    Replay(ModelArgument),
    /// Publish a held model (approvers)
    Release(ModelArgument),
    /// Drop a held model for good (approvers)
    Drop(ModelArgument),
    /// End the use of a released model before its date: it predicts no more (approvers)
    #[command(
        after_help = "Example:\n  aquifer model retire churn@2 --why \"replaced by churn@3\""
    )]
    Retire(EndArguments),
    /// Recall a released model, which should not have been used; takes two people within 7 days (operators, approvers, dpo)
    #[command(
        after_help = "Example, entered by one person and then by another:\n  aquifer model recall churn@2 --why \"a column was wrong at one unit\""
    )]
    Recall(EndArguments),
    /// Propose the study of a released model again now, so that another version takes its place; an approver decides (operators)
    #[command(
        after_help = "Example:\n  aquifer model retrain churn@2 --why \"an objection was upheld\"\n\nReasons not to wait for the model's date: epsilon above the threshold of the rules, an audit that failed, no lawful basis from the\nstart, an objection that was upheld. The version in use is retired once the other is released."
    )]
    Retrain(EndArguments),
    /// Enter what `scripts/audit-privacy --json` found for a model's claim in the history (auditors, dpo)
    #[command(
        after_help = "Example:\n  scripts/audit-privacy --claims 1 --delta 1e-6 --json > audit.json\n  aquifer model audit churn@2 --result audit.json"
    )]
    Audit {
        /// NAME@VERSION
        #[arg(value_name = "NAME@VERSION")]
        model: String,
        /// What scripts/audit-privacy --json printed
        #[arg(long, value_name = "FILE")]
        result: PathBuf,
    },
    /// Gather what there is to judge by whether a model is personal data: HTML, or JSON with --json; asks nobody
    #[command(
        after_help = "Example:\n  aquifer model dossier churn --log 2026Q4 --out dossier.html\n  aquifer model dossier churn --log 2026Q4 --assessment churn-1.toml --out dossier.html\n\nchurn-1.toml:\n  model = \"churn\"\n  version = 1\n  file_sha256 = \"3f9c...\"\n  conclusion = \"...\"\n  reference = \"where the reasons are\"\n\nUntil a dpo has signed it, the dossier says anonymity: not_claimed."
    )]
    Dossier(DossierArguments),
}

/// Which model is used no more, and why.
#[derive(Args, Debug)]
pub(crate) struct EndArguments {
    /// NAME@VERSION
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) model: String,
    /// Why, for the history; about no customer
    #[arg(long, value_name = "REASON")]
    pub(crate) why: String,
}

/// Which model.
#[derive(Args, Debug)]
pub(crate) struct ModelArgument {
    /// NAME (its newest version) or NAME@VERSION
    #[arg(value_name = "NAME")]
    pub(crate) model: String,
}

/// What kind of customers the inputs stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum InputKind {
    /// Made-up customers
    Hypothetical,
    /// Typical members of groups, not single people
    Segment,
}

/// Arguments of `predict`.
#[derive(Args, Debug)]
pub(crate) struct PredictArguments {
    /// NAME (its newest version) or NAME@VERSION
    #[arg(long, value_name = "NAME", required_unless_present = "model_file")]
    pub(crate) model: Option<String>,
    /// A model file that `aquifer model export` wrote; asks nobody
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub(crate) model_file: Option<PathBuf>,
    /// What the inputs are; real customers are scored at their unit
    #[arg(long, value_enum)]
    pub(crate) input: InputKind,
    /// One JSON object: feature names and values; a feature that is left out counts as missing
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) object: Option<String>,
    /// CSV or Parquet file with one input per row
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(crate) file: Option<PathBuf>,
    /// New file for the predictions (CSV, or Parquet if it ends in .parquet)
    #[arg(long, value_name = "FILE", requires = "file")]
    pub(crate) out: Option<PathBuf>,
    /// Probability from which the decision is yes
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub(crate) threshold: f64,
    /// Add the smallest change of one feature that would turn the decision
    #[arg(long)]
    pub(crate) explain: bool,
}

/// A statement and how to ask it.
#[derive(Args, Debug)]
pub(crate) struct QueryArguments {
    /// The statement; `-` reads it from standard input
    pub(crate) sql: String,
    /// Why it is asked; a standing study with this purpose must be open
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Name,
    /// Name or hash of the standing study, where several serve the purpose
    #[arg(long, value_name = "ID")]
    pub(crate) standing: Option<String>,
    /// Price of a fresh answer in micro-rho [default: the standing study's]
    #[arg(long, value_name = "N")]
    pub(crate) rho_micro: Option<u64>,
    /// Your own name for the question: asked again with it, the same release comes back
    #[arg(long, value_name = "TEXT")]
    pub(crate) request_id: Option<String>,
    /// Only an answer that is there already, which is free
    #[arg(long)]
    pub(crate) stored_only: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub(crate) format: AnswerFormat,
}

/// How to print what is listed.
#[derive(Args, Debug)]
pub(crate) struct LookArguments {
    /// How to print it; csv and json have every column
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub(crate) format: AnswerFormat,
}

/// Commands about past answers.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// List past answers under standing studies that are open, the newest first
    #[command(after_help = "Example:\n  aquifer release list")]
    List(LookArguments),
    /// Show all that is known of one
    #[command(after_help = "Example:\n  aquifer release show 3f9c2a71b0de")]
    Show {
        /// Its id, or a unique start of it (6 digits or more)
        #[arg(value_name = "ID")]
        release: String,
    },
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
}

/// Commands about contracts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Check a contract file and print its hash; asks nobody
    #[command(after_help = "Example:\n  aquifer contract check contract.toml")]
    Check {
        /// The contract file (TOML)
        file: PathBuf,
    },
    /// Make a contract from the short schema of a data set; asks nobody
    #[command(
        after_help = "Example:\n  aquifer contract from-schema telco.schema.json --privacy-unit customerID --out contract.toml"
    )]
    FromSchema {
        /// The schema (NAME.schema.json)
        file: PathBuf,
        /// The column that names a customer [default: customerID where the schema lists it, else row_id]
        #[arg(long, value_name = "COLUMN")]
        privacy_unit: Option<String>,
        /// The contract's name [default: the schema's data set]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// New file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show a contract that the coordinator knows
    Show {
        /// NAME (its newest version) or NAME@VERSION
        #[arg(value_name = "NAME")]
        contract: String,
    },
}

/// What to do about tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, this once; the coordinator keeps a hash of it
    #[command(
        after_help = "Example:\n  aquifer token issue notebook --expires-in 30d > notebook.token"
    )]
    Issue {
        /// What you call it
        name: Name,
        /// What it may be used for at most: your own role, or auditor (reads only) [default: your own role]
        #[arg(long)]
        role: Option<Role>,
        /// How long it is good, at most 90 days: a number with m, h or d
        #[arg(long, default_value = "30d", value_parser = parse_duration_ms, value_name = "TIME")]
        expires_in: u64,
    },
    /// List your tokens; an operator sees everybody's
    List,
    /// Make a token worthless
    Revoke {
        /// Which
        name: Name,
        /// Whose, if it is not your own (operators)
        #[arg(long)]
        owner: Option<Name>,
    },
}
