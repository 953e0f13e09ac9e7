//! Questions of analysts: from a statement to a stored answer or to a study that answers it, and from its sum to rows.
//!
//! Order: price, share, note durable, study durable, charges at the nodes, sum, answer durable, rows. A question that is lost on the way
//! is asked again under the same request id; what was charged stays charged.

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{StudyTerms, TrustMode, study_hash};
use aquifer_shared::protocol::ask::{Answer, Response, StudyState};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::{Message, Offer};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::noise;
use tokio::sync::mpsc;

use super::clock::now;
use super::hub::Hub;
use super::live::Live;
use super::objections::{failed, no_study, object, refusal_response};
use super::put::Put;
use super::requests::{ACCOUNTANT, refused};
use super::store::{Asked, Party, StoreFault, StoredAnswer, StoredStudy};
use crate::core::asking::{Wish, answer_key, answer_of, columns, price_of, standing_of, study_of};
use crate::core::event::Event;
use crate::core::price_tag::{Priced, price_tag};
use crate::core::sql::{self, CacheUse, Query, Statement};

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Asker {
    answers: mpsc::Sender<Response>,
    query: Box<Query>,
}

/// A question with everything that its answer depends on.
struct Asking {
    query: Box<Query>,
    standing: StudyHash,
    terms: StudyTerms,
    contract: Contract,
    data: Vec<Name>,
    key: Hash32,
    urho: MicroRho,
    /// What the asker's questions for this purpose have cost.
    used: MicroRho,
    request: Option<String>,
}

/// What a step of asking comes to: go on with this, or say that.
type Step<T> = Result<T, Box<Response>>;

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
            self.note_asked(party, &asking, stored.study, MicroRho::ZERO)
                .await?;
            return Ok(Some(shown(&stored, &asking.query, &asking.contract, true)));
        }
        if let Some(running) = self.running_for(&asking) {
            self.note_asked(party, &asking, running, MicroRho::ZERO)
                .await?;
            self.wait_for(running, asking.query, answers);
            return Ok(None);
        }
        if asking.query.settings.cache == CacheUse::Only {
            let text = "there is no stored answer to this question";
            return Ok(Some(object(
                "55000",
                text,
                "allow a fresh answer: it is priced and paid for",
            )));
        }
        if let Err(response) = self.enough_units(&asking) {
            return Ok(Some(*response));
        }
        self.ask_units(party, asking, answers).await
    }

    /// The statement under the standing study that serves its purpose; price tags and other statements are answered here.
    async fn understand(&mut self, party: &Party, put: &Put) -> Result<Step<Asking>, StoreFault> {
        let Some(live) = self.standing_for(put) else {
            let hint = "`aquifer study list` shows open studies; an operator submits one with plan = questions";
            let text = format!("no standing study is open for purpose {}", put.purpose);
            return Ok(Err(Box::new(object("QP004", &text, hint))));
        };
        let (standing, terms, contract) = (live.hash, live.terms.clone(), live.contract.clone());
        let bound = Some(&put.parameters[..]);
        let (query, only_price) = match sql::compile(&put.sql, &put.settings, &contract, bound) {
            Ok(Statement::Query(query)) => (query, false),
            Ok(Statement::Explain { query, .. }) => (query, true),
            Ok(_) => {
                let text = "the statement asks nothing";
                return Ok(Err(Box::new(object(
                    "0A000",
                    text,
                    "write SELECT or EXPLAIN SELECT",
                ))));
            }
            Err(refusal) => return Ok(Err(Box::new(refusal_response(&refusal)))),
        };
        if query.is_empty() && !only_price {
            return Ok(Err(Box::new(no_rows(&query))));
        }
        let used = self.store.share_used(&party.name, &put.purpose).await?;
        let urho = match price_of(&terms, &query, put.urho, used, ACCOUNTANT) {
            Ok(urho) => urho,
            Err(no) => return Ok(Err(Box::new(no_study(&no)))),
        };
        let data = self.data_of(&terms);
        let key = answer_key(&terms, &query.question, &data);
        let asking = Asking {
            query,
            standing,
            terms,
            contract,
            data,
            key,
            urho,
            used,
            request: put.settings.request_id.clone(),
        };
        if only_price {
            return Ok(Err(Box::new(self.price_tag(&asking).await?)));
        }
        Ok(Ok(asking))
    }

    /// The newest open standing study for a purpose, or the one that is named.
    fn standing_for(&self, put: &Put) -> Option<&Live> {
        let open = self.studies.values().filter(|live| {
            let named = put.standing.as_ref().is_none_or(|named| {
                live.terms.name.as_str() == named
                    || live.hash.to_string().starts_with(named.as_str())
            });
            live.machine.state() == StudyState::Open && live.terms.purpose == put.purpose && named
        });
        open.max_by_key(|live| (live.submitted, live.hash))
    }

    /// Which state of the tables each member serves, as far as it has said so.
    fn data_of(&self, terms: &StudyTerms) -> Vec<Name> {
        let unknown = || "unknown".parse().expect("a name");
        let of = |key| self.data_versions.get(key).cloned().unwrap_or_else(unknown);
        terms.roster.iter().map(of).collect()
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
            self.wait_for(before.study, asking.query, answers);
            return Ok(None);
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
        let (terms, bytes, hash) = match study_for(&asking) {
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
        let (contract, version) = (asking.contract.name.clone(), asking.contract.version);
        let stored = StoredStudy {
            hash,
            name: terms.name.clone(),
            terms: bytes,
            contract_hash: asking.contract.hash(),
            submitted: now(),
            ended: Default::default(),
        };
        self.store
            .add_study(&stored, &contract, version, &text)
            .await?;
        if !self
            .note_asked(party, &asking, hash, terms.urho_cap)
            .await?
        {
            return Ok(Some(object(
                "QP007",
                "the request id is in use",
                "take a new request id",
            )));
        }
        self.running_keys.insert(hash, asking.key);
        self.wait_for(hash, asking.query, answers);
        if let Err(error) = self.take_up(stored, &text, members).await {
            self.askers.remove(&hash);
            return Ok(Some(refused("study", format!("{error:#}"))));
        }
        for approval in approvals {
            self.handle(hash, Event::Approved(approval)).await;
        }
        Ok(None)
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

    async fn note_asked(
        &self,
        party: &Party,
        asking: &Asking,
        study: StudyHash,
        urho: MicroRho,
    ) -> Result<bool, StoreFault> {
        let request = match &asking.request {
            Some(request) => request.clone(),
            // A stored answer that nobody asks for by name costs nothing and is not noted.
            None if urho == MicroRho::ZERO => return Ok(true),
            None => study.to_string(),
        };
        self.store
            .add_asked(&Asked {
                analyst: party.name.clone(),
                request,
                key: asking.key,
                study,
                purpose: asking.terms.purpose.clone(),
                urho,
                at: now(),
            })
            .await
    }

    fn wait_for(&mut self, study: StudyHash, query: Box<Query>, answers: &mpsc::Sender<Response>) {
        let asker = Asker {
            answers: answers.clone(),
            query,
        };
        self.askers.entry(study).or_default().push(asker);
    }

    /// Tells those who wait what came of a study that has ended, and forgets the study: its answer is in the store.
    pub(super) async fn answer_askers(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get(&hash) else {
            return;
        };
        if !live.is_settled() || standing_of(&live.terms).is_none() || live.terms.is_standing() {
            return;
        }
        let stored = match self.store.answer_of(&hash).await {
            Ok(stored) => stored,
            Err(error) => return tracing::error!(%error, "an answer was not read"),
        };
        for asker in self.askers.remove(&hash).unwrap_or_default() {
            let response = match &stored {
                Some(stored) => shown(stored, &asker.query, &live.contract, false),
                None => failed(live),
            };
            // Who asked may have gone; the answer stays, and the charge.
            let _ = asker.answers.try_send(response);
        }
        self.running_keys.remove(&hash);
        self.studies.remove(&hash);
    }

    async fn price_tag(&self, asking: &Asking) -> Result<Response, StoreFault> {
        let stored = self.store.answer_to(&asking.key).await?;
        let free = stored.is_some_and(|stored| stored.urho >= asking.urho);
        let Some(table) = asking.contract.published(&asking.query.question.table) else {
            return Ok(object("42P01", "the table is not published", ""));
        };
        let allowed = standing_of(&asking.terms).map_or(MicroRho::ZERO, |allowed| allowed.urho_max);
        let left = allowed.left_after(asking.used);
        let priced = Priced {
            standing: &asking.terms,
            table,
            query: &asking.query,
            urho: asking.urho,
            data: &asking.data,
            stored: free,
            left,
        };
        let tag = price_tag(&priced, ACCOUNTANT);
        Ok(match tag {
            Ok(answer) => Response::Answer(Box::new(answer)),
            Err(no) => no_study(&no),
        })
    }
}

/// Terms, encoding and identity of the study that answers.
fn study_for(asking: &Asking) -> Step<(StudyTerms, Vec<u8>, StudyHash)> {
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
            stored.study,
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

/// The columns of a question that wants no rows: nothing is asked.
fn no_rows(query: &Query) -> Response {
    Response::Answer(Box::new(Answer {
        columns: columns(sql::columns(query)),
        rows: Vec::new(),
        notices: Vec::new(),
        release: None,
    }))
}
