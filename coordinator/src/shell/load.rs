//! From the store to running studies, at start. A study that is not whole is named and left alone; the others go on.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use aquifer_shared::base::ids::{IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::{FRAME_BYTES_MAX, REQUEST_IDS_KEPT_MS};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{Plan, StudyTerms};
use aquifer_shared::protocol::ask::{StudyState, StudyStatus};
use aquifer_shared::protocol::codec::{CodecError, decode};
use aquifer_shared::protocol::wire::{Message, Offer, Shares};
use aquifer_shared::shell::keys::Identity;

use super::asking::RunningQuestion;
use super::clock::now;
use super::front::Front;
use super::hub::Hub;
use super::live::Live;
use super::store::{Spooled, Store, StoreFault, StoredStudy};
use crate::core::asking::{answer_key, question_of};
use crate::core::event::Record;
use crate::core::resume::Durables;

/// Names of all who were ever registered.
type Names = HashMap<IdentityKey, Name>;

impl Hub {
    /// Reads all studies and takes up those that were running.
    ///
    /// # Errors
    ///
    /// A store that fails. A study that this program did not write, or not so, is logged and listed as damaged.
    pub async fn load(
        front: Arc<Front>,
        store: Store,
        release: Arc<Identity>,
    ) -> anyhow::Result<Self> {
        let mut hub = Self::new(front, store, release);
        let parties = hub.store.parties().await?.into_iter();
        let names: Names = parties.map(|party| (party.identity, party.name)).collect();
        hub.data_versions = hub.store.data_versions().await?.into_iter().collect();
        hub.programs = hub.store.programs().await?.into_iter().collect();
        let kept_from = Timestamp(now().0.saturating_sub(REQUEST_IDS_KEPT_MS));
        hub.request_ids = hub
            .store
            .request_ids(kept_from)
            .await?
            .into_iter()
            .collect();
        for stored in hub.store.unsettled().await? {
            hub.settle_late(stored, &names).await?;
        }
        for stored in hub.store.studies().await? {
            let line = damaged(&stored);
            match hub.read(stored, &names).await {
                Ok(live) => hub.take_in(live).await?,
                Err(error) if is_of_store(&error) => return Err(error),
                Err(error) => {
                    tracing::error!(
                        study = %line.study, name = %line.name, error = format!("{error:#}"),
                        "damaged: nothing of this study runs; restore the store from a backup, or leave it"
                    );
                    hub.damaged.insert(line.study, line);
                }
            }
        }
        Ok(hub)
    }

    /// A question that is answered or has failed is not held any longer: its answer is in the store.
    async fn take_in(&mut self, live: Live) -> Result<(), StoreFault> {
        if let Plan::Question { data, .. } = &live.terms.plan
            && let Some(question) = question_of(&live.terms)
        {
            if live.is_settled() {
                self.tell_cost(&live).await;
                return self.store.settle_asked(&live.hash, live.paid()).await;
            }
            let running = RunningQuestion {
                key: answer_key(&live.terms.template(), &question, data),
                analyst: self.store.asker(&live.hash).await?,
            };
            self.running_questions.insert(live.hash, running);
        }
        self.studies.insert(live.hash, live);
        Ok(())
    }

    /// The process stopped between the end of a question and its settlement.
    async fn settle_late(&mut self, stored: StoredStudy, names: &Names) -> anyhow::Result<()> {
        let study = stored.hash;
        match self.read(stored, names).await {
            Ok(live) => {
                self.tell_cost(&live).await;
                Ok(self.store.settle_asked(&study, live.paid()).await?)
            }
            Err(error) if is_of_store(&error) => Err(error),
            // What it set aside stays counted.
            Err(error) => {
                tracing::error!(study = %study, error = format!("{error:#}"), "damaged: a question is not settled");
                Ok(())
            }
        }
    }

    async fn read(&self, stored: StoredStudy, names: &Names) -> anyhow::Result<Live> {
        let text = self.store.contract(&stored.contract_hash).await?;
        let text = text.context("the store has lost the study's contract")?;
        let contract = Contract::parse(&text).context("a stored contract does not parse")?;
        let agreed = (Arc::new(contract), text.into());
        let durable = self.durables(&stored.hash).await?;
        let name_of = |key: &IdentityKey| names.get(key).cloned();
        let law = &self.front.law;
        Live::resume(
            stored,
            agreed,
            durable,
            now(),
            name_of,
            |terms, contract| law.study(terms, contract, now()),
        )
    }

    /// What is stored of a study's course.
    async fn durables(&self, hash: &StudyHash) -> anyhow::Result<Durables> {
        let bytes = self.store.records(hash).await?;
        let read = |bytes: &Vec<u8>| decode::<Record>("record", bytes, FRAME_BYTES_MAX);
        let records = bytes.iter().map(read).collect::<Result<_, _>>()?;
        let spooled = self.store.spool(hash).await?.into_iter();
        let read = |one: Spooled| {
            let shares = decode("shares", &one.shares, Shares::BYTES_MAX)?;
            Ok::<_, CodecError>((one.group, one.dealer, shares))
        };
        let spool = spooled.map(read).collect::<Result<_, _>>()?;
        Ok(Durables { records, spool })
    }
}

/// Whether it is the database that fails, and not what it holds: that may pass, and says nothing of the study.
fn is_of_store(error: &anyhow::Error) -> bool {
    let fault = error.downcast_ref::<StoreFault>();
    fault.is_some_and(|fault| !matches!(fault, StoreFault::Damaged { .. }))
}

/// What a study is listed as if it cannot be read; its terms are told as far as they can be.
fn damaged(stored: &StoredStudy) -> StudyStatus {
    let terms: Option<StudyTerms> = decode("study terms", &stored.terms, Offer::BYTES_MAX).ok();
    let unknown = || "unknown".parse().expect("a name");
    StudyStatus {
        study: stored.hash,
        name: stored.name.clone(),
        purpose: (terms.as_ref()).map_or_else(unknown, |terms| terms.purpose.clone()),
        state: StudyState::Damaged,
        reason: "the store does not hold it whole; the coordinator's log names what is wrong"
            .into(),
        rounds_done: 0,
        rounds_total: terms.as_ref().map_or(0, |terms| terms.rounds.len() as u32),
        urho: terms.as_ref().map_or(0, |terms| terms.urho.0),
        epsilon: 0.0,
        delta: terms.as_ref().map_or(0.0, |terms| terms.delta.get()),
        submitted: stored.submitted,
        ended: stored.ended,
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::domain::sum::study_hash;
    use aquifer_shared::protocol::codec::encode;
    use aquifer_shared::shell::at_rest::DatabaseKey;
    use aquifer_shared::shell::certificates::CertificateAuthority;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::core::fixtures::terms;
    use crate::shell::front::FIRST_FRAMES_PER_CONNECTION_MAX;
    use crate::shell::registry::Registry;

    const CONTRACT: &str = r#"
[contract]
name = "customers"
version = 1

[table.customers]
privacy_unit = "customer"
label = { column = "left", positive = "yes" }

[table.customers.column.plan]
levels = ["basic", "plus"]
"#;

    async fn front(store: &Store) -> Arc<Front> {
        let registry = Registry::load(store.clone()).await.unwrap();
        let authority = CertificateAuthority::create(&"aquifer".parse().unwrap(), now()).unwrap();
        let (hub, _) = mpsc::channel(1);
        let (mirror, _) = mpsc::channel(1);
        let (store, authority) = (store.clone(), Arc::new(authority));
        Arc::new(Front::new(registry, store, authority, 30, hub, mirror))
    }

    /// A store with a sound study, and what else a test puts there.
    async fn store(dir: &tempfile::TempDir) -> (Store, StoredStudy) {
        let store = Store::open(
            "sqlite://store.sqlite",
            dir.path(),
            &DatabaseKey::new([7; 32]),
        )
        .await;
        let store = store.unwrap();
        let bytes = encode(&terms());
        let study = StoredStudy {
            hash: study_hash(&bytes),
            name: "load".parse().unwrap(),
            terms: bytes,
            contract_hash: Contract::parse(CONTRACT).unwrap().hash(),
            submitted: Timestamp(10),
            ended: Timestamp(0),
            question: false,
        };
        add(&store, &study).await;
        (store, study)
    }

    async fn add(store: &Store, study: &StoredStudy) {
        let name = "customers".parse().unwrap();
        store.add_study(study, &name, 1, CONTRACT).await.unwrap();
    }

    async fn load(store: &Store) -> Hub {
        let release = Arc::new(Identity::generate().unwrap());
        Hub::load(front(store).await, store.clone(), release)
            .await
            .unwrap()
    }

    /// A study that is damaged in one way is shown so; the sound one runs.
    async fn check_damaged(damage: impl AsyncFnOnce(&Store, &mut StoredStudy)) {
        let dir = tempfile::tempdir().unwrap();
        let (store, sound) = store(&dir).await;
        let mut other = StoredStudy {
            hash: StudyHash([9; 32]),
            name: "other".parse().unwrap(),
            ..sound.clone()
        };
        damage(&store, &mut other).await;
        add(&store, &other).await;
        let hub = load(&store).await;
        assert_eq!(hub.studies.keys().collect::<Vec<_>>(), [&sound.hash]);
        let line = &hub.damaged[&other.hash];
        assert_eq!(
            (line.state, line.name.as_str()),
            (StudyState::Damaged, "other")
        );
        assert_eq!(hub.running().count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_study_does_not_stop_the_others() {
        check_damaged(async |_, study| study.terms.truncate(9)).await;
        check_damaged(async |store, study| {
            let records = [vec![0xff; 9]];
            store
                .append(&study.hash, 0, &records, &[], None)
                .await
                .unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_store_that_fails_is_no_damaged_study() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = store(&dir).await;
        let front = front(&store).await;
        let release = Arc::new(Identity::generate().unwrap());
        store.clone().close().await;
        assert!(Hub::load(front, store, release).await.is_err());
    }

    #[tokio::test]
    async fn so_many_first_frames_are_read_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let front = front(&store(&dir).await.0).await;
        let own = Arc::new(Semaphore::new(FIRST_FRAMES_PER_CONNECTION_MAX));
        let mut places = Vec::new();
        for _ in 0..FIRST_FRAMES_PER_CONNECTION_MAX {
            places.push(front.first(&own).await);
        }
        assert_eq!(own.available_permits(), 0);
        let other = Arc::new(Semaphore::new(usize::MAX >> 4));
        while front.firsts_left() > 0 {
            places.push(front.first(&other).await);
        }
        let waits = front.first(&other);
        tokio::pin!(waits);
        let pending = std::future::poll_fn(|context| {
            let polled = waits.as_mut().poll(context);
            std::task::Poll::Ready(polled.is_pending())
        });
        assert!(pending.await, "the next stream waits");
        places.pop();
        drop(waits.await);
    }
}
