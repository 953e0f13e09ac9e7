//! The coordinator's mirror of this node's ledger: what it lacks is sent, what it holds and this node does not locks the node.
//!
//! A node whose disk was put back to an older copy has signed entries that it does not hold; the mirror shows them.

use aquifer_shared::protocol::wire::{LedgerCopy, LedgerHeld, RefusalCode, ledger_digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::{Audit, Effect, Outgoing, Participant};
use crate::core::ledger::{LockReason, SeenBy};

/// What is known of the mirror in this session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mirror {
    /// Entries that it holds or that are on their way to it; none until it has said so and this node agrees.
    held: Option<u64>,
    /// Entries after this one are being read for it.
    reading: Option<u64>,
    /// It claims what this node has not signed; noted once a session.
    doubted: bool,
}

/// How the mirror stands to the ledger, for reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MirrorState {
    /// Nothing was heard of it in this session.
    Unheard,
    /// It has been sent the ledger up to this entry.
    Follows(u64),
    /// It claims a position that this node has not signed.
    Doubted,
}

impl Participant {
    /// How the coordinator's mirror stands to the ledger.
    #[must_use]
    pub fn mirror(&self) -> MirrorState {
        match (self.mirror.doubted, self.mirror.held) {
            (true, _) => MirrorState::Doubted,
            (false, Some(held)) => MirrorState::Follows(held),
            (false, None) => MirrorState::Unheard,
        }
    }

    pub(super) fn on_ledger_held(&mut self, held: LedgerHeld) {
        if self.stopped().is_some() {
            return;
        }
        let head = held.head;
        (self.mirror.held, self.mirror.reading) = (None, None);
        let Err(reason) = self.ledger.held_against(head, SeenBy::Mirror) else {
            // Another past that was given up: the mirror gets this one, from its first entry on.
            let shared = self.ledger.contains(head);
            self.mirror.held = Some(if shared { head.seq } else { 0 });
            return self.mirror_on();
        };
        let key = UnparsedPublicKey::new(&ED25519, self.rules.identity.0);
        let own = key.verify(&ledger_digest(&head).0, &held.signature);
        if own.is_ok() {
            return self.lock_for(reason);
        }
        if !std::mem::replace(&mut self.mirror.doubted, true) {
            self.effects.push_back(Effect::Audit(Audit::Mirror(held)));
        }
    }

    /// Nothing is accepted, charged or written any more: each entry would be one more on a past that may be the wrong one.
    fn lock_for(&mut self, reason: LockReason) {
        self.lock = Some(reason);
        self.undecided.clear();
        for (study, desk) in std::mem::take(&mut self.desks) {
            if let Some(live) = desk.live {
                self.refuse(live.id, study, RefusalCode::Locked, 0);
            }
        }
    }

    /// Sends the mirror what it lacks, one bounded message at a time.
    pub(super) fn mirror_on(&mut self) {
        let lacks = |held: &u64| *held < self.ledger.durable().seq;
        let Some(after) = self.mirror.held.filter(lacks) else {
            return;
        };
        if self.mirror.reading.is_none() && self.stopped().is_none() {
            self.mirror.reading = Some(after);
            self.effects.push_back(Effect::ReadLinks { after });
        }
    }

    pub(super) fn on_links(&mut self, after: u64, mut links: Vec<Vec<u8>>) {
        if self
            .mirror
            .reading
            .take_if(|reading| *reading == after)
            .is_none()
        {
            return;
        }
        let room = self.ledger.durable().seq.saturating_sub(after);
        links.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        let head = self.ledger.head_at(after + links.len() as u64);
        let Some(head) = head.filter(|_| !links.is_empty()) else {
            return;
        };
        self.mirror.held = Some(head.seq);
        let signature = (self.sign)(&ledger_digest(&head));
        self.send(Outgoing::Copy(LedgerCopy { links, signature }));
        self.mirror_on();
    }
}
