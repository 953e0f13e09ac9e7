//! What `budget` and `studies` show, and the questions behind them: answered by a running node, or from its ledger.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::sum::{StudyTerms, TrustMode};
use aquifer_shared::shell::noise::epsilon;
use aquifer_shared::shell::policy_kept::Known;
use serde::{Deserialize, Serialize};

use super::audit::Copied;
use super::history_command::HistoryView;
use super::ledger_view::LedgerView;
use super::published::DataView;
use super::telling::Proof;
use crate::core::ledger::{CapReport, EndReason, Ledger, StudyReport};
use crate::core::participant::Participant;

/// A question to a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// Spent, reserved, left.
    Budget,
    /// Position of the ledger, its witnesses, positions of others.
    Ledger,
    /// Studies that wait for a person or run.
    Studies,
    /// A person's decision.
    Decide {
        /// Name, hash or a unique start of the hash.
        study: String,
        /// Yes or no.
        approve: bool,
    },
    /// The history; of a running node only.
    History,
    /// What is served to analysts; of a running node only.
    Data,
    /// Read the tables for analysts again; of a running node only.
    Refresh,
    /// Enter in the history what was written down elsewhere.
    Tell,
    /// The same, and whether the ledgers are those that the history knows.
    Hold,
    /// An entry of the history, proved in the checkpoint that was published last.
    Prove {
        /// Its place.
        entry: u64,
    },
    /// Payloads of entries of the history.
    Payloads {
        /// Their places.
        entries: Vec<u64>,
    },
    /// What the history knows of the policy.
    Policy,
    /// Checkpoints of the history that were published, the last of each of some days from this one on (days since 1970).
    Published {
        /// The first day.
        from: u64,
    },
    /// Entries of the history as they are, from a place on: some of them, and none only where there are no more.
    Entries {
        /// The place.
        from: u64,
    },
}

/// The node's answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Query::Budget`].
    Budget(BudgetView),
    /// To [`Query::Ledger`].
    Ledger(LedgerView),
    /// To [`Query::Studies`].
    Studies(Vec<StudyView>),
    /// To [`Query::Decide`]: durable.
    Decided(StudyView),
    /// To [`Query::History`].
    History(Box<HistoryView>),
    /// To [`Query::Data`], and to [`Query::Refresh`] once it has begun.
    Data(DataView),
    /// To [`Query::Tell`] and [`Query::Hold`]: durable.
    Told,
    /// To [`Query::Tell`] and [`Query::Hold`], where a ledger was deleted or put back.
    PutBack {
        /// Which, by its word for programs.
        code: String,
        /// What was found, and what to do.
        why: String,
    },
    /// To [`Query::Prove`]; none where no checkpoint was published that covers it.
    Proven(Option<Proof>),
    /// To [`Query::Payloads`]; none where one was erased.
    Payloads(Vec<Option<String>>),
    /// To [`Query::Policy`].
    Policy(Known),
    /// To [`Query::Published`].
    Published(Vec<String>),
    /// To [`Query::Entries`].
    Entries(Vec<Copied>),
    /// The rules say no.
    Refused(String),
}

/// The budget for people and programs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BudgetView {
    /// Contract of the first line.
    pub contract: String,
    /// Cap per contract.
    pub per_contract: Line,
    /// Cap per rolling year.
    pub per_year: Line,
    /// Delta of the epsilon figures of both caps.
    pub delta: f64,
    /// By study.
    pub studies: Vec<StudyLine>,
    /// Why nothing is accepted or charged any more, if so.
    pub locked: Option<String>,
}

/// One cap.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Line {
    /// The cap.
    pub cap: Amount,
    /// Charged.
    pub spent: Amount,
    /// Set aside.
    pub reserved: Amount,
    /// Left for new studies.
    pub left: Amount,
}

/// A price in both currencies.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Amount {
    /// Micro-rho: what is counted.
    pub rho_micro: u64,
    /// Epsilon at the delta beside it, rounded up at the 4th decimal.
    pub epsilon: f64,
}

/// One study's line of the budget.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StudyLine {
    /// Its hash.
    pub study: String,
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// Charged, training part.
    pub spent_training: u64,
    /// Charged, hold-out part.
    pub spent_holdout: u64,
    /// Charged to all customers alike: questions of analysts.
    pub spent_everyone: u64,
    /// Set aside, training part.
    pub reserved_training: u64,
    /// Set aside, hold-out part.
    pub reserved_holdout: u64,
    /// Set aside for questions of analysts.
    pub reserved_everyone: u64,
    /// What a customer was charged at most at this node, with epsilon at the study's delta.
    pub spent: Amount,
    /// Trust mode.
    pub trust: TrustMode,
    /// Honest noise shares that it rests on; 1 in node-noise.
    pub honest: u16,
    /// What was charged if everybody else colludes or the encryption breaks; none in node-noise, where it is the charge.
    pub floor: Option<Amount>,
    /// Delta of the study.
    pub delta: f64,
    /// At how many nodes a customer may be.
    pub multiplicity: u16,
    /// Attempts charged.
    pub attempts: u32,
    /// `open`, why it is over, or how many questions that are over the line stands for.
    pub state: String,
}

/// One study of `studies list`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StudyView {
    /// Its hash.
    pub study: String,
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// `waiting`, `declined`, `accepted`.
    pub state: String,
    /// Price without spare attempts, with epsilon at the study's delta.
    pub price: Amount,
    /// What is left of that if everybody else colludes or the encryption breaks; none in node-noise, where it is the price.
    pub floor: Option<Amount>,
    /// Members of a group that may be absent, and that may collude; 0 in node-noise.
    pub tolerates: (u16, u16),
    /// Delta.
    pub delta: f64,
    /// Sums asked for.
    pub sums: usize,
    /// Members.
    pub members: usize,
    /// At how many nodes a customer may be.
    pub multiplicity: u16,
    /// Trust mode.
    pub trust: TrustMode,
    /// Honest noise shares that are certain in every sum; 1 in node-noise.
    pub honest: u16,
    /// End, milliseconds since 1970.
    pub expires: u64,
    /// Marked synthetic.
    pub synthetic: bool,
}

/// Answers a question; a decision is durable only once the effects that it leaves behind are carried out.
#[must_use]
pub fn answer(node: &mut Participant, now: Timestamp, query: &Query) -> Answer {
    match query {
        Query::Budget => budget(node, now),
        Query::Ledger => Answer::Ledger(LedgerView::of_running(node)),
        Query::Studies => Answer::Studies(studies(node.ledger())),
        Query::Data | Query::Refresh => {
            Answer::Refused("only a running node has tables for analysts".to_owned())
        }
        Query::History
        | Query::Tell
        | Query::Hold
        | Query::Policy
        | Query::Prove { .. }
        | Query::Payloads { .. }
        | Query::Published { .. }
        | Query::Entries { .. } => {
            Answer::Refused("only a running node has its history open".to_owned())
        }
        Query::Decide { study, approve } => {
            let found = match find(node.ledger(), study) {
                Ok(found) => found,
                Err(reason) => return Answer::Refused(reason),
            };
            // A question that is withdrawn leaves no terms behind.
            let before = node.ledger().terms(&found).cloned();
            match node.decide(now, found, *approve) {
                Err(refusal) => Answer::Refused(refusal.to_string()),
                Ok(()) => decided(node.ledger(), &found, before.as_ref()),
            }
        }
    }
}

fn decided(ledger: &Ledger, study: &StudyHash, before: Option<&StudyTerms>) -> Answer {
    let terms = ledger.terms(study).or(before);
    let waiting = ledger.waiting_for(study);
    let state = match waiting {
        Some(waiting) if waiting.declined => "declined",
        Some(_) => "waiting",
        None if ledger.open_studies().any(|(open, _)| open == study) => "accepted",
        None => "withdrawn",
    };
    match terms.or(waiting.map(|waiting| &waiting.terms)) {
        Some(terms) => Answer::Decided(view(study, terms, state)),
        None => Answer::Refused(format!("study {} is gone", study.short())),
    }
}

fn budget(node: &Participant, now: Timestamp) -> Answer {
    let rules = node.rules();
    let (caps, contract) = (rules.policy.caps, &rules.contract.name);
    let Some(report) = node.ledger().report(now, caps, contract) else {
        return Answer::Refused("the ledger's sums do not fit: nothing is left".to_owned());
    };
    let delta = Delta::try_from(SHOWN_DELTA).expect("1e-6 is a delta");
    let line = |cap: CapReport| Line {
        cap: amount(cap.cap, delta),
        spent: amount(cap.spent, delta),
        reserved: amount(cap.reserved, delta),
        left: amount(cap.left, delta),
    };
    Answer::Budget(BudgetView {
        contract: report.contract.to_string(),
        per_contract: line(report.per_contract),
        per_year: line(report.per_year),
        delta: SHOWN_DELTA,
        studies: report.studies.into_iter().map(study_line).collect(),
        locked: node.lock().map(ToString::to_string),
    })
}

fn study_line(report: StudyReport) -> StudyLine {
    let delta = Delta::try_from(report.delta);
    let priced = |urho: MicroRho| match delta {
        Ok(delta) => amount(urho, delta),
        Err(_) => Amount {
            rho_micro: urho.0,
            epsilon: f64::MAX,
        },
    };
    StudyLine {
        study: report.study.to_string(),
        name: report.name.to_string(),
        purpose: report.purpose.to_string(),
        spent_training: report.spent.training.0,
        spent_holdout: report.spent.holdout.0,
        spent_everyone: report.spent.everyone.0,
        reserved_training: report.reserved.training.0,
        reserved_holdout: report.reserved.holdout.0,
        reserved_everyone: report.reserved.everyone.0,
        spent: priced(report.urho),
        trust: report.mode,
        honest: report.honest,
        floor: report.floor.map(priced),
        delta: report.delta,
        multiplicity: report.multiplicity,
        attempts: report.attempts,
        state: match report.questions {
            Some(questions) => format!("{questions} questions over"),
            None => report.ended.map_or("open", end_text).to_owned(),
        },
    }
}

fn studies(ledger: &Ledger) -> Vec<StudyView> {
    let waiting = ledger.waiting().map(|(study, waiting)| {
        let state = if waiting.declined {
            "declined"
        } else {
            "waiting"
        };
        view(study, &waiting.terms, state)
    });
    let open = ledger.open_studies();
    let open = open.map(|(study, terms)| view(study, terms, "accepted"));
    waiting.chain(open).collect()
}

fn view(study: &StudyHash, terms: &StudyTerms, state: &str) -> StudyView {
    StudyView {
        study: study.to_string(),
        name: terms.name.to_string(),
        purpose: terms.purpose.to_string(),
        state: state.to_owned(),
        price: amount(terms.urho, terms.delta),
        floor: terms
            .floor(terms.urho)
            .map(|floor| amount(floor, terms.delta)),
        tolerates: (terms.d_max, terms.c_max),
        delta: terms.delta.get(),
        sums: terms.rounds.len(),
        members: terms.roster.len(),
        multiplicity: terms.multiplicity,
        trust: terms.mode,
        honest: terms.honest().unwrap_or(1),
        expires: terms.expires.0,
        synthetic: terms.synthetic,
    }
}

/// The one study that a name, a hash or the start of a hash means.
fn find(ledger: &Ledger, text: &str) -> Result<StudyHash, String> {
    let waiting = ledger.waiting();
    let waiting = waiting.map(|(study, waiting)| (study, &waiting.terms));
    let known = ledger.open_studies().chain(waiting);
    let means = |(study, terms): &(&StudyHash, &StudyTerms)| {
        terms.name.as_str() == text
            || (text.len() >= HASH_START_MIN && study.to_string().starts_with(text))
    };
    let found: Vec<StudyHash> = known.filter(means).map(|(study, _)| *study).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(format!(
            "no study {text:?} waits or runs here; see `aquifer-node studies list`"
        )),
        _ => Err(format!(
            "{} studies are called {text:?}; give the start of the hash",
            found.len()
        )),
    }
}

fn amount(rho: MicroRho, delta: Delta) -> Amount {
    let found = epsilon(rho, delta);
    Amount {
        rho_micro: rho.0,
        // JSON has no infinity.
        epsilon: if found.is_finite() { found } else { f64::MAX },
    }
}

fn end_text(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Published => "published",
        EndReason::Held => "held",
        EndReason::Aborted => "aborted",
        EndReason::Expired => "expired",
        EndReason::Withdrawn => "withdrawn",
    }
}

/// Delta at which caps are shown.
const SHOWN_DELTA: f64 = 1e-6;
/// Digits of a hash that may stand for it.
const HASH_START_MIN: usize = 6;
