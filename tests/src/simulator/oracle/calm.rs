//! Attempts that nothing disturbs: all parties are well, no fault strikes; such an attempt must bring its sum.

use std::collections::HashMap;

use aquifer_coordinator::core::event::{Ending, Record};

use super::Invariant;
use super::violation::Breach;

/// What is under way, and whether anything has disturbed it.
#[derive(Debug, Default)]
pub(super) struct Calm {
    /// By group: the attempt, and how many faults had struck when it began in calm.
    begun: HashMap<u16, ((u32, u32), usize)>,
}

impl Calm {
    /// A record is durable; `calm` says that all parties are well, `struck` how many faults have struck so far.
    pub(super) fn record(
        &mut self,
        record: &Record,
        calm: bool,
        struck: usize,
    ) -> Result<(), Breach> {
        match record {
            Record::Open { round, attempt, .. } => self.open(0, (*round, *attempt), calm, struck),
            Record::GroupOpened {
                round,
                group,
                attempt,
                ..
            } => self.open(*group, (*round, *attempt), calm, struck),
            Record::GroupSum { group, .. } => {
                self.begun.remove(group);
                Ok(())
            }
            Record::Result { .. } => {
                self.begun.clear();
                Ok(())
            }
            Record::Ended { ending, .. } => {
                let begun = std::mem::take(&mut self.begun);
                // Members may have left for good because of what struck long before.
                let left =
                    matches!(ending, Ending::Aborted(abort) if abort.code() == "too_few_left");
                let begun = begun.into_values().filter(|_| !left);
                begun.into_iter().try_for_each(|begun| judge(begun, struck))
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        group: u16,
        place: (u32, u32),
        calm: bool,
        struck: usize,
    ) -> Result<(), Breach> {
        let before = self.begun.remove(&group);
        if calm {
            self.begun.insert(group, (place, struck));
        }
        before.map_or(Ok(()), |begun| judge(begun, struck))
    }
}

/// An attempt ended without a sum.
fn judge(((round, attempt), before): ((u32, u32), usize), struck: usize) -> Result<(), Breach> {
    if struck > before {
        return Ok(());
    }
    let what = format!(
        "attempt {attempt} of round {round} fails although all parties are well and nothing disturbed it"
    );
    Err(Breach(Invariant::Liveness, what))
}
