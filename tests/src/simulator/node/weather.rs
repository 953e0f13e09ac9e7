//! What happens to a unit whatever its machine does: clocks jump, disks forget, certificates end.

use super::Node;
use crate::random::Seeded;
use crate::simulator::faults::Fault;
use crate::simulator::happening::Happening;
use crate::simulator::oracle::KnownBy;
use crate::simulator::surroundings::Surroundings;

/// What the weather did to a unit that others have to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weathered {
    /// The mirror of its ledger is gone too.
    pub lost_mirror: bool,
    /// Its certificate is revoked.
    pub revoked: bool,
}

impl Node {
    /// Chances for what does not depend on what the machine does; `mirrored` entries of its ledger are held by the mirror.
    pub fn weather(&mut self, around: &mut Surroundings, mirrored: u64) -> Weathered {
        let party = self.party();
        if let Some(mut numbers) = around.strikes(Fault::ClockJump, party) {
            let ms = (numbers.next_u64() % 7_200_000).cast_signed() - 3_600_000;
            self.clock.jump(ms);
        }
        if let Some(mut numbers) = around.strikes(Fault::Slow, party) {
            let ms = 1_000 << (numbers.next_u64() % 7);
            self.slow_until = around.now().after_ms(ms);
        }
        let lost_mirror = self.disk_weather(around, mirrored);
        let revoked = around.strikes(Fault::Revocation, party).is_some();
        if revoked {
            self.shut_out(around);
        }
        if let Some(mut numbers) = around.strikes(Fault::Expiry, party) {
            self.shut_out(around);
            let ms = 1_000 + numbers.next_u64() % 60_000;
            around.agenda.after_ms(ms, Happening::Renews(self.place));
        }
        Weathered {
            lost_mirror,
            revoked,
        }
    }

    /// Chances for the disk; `mirrored` entries are held by the mirror. True if the mirror is gone too.
    fn disk_weather(&mut self, around: &mut Surroundings, mirrored: u64) -> bool {
        let (party, mut lost_mirror) = (self.party(), false);
        if let Some(mut numbers) = around.strikes(Fault::LostWrite, party) {
            self.volumes.journal.lose_last_write();
            self.forget(around, &mut numbers, mirrored);
        }
        if let Some(mut numbers) = around.strikes(Fault::BitFlip, party) {
            self.volumes.journal.flip(&mut numbers);
            self.forgetful = true;
            self.stop(around, &mut numbers);
        }
        if let Some(mut numbers) = around.strikes(Fault::WitnessLost, party) {
            self.volumes.witness = None;
            self.stop(around, &mut numbers);
        }
        let backups = [
            (Fault::OldJournal, false, true),
            (Fault::OldVolumes, true, true),
            (Fault::OldEverything, true, false),
        ];
        for (fault, witness_too, mirror_stays) in backups {
            if let Some(mut numbers) = around.strikes(fault, party)
                && self.volumes.restore(witness_too)
            {
                lost_mirror |= !mirror_stays;
                let mirrored = if mirror_stays { mirrored } else { 0 };
                self.forget(around, &mut numbers, mirrored);
            }
        }
        lost_mirror
    }

    /// The disk is not what it was: who still knows more of the ledger?
    fn forget(&mut self, around: &mut Surroundings, numbers: &mut Seeded, mirrored: u64) {
        let kept = self.volumes.journal.entries();
        let entries = kept.len() as u64;
        let witnessed = self.volumes.witness.map_or(0, |head| head.seq);
        let known = match (witnessed > entries, mirrored > entries) {
            (true, _) => KnownBy::Witness,
            (false, true) => KnownBy::Mirror,
            (false, false) => KnownBy::Peers,
        };
        around.oracle.on_rollback(self.place, kept, known);
        self.forgetful = true;
        self.stop(around, numbers);
    }
}
