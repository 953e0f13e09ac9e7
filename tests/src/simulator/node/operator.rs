//! A person at a unit whose ledger is locked: goes on with the longer of both chains, as `aquifer-node ledger adopt` does.

use aquifer_node::core::ledger::{Ledger, adopt};

use super::{Node, Standing};
use crate::simulator::surroundings::Surroundings;

impl Node {
    /// Decides with what the coordinator's mirror holds; leaves the unit locked where that does not help.
    pub fn decide(&mut self, around: &mut Surroundings, mirror: &[Vec<u8>]) {
        if self.standing() != Standing::Locked {
            return;
        }
        self.quit(around);
        let now = self.clock.read(around.now());
        let own: Vec<Vec<u8>> = self
            .volumes
            .journal
            .entries()
            .iter()
            .map(|entry| entry.to_vec())
            .collect();
        let Ok(ledger) = Ledger::open(own.iter().map(Vec::as_slice)) else {
            return;
        };
        match adopt(now, &own, mirror) {
            Ok(Some(adoption)) => {
                let known = |seen| adoption.ledger.contains(seen) || ledger.contains(seen);
                if self.volumes.witness.is_some_and(|seen| !known(seen)) {
                    return;
                }
                self.volumes.witness = Some(adoption.ledger.durable());
                self.volumes.journal.adopt(&adoption);
            }
            // Only the witness was lost.
            Ok(None) if self.volumes.witness.is_none() => {
                self.volumes.witness = Some(ledger.durable());
            }
            Ok(None) | Err(_) => return,
        }
        let now = around.now();
        around
            .oracle
            .on_adoption(now, self.place, self.volumes.journal.entries());
        self.standing = Standing::In;
        self.forgetful = false;
        self.boot(around);
    }
}
