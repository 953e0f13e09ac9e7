//! A node with the real member's machine; its journal answers at once.
//!
//! Keeps the promises of real nodes: nothing is dealt uncharged, an attempt below the last charged one is refused.

use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::sum::{Thresholds, attempt_id, task_hash};
use aquifer_shared::protocol::aggregation::{
    Checks, Contribution, DealingTable, Member as Machine, MemberRefusal, OnDelivery, OnRoster,
    Seat, Setting, is_signed,
};
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::wire::{
    Delivery, End, HEADER_BYTES, Message, Proof, Refusal, RefusalCode, Roster, Shares, Task,
    read_body,
};
use aws_lc_rs::signature::Ed25519KeyPair;

use crate::core::event::Secure;

/// What a node says.
#[derive(Clone, Debug)]
pub(super) enum Up {
    Secure(Secure),
    Refused(Refusal),
}

pub(super) struct Node {
    pub(super) pair: Arc<Ed25519KeyPair>,
    /// Index in its group, from 1, and the group's members.
    pub(super) own: u16,
    pub(super) group: Arc<[IdentityKey]>,
    pub(super) thresholds: Thresholds,
    pub(super) table: DealingTable,
    pub(super) cells: usize,
    /// What it adds to every cell.
    pub(super) part: i64,
    /// Every attempt that it paid for.
    pub(super) charged: Vec<(u32, u32)>,
    pub(super) machine: Option<Machine>,
    /// Peers whose ledger is behind, as this node sees it.
    pub(super) behind: Vec<IdentityKey>,
    pub(super) ends: Vec<End>,
    task: Option<Task>,
    fresh: [u8; 32],
}

impl Node {
    pub(super) fn new(
        pair: Arc<Ed25519KeyPair>,
        (own, group): (u16, Arc<[IdentityKey]>),
        (thresholds, table): (Thresholds, DealingTable),
        (cells, part): (usize, i64),
    ) -> Self {
        Self {
            pair,
            own,
            group,
            thresholds,
            table,
            cells,
            part,
            charged: Vec::new(),
            machine: None,
            behind: Vec::new(),
            ends: Vec::new(),
            task: None,
            fresh: [0; 32],
        }
    }

    /// Its process stopped: what was in memory is gone.
    pub(super) fn die(&mut self) {
        self.machine = None;
        self.task = None;
    }

    pub(super) fn on_task(&mut self, task: &Task) -> Option<Up> {
        let place = (task.round, task.attempt);
        if let (Some(live), Some(machine)) = (&self.task, &self.machine)
            && live == task
        {
            return Some(Up::Secure(Secure::Advert(machine.advert().clone())));
        }
        if let Some(last) = self.charged.last().filter(|last| **last >= place) {
            let detail = u64::from(last.0) << 32 | u64::from(last.1);
            return Some(self.refuse(task, RefusalCode::AlreadyCharged, detail));
        }
        // Every attempt has bytes of its own, and so has every member; not the first, of which a key keeps five bits.
        self.fresh[1] = self.own as u8;
        self.fresh[2] += 1;
        let contribution = Contribution {
            noisy: Secret::new(vec![self.part; self.cells]),
            ledger: Head {
                seq: self.charged.len() as u64,
                hash: Hash32([self.charged.len() as u8; 32]),
            },
            fresh: Secret::new(self.fresh),
        };
        let seat = Seat {
            own: self.own,
            table: self.table.clone(),
        };
        let setting = Setting {
            attempt: attempt_id(&task.study, task.round, task.attempt),
            task: task_hash(&task.study, task.round, &task.body),
            members: self.group.clone(),
            thresholds: self.thresholds,
            cells: self.cells,
            checks: Checks::STRICT,
            verify: is_signed,
        };
        let pair = self.pair.clone();
        let sign = move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec();
        let (machine, advert) = Machine::advertise(setting, seat, contribution, &sign);
        (self.machine, self.task) = (Some(machine), Some(task.clone()));
        Some(Up::Secure(Secure::Advert(advert)))
    }

    pub(super) fn on_roster(&mut self, roster: Roster) -> Option<Up> {
        let (behind, fresh) = (self.behind.clone(), Secret::new(self.fresh));
        let behind = move |peer: &IdentityKey, _: &Head| behind.contains(peer);
        let task = self.task.clone()?;
        let machine = self.machine.as_mut()?;
        let frame = match machine.on_roster(roster, fresh, &behind) {
            Ok(OnRoster::Charge { .. }) => {
                self.charged.push((task.round, task.attempt));
                machine.deal()
            }
            Ok(OnRoster::Resend(frame)) => Some(frame),
            Ok(OnRoster::Wait) => None,
            Err(refusal) => return Some(self.refused(&task, &refusal)),
        };
        let shares = read_body(Shares::KIND, &frame?[HEADER_BYTES..]).unwrap();
        Some(Up::Secure(Secure::Shares(shares)))
    }

    pub(super) fn on_delivery(&mut self, delivery: Delivery) -> Option<Up> {
        let pair = self.pair.clone();
        let sign = move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec();
        let task = self.task.clone()?;
        let machine = self.machine.as_mut()?;
        let secure = match machine.on_delivery(delivery) {
            Ok(OnDelivery::Mark { .. }) => Secure::Confirm(machine.confirm(&sign)?),
            Ok(OnDelivery::Resend(confirm)) => Secure::Confirm(confirm),
            Ok(OnDelivery::Wait) => return None,
            Ok(OnDelivery::Cannot(cannot)) => Secure::Cannot(cannot),
            Err(refusal) => return Some(self.refused(&task, &refusal)),
        };
        Some(Up::Secure(secure))
    }

    pub(super) fn on_proof(&mut self, proof: &Proof) -> Option<Up> {
        let pair = self.pair.clone();
        let sign = move |digest: &Hash32| pair.sign(&digest.0).as_ref().to_vec();
        let task = self.task.clone()?;
        match self.machine.as_mut()?.on_proof(proof, &sign) {
            Ok(opening) => Some(Up::Secure(Secure::Opening(opening))),
            Err(refusal) => Some(self.refused(&task, &refusal)),
        }
    }

    pub(super) fn on_end(&mut self, end: End) {
        let live = self
            .machine
            .as_ref()
            .map(|machine| machine.setting().attempt);
        if live == Some(end.attempt) {
            self.die();
        }
        self.ends.push(end);
    }

    fn refused(&mut self, task: &Task, refusal: &MemberRefusal) -> Up {
        if refusal.ends {
            self.die();
        }
        self.refuse(task, refusal.code, refusal.detail)
    }

    fn refuse(&self, task: &Task, code: RefusalCode, detail: u64) -> Up {
        Up::Refused(Refusal {
            attempt: attempt_id(&task.study, task.round, task.attempt),
            study: task.study,
            code,
            detail,
        })
    }
}
