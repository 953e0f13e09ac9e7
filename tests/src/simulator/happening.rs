//! What can happen in the simulated world.

use aquifer_node::core::ledger::Batch;
use aquifer_node::core::participant;
use aquifer_shared::protocol::wire::LedgerHeld;

use super::network::{Frame, Way};

/// One planned thing.
#[derive(Debug)]
pub enum Happening {
    /// At a node, in one of its lives; nothing happens if that life is over.
    AtNode {
        /// Which, from 0.
        node: usize,
        /// In which life.
        life: u32,
        /// What.
        what: AtNode,
    },
    /// At the coordinator, in one of its lives.
    AtCoordinator {
        /// In which life.
        life: u32,
        /// What.
        what: AtCoordinator,
    },
    /// A frame arrives, if its session is still the current one.
    Arrives {
        /// At which end of which link.
        node: usize,
        /// Which way it went.
        way: Way,
        /// In which session.
        session: u64,
        /// The frame.
        frame: Frame,
    },
    /// The coordinator answers a handshake: its side of a session is up.
    Greeted {
        /// With which node.
        node: usize,
        /// Which life of the node.
        life: u32,
        /// The session.
        session: u64,
    },
    /// Both ends notice that a session is over.
    SessionBreaks {
        /// With which node.
        node: usize,
        /// The session.
        session: u64,
    },
    /// A node starts.
    Boots(usize),
    /// The coordinator starts.
    CoordinatorBoots,
    /// Chances for what does not depend on what the parties do.
    Weather,
    /// Whatever was broken is repaired.
    Heals,
    /// A person looks at a node's locked ledger.
    Decides(usize),
    /// A person renews a node's certificate.
    Renews(usize),
}

/// At a node.
#[derive(Debug)]
pub enum AtNode {
    /// It tries to get a session.
    Dials,
    /// The coordinator's welcome, and right behind it what it mirrors of the node's ledger.
    Welcomed(u64, LedgerHeld),
    /// Work that its machine asked for is done.
    Done(participant::Event),
    /// A batch reaches the disk; whether its machine is told.
    Lands(Batch, bool),
    /// The machine wanted to be woken at this time of its own clock.
    Wakes(u32),
}

/// At the coordinator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AtCoordinator {
    /// The records that wait are stored now, if the store does not fail.
    Stores,
    /// The machine wanted to be woken.
    Wakes(u32),
    /// The model is made.
    Concludes,
}
