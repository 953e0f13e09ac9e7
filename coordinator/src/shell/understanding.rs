//! A statement under the standing study that serves its purpose: what is asked, at which price, and what is left to pay it with.
//!
//! Reads the store and spends nothing; price tags, statements that want no rows, and refusals are answered here.

use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{self, Run};
use aquifer_shared::domain::sum::{StudyTerms, study_hash};
use aquifer_shared::protocol::ask::{Answer, Objection, Response, StudyState};
use aquifer_shared::protocol::codec::encode;

use super::clock::now;
use super::hub::Hub;
use super::live::Live;
use super::objections::{no_study, object, refusal_response};
use super::presenter::Reader;
use super::put::Put;
use super::requests::ACCOUNTANT;
use super::store::{Asked, Party, Store, StoreFault};
use crate::core::asking::{answer_key, attempts, columns, plan_key, public_terms, standing_of};
use crate::core::price_tag::{Surroundings, price_tag};
use crate::core::purposes;
use crate::core::shares::{Share, window_start};
use crate::core::sql::{self, Left, PriceWish, PublicTerms, Query, Refusal, Statement};

/// A question with everything that its answer depends on.
pub(super) struct Asking {
    pub(super) query: Box<Query>,
    pub(super) standing: StudyHash,
    pub(super) terms: StudyTerms,
    pub(super) contract: Arc<Contract>,
    /// Data version of each member.
    pub(super) data: Vec<Name>,
    /// What a stored answer must answer.
    pub(super) key: Hash32,
    /// What a request id stands for.
    plan: Hash32,
    /// Price of one attempt, or why there is none.
    pub(super) price: Result<MicroRho, Refusal>,
    /// What the asker has paid under the standing study.
    pub(super) used: Share,
    pub(super) request: Option<String>,
    /// Who asks.
    pub(super) analyst: Name,
    public: PublicTerms,
}

/// What a step of asking comes to: go on with this, or say that.
pub(super) type Step<T> = Result<T, Box<Response>>;

impl Asking {
    /// What all attempts cost.
    pub(super) fn cost(&self, urho: MicroRho) -> MicroRho {
        let all = urho.checked_mul(attempts(&self.terms));
        all.unwrap_or(MicroRho(u64::MAX))
    }

    /// The least that an answer must have cost to do; a part of a share that is used up is nothing, so that any answer does.
    pub(super) fn at_least(&self) -> Result<MicroRho, &Refusal> {
        match &self.price {
            Ok(urho) => Ok(*urho),
            Err(_) if matches!(self.query.price, PriceWish::Share(_)) => Ok(MicroRho::ZERO),
            Err(refusal) => Err(refusal),
        }
    }

    /// What its answer is shown by.
    pub(super) fn reader(self) -> Reader {
        Reader {
            floor: standing_of(&self.terms).map_or(0, |allowed| allowed.cohort_floor),
            notice: self.used.notice(),
            query: self.query,
            contract: self.contract,
        }
    }

    /// Whether this stands under the request id of what was asked before.
    pub(super) fn is(&self, before: &Asked) -> bool {
        self.plan == before.plan
    }

    /// The question as it is noted, with what it counts against the asker's share.
    pub(super) fn asked(&self, study: StudyHash, urho: MicroRho) -> Asked {
        Asked {
            analyst: self.analyst.clone(),
            request: self.request.clone().unwrap_or_else(|| study.to_string()),
            plan: self.plan,
            study,
            standing: self.standing,
            purpose: self.terms.purpose.clone(),
            urho,
            at: now(),
        }
    }
}

impl Hub {
    /// The statement under the standing study that serves its purpose; price tags and other statements are answered here.
    pub(super) async fn understand(
        &self,
        party: &Party,
        put: &Put,
    ) -> Result<Step<(Asking, Allowed<witness::Query, Run>)>, StoreFault> {
        let Some(live) = self.standing_for(put) else {
            return Ok(Err(Box::new(Response::Objection(self.no_standing(put)))));
        };
        let bound = Some(&put.parameters[..]);
        let (query, tag) = match sql::compile(&put.sql, &put.settings, &live.contract, bound) {
            Ok(Statement::Query(query)) => (query, None),
            Ok(Statement::Explain { query, json }) => (query, Some(json)),
            Ok(_) => {
                let hint = "write SELECT or EXPLAIN SELECT";
                return no("0A000", "the statement asks nothing", hint);
            }
            Err(refusal) => return Ok(Err(Box::new(refusal_response(&refusal)))),
        };
        if query.is_empty() && tag.is_none() {
            return Ok(Err(Box::new(no_rows(&query))));
        }
        let table = match listed(live, &query) {
            Ok(table) => table,
            Err(response) => return Ok(Err(response)),
        };
        let used = self.share_of(party, live).await?;
        let asking = match self.priced(party, live, query, table, used, put) {
            Ok(asking) => asking,
            Err(response) => return Ok(Err(response)),
        };
        let allowed = match self.lawful(&asking, table) {
            Ok(allowed) => allowed,
            Err(response) => return Ok(Err(response)),
        };
        Ok(match tag {
            Some(json) => Err(Box::new(self.price_tag(&asking, table, json).await?)),
            None => Ok((asking, allowed)),
        })
    }

    /// Whether the rules of law let the question be asked; of a question without a price the rest is looked at.
    fn lawful(&self, asking: &Asking, table: &Published) -> Step<Allowed<witness::Query, Run>> {
        let urho = asking.price.as_ref().map_or(MicroRho::ZERO, |urho| *urho);
        let cost = asking.cost(urho);
        let quoted = asking.terms.quoted(cost).unwrap_or(cost);
        let epsilon = (ACCOUNTANT.epsilon)(quoted, asking.terms.delta);
        let question = (table, &asking.query.question);
        let law = &self.front.law;
        let decided = law.question(&asking.terms, question, epsilon, now());
        decided.map_err(|denied| Box::new(object("QP009", &denied.to_string(), &denied.hint())))
    }

    fn priced(
        &self,
        party: &Party,
        live: &Live,
        mut query: Box<Query>,
        table: &Published,
        used: Share,
        put: &Put,
    ) -> Step<Asking> {
        let terms = live.terms.clone();
        let data = self.data_of(&terms);
        let public = public_terms(&terms, table, &query.question, &data);
        let public = public.map_err(|no| Box::new(no_study(&no)))?;
        if let Some(urho) = put.urho {
            query.price = PriceWish::Rho(urho);
        }
        let left = Left {
            hard: None,
            share: Some(MicroRho(used.left().0 / attempts(&terms))),
        };
        let price = sql::price(&query, &public, left, ACCOUNTANT.largest_urho);
        Ok(Asking {
            analyst: party.name.clone(),
            standing: live.hash,
            contract: live.contract.clone(),
            key: answer_key(&terms, &query.question, &data),
            plan: plan_key(&terms, &query.question),
            request: put.settings.request_id.clone(),
            query,
            terms,
            data,
            price,
            used,
            public,
        })
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

    /// What is said where none is open for the purpose, or not the one that is named.
    fn no_standing(&self, put: &Put) -> Box<Objection> {
        let standing = |live: &&Live| {
            let open = live.machine.state() == StudyState::Open;
            open && standing_of(&live.terms).is_some()
        };
        let open = || self.studies.values().filter(standing);
        let same = || open().filter(|live| live.terms.purpose == put.purpose);
        match &put.standing {
            Some(named) if same().next().is_some() => {
                purposes::not_named(named, &put.purpose, same().map(|live| &live.terms.name))
            }
            _ => {
                let names = open().map(|live| &live.terms.purpose);
                purposes::not_open(put.purpose.as_str(), names)
            }
        }
    }

    /// As [`share_of`], from memory where nothing has changed.
    async fn share_of(&self, party: &Party, live: &Live) -> Result<Share, StoreFault> {
        let Some(allowed) = standing_of(&live.terms) else {
            return Ok(Share::default());
        };
        let window = window_start(allowed.window, now()).max(live.submitted);
        let of = (&live.hash, window);
        let paid = self
            .front
            .lookups
            .paid(&self.store, Some(&party.name), of)
            .await?;
        Ok(Share::of(allowed, paid))
    }

    /// Which state of the tables each member serves, as far as it has said so.
    fn data_of(&self, terms: &StudyTerms) -> Vec<Name> {
        let unknown = || "unknown".parse().expect("a name");
        let of = |key| self.data_versions.get(key).cloned().unwrap_or_else(unknown);
        terms.roster.iter().map(of).collect()
    }

    async fn price_tag(
        &self,
        asking: &Asking,
        table: &Published,
        as_json: bool,
    ) -> Result<Response, StoreFault> {
        let urho = match &asking.price {
            Ok(urho) => *urho,
            Err(refusal) => return Ok(refusal_response(refusal)),
        };
        let stored = self
            .front
            .lookups
            .answer_to(&self.store, &asking.key)
            .await?;
        let stored = stored.is_some_and(|stored| stored.urho >= urho);
        let Some(allowed) = standing_of(&asking.terms) else {
            return Ok(object("QP004", "the standing study has ended", ""));
        };
        let all = (&asking.standing, Timestamp(0));
        let everybody = self.front.lookups.paid(&self.store, None, all);
        let (_, everybody) = everybody.await?;
        let attempts = attempts(&asking.terms);
        let one = |left: MicroRho| Some(MicroRho(left.0 / attempts));
        let (signed, units) = (
            allowed.urho_max.left_after(everybody),
            self.left_at_units(&asking.terms),
        );
        let left = Left {
            hard: one(units.map_or(signed, |units| units.min(signed))),
            share: one(asking.used.left()),
        };
        let quoted = asking.terms.quoted(urho).unwrap_or(urho);
        let epsilon = (ACCOUNTANT.epsilon)(quoted, asking.terms.delta);
        let (query, public) = (&asking.query, &asking.public);
        let explanation = match sql::explain(query, table, public, urho, epsilon, left) {
            Ok(explanation) => explanation,
            Err(refusal) => return Ok(refusal_response(&refusal)),
        };
        let refused = match self.may_ask(&asking.analyst, asking, urho) {
            _ if stored => None,
            Err(response) => Some(*response),
            Ok(()) => left.hard.filter(|hard| *hard < urho).map(used_up),
        };
        let refused = refused.and_then(|response| match response {
            Response::Objection(no) => Some(refused_by(&no)),
            _ => None,
        });
        let surroundings = Surroundings {
            standing: &asking.terms,
            quoted,
            attempts,
            stored,
            refused,
        };
        Ok(Response::Answer(Box::new(price_tag(
            &explanation,
            &surroundings,
            as_json,
        ))))
    }
}

/// What is said where the units' budgets, or what was signed for all questions, leave less than a question costs.
fn used_up(hard: MicroRho) -> Response {
    let text = format!("the units' budgets are used up: {hard} is left for one attempt");
    object("QP001", &text, "ask for a stored answer")
}

/// SQLSTATE and rule of a refusal, and what it says.
fn refused_by(no: &Objection) -> String {
    let rule = no.rule.as_ref().map(|rule| format!(" ({rule})"));
    format!(
        "{}{}: {}",
        no.sqlstate,
        rule.unwrap_or_default(),
        no.message
    )
}

/// What a person has paid under a standing study, and may pay.
///
/// # Errors
///
/// If the store fails.
pub(super) async fn share_of(
    store: &Store,
    party: &Party,
    terms: &StudyTerms,
    submitted: Timestamp,
) -> Result<Share, StoreFault> {
    let Some(allowed) = standing_of(terms) else {
        return Ok(Share::default());
    };
    let window = window_start(allowed.window, now()).max(submitted);
    let standing = study_hash(&encode(terms));
    let paid = store.share_used(Some(&party.name), &standing, window);
    Ok(Share::of(allowed, paid.await?))
}

/// The table that a question reads, where the standing study lists it.
fn listed<'a>(live: &'a Live, query: &Query) -> Step<&'a Published> {
    let name = &query.question.table;
    let is_listed = standing_of(&live.terms).is_some_and(|allowed| allowed.tables.contains(name));
    let table = live.contract.published(name).filter(|_| is_listed);
    table.ok_or_else(|| {
        let text = format!(
            "standing study {} does not list table {name}",
            live.terms.name
        );
        let hint = "ask the operator for a standing study that lists it";
        Box::new(object("42501", &text, hint))
    })
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

fn no<T>(state: &str, text: &str, hint: &str) -> Result<Step<T>, StoreFault> {
    Ok(Err(Box::new(object(state, text, hint))))
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::{IdentityKey, Role};
    use aquifer_shared::domain::sum::Window;
    use aquifer_shared::shell::at_rest::DatabaseKey;

    use super::super::requests_tests::party;
    use super::super::store::StoredStudy;
    use super::*;
    use crate::core::fixtures::asking;

    /// A question of a person that came to 70,000 micro-rho.
    async fn asked(store: &Store, terms: &StudyTerms, number: u8, at: Timestamp) {
        let asked = Asked {
            analyst: "eve".parse().unwrap(),
            request: number.to_string(),
            plan: Hash32([number; 32]),
            study: StudyHash([number; 32]),
            standing: study_hash(&encode(terms)),
            purpose: terms.purpose.clone(),
            urho: MicroRho(70_000),
            at,
        };
        let study = StoredStudy {
            hash: asked.study,
            name: terms.name.clone(),
            terms: vec![number],
            contract_hash: terms.contract_hash,
            submitted: at,
            ended: Timestamp(0),
            question: true,
        };
        assert!(store.add_question(&study, &asked, &[]).await.unwrap());
    }

    #[tokio::test]
    async fn what_was_paid_before_a_window_is_told_with_its_first_answer_and_leaves_the_share_whole()
     {
        let folder = tempfile::tempdir().unwrap();
        let key = DatabaseKey::new([7; 32]);
        let store = Store::open("sqlite://store.db", folder.path(), &key);
        let store = store.await.unwrap();
        let terms = asking(Vec::new());
        let start = window_start(Window::Month, now());
        asked(&store, &terms, 1, Timestamp(start.0 - 1)).await;
        let eve = party("eve", Role::Analyst, IdentityKey([1; 32]));
        let share = async |party: &Party| {
            let share = share_of(&store, party, &terms, Timestamp(0));
            share.await.unwrap()
        };
        let before = share(&eve).await;
        let paid = (before.before, before.now, before.left());
        assert_eq!(paid, (MicroRho(70_000), MicroRho::ZERO, MicroRho(500_000)));
        let notice = before.notice().unwrap();
        assert!(
            notice.contains("a new month has opened") && notice.contains("rho 0.07 in all"),
            "{notice}"
        );
        let bob = party("bob", Role::Analyst, IdentityKey([2; 32]));
        assert_eq!(share(&bob).await.notice(), None, "it is hers alone");
        asked(&store, &terms, 2, start).await;
        let after = share(&eve).await;
        assert_eq!(
            (after.before, after.now, after.notice()),
            (MicroRho(70_000), MicroRho(70_000), None)
        );
    }
}
