//! What a store must do for secure sums and for copies of ledgers, whichever database is below it.

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::base::limits::MIRROR_FORKS_MAX;
use aquifer_shared::protocol::chain::Head;

use super::super::{Fork, MirrorWrite, SpoolWrite, Spooled, Store};
use crate::core::mirror::{Held, MirrorLink};

const STUDY: StudyHash = StudyHash([0x77; 32]);
const NODE: IdentityKey = IdentityKey([0x55; 32]);

fn dealt(group: u16, dealer: u16) -> Spooled {
    Spooled {
        group,
        dealer,
        shares: vec![0, dealer as u8, 255],
    }
}

fn keep(group: u16, dealers: &[u16]) -> Vec<SpoolWrite> {
    let one = |dealer: &u16| SpoolWrite::Keep(dealt(group, *dealer));
    dealers.iter().map(one).collect()
}

pub(super) async fn what_dealers_dealt_lives_as_long_as_its_attempt(store: &Store) {
    let spool = [keep(1, &[1, 3]), keep(0, &[2])].concat();
    store
        .append(&STUDY, 0, &[vec![1]], &spool, None)
        .await
        .unwrap();
    let other = keep(0, &[9]);
    let elsewhere = StudyHash([0x78; 32]);
    store
        .append(&elsewhere, 0, &[], &other, None)
        .await
        .unwrap();
    let all = [dealt(0, 2), dealt(1, 1), dealt(1, 3)];
    assert_eq!(store.spool(&STUDY).await.unwrap(), all);
    // The next attempt of the same group, in one write with the end of the one before.
    let next = [vec![SpoolWrite::Drop { group: 1 }], keep(1, &[1, 2])].concat();
    store
        .append(&STUDY, 1, &[vec![2]], &next, None)
        .await
        .unwrap();
    let all = [dealt(0, 2), dealt(1, 1), dealt(1, 2)];
    assert_eq!(store.spool(&STUDY).await.unwrap(), all);
    let clear = [SpoolWrite::Clear];
    store.append(&STUDY, 2, &[], &clear, None).await.unwrap();
    assert_eq!(store.spool(&STUDY).await.unwrap(), []);
    assert_eq!(store.spool(&elsewhere).await.unwrap(), [dealt(0, 9)]);
    assert_eq!(store.records(&STUDY).await.unwrap(), [vec![1], vec![2]]);
}

pub(super) async fn a_spool_is_written_with_its_records_or_not_at_all(store: &Store) {
    // The record's number is taken: nothing of the write is kept.
    let taken = store
        .append(&STUDY, 1, &[vec![3]], &keep(0, &[1]), None)
        .await;
    assert!(taken.is_err());
    assert_eq!(store.spool(&STUDY).await.unwrap(), []);
    // The spool is there twice: nor is the record.
    let twice = [keep(0, &[1]), keep(0, &[1])].concat();
    assert!(
        store
            .append(&STUDY, 2, &[vec![3]], &twice, None)
            .await
            .is_err()
    );
    assert_eq!(store.records(&STUDY).await.unwrap().len(), 2);
    assert_eq!(store.spool(&STUDY).await.unwrap(), []);
}

/// Links after a position; the body tells branches apart.
fn links(after: Head, count: usize, branch: u8) -> Vec<MirrorLink> {
    let mut head = after;
    let next = |_| {
        let (bytes, after) = head.append(1, vec![branch; 100]);
        head = after;
        MirrorLink { head, bytes }
    };
    (0..count).map(next).collect()
}

fn write(replaced_from: Option<u64>, links: &[MirrorLink], bytes: u64) -> MirrorWrite {
    MirrorWrite {
        identity: NODE,
        replaced_from,
        links: links.to_vec(),
        held: held(links, bytes),
    }
}

fn held(links: &[MirrorLink], bytes: u64) -> Held {
    let head = links.last().unwrap().head;
    Held {
        head,
        signature: vec![head.seq as u8; 64],
        bytes,
    }
}

fn bytes(links: &[MirrorLink]) -> Vec<Vec<u8>> {
    links.iter().map(|link| link.bytes.clone()).collect()
}

pub(super) async fn a_mirror_follows_its_node(store: &Store) {
    assert_eq!(store.mirror_held(&NODE).await.unwrap(), Held::default());
    let all = links(Head::default(), 5, 0);
    let other = MirrorWrite {
        identity: IdentityKey([0x56; 32]),
        ..write(None, &links(Head::default(), 2, 1), 7)
    };
    let writes = [
        write(None, &all[..2], 200),
        other,
        write(None, &all[2..], 500),
    ];
    store.mirror_append(&writes).await.unwrap();
    // The same again changes nothing: an answer may have been lost.
    store.mirror_append(&writes[2..]).await.unwrap();
    assert_eq!(store.mirror_held(&NODE).await.unwrap(), held(&all, 500));
    let read = store.mirror_links(&NODE, 0, usize::MAX).await.unwrap();
    assert_eq!(read, bytes(&all));
    let hashes = store.mirror_hashes(&NODE, 2, 4).await.unwrap();
    let expected = all[1..4].iter().map(|link| (link.head.seq, link.head.hash));
    assert_eq!(hashes, expected.collect());
    let positions = store.mirror_positions().await.unwrap();
    assert!(positions.into_values().eq([5, 2]));
}

async fn apart(store: &Store) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ledger_forks")
        .fetch_one(&store.pool)
        .await
        .unwrap()
}

pub(super) async fn what_contradicts_a_mirror_is_kept_apart(store: &Store) {
    let fork = |count| Fork {
        identity: NODE,
        links: links(Head::default(), count, 9),
        signature: vec![9; 64],
    };
    assert_eq!(store.mirror_fork(&fork(3)).await.unwrap(), 3);
    assert_eq!(store.mirror_fork(&fork(3)).await.unwrap(), 3);
    assert_eq!(store.mirror_held(&NODE).await.unwrap().head.seq, 5);
    let many = MIRROR_FORKS_MAX as usize + 10;
    assert_eq!(
        store.mirror_fork(&fork(many)).await.unwrap(),
        MIRROR_FORKS_MAX
    );
    assert_eq!(apart(store).await, MIRROR_FORKS_MAX as i64);
}

pub(super) async fn lost_entries_make_room_when_they_are_written_off(store: &Store) {
    let before = links(Head::default(), 5, 0);
    let branch = links(before[2].head, 2, 5);
    let (kept, apart_before) = (write(Some(4), &branch, 700), apart(store).await);
    store.mirror_append(&[kept]).await.unwrap();
    assert_eq!(store.mirror_held(&NODE).await.unwrap(), held(&branch, 700));
    let read = store.mirror_links(&NODE, 0, usize::MAX).await.unwrap();
    let expected = [bytes(&before[..3]), bytes(&branch)].concat();
    assert_eq!(read, expected);
    assert_eq!(apart(store).await, apart_before + 2);
}

pub(super) async fn a_mirror_is_read_in_pieces(store: &Store) {
    let whole = store.mirror_links(&NODE, 0, usize::MAX).await.unwrap();
    let size = whole[0].len();
    let two = store.mirror_links(&NODE, 1, 2 * size).await.unwrap();
    assert_eq!(two, whole[1..3]);
    let one = store.mirror_links(&NODE, 3, 1).await.unwrap();
    assert_eq!(one, whole[3..4]);
    let none = store.mirror_links(&NODE, 5, usize::MAX).await.unwrap();
    assert!(none.is_empty());
    let far = store
        .mirror_links(&NODE, u64::MAX, usize::MAX)
        .await
        .unwrap();
    assert!(far.is_empty());
}
