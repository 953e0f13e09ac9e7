//! Reading released sums for askers, beside the hub: what one answer takes is never waited for by rounds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aquifer_shared::base::limits::PRESENTATIONS_MAX;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::question::BlockKind;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::Response;
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Message as _, Offer};
use tokio::sync::{Semaphore, mpsc};

use super::requests::{ACCOUNTANT, refused};
use super::store::StoredAnswer;
use crate::core::asking::answer_of;
use crate::core::sql::Query;

/// What an answer is shown by.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) query: Box<Query>,
    /// Groups whose noisy count is below this are not shown to the asker.
    pub(super) floor: u32,
    pub(super) contract: Arc<Contract>,
    /// What to say beside the answer.
    pub(super) notice: Option<String>,
}

/// Shows answers, so many at a time.
#[derive(Clone, Debug)]
pub(super) struct Presenter(Arc<Semaphore>);

impl Presenter {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PRESENTATIONS_MAX)))
    }

    /// Answers as soon as it is this answer's turn. Who asked may have gone; the answer stays, and the charge.
    pub(super) fn show(
        &self,
        stored: Arc<StoredAnswer>,
        reader: Reader,
        was_there: bool,
        answers: mpsc::Sender<Response>,
    ) {
        let places = self.0.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _place = places.acquire().await;
            if is_small(&stored, &reader) {
                let at_once = AssertUnwindSafe(|| shown(&stored, &reader, was_there));
                let response = catch_unwind(at_once).unwrap_or_else(|_| unreadable());
                let _ = answers.try_send(response);
                return;
            }
            let shown = tokio::task::spawn_blocking(move || shown(&stored, &reader, was_there));
            let response = shown.await.unwrap_or_else(|_| unreadable());
            let _ = answers.try_send(response);
        });
    }
}

fn unreadable() -> Response {
    refused("answer", "the answer could not be read".into())
}

/// Whether reading it takes no longer than handing it to another thread and back. Percentiles are not read in passing.
fn is_small(stored: &StoredAnswer, reader: &Reader) -> bool {
    let query = &reader.query;
    let mut blocks = query.question.blocks.iter();
    let percentiles = blocks.any(|block| matches!(block.kind, BlockKind::Grid(_)));
    let readings = query.presentation.readings().count().max(1);
    !percentiles && stored.sum.cells.len().saturating_mul(readings) <= VALUES_AT_ONCE
}

/// Cells times readings that are read in passing: some tenths of a millisecond.
const VALUES_AT_ONCE: usize = 1_024;

/// Rows of a stored answer for one asker.
fn shown(stored: &StoredAnswer, reader: &Reader, was_there: bool) -> Response {
    let terms = decode::<StudyTerms>("study terms", &stored.terms, Offer::BYTES_MAX).ok();
    let table = reader.contract.published(&reader.query.question.table);
    let made = (was_there, stored.created);
    let answer = terms.zip(table).and_then(|(terms, table)| {
        answer_of(
            (stored.study, stored.attempts),
            &terms,
            &stored.sum,
            (&reader.query, reader.floor),
            table,
            made,
            ACCOUNTANT,
        )
    });
    let Some(mut answer) = answer else {
        let text = "a stored answer does not fit its question; tell the coordinator's operator";
        return refused("store", text.into());
    };
    answer.notices.extend(reader.notice.clone());
    Response::Answer(Box::new(answer))
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::{Hash32, StudyHash};
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::protocol::ask::ReleasedSum;
    use aquifer_shared::protocol::codec::encode;

    use super::*;
    use crate::core::fixtures::asking;
    use crate::core::sql::{Settings, Statement, compile};

    /// What is said beside an answer that was there, or is fresh, where this is to be said as well.
    fn notices(notice: Option<&str>, was_there: bool) -> Vec<String> {
        let contract = Contract::parse(include_str!("../../golden/contract.toml")).unwrap();
        let settings = Settings {
            purpose: Some("contracts.reporting".to_owned()),
            ..Settings::default()
        };
        let text = "SELECT COUNT(*) AS n FROM customers";
        let Ok(Statement::Query(query)) = compile(text, &settings, &contract, None) else {
            panic!("a query");
        };
        let stored = StoredAnswer {
            study: StudyHash([1; 32]),
            key: Hash32([2; 32]),
            urho: MicroRho(20_000),
            terms: encode(&asking(encode(&query.question))),
            attempts: 1,
            sum: ReleasedSum {
                round: 0,
                updates: 4,
                cells: vec![1 << 40],
            },
            created: Timestamp(3),
        };
        let reader = Reader {
            query,
            floor: 0,
            contract: Arc::new(contract),
            notice: notice.map(str::to_owned),
        };
        match shown(&stored, &reader, was_there) {
            Response::Answer(answer) => answer.notices,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_to_be_said_of_a_share_is_said_beside_the_answer() {
        let own = notices(None, false);
        assert_eq!(own.len(), 1, "{own:?}");
        assert!(own[0].contains("rho 0.02 charged"), "{own:?}");
        let with = notices(Some("a new month has opened"), false);
        assert_eq!(with, [&own[0], "a new month has opened"]);
        assert!(notices(None, true)[0].contains("nothing charged, cached"));
    }
}
