//! What leaves a node: paid for, the same bytes every time, and by the rules of its attempt.

use aquifer_shared::base::ids::{AttemptId, Hash32};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    Advert, Confirm, Message, Opening, Refusal, RefusalCode, Shares, Update, read_body,
};

use super::violation::Breach;
use super::{Invariant, Oracle};
use crate::simulator::network::{Frame, split};

impl Oracle {
    /// A frame leaves a node.
    pub fn on_sent(&mut self, now: Timestamp, node: usize, frame: &Frame) {
        let Ok((kind, body)) = split(frame) else {
            return;
        };
        let found = self.check_sent(node, (kind, body), frame);
        self.judge(now, found);
    }

    fn check_sent(
        &mut self,
        node: usize,
        (kind, body): (u8, &[u8]),
        frame: &Frame,
    ) -> Result<(), Breach> {
        let breach = |error: CodecError| {
            let what = format!("node {node} sent a message that does not decode: {error}");
            Breach(Invariant::NoReuse, what)
        };
        match kind {
            Update::KIND => {
                let update: Update = read_body(kind, body).map_err(breach)?;
                self.check_paid(node, update.attempt)?;
                self.once.frame(node, kind, update.attempt, frame)?;
                self.sums.update(node, update.attempt, &update.cells)?;
            }
            Advert::KIND => {
                let advert: Advert = read_body(kind, body).map_err(breach)?;
                self.once.key(node, advert.attempt, &advert.key)?;
                if self.attempts.advert(node, &advert) {
                    self.sums.advert(node, advert.attempt);
                }
            }
            Shares::KIND => {
                let (attempt, roster) = heads(body);
                self.check_paid(node, attempt)?;
                if self.once.frame(node, kind, attempt, frame)? {
                    self.attempts.shares(node, attempt, roster)?;
                    for (peer, head) in self.attempts.peers(node, attempt, &roster) {
                        let key = self.attempts.key_of(node, peer);
                        self.accounts.check_mark(node, (peer, &key), &head)?;
                    }
                    if self.attempts.looks_at_records() {
                        let shares = read_body(kind, body).map_err(breach)?;
                        self.attempts.records(node, &shares);
                    }
                }
            }
            Confirm::KIND => {
                let confirm: Confirm = read_body(kind, body).map_err(breach)?;
                self.once.frame(node, kind, confirm.attempt, frame)?;
                self.attempts.confirm(node, &confirm)?;
                let dealt = self.attempts.dealt_by(node, &confirm);
                self.accounts.check_marked(node, &dealt)?;
            }
            Opening::KIND => {
                let (attempt, _) = heads(body);
                self.check_paid(node, attempt)?;
                self.once.frame(node, kind, attempt, frame)?;
                self.attempts.opening(node, attempt)?;
            }
            Refusal::KIND => {
                let refusal = read_body(kind, body).map_err(breach)?;
                self.check_audited(node, &refusal)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_paid(&self, node: usize, attempt: AttemptId) -> Result<(), Breach> {
        let place = self.book.place(&attempt);
        self.accounts.check_charged(node, place)
    }

    /// A refusal because of a peer's ledger was noted for the audit first.
    fn check_audited(&self, node: usize, refusal: &Refusal) -> Result<(), Breach> {
        let peer = u16::try_from(refusal.detail).unwrap_or_default();
        if refusal.code != RefusalCode::PeerBehind || self.audited == Some((node, peer)) {
            return Ok(());
        }
        let what = format!(
            "node {node} refuses because of member {peer}'s ledger and keeps nothing of it"
        );
        Err(Breach(Invariant::Rollback, what))
    }
}

/// The two hashes with which shares and openings begin.
fn heads(body: &[u8]) -> (AttemptId, Hash32) {
    let (mut attempt, mut roster) = (AttemptId::default(), Hash32::default());
    if let Some((first, rest)) = body.split_first_chunk::<32>() {
        attempt.0 = *first;
        roster.0 = rest.first_chunk().copied().unwrap_or_default();
    }
    (attempt, roster)
}
