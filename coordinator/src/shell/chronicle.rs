//! The coordinator's history in the running program: opened at start, brought up to date from the store, told what happens.

use aquifer_shared::base::limits::{ANSWERS_TOLD_AGAIN, FRAME_BYTES_MAX, HISTORY_GROUP_MAX};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::history::Event;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Message, Offer};
use aquifer_shared::protocol::witness::coordinator_origin;
use aquifer_shared::shell::history::{History, HistoryFault, LogSigner, Place};
use aquifer_shared::shell::keys::Identity;
use tokio::sync::mpsc;

use super::clock::now;
use super::demanded::declare_programs;
use super::home::{Home, RELEASE_KEY};
use super::hub::Hub;
use super::live::Live;
use super::model_life::ended;
use super::store::{StoredAnswer, StoredModel};
use super::witnesses::WitnessNews;
use crate::core::chronicle::{
    Keyed, Reported, enrolled, modelled, opened, proposed, recorded, spent,
};
use crate::core::disclosure::Beside;
use crate::core::event::Record;

/// The history and the way to its witnesses.
#[derive(Clone, Debug)]
pub struct Chronicle {
    /// The log.
    pub history: History,
    /// To the task that shows it to nodes.
    pub witnesses: mpsc::Sender<WitnessNews>,
}

impl Home {
    /// Where the coordinator's history is.
    #[must_use]
    pub fn history_place(&self) -> Place {
        let mark = self.config.history_checkpoint.as_deref();
        Place {
            folder: self.dir.join(HISTORY_FOLDER),
            mark: self.dir.join(mark.unwrap_or(HISTORY_MARK.as_ref())),
            takes_persons: false,
            key: self.vault.database(HISTORY),
        }
    }

    /// Opens the coordinator's history. Its checkpoints are signed with the release key, which every ticket names: whoever joined knows it.
    ///
    /// # Errors
    ///
    /// It cannot be used, or is not what was signed last.
    pub async fn history(&self) -> Result<History, HistoryFault> {
        let key = Identity::from_bytes(&self.release.to_bytes()?, &self.dir.join(RELEASE_KEY))?;
        let signer = LogSigner::new(coordinator_origin(&key.public()), key);
        History::open(self.history_place(), signer, now).await
    }
}

impl Hub {
    /// Enters what the store holds and the history does not: what a crash lost, and what another process did.
    ///
    /// # Errors
    ///
    /// Store or history cannot be used.
    pub(super) async fn catch_up(&self) -> anyhow::Result<()> {
        let Some(chronicle) = self.front.chronicle() else {
            return Ok(());
        };
        let mut events = self.parties_said().await?;
        let mut studies: Vec<&Live> = self.studies.values().collect();
        studies.sort_by_key(|live| (live.submitted, live.hash));
        for live in studies {
            events.push(self.proposal_said(live).await);
            let mut reported = Reported::new();
            for bytes in self.store.records(&live.hash).await? {
                if let Ok(record) = decode::<Record>("record", &bytes, FRAME_BYTES_MAX) {
                    events.extend(said(live, &record, &mut reported));
                }
            }
        }
        for answer in self.store.answers(ANSWERS_TOLD_AGAIN).await? {
            events.extend(answered(&answer));
        }
        let models = self.store.models().await?;
        events.extend(models.iter().map(|model| self.modelled(model)));
        events.extend(models.iter().filter_map(ended));
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(HISTORY_GROUP_MAX));
            chronicle.history.append_once(events).await?;
            events = rest;
        }
        Ok(())
    }

    /// Enters what the operator declares, where that is not what was entered last.
    ///
    /// # Errors
    ///
    /// The history cannot be used.
    pub(super) async fn declare(&self, declared: Vec<Event>) -> anyhow::Result<()> {
        let Some(chronicle) = self.front.chronicle() else {
            return Ok(());
        };
        declare_programs(&chronicle.history, self.front.demanded.as_ref()).await?;
        Ok(chronicle.history.declare(declared).await?)
    }

    /// Enters what a question without an answer has cost, and waits for the disk: nothing that could say it again is kept of it.
    pub(super) async fn tell_cost(&self, live: &Live) {
        let Some(chronicle) = self.front.chronicle() else {
            return;
        };
        let rounds = live.machine.rounds().iter();
        let opened = rounds.filter_map(|round| {
            let last = round.attempts.checked_sub(1)?;
            Some(opened(&live.hash, &live.terms, round.round, last))
        });
        let spends: Vec<Keyed> = opened.flatten().collect();
        if spends.is_empty() {
            return;
        }
        if let Err(fault) = chronicle.history.append_once(spends).await {
            tracing::error!(study = %live.hash.short(), %fault, "what a question cost is not in the history");
        }
    }

    /// What the history says of a model.
    pub(super) fn modelled(&self, model: &StoredModel) -> Keyed {
        let beside = self.studies.get(&model.study).map(|live| Beside {
            tuning: self.tuning(live),
        });
        let (name, published) = ((&model.name, model.version), model.published);
        modelled(name, &model.study, &model.file, published, beside.as_ref())
    }

    /// What earlier studies of the same family have cost: whoever chose the constants of this one may have looked at them.
    fn tuning(&self, own: &Live) -> MicroRho {
        let is_earlier = |live: &&Live| {
            live.terms.family == own.terms.family
                && (live.submitted, live.hash) < (own.submitted, own.hash)
        };
        let earlier = self.studies.values().filter(is_earlier);
        let costs = earlier.map(|live| spent(&live.hash, &live.terms, live.machine.rounds()));
        costs.fold(MicroRho::ZERO, |total, cost| {
            MicroRho(total.0.saturating_add(cost.0))
        })
    }

    async fn parties_said(&self) -> anyhow::Result<Vec<Keyed>> {
        let mut events = Vec::new();
        for party in self.store.parties().await? {
            let (name, role, key) = (&party.name, party.role, &party.identity);
            events.push(enrolled(name, role, key, false));
            if party.revoked {
                events.push(enrolled(name, role, key, true));
            }
        }
        Ok(events)
    }

    /// Parties that came or went.
    pub(super) async fn note_parties(&self) {
        match self.parties_said().await {
            Ok(events) => {
                for event in events {
                    self.note_history(Some(event)).await;
                }
            }
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the registry could not be read"
            ),
        }
    }

    /// Hands an event to the history; nothing waits for its disk.
    pub(super) async fn note_history(&self, said: Option<Keyed>) {
        if let (Some(chronicle), Some((key, event))) = (self.front.chronicle(), said) {
            chronicle.history.note(Some(key), event).await;
        }
    }

    /// Enters an event, and waits for the disk: nothing that could say it again is kept of it. False where there is no history, or it fails.
    pub(super) async fn enter_history(&self, said: Keyed) -> bool {
        let Some(chronicle) = self.front.chronicle() else {
            return false;
        };
        let entered = chronicle.history.append_once(vec![said]).await;
        if let Err(fault) = &entered {
            tracing::error!(%fault, "the history was not written");
        }
        entered.is_ok()
    }

    /// What these records say, once they are durable.
    pub(super) async fn note_records(&self, live: &Live, records: &[Vec<u8>]) {
        let mut reported = Reported::new();
        for bytes in records {
            if let Ok(record) = decode::<Record>("record", bytes, FRAME_BYTES_MAX) {
                for event in said(live, &record, &mut reported) {
                    self.note_history(Some(event)).await;
                }
            }
        }
    }
}

fn said(live: &Live, record: &Record, reported: &mut Reported) -> Vec<Keyed> {
    recorded(
        &live.hash,
        &live.terms,
        live.is_question(),
        record,
        reported,
    )
}

/// A question that is settled is forgotten but for its answer: what it was and what it cost.
fn answered(answer: &StoredAnswer) -> Vec<Keyed> {
    let terms = decode::<StudyTerms>("study terms", &answer.terms, Offer::BYTES_MAX);
    let (Ok(terms), Some(last)) = (terms, answer.attempts.checked_sub(1)) else {
        return Vec::new();
    };
    let asked = proposed(&answer.study, &terms, true);
    let spends = opened(&answer.study, &terms, 0, last);
    std::iter::once(asked).chain(spends).collect()
}

/// The folder of the history in a coordinator's directory.
pub const HISTORY_FOLDER: &str = "history";
/// Role of the history among the databases of the directory.
const HISTORY: &str = "history";
/// Its newest checkpoint, unless the configuration names another place.
pub const HISTORY_MARK: &str = "history.checkpoint";

#[cfg(test)]
#[path = "chronicle_tests.rs"]
mod tests;
