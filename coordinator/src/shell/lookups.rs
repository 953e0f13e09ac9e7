//! What is looked up for each question and seldom changes: stored answers, and what was paid. Held in memory until the hub changes it,
//! so that the same question again waits for no disk. Whether something may be paid is looked up in the store itself.
//!
//! # Privacy
//!
//! Released numbers and prices; nothing exact.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aquifer_shared::base::ids::{Hash32, Name, StudyHash};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;

use super::store::{Store, StoreFault, StoredAnswer};

/// The newest of what was looked up.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Counts changes: what was read before one is not held after it.
    changes: u64,
    /// The dearest answer to a question, the newest first.
    answers: VecDeque<Arc<StoredAnswer>>,
    paid: HashMap<(Option<Name>, StudyHash), (Timestamp, Paid)>,
}

/// Before a window, and from its start on.
type Paid = (MicroRho, MicroRho);

impl Lookups {
    /// As [`Store::answer_to`].
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(super) async fn answer_to(
        &self,
        store: &Store,
        key: &Hash32,
    ) -> Result<Option<Arc<StoredAnswer>>, StoreFault> {
        let (found, changes) = {
            let known = self.known();
            let same = |stored: &&Arc<StoredAnswer>| stored.key == *key;
            let found = known.answers.iter().find(same);
            (found.cloned(), known.changes)
        };
        if found.is_some() {
            return Ok(found);
        }
        let found = store.answer_to(key).await?.map(Arc::new);
        let mut known = self.known();
        if let Some(stored) = &found
            && stored.sum.cells.len() <= CELLS_MAX
            && stored.terms.len() <= TERMS_BYTES_MAX
            && known.changes == changes
        {
            known.answers.truncate(ANSWERS_MAX - 1);
            known.answers.push_front(stored.clone());
        }
        Ok(found)
    }

    /// As [`Store::share_used`]: what a person's questions under a standing study have cost, or everybody's, before `window`, and from
    /// `window` on.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(super) async fn paid(
        &self,
        store: &Store,
        person: Option<&Name>,
        (standing, window): (&StudyHash, Timestamp),
    ) -> Result<Paid, StoreFault> {
        let whose = (person.cloned(), *standing);
        let (found, changes) = {
            let known = self.known();
            (known.paid.get(&whose).copied(), known.changes)
        };
        if let Some((_, paid)) = found.filter(|(of, _)| *of == window) {
            return Ok(paid);
        }
        let paid = store.share_used(person, standing, window).await?;
        let mut known = self.known();
        if known.changes != changes {
            return Ok(paid);
        }
        if known.paid.len() >= PEOPLE_MAX {
            known.paid.clear();
        }
        known.paid.insert(whose, (window, paid));
        Ok(paid)
    }

    /// Something was set aside, paid or given back.
    pub(super) fn forget_paid(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.paid.clear();
    }

    /// There is another answer to a question, or there may be.
    pub(super) fn forget_answer(&self, key: &Hash32) {
        let mut known = self.known();
        known.changes += 1;
        known.answers.retain(|stored| stored.key != *key);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers that are held at most, each of no more cells and with no longer terms than that: 10 MiB.
const ANSWERS_MAX: usize = 128;
const CELLS_MAX: usize = 8_192;
const TERMS_BYTES_MAX: usize = 16 << 10;
/// Persons and standing studies whose payments are held at most.
const PEOPLE_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use aquifer_shared::protocol::ask::ReleasedSum;
    use aquifer_shared::shell::at_rest::DatabaseKey;
    use tempfile::TempDir;

    use super::*;
    use crate::shell::store::{Asked, Closing, StoredStudy};

    const KEY: Hash32 = Hash32([2; 32]);
    const STANDING: StudyHash = StudyHash([3; 32]);
    const AT: Timestamp = Timestamp(5);

    async fn store() -> (Store, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let key = DatabaseKey::new([7; 32]);
        let store = Store::open("sqlite://store.sqlite", folder.path(), &key).await;
        (store.unwrap(), folder)
    }

    async fn ask(store: &Store, number: u8, urho: MicroRho) {
        let hash = StudyHash([number; 32]);
        let study = StoredStudy {
            hash,
            name: "reports".parse().unwrap(),
            terms: vec![number],
            contract_hash: Hash32([1; 32]),
            submitted: AT,
            ended: Timestamp(0),
            question: true,
        };
        let asked = Asked {
            analyst: "ada".parse().unwrap(),
            request: hash.to_string(),
            plan: KEY,
            study: hash,
            standing: STANDING,
            purpose: "reporting".parse().unwrap(),
            urho,
            at: AT,
        };
        assert!(store.add_question(&study, &asked, &[]).await.unwrap());
    }

    async fn answer(store: &Store, number: u8, urho: MicroRho) {
        let study = StudyHash([number; 32]);
        let sum = ReleasedSum {
            round: 0,
            updates: 4,
            cells: vec![1],
        };
        let answer = StoredAnswer {
            study,
            key: KEY,
            urho,
            terms: vec![number],
            attempts: 1,
            sum,
            created: AT,
        };
        let closing = Closing {
            answer,
            paid: urho,
            ended: AT,
        };
        let closed = store.append(&study, 0, &[], &[], Some(&closing));
        closed.await.unwrap();
    }

    #[tokio::test]
    async fn answers_are_those_of_the_store_once_another_is_told() {
        let (store, _folder) = store().await;
        let lookups = Lookups::default();
        let found = async || {
            let found = lookups.answer_to(&store, &KEY).await.unwrap();
            found.map(|stored| stored.urho.0)
        };
        assert_eq!(found().await, None);
        ask(&store, 1, MicroRho(20)).await;
        answer(&store, 1, MicroRho(20)).await;
        assert_eq!(
            found().await,
            Some(20),
            "that there is none is not remembered"
        );
        ask(&store, 2, MicroRho(30)).await;
        answer(&store, 2, MicroRho(30)).await;
        assert_eq!(found().await, Some(20), "from memory");
        lookups.forget_answer(&Hash32([9; 32]));
        assert_eq!(found().await, Some(20), "another question");
        lookups.forget_answer(&KEY);
        assert_eq!(found().await, Some(30));
    }

    #[tokio::test]
    async fn what_was_paid_is_that_of_the_store_after_each_payment_and_in_each_window() {
        let (store, _folder) = store().await;
        let lookups = Lookups::default();
        let ada = "ada".parse().unwrap();
        let paid = async |window: u64| {
            let of = (&STANDING, Timestamp(window));
            let (before, now) = lookups.paid(&store, Some(&ada), of).await.unwrap();
            (before.0, now.0)
        };
        assert_eq!(paid(0).await, (0, 0));
        ask(&store, 1, MicroRho(20)).await;
        assert_eq!(paid(0).await, (0, 0), "from memory");
        lookups.forget_paid();
        assert_eq!(paid(0).await, (0, 20));
        assert_eq!(paid(AT.0 + 1).await, (20, 0), "the next window");
    }
}
