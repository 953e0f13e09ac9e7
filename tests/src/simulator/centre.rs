//! Whoever coordinates: the product's machine in a simulated process, or the adversary.

use aquifer_coordinator::core::event::Ending;
use aquifer_shared::protocol::wire::LedgerHeld;

use super::adversary::rogue::Rogue;
use super::coordinator::Coordinator;
use super::happening::AtCoordinator;
use super::network::Frame;
use super::surroundings::Surroundings;

/// Whoever coordinates.
#[derive(Debug)]
pub enum Centre {
    /// The product.
    Honest(Box<Coordinator>),
    /// The adversary.
    Rogue(Box<Rogue>),
}

impl Centre {
    /// It starts.
    pub fn boot(&mut self, around: &mut Surroundings) {
        match self {
            Self::Honest(own) => own.boot(around),
            Self::Rogue(own) => own.boot(around),
        }
    }

    /// Something that was planned for it happens.
    pub fn happens(&mut self, around: &mut Surroundings, life: u32, what: AtCoordinator) {
        match self {
            Self::Honest(own) => own.happens(around, life, what),
            Self::Rogue(own) => own.happens(around, &what),
        }
    }

    /// A session with a node is up: what is held of its ledger; nothing if nobody answers.
    pub fn greet(&mut self, node: usize, session: u64) -> Option<LedgerHeld> {
        match self {
            Self::Honest(own) => own.greet(node, session),
            Self::Rogue(own) => Some(own.greet(node, session)),
        }
    }

    /// A node that was greeted has its welcome on the way.
    pub fn welcome(&mut self, around: &mut Surroundings, node: usize) {
        match self {
            Self::Honest(own) => own.welcome(around, node),
            Self::Rogue(own) => own.welcome(around, node),
        }
    }

    /// A session with a node is over.
    pub fn lose_session(&mut self, around: &mut Surroundings, node: usize, session: u64) {
        match self {
            Self::Honest(own) => own.lose_session(around, node, session),
            Self::Rogue(own) => own.lose_session(node, session),
        }
    }

    /// Whether the product coordinates, by a clock that is right.
    #[must_use]
    pub fn is_well(&self) -> bool {
        match self {
            Self::Honest(own) => own.keeps_time(),
            Self::Rogue(_) => false,
        }
    }

    /// The session that it has with a node.
    #[must_use]
    pub fn session(&self, node: usize) -> Option<u64> {
        match self {
            Self::Honest(own) => own.session(node),
            Self::Rogue(own) => own.session(node),
        }
    }

    /// A frame of a node arrives; false if it broke the protocol.
    pub fn hear(&mut self, around: &mut Surroundings, node: usize, frame: &Frame) -> bool {
        match self {
            Self::Honest(own) => own.hear(around, node, frame),
            Self::Rogue(own) => {
                own.hear(node, frame);
                true
            }
        }
    }

    /// A node's certificate is revoked.
    pub fn revoke(&mut self, around: &mut Surroundings, node: usize) {
        if let Self::Honest(own) = self {
            own.revoke(around, node);
        }
    }

    /// Chances for what does not depend on what it does.
    pub fn weather(&mut self, around: &mut Surroundings) {
        if let Self::Honest(own) = self {
            own.weather(around);
        }
    }

    /// Whatever was wrong with its store is mended.
    pub fn heal(&mut self) {
        if let Self::Honest(own) = self {
            own.heal();
        }
    }

    /// How the study ended, if it has.
    #[must_use]
    pub fn finished(&self) -> Option<&Ending> {
        match self {
            Self::Honest(own) => own.finished(),
            Self::Rogue(own) => own.finished(),
        }
    }

    /// What its mirror holds of a node's ledger.
    #[must_use]
    pub fn mirrored(&self, node: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Honest(own) => own.mirrored(node),
            Self::Rogue(_) => Vec::new(),
        }
    }

    /// How many entries its mirror holds of a node's ledger.
    #[must_use]
    pub fn mirrored_entries(&self, node: usize) -> u64 {
        match self {
            Self::Honest(own) => own.mirrored_entries(node),
            Self::Rogue(_) => 0,
        }
    }

    /// The mirror of a node's ledger is gone.
    pub fn lose_mirror(&mut self, node: usize) {
        if let Self::Honest(own) = self {
            own.lose_mirror(node);
        }
    }
}
