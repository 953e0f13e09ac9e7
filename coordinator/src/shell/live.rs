//! A study in the running coordinator: its machine, its contract, and how far it is saved.

use std::sync::Arc;

use anyhow::Context as _;
use aquifer_shared::base::ids::{IdentityKey, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{Plan, StudyTerms};
use aquifer_shared::protocol::ask::{
    MemberStatus, Response, StudyDetail, StudyState, StudyStatus, SumsBundle,
};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::protocol::wire::Offer;

use super::requests::ACCOUNTANT;
use super::store::{Closing, SpoolWrite, Spooled, StoredAnswer, StoredStudy};
use crate::core::event::{Effect, Ending, Event, Record, Spool, Token};
use crate::core::expand::{quoted_urho, shapes};
use crate::core::gates::{Denied, Permit};
use crate::core::resume::Durables;
use crate::core::study::{Conditions, Study};

/// How long members that do not answer an offer are waited for.
const OFFER_MS: u64 = 30_000;
/// The same for a question: its approvals are signed, so that nodes answer at once.
const QUESTION_OFFER_MS: u64 = 2_000;

/// Writes of a study that wait for the store, to be made together.
#[derive(Debug, Default)]
pub struct Unsaved {
    /// To be handed back, in this order.
    pub tokens: Vec<Token>,
    /// Encoded records, in this order.
    pub records: Vec<Vec<u8>>,
    /// Changes of the spool, in this order.
    pub spool: Vec<SpoolWrite>,
    /// What a question that is answered leaves behind, with the record of its end.
    pub closing: Option<Closing>,
    /// The store was asked and failed: it may have them all the same, so that nothing may be added.
    pub tried: bool,
}

/// Whether the rules of law let a study run.
#[derive(Debug)]
pub enum Footing {
    /// Yes, by this decision.
    Permitted(Permit),
    /// No, and why; units hear nothing of it but its end.
    Denied(String),
    /// It has ended.
    Over,
}

/// A contract and its text; a study and all its questions share what was read once.
pub type Agreed = (Arc<Contract>, Arc<str>);

/// Proof that a study is permitted: nothing goes to a unit without it. Only [`Live::granted`] makes one.
///
/// ```compile_fail,E0423
/// use aquifer_coordinator::shell::live::Granted;
/// fn forged(study: aquifer_shared::base::ids::StudyHash) -> Granted { Granted(study) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Granted(StudyHash);

/// A study with all that belongs to it.
pub struct Live {
    /// Its identity.
    pub hash: StudyHash,
    /// Its terms.
    pub terms: StudyTerms,
    /// Its contract.
    pub contract: Arc<Contract>,
    /// The contract's text.
    pub contract_text: Arc<str>,
    /// The core's machine.
    pub machine: Study,
    /// Names of the members, in the order of the roster; empty until known.
    pub names: Vec<Option<Name>>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When it ended; 0 if it has not.
    pub ended: Timestamp,
    /// How many records are durable.
    pub saved: u64,
    /// What waits for the store.
    pub unsaved: Unsaved,
    /// What is to be done when that is durable.
    pub next: Option<Effect>,
    /// The answer to a question, once it is durable.
    pub answer: Option<StoredAnswer>,
    /// The model waits for the store.
    pub unconcluded: bool,
    /// What lets it run.
    footing: Footing,
    /// Round and attempt before which that was decided last.
    decided: Option<(u32, u32)>,
    /// What watchers heard last.
    pub told: Option<StudyStatus>,
    epsilon: f64,
}

impl Live {
    /// A study from the store, going on where its records stop.
    ///
    /// # Errors
    ///
    /// Records that this program did not write.
    pub fn resume(
        stored: StoredStudy,
        (contract, contract_text): Agreed,
        durable: Durables,
        now: Timestamp,
        name_of: impl Fn(&IdentityKey) -> Option<Name>,
        decide: impl FnOnce(&StudyTerms, &Contract) -> Result<Permit, Denied>,
    ) -> anyhow::Result<Self> {
        let saved = durable.records.len() as u64;
        let offer_ms = match stored.question {
            true => QUESTION_OFFER_MS,
            false => OFFER_MS,
        };
        let conditions = Conditions::strict(offer_ms);
        let machine = Study::resume(now, stored.terms, &shapes(&contract), conditions, durable)
            .with_context(|| format!("study {} does not resume", stored.hash.short()))?;
        let terms = machine.terms().clone();
        let quoted = quoted_urho(&terms).unwrap_or(terms.urho);
        let footing = match machine.ending() {
            Some(_) => Footing::Over,
            None => Footing::of(decide(&terms, &contract)),
        };
        Ok(Self {
            footing,
            decided: None,
            hash: stored.hash,
            names: terms.roster.iter().map(name_of).collect(),
            epsilon: (ACCOUNTANT.epsilon)(quoted, terms.delta),
            terms,
            contract,
            contract_text,
            machine,
            submitted: stored.submitted,
            ended: stored.ended,
            saved,
            unsaved: Unsaved::default(),
            next: None,
            answer: None,
            unconcluded: false,
            told: None,
        })
    }

    /// What lets the coordinator ask units, if it may.
    #[must_use]
    pub fn granted(&self) -> Option<Granted> {
        matches!(self.footing, Footing::Permitted(_)).then_some(Granted(self.hash))
    }

    /// Puts a study on the footing of another decision.
    pub fn stand_on(&mut self, permit: Permit) {
        self.footing = Footing::Permitted(permit);
    }

    /// Whether these records open an attempt at a sum before which nothing was decided yet. That a question may be asked was decided when
    /// it was put, a moment before its first attempt.
    #[must_use]
    pub fn opens(&mut self, records: &[Record]) -> bool {
        let opened = records.iter().find_map(|record| match record {
            Record::Open { round, attempt, .. } | Record::GroupOpened { round, attempt, .. } => {
                Some((*round, *attempt))
            }
            _ => None,
        });
        let asked = self.is_question() && opened == Some((0, 0));
        if opened.is_none() || opened == self.decided || asked {
            return false;
        }
        self.decided = opened;
        true
    }

    /// Takes its footing away: units are asked for nothing more, and the study ends.
    pub fn forbid(&mut self, why: String, now: Timestamp) {
        self.footing = Footing::Denied(why.clone());
        self.machine.handle(now, Event::Denied(why));
    }

    /// Why it may not go on.
    #[must_use]
    pub fn denied(&self) -> Option<&str> {
        match &self.footing {
            Footing::Denied(why) => Some(why),
            Footing::Permitted(_) | Footing::Over => None,
        }
    }

    /// It has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.machine.ending().is_none()
    }

    /// Epsilon at the study's delta, rounded up at the fourth decimal.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// The message that offers it to a node.
    #[must_use]
    pub fn offer(&self) -> Offer {
        self.machine.offer()
    }

    /// Its line in the list.
    #[must_use]
    pub fn status(&self) -> StudyStatus {
        StudyStatus {
            study: self.hash,
            name: self.terms.name.clone(),
            purpose: self.terms.purpose.clone(),
            state: self.machine.state(),
            reason: self
                .machine
                .ending()
                .map(Ending::reason)
                .unwrap_or_default(),
            rounds_done: self.machine.released().len() as u32,
            rounds_total: self.terms.rounds.len() as u32,
            urho: quoted_urho(&self.terms).unwrap_or(self.terms.urho).0,
            epsilon: self.epsilon,
            delta: self.terms.delta.get(),
            submitted: self.submitted,
            ended: self.ended,
        }
    }

    /// All about it.
    #[must_use]
    pub fn detail(&self) -> StudyDetail {
        let offer = self.offer();
        let member = |(index, key): (usize, &IdentityKey)| {
            let (verdict, connected) = self.machine.member(index).unwrap_or((None, false));
            let short = || format!("{:.12}", key.to_string()).parse().ok();
            let name = self.names[index].clone().or_else(short)?;
            Some(MemberStatus {
                name,
                key: *key,
                verdict: verdict.cloned(),
                connected,
            })
        };
        StudyDetail {
            status: self.status(),
            terms: offer.terms,
            approvals: offer.approvals,
            members: self
                .terms
                .roster
                .iter()
                .enumerate()
                .filter_map(member)
                .collect(),
            rounds: self.machine.rounds().to_vec(),
        }
    }

    /// What a replay needs.
    #[must_use]
    pub fn sums(&self) -> Response {
        Response::Sums(Box::new(SumsBundle {
            terms: self.offer().terms,
            contract: self.contract_text.to_string(),
            sums: self.machine.released().to_vec(),
        }))
    }

    /// What all its attempts have cost.
    #[must_use]
    pub fn paid(&self) -> MicroRho {
        let attempts = self.machine.rounds().iter();
        let attempts: u64 = attempts.map(|round| u64::from(round.attempts)).sum();
        let paid = self.terms.urho.checked_mul(attempts);
        paid.unwrap_or(self.terms.urho_cap)
    }

    /// Whether it is a question of an analyst.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(self.terms.plan, Plan::Question { .. }) && !self.terms.is_standing()
    }

    /// Nothing is left to do for it, not even a durable write.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_running() && self.unsaved.is_empty() && self.machine.state() != StudyState::Running
    }
}

impl Footing {
    fn of(decided: Result<Permit, Denied>) -> Self {
        match decided {
            Ok(permit) => Self::Permitted(permit),
            Err(denied) => Self::Denied(denied.to_string()),
        }
    }
}

impl Granted {
    /// The study.
    #[must_use]
    pub fn study(self) -> StudyHash {
        self.0
    }
}

/// Records as they are stored.
#[must_use]
pub fn encoded(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(encode).collect()
}

impl Unsaved {
    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Adds a write behind the others.
    pub fn add(&mut self, token: Token, records: &[Record], spool: &[Spool]) {
        self.tokens.push(token);
        self.records.extend(encoded(records));
        for change in spool {
            match change {
                Spool::Keep { group, dealt } => {
                    let spooled = dealt.iter().map(|(dealer, shares)| Spooled {
                        group: *group,
                        dealer: *dealer,
                        shares: encode(&**shares),
                    });
                    self.spool.extend(spooled.map(SpoolWrite::Keep));
                }
                Spool::Drop { group } => self.spool.push(SpoolWrite::Drop { group: *group }),
                Spool::Clear => self.spool.push(SpoolWrite::Clear),
            }
        }
    }
}
