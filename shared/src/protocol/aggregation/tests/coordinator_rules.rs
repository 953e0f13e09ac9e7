//! What the coordinator takes from members, and whom it leaves out.

use super::world::*;
use crate::base::ids::StudyHash;
use crate::base::secret::Secret;
use crate::protocol::aggregation::seal::EphemeralKey;
use crate::protocol::aggregation::*;
use crate::protocol::wire::{Refusal, RefusalCode};

/// Member 3 does something else than it should; the rest still makes the sum.
#[track_caller]
fn check_offends(change: impl Fn(&Group, &mut Up) -> bool + 'static, offence: Offence) -> World {
    let group = Group::new(usual(8), 7);
    let world = World::new(8, 7).with_up(move |member, mut up| {
        let changed = member == 3 && change(&group, &mut up);
        assert!(changed || member == 3 || member != 3);
        vec![up]
    });
    let world = world.run();
    let expected = Audit { member: 3, offence };
    assert_eq!(world.audits, [expected]);
    let released = world.released.as_ref().expect("released");
    assert_eq!(released.cells, world.sum_of(released.dealers.iter()));
    assert!(!released.openers.contains(3));
    world
}
