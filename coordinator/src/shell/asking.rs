//! Questions of analysts: from a statement to a stored answer or to a study that answers it, and from its sum to rows.
//!
//! Order: price, share, note durable, study durable, charges at the nodes, sum, answer durable, rows. A question that is lost on the way
//! is asked again under the same request id; what was charged stays charged.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::limits::{ASKERS_MAX, QUESTIONS_RUNNING_MAX};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{StudyTerms, TrustMode, study_hash};
use aquifer_shared::protocol::ask::{Response, StudyState};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::{Message, Offer};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::noise;
use tokio::sync::mpsc;

use super::clock::now;
use super::hub::Hub;
use super::live::{Live, encoded};
use super::objections::{failed, no_study, object};
use super::put::Put;
use super::requests::{ACCOUNTANT, refused};
use super::store::{Asked, Party, StoreFault, StoredAnswer, StoredStudy};
use super::understanding::{Asking, Step};
use crate::core::asking::{Wish, answer_of, standing_of, study_of};
use crate::core::event::{Event, Record};
use crate::core::sql::{CacheUse, Query};

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Asker {
    answers: mpsc::Sender<Response>,
    query: Box<Query>,
    /// What to say beside the answer.
    notice: Option<String>,
}

impl Hub {
    /// The answer to a statement, or none where the asker hears when its study has ended.
    pub(super) async fn question(
        &mut self,
        party: &Party,
        put: &Put,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        let asking = match self.understand(party, put).await? {
            Ok(asking) => asking,
            Err(response) => return Ok(Some(*response)),
        };
        if let Some(request) = &asking.request
            && let Some(before) = self.store.asked(&party.name, request).await?
        {
            return self.asked_before(before, asking, answers).await;
        }
        if let Some(stored) = self.store.answer_to(&asking.key).await?
            && stored.urho >= asking.urho
        {
            self.note_asked(&asking, &asking.asked(party, stored.study, MicroRho::ZERO))
                .await?;
            return Ok(Some(shown(&stored, &asking.query, &asking.contract, true)));
        }
        if let Some(running) = self.running_for(&asking) {
            self.note_asked(&asking, &asking.asked(party, running, MicroRho::ZERO))
                .await?;
            return Ok(self.wait_for(running, asking, answers));
        }
        match self.may_ask(&asking) {
            Ok(()) => self.ask_units(party, asking, answers).await,
            Err(response) => Ok(Some(*response)),
        }
    }

    /// What stands against a fresh answer; nothing was noted or charged yet.
    pub(super) fn may_ask(&self, asking: &Asking) -> Step<()> {
        let no = |state, text: &str, hint| Err(Box::new(object(state, text, hint)));
        if asking.query.settings.cache == CacheUse::Only {
            let hint = "allow a fresh answer: it is priced and paid for";
            return no("55000", "there is no stored answer to this question", hint);
        }
        let (cost, left) = (asking.cost(), asking.used.left());
        if cost > left {
            let text = format!(
                "the question costs {cost} with its repeated attempts, {left} is left of your share for this purpose (questions under way are set aside)"
            );
            let hint =
                "name a smaller price, wait for the next window of your share, or ask the operator";
            return no("QP002", &text, hint);
        }
        if self.running_keys.len() >= QUESTIONS_RUNNING_MAX {
            let text = format!("{QUESTIONS_RUNNING_MAX} questions are under way");
            return no("53400", &text, "ask again when some have been answered");
        }
        self.enough_units(asking)
    }

    /// A study that is under way and will answer the same question at least as exactly.
    fn running_for(&self, asking: &Asking) -> Option<StudyHash> {
        let same = |live: &&Live| {
            let key = self.running_keys.get(&live.hash);
            live.is_running() && key == Some(&asking.key) && live.terms.urho >= asking.urho
        };
        self.studies.values().find(same).map(|live| live.hash)
    }

    /// Whether enough units are connected and serve tables; nothing is charged where they are not.
    fn enough_units(&self, asking: &Asking) -> Step<()> {
        let terms = &asking.terms;
        let here = |place: usize| {
            let key = &terms.roster[place];
            self.is_connected(key) && self.data_versions.contains_key(key)
        };
        for group in terms.groups() {
            let members = group.len();
            let needed = match terms.mode {
                TrustMode::NodeNoise => usize::from(terms.quorum),
                TrustMode::SharedNoise => terms
                    .thresholds(members)
                    .map_or(usize::MAX, |thresholds| thresholds.dealers_min()),
            };
            let there = group.filter(|place| here(*place)).count();
            if there < needed {
                let text = format!(
                    "{there} of {members} units serve their tables now, a sum needs {needed}"
                );
                let hint = "nothing was charged; `aquifer nodes` shows who is away";
                return Err(Box::new(object("QP006", &text, hint)));
            }
        }
        Ok(())
    }

    /// The request id was used before: the same release, or a refusal.
    async fn asked_before(
        &mut self,
        before: Asked,
        asking: Asking,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        if before.key != asking.key {
            let text = "the request id stands for another question";
            return Ok(Some(object("QP007", text, "take a new request id")));
        }
        if let Some(stored) = self.store.answer_of(&before.study).await? {
            return Ok(Some(shown(&stored, &asking.query, &asking.contract, true)));
        }
        if self
            .studies
            .get(&before.study)
            .is_some_and(Live::is_running)
        {
            return Ok(self.wait_for(before.study, asking, answers));
        }
        let text = "the question was asked under this request id and ended without an answer";
        Ok(Some(object(
            "QP008",
            text,
            "ask again under a new request id",
        )))
    }

    /// Makes the study that answers, durable before any unit hears of it.
    async fn ask_units(
        &mut self,
        party: &Party,
        asking: Asking,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        let running = self.studies.values().filter(|live| live.is_running());
        let before_ms = running.map(|live| u64::from(live.terms.slot_ms)).sum();
        let (terms, bytes, hash) = match study_for(&asking, before_ms) {
            Ok(study) => study,
            Err(response) => return Ok(Some(*response)),
        };
        let Some(live) = self.studies.get(&asking.standing) else {
            return Ok(Some(object("QP004", "the standing study has ended", "")));
        };
        let (approvals, text) = (live.offer().approvals, live.contract_text.clone());
        let members = terms.roster.iter().zip(&live.names);
        let members = members
            .filter_map(|(key, name)| Some((*key, name.clone()?)))
            .collect();
        let stored = StoredStudy {
            hash,
            name: terms.name.clone(),
            terms: bytes,
            contract_hash: asking.contract.hash(),
            submitted: now(),
            ended: Default::default(),
        };
        let asked = asking.asked(party, hash, terms.urho_cap);
        // The signatures of the standing study are the question's: durable with it.
        let at = now();
        let approved = approvals.into_iter();
        let approved: Vec<Record> = approved
            .map(|approval| Record::Approved { approval, at })
            .collect();
        let first = encoded(&approved);
        if !self.store.add_question(&stored, &asked, &first).await? {
            let hint = "take a new request id";
            return Ok(Some(object("QP007", "the request id is in use", hint)));
        }
        self.running_keys.insert(hash, asking.key);
        // There is room: nobody waits for a study that is new.
        let full = self.wait_for(hash, asking, answers);
        if let Err(error) = self.take_up(stored, &text, members, approved).await {
            self.askers.remove(&hash);
            return Ok(Some(refused("study", format!("{error:#}"))));
        }
        Ok(full)
    }

    /// Questions that were stored when the process stopped before their approvals were: they go on.
    pub(super) async fn resume_questions(&mut self) {
        let waiting = |live: &Live| {
            let asked = standing_of(&live.terms).is_some() && !live.terms.is_standing();
            let submitted = live.machine.state() == StudyState::Submitted;
            let standing = study_hash(&encode(&live.terms.template()));
            (asked && submitted).then_some((live.hash, standing))
        };
        let waiting: Vec<_> = self.studies.values().filter_map(waiting).collect();
        for (hash, standing) in waiting {
            let standing = self.studies.get(&standing);
            let approvals = standing.map_or(Vec::new(), |live| live.offer().approvals);
            for approval in approvals {
                self.handle(hash, Event::Approved(approval)).await;
            }
        }
    }

    /// A stored answer that nobody asks for by name costs nothing and is not noted.
    async fn note_asked(&self, asking: &Asking, asked: &Asked) -> Result<(), StoreFault> {
        if asking.request.is_some() {
            self.store.add_asked(asked).await?;
        }
        Ok(())
    }

    /// Adds somebody who waits for the answer of a study; a refusal where too many do.
    fn wait_for(
        &mut self,
        study: StudyHash,
        asking: Asking,
        answers: &mpsc::Sender<Response>,
    ) -> Option<Response> {
        let askers = self.askers.entry(study).or_default();
        askers.retain(|asker| !asker.answers.is_closed());
        if askers.len() >= ASKERS_MAX {
            let text = format!("{ASKERS_MAX} askers wait for this answer");
            return Some(object(
                "53300",
                &text,
                "ask again: the answer will be stored",
            ));
        }
        askers.push(Asker {
            answers: answers.clone(),
            notice: asking.used.notice(),
            query: asking.query,
        });
        None
    }

    /// Tells those who wait what came of a study that has ended, and forgets the study: its answer is in the store.
    pub(super) async fn answer_askers(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get(&hash) else {
            return;
        };
        if !live.is_settled() || standing_of(&live.terms).is_none() || live.terms.is_standing() {
            return;
        }
        // With an answer, what it has cost is settled already.
        if live.answer.is_none()
            && let Err(error) = self.store.settle_asked(&hash, live.paid()).await
        {
            tracing::error!(%error, "a share keeps what was set aside for all attempts");
        }
        for asker in self.askers.remove(&hash).unwrap_or_default() {
            let mut response = match &live.answer {
                Some(stored) => shown(stored, &asker.query, &live.contract, false),
                None => failed(live),
            };
            if let Response::Answer(answer) = &mut response {
                answer.notices.extend(asker.notice);
            }
            // Who asked may have gone; the answer stays, and the charge.
            let _ = asker.answers.try_send(response);
        }
        self.running_keys.remove(&hash);
        self.studies.remove(&hash);
    }
}

/// Terms, encoding and identity of the study that answers, behind so many milliseconds of slots at the units.
fn study_for(asking: &Asking, before_ms: u64) -> Step<(StudyTerms, Vec<u8>, StudyHash)> {
    let random = random_bytes32();
    let random = random.map_err(|error| Box::new(refused("random", error.to_string())))?;
    let mut id = [0; 16];
    id.copy_from_slice(&random[..16]);
    let table = asking.contract.published(&asking.query.question.table);
    let table = table.ok_or_else(|| Box::new(object("42P01", "the table is not published", "")))?;
    let wish = Wish {
        standing: &asking.terms,
        table,
        question: &asking.query.question,
        data: &asking.data,
        urho: asking.urho,
        before_ms,
    };
    let (terms, bytes, hash) = study_of(&wish, id, now()).map_err(|no| Box::new(no_study(&no)))?;
    noise::check_charge(&terms)
        .map_err(|error| Box::new(object("QP003", &error.to_string(), "name another price")))?;
    Ok((terms, bytes, hash))
}

/// Rows of a stored answer for one asker.
fn shown(stored: &StoredAnswer, query: &Query, contract: &Contract, was_there: bool) -> Response {
    let terms = decode::<StudyTerms>("study terms", &stored.terms, Offer::BYTES_MAX).ok();
    let table = contract.published(&query.question.table);
    let made = (was_there, stored.created);
    let answer = terms.zip(table).and_then(|(terms, table)| {
        answer_of(
            (stored.study, stored.attempts),
            &terms,
            &stored.sum,
            query,
            table,
            made,
            ACCOUNTANT,
        )
    });
    match answer {
        Some(answer) => Response::Answer(Box::new(answer)),
        None => refused(
            "store",
            "a stored answer does not fit its question; tell the coordinator's operator".into(),
        ),
    }
}
