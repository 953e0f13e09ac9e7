//! Trains models anew: proposes their studies again when the day comes or somebody asks, and ends the use of what was superseded.
//!
//! Nothing is approved here: a proposal waits for an approver, and runs through all gates. That it is made once is the store's doing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aquifer_shared::base::ids::{IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::{MODELS_TOLD_MAX, RETRAIN_AGAIN_MS, RETRAIN_PROPOSALS_MAX};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, Life, Succession};
use aquifer_shared::protocol::ask::Response;
use aquifer_shared::protocol::wire::{CloseReason, ModelPlan, ModelPlans, frame};
use aquifer_shared::shell::quic::close;
use tokio::time::Instant;

use super::clock::now;
use super::front::SharedFrame;
use super::hub::Hub;
use super::live::Live;
use super::model_life::reason;
use super::proposing::{Texts, parsed};
use super::requests::{refused, unknown};
use super::store::{Party, Retraining, StoreFault, StoredModel};
use crate::core::chronicle::{Keyed, proposed, retrain_scheduled, succeeding, superseded};
use crate::core::retrain::{
    Outcome, Place, Proposal, SCHEDULED, again, is_due, next_number, succession,
};

/// What is planned for models, once it was looked up.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    places: Option<Vec<Kept>>,
    told: Vec<ModelPlan>,
    /// Models whose place was taken are out of use.
    settled: bool,
    /// After a proposal that could not be made.
    not_before: Option<Instant>,
}

/// A released model and what becomes of its place.
#[derive(Clone, Debug)]
struct Kept {
    name: Name,
    version: u32,
    study: StudyHash,
    life: Life,
    followed: bool,
    next_number: u32,
    succession: Succession,
}

impl Agenda {
    /// Something of it changed: models, or studies that are to take their places.
    pub(super) fn forget(&mut self) {
        (self.places, self.settled) = (None, false);
    }
}

impl Kept {
    fn named(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    fn plan(&self) -> ModelPlan {
        ModelPlan {
            study: self.study,
            succession: self.succession,
        }
    }
}

impl Hub {
    /// Does what is due, and tells units what became of their models. A store that fails is asked again at the next look.
    pub(super) async fn look_at_models(&mut self) {
        if let Err(error) = self.look().await {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(error, "models were not looked at");
        }
    }

    async fn look(&mut self) -> Result<(), StoreFault> {
        let now = self.front.law.present(now());
        let waits = self.agenda.not_before;
        let waits = waits.is_some_and(|moment| Instant::now() < moment);
        let places = self.places().await?.into_iter();
        for due in places.filter(|own| !waits && is_due(own.succession, now)) {
            self.propose_due(&due).await?;
        }
        let plans: Vec<ModelPlan> = self.places().await?.iter().map(Kept::plan).collect();
        if plans != self.agenda.told {
            let nodes: Vec<IdentityKey> = self.sessions.keys().copied().collect();
            for node in nodes {
                self.tell_plans_to(&node).await;
            }
            self.agenda.told = plans;
            return Ok(());
        }
        // Units know by then what takes a place: the last certificate of an erasure says it.
        if !self.agenda.settled {
            self.agenda.settled = true;
            let ended = self.end_superseded().await;
            if ended.is_err() {
                // Some may have ended: everybody hears it, and the rest is tried again.
                self.tell_lives().await;
                self.agenda.settled = false;
            }
            ended?;
        }
        Ok(())
    }

    async fn propose_due(&mut self, due: &Kept) -> Result<(), StoreFault> {
        let by = self.store.submitters(&due.study).await?;
        let who = by.into_iter().find(|who| who != BY_SCHEDULE);
        let who = who.unwrap_or_default();
        let place = Retraining {
            why: "scheduled by the file of its study".to_owned(),
            ..retraining(due, SCHEDULED, &who)
        };
        match self.propose_again(due, place, BY_SCHEDULE).await? {
            Ok(study) => {
                tracing::info!(model = due.named(), study = %study.short(), "proposed again: an approver decides");
            }
            Err(no) => {
                tracing::warn!(model = due.named(), refused = ?no, "its study could not be proposed again; tried later");
                let pause = Duration::from_millis(RETRAIN_AGAIN_MS);
                self.agenda.not_before = Some(Instant::now() + pause);
            }
        }
        Ok(())
    }

    /// Proposes the study of a released model again, as somebody wishes.
    pub(super) async fn retrain_now(
        &mut self,
        party: &Party,
        which: &str,
        why: &str,
    ) -> Result<Response, StoreFault> {
        let why = match reason(why) {
            Ok(why) => why,
            Err(no) => return Ok(no),
        };
        let model = match self.find_version(which).await? {
            Ok(model) => model,
            Err(no) => return Ok(no),
        };
        let places = self.places().await?;
        let Some(own) = places.into_iter().find(|own| own.study == model.study) else {
            return Ok(unknown("published model", which));
        };
        if let Some(no) = own.objection() {
            return Ok(no);
        }
        let place = Retraining {
            why: why.to_owned(),
            ..retraining(&own, own.next_number, party.name.as_str())
        };
        let put = self.propose_again(&own, place, party.name.as_str()).await?;
        Ok(put.map_or_else(
            |no| no,
            |study| {
                let text = format!(
                    "{}: study {} is proposed in its place and waits for an approver: aquifer study approve {}",
                    own.named(),
                    study.short(),
                    study.short()
                );
                Response::Done(text)
            },
        ))
    }

    /// What becomes of the places of released models.
    pub(super) async fn plans(&mut self) -> Result<Response, StoreFault> {
        let places = self.places().await?;
        let plans = places.iter().map(Kept::plan).collect();
        Ok(Response::ModelPlans(plans))
    }

    /// Tells a node with a session what becomes of the places of models that it has trained.
    pub(super) async fn tell_plans_to(&mut self, node: &IdentityKey) {
        let places = match self.places().await {
            Ok(places) => places,
            Err(error) => return tracing::error!(%error, "a node was not told of plans"),
        };
        let is_member = |own: &&Kept| {
            let live = self.studies.get(&own.study);
            live.is_some_and(|live| live.terms.member(node).is_some())
        };
        let own = places.iter().filter(is_member).take(MODELS_TOLD_MAX);
        let models: Vec<ModelPlan> = own.map(Kept::plan).collect();
        let Some(session) = self.sessions.get(node).filter(|_| !models.is_empty()) else {
            return;
        };
        let frame: SharedFrame = frame(&ModelPlans { models }).into();
        if !session.line.outbox.put(frame) {
            close(&session.line.connection, CloseReason::Busy);
        }
    }

    /// What the history says of a study that is proposed, with the place that it is to take.
    pub(super) async fn proposal_said(&self, live: &Live) -> Keyed {
        let said = proposed(&live.hash, &live.terms, live.is_question());
        if live.is_question() {
            return said;
        }
        match self.store.retraining_of(&live.hash).await {
            Ok(Some(own)) => {
                let place = (&own.succeeds, own.version);
                succeeding(said, place, (&own.why, own.number == SCHEDULED))
            }
            Ok(None) => said,
            Err(error) => {
                tracing::error!(%error, "the history does not say which place a study takes");
                said
            }
        }
    }

    async fn propose_again(
        &mut self,
        own: &Kept,
        mut place: Retraining,
        by: &str,
    ) -> Result<Result<StudyHash, Response>, StoreFault> {
        let Some(text) = self.store.study_file(&own.study).await? else {
            let text = format!(
                "the file of the study of {} is not kept: submit it again with `aquifer study submit`",
                own.named()
            );
            return Ok(Err(refused("study-file", text)));
        };
        let Some(live) = self.studies.get(&own.study) else {
            return Ok(Err(unknown("study", &own.study.short())));
        };
        let contract = live.contract_text.to_string();
        let file = match parsed(&text) {
            Ok(file) => file,
            Err(no) => return Ok(Err(no)),
        };
        let nodes = self.front.registry.nodes().await?.into_iter();
        let nodes: Vec<Name> = nodes.map(|node| node.name).collect();
        let file = again(&file, &own.life, &nodes, now());
        let proposal = match self.judged(&file, &contract).await? {
            Ok(proposal) => proposal,
            Err(no) => return Ok(Err(no)),
        };
        place.study = proposal.expanded.hash;
        let texts = Texts {
            contract: &contract,
            file: &text,
            lead_days: file.retrain.map(|choice| choice.lead_days),
        };
        let put = self.put_forward(proposal, texts, (by, Some(&place))).await;
        self.agenda.forget();
        Ok(put?.map(|()| place.study))
    }

    /// Released models with what becomes of their places, the newest first; the history hears of dates.
    async fn places(&mut self) -> Result<Vec<Kept>, StoreFault> {
        if let Some(places) = &self.agenda.places {
            return Ok(places.clone());
        }
        let now = self.front.law.present(now());
        let models = self.store.models().await?;
        let leads = self.store.leads().await?.into_iter().collect();
        let made = self.store.retrainings().await?;
        let is_open = |study: &StudyHash| self.studies.get(study).is_some_and(Live::is_running);
        let places = places(&models, (&leads, &made), is_open, now);
        for own in &places {
            if let Succession::Scheduled(at) = own.succession {
                let said = retrain_scheduled((&own.name, own.version), &own.study, at);
                self.note_history(Some(said)).await;
            }
        }
        self.agenda.places = Some(places.clone());
        Ok(places)
    }

    /// Ends the use of models in whose place another was released. The history has it first: what a crash leaves undone is done at the
    /// next look.
    async fn end_superseded(&mut self) -> Result<(), StoreFault> {
        let models = self.store.models().await?;
        let used = |study: &StudyHash| {
            let mut own = models.iter().filter(|own| own.published);
            own.find(|own| own.study == *study && own.fate == Fate::InUse)
        };
        let made = self.store.retrainings().await?;
        let over = made
            .iter()
            .filter_map(|own| Some((used(&own.succeeds)?, used(&own.study)?)));
        let mut ended = false;
        for (old, new) in over {
            let own = (&old.name, old.version);
            let said = superseded(own, &old.study, new.version);
            if self.front.chronicle().is_some() && !self.enter_history(said).await {
                self.agenda.settled = false;
                continue;
            }
            let at = now();
            self.store
                .audit(at, BY_SCHEDULE, "retire", &old.named())
                .await?;
            ended |= self.store.retire_model(own, at).await?;
        }
        if ended {
            self.tell_lives().await;
        }
        Ok(())
    }
}

impl Kept {
    /// Why it is not proposed again, whoever asks.
    fn objection(&self) -> Option<Response> {
        let which = self.named();
        if let Succession::Proposed(_) = self.succession {
            let text = format!(
                "a study in the place of {which} is proposed already: see `aquifer study list`; an operator may stop it"
            );
            return Some(refused("proposed", text));
        }
        if self.followed {
            let text = format!(
                "{which} is not the newest version in use: retrain that one; `aquifer model list` names it, and an approver may retire {which}"
            );
            return Some(refused("not-newest", text));
        }
        (self.next_number > RETRAIN_PROPOSALS_MAX).then(|| {
            let text = format!(
                "{which} was proposed again {RETRAIN_PROPOSALS_MAX} times, expected at most so many: submit its study anew with `aquifer study submit`"
            );
            refused("proposals", text)
        })
    }
}

fn retraining(own: &Kept, number: u32, who: &str) -> Retraining {
    Retraining {
        study: StudyHash::default(),
        succeeds: own.study,
        version: own.version,
        number,
        who: who.to_owned(),
        why: String::new(),
        at: now(),
    }
}

/// Released models with what becomes of their places.
fn places(
    models: &[StoredModel],
    (leads, made): (&HashMap<StudyHash, u32>, &[Retraining]),
    is_open: impl Fn(&StudyHash) -> bool,
    now: Timestamp,
) -> Vec<Kept> {
    let mut proposals: BTreeMap<StudyHash, Vec<Proposal>> = BTreeMap::new();
    for own in made {
        let model = models.iter().find(|model| model.study == own.study);
        let outcome = match model {
            Some(model) if model.published => Outcome::Released {
                version: model.version,
                at: model.created,
            },
            Some(_) => Outcome::Open,
            None if is_open(&own.study) => Outcome::Open,
            None => Outcome::Nothing,
        };
        let (number, at) = (own.number, own.at);
        proposals.entry(own.succeeds).or_default().push(Proposal {
            number,
            at,
            outcome,
        });
    }
    let mut newest: HashMap<&Name, u32> = HashMap::new();
    let released = models.iter().filter(|own| own.published);
    let lives: Vec<(&StoredModel, Life)> = released
        .filter_map(|own| Some((own, own.life()?.1)))
        .collect();
    for (own, _) in lives.iter().filter(|(_, life)| life.ended(now).is_none()) {
        let last = newest.entry(&own.name).or_default();
        *last = own.version.max(*last);
    }
    let keep = |(own, life): &(&StoredModel, Life)| {
        let proposals = proposals.get(&own.study).map_or(&[][..], Vec::as_slice);
        let place = Place {
            created: own.created,
            life: *life,
            lead_days: leads.get(&own.study).copied(),
            followed: newest
                .get(&own.name)
                .is_some_and(|last| *last > own.version),
        };
        Kept {
            name: own.name.clone(),
            version: own.version,
            study: own.study,
            life: *life,
            followed: place.followed,
            next_number: next_number(proposals),
            succession: succession(&place, proposals),
        }
    };
    lives.iter().map(keep).collect()
}

/// Who proposes by itself, in audit lines: no name has brackets.
const BY_SCHEDULE: &str = "(schedule)";
