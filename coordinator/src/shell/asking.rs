//! Questions of analysts: from a statement to a stored answer or to a study that answers it, and from its sum to rows.
//!
//! Order: price, share, note durable, study durable, charges at the nodes, sum, answer durable, rows. A question that is lost on the way
//! is asked again under the same request id; what was charged stays charged.

use std::ops::Range;
use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::limits::{
    ASKERS_MAX, QUESTIONS_RUNNING_MAX, QUESTIONS_RUNNING_PER_ANALYST_MAX, REQUEST_IDS_MAX,
};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Query, Run};
use aquifer_shared::domain::sum::{StudyTerms, TrustMode, study_hash};
use aquifer_shared::protocol::ask::{Response, StudyState};
use aquifer_shared::protocol::codec::encode;
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::noise;
use tokio::sync::mpsc;

use super::clock::now;
use super::hub::Hub;
use super::live::{Live, encoded};
use super::objections::{failed, no_study, object, refusal_response};
use super::presenter::Reader;
use super::put::Put;
use super::requests::refused;
use super::store::{Asked, Party, StoreFault, StoredAnswer, StoredStudy};
use super::understanding::{Asking, Step, share_of};
use crate::core::asking::{Wish, standing_of, study_of};
use crate::core::event::{Event, Record};
use crate::core::gates::Permit;
use crate::core::sql::CacheUse;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Asker {
    answers: mpsc::Sender<Response>,
    reader: Reader,
}

/// A question that is under way.
#[derive(Debug)]
pub(super) struct RunningQuestion {
    /// What it answers.
    pub(super) key: Hash32,
    /// Who asked first.
    pub(super) analyst: Option<Name>,
}

impl Hub {
    /// The answer to a statement, or none where the asker hears when its study has ended.
    pub(super) async fn question(
        &mut self,
        party: &Party,
        put: &Put,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        let (asking, allowed) = match self.understand(party, put).await? {
            Ok(understood) => understood,
            Err(response) => return Ok(Some(*response)),
        };
        if let Some(request) = &asking.request
            && let Some(before) = self.store.asked(&party.name, request).await?
        {
            return self.asked_before(before, asking, answers).await;
        }
        let at_least = match asking.at_least() {
            Ok(urho) => urho,
            Err(refusal) => return Ok(Some(refusal_response(refusal))),
        };
        if let Some(stored) = self
            .front
            .lookups
            .answer_to(&self.store, &asking.key)
            .await?
            && stored.urho >= at_least
        {
            if let Some(response) = self.note_asked(&asking, stored.study).await? {
                return Ok(Some(response));
            }
            self.show(stored, asking, answers);
            return Ok(None);
        }
        if let Some(running) = self.running_for(&asking, at_least) {
            if let Some(response) = self.note_asked(&asking, running).await? {
                return Ok(Some(response));
            }
            return Ok(self.wait_for(running, asking, answers));
        }
        let urho = match &asking.price {
            Ok(urho) => *urho,
            Err(refusal) => return Ok(Some(refusal_response(refusal))),
        };
        let asking = self.paid_by_now(party, asking).await?;
        match self.may_ask(&party.name, &asking, urho) {
            Ok(()) => self.ask_units((asking, allowed), urho, answers).await,
            Err(response) => Ok(Some(*response)),
        }
    }

    /// The same with what the store says that the person has paid.
    async fn paid_by_now(&self, party: &Party, mut asking: Asking) -> Result<Asking, StoreFault> {
        let Some(live) = self.studies.get(&asking.standing) else {
            return Ok(asking);
        };
        asking.used = share_of(&self.store, party, &live.terms, live.submitted).await?;
        Ok(asking)
    }

    /// What stands against a fresh answer; nothing was noted or charged yet.
    pub(super) fn may_ask(&self, analyst: &Name, asking: &Asking, urho: MicroRho) -> Step<()> {
        let no = |state, text: &str, hint| Err(Box::new(object(state, text, hint)));
        if asking.query.settings.cache == CacheUse::Only {
            let hint = "allow a fresh answer: it is priced and paid for";
            return no("55000", "there is no stored answer to this question", hint);
        }
        let (cost, left) = (asking.cost(urho), asking.used.left());
        if cost > left {
            let text = format!(
                "the question costs {cost} with its repeated attempts, {left} is left of your share (questions under way are set aside)"
            );
            let hint =
                "name a smaller price, wait for the next window of your share, or ask the operator";
            return no("QP002", &text, hint);
        }
        let own = self.running_questions.values();
        let own = own.filter(|running| running.analyst.as_ref() == Some(analyst));
        let (own, all) = (own.count(), self.running_questions.len());
        let hint = "ask again when some have been answered";
        if own >= QUESTIONS_RUNNING_PER_ANALYST_MAX {
            let text = format!("{own} of your questions are under way");
            return no("53400", &text, hint);
        }
        if all >= QUESTIONS_RUNNING_MAX {
            return no("53400", &format!("{all} questions are under way"), hint);
        }
        self.enough_units(asking)
    }

    /// A study that is under way and will answer the same question at least as exactly.
    fn running_for(&self, asking: &Asking, at_least: MicroRho) -> Option<StudyHash> {
        let same = |live: &&Live| {
            let running = self.running_questions.get(&live.hash);
            let same = running.is_some_and(|running| running.key == asking.key);
            same && live.is_running() && live.terms.urho >= at_least
        };
        self.studies.values().find(same).map(|live| live.hash)
    }

    /// Whether enough units are connected and serve tables; nothing is charged where they are not.
    fn enough_units(&self, asking: &Asking) -> Step<()> {
        let terms = &asking.terms;
        let here = |place: usize| {
            let key = &terms.roster[place];
            self.is_connected(key) && self.serving.contains(key)
        };
        for group in terms.groups() {
            let members = group.len();
            let needed = needed(terms, members);
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

    /// What the budgets of enough units leave, as the units have said; none where too few have said it.
    pub(super) fn left_at_units(&self, terms: &StudyTerms) -> Option<MicroRho> {
        let of_group = |group: Range<usize>| {
            let needed = needed(terms, group.len());
            let left = terms.roster[group].iter().map(|key| self.left.get(key));
            let mut left: Vec<MicroRho> = left.flatten().copied().collect();
            left.sort_unstable();
            // So many have this or more.
            left.len()
                .checked_sub(needed)
                .and_then(|place| left.get(place).copied())
        };
        let groups: Option<Vec<MicroRho>> = terms.groups().into_iter().map(of_group).collect();
        groups?.into_iter().min()
    }

    /// The request id was used before: the same release, or a refusal.
    async fn asked_before(
        &mut self,
        before: Asked,
        asking: Asking,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        if !asking.is(&before) {
            let text = "the request id stands for another question";
            return Ok(Some(object("QP007", text, "take a new request id")));
        }
        if let Some(stored) = self.store.answer_of(&before.study).await? {
            self.show(Arc::new(stored), asking, answers);
            return Ok(None);
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
        (asking, allowed): (Asking, Allowed<Query, Run>),
        urho: MicroRho,
        answers: &mpsc::Sender<Response>,
    ) -> Result<Option<Response>, StoreFault> {
        let running = self.studies.values().filter(|live| live.is_running());
        let before_ms = running.map(|live| u64::from(live.terms.slot_ms)).sum();
        let (terms, bytes, hash) = match study_for(&asking, urho, before_ms) {
            Ok(study) => study,
            Err(response) => return Ok(Some(*response)),
        };
        let Some(live) = self.studies.get(&asking.standing) else {
            return Ok(Some(object("QP004", "the standing study has ended", "")));
        };
        let permit = Permit::Query(allowed);
        let approvals = live.machine.approvals().to_vec();
        let agreed = (live.contract.clone(), live.contract_text.clone());
        let members = terms.roster.iter().zip(&live.names);
        let members = members
            .filter_map(|(key, name)| Some((*key, name.clone()?)))
            .collect();
        let stored = StoredStudy {
            hash,
            name: terms.name.clone(),
            terms: bytes,
            contract_hash: terms.contract_hash,
            submitted: now(),
            ended: Default::default(),
            question: true,
        };
        let asked = asking.asked(hash, terms.urho_cap);
        // The signatures of the standing study are the question's: durable with it.
        let at = now();
        let approved = approvals.into_iter();
        let approved: Vec<Record> = approved
            .map(|approval| Record::Approved { approval, at })
            .collect();
        let first = encoded(&approved);
        let added = self.store.add_question(&stored, &asked, &first).await;
        self.front.lookups.forget_paid();
        if !added? {
            let hint = "take a new request id";
            return Ok(Some(object("QP007", "the request id is in use", hint)));
        }
        let running = RunningQuestion {
            key: asking.key,
            analyst: Some(asking.analyst.clone()),
        };
        self.running_questions.insert(hash, running);
        // There is room: nobody waits for a study that is new.
        let full = self.wait_for(hash, asking, answers);
        if let Err(error) = self
            .take_up(stored, agreed, members, (approved, permit))
            .await
        {
            self.take_back(&hash).await?;
            return Ok(Some(refused("study", format!("{error:#}"))));
        }
        Ok(full)
    }

    /// A question that was noted and of which no unit has heard costs nothing.
    async fn take_back(&mut self, hash: &StudyHash) -> Result<(), StoreFault> {
        self.askers.remove(hash);
        self.running_questions.remove(hash);
        self.store.end_study(hash, now()).await?;
        let settled = self.store.settle_asked(hash, MicroRho::ZERO).await;
        self.front.lookups.forget_paid();
        settled
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

    /// Keeps a request id for an answer that is there or under way; a refusal where the asker keeps too many. An answer that nobody
    /// asks for by name costs nothing and is not noted.
    async fn note_asked(
        &mut self,
        asking: &Asking,
        study: StudyHash,
    ) -> Result<Option<Response>, StoreFault> {
        if asking.request.is_none() {
            return Ok(None);
        }
        let ids = self.request_ids.entry(asking.analyst.clone()).or_default();
        if *ids >= REQUEST_IDS_MAX {
            let text = format!("{ids} request ids of yours are kept for answers that were there");
            let hint = "ask without a request id: the answer is stored and free";
            return Ok(Some(object("53400", &text, hint)));
        }
        let asked = asking.asked(study, MicroRho::ZERO);
        *ids += u64::from(self.store.add_asked(&asked).await?);
        Ok(None)
    }

    /// Shows an answer that was there.
    fn show(&self, stored: Arc<StoredAnswer>, asking: Asking, answers: &mpsc::Sender<Response>) {
        let reader = Reader {
            notice: None,
            ..asking.reader()
        };
        self.presenter.show(stored, reader, true, answers.clone());
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
            reader: asking.reader(),
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
        if live.answer.is_none() {
            self.tell_cost(live).await;
            let settled = self.store.settle_asked(&hash, live.paid()).await;
            self.front.lookups.forget_paid();
            if let Err(error) = settled {
                tracing::error!(%error, "a share keeps what was set aside for all attempts");
            }
        }
        let stored = live.answer.clone().map(Arc::new);
        for asker in self.askers.remove(&hash).unwrap_or_default() {
            match &stored {
                Some(stored) => {
                    self.presenter
                        .show(stored.clone(), asker.reader, false, asker.answers);
                }
                None => {
                    let _ = asker.answers.try_send(failed(live));
                }
            }
        }
        self.running_questions.remove(&hash);
        self.studies.remove(&hash);
    }
}

/// Terms, encoding and identity of the study that answers, behind so many milliseconds of slots at the units.
fn study_for(
    asking: &Asking,
    urho: MicroRho,
    before_ms: u64,
) -> Step<(StudyTerms, Vec<u8>, StudyHash)> {
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
        urho,
        before_ms,
    };
    let (terms, bytes, hash) = study_of(&wish, id, now()).map_err(|no| Box::new(no_study(&no)))?;
    noise::check_charge(&terms)
        .map_err(|error| Box::new(object("QP003", &error.to_string(), "name another price")))?;
    Ok((terms, bytes, hash))
}

/// Units of a group of so many members without which there is no sum.
fn needed(terms: &StudyTerms, members: usize) -> usize {
    match terms.mode {
        TrustMode::NodeNoise => usize::from(terms.quorum),
        TrustMode::SharedNoise => terms
            .thresholds(members)
            .map_or(usize::MAX, |thresholds| thresholds.dealers_min()),
    }
}
