//! A coordinator in memory that may show two histories, and its nodes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::base::ids::{Hash32, IdentityKey, StudyHash};
use crate::base::time::Timestamp;
use crate::domain::tlog::{
    Checkpoint, Frontier, Hashes, NoteSignature, SignedNote, consistency, key_hash, leaf_hash,
};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const STUDY: StudyHash = StudyHash([7; 32]);

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(pair: &Ed25519KeyPair) -> IdentityKey {
    IdentityKey(pair.public_key().as_ref().try_into().unwrap())
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log {
    frontier: Frontier,
    hashes: std::collections::BTreeMap<(u32, u64), Hash32>,
}

impl Hashes for Log {
    fn subtree(&self, level: u32, index: u64) -> Option<Hash32> {
        self.hashes.get(&(level, index)).copied()
    }
}

impl Log {
    fn append(&mut self, entry: &str) {
        let hashes = &mut self.hashes;
        self.frontier
            .push(leaf_hash(entry.as_bytes()), |level, index, hash| {
                hashes.insert((level, index), hash);
            });
    }

    fn note(&self) -> String {
        let pair = key(99);
        let name = coordinator_origin(&public(&pair));
        let checkpoint = Checkpoint {
            origin: name.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
            extensions: Vec::new(),
        };
        let text = checkpoint.to_text();
        let signature = NoteSignature {
            key_hash: key_hash(&name, 1, &public(&pair).0),
            name,
            bytes: pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        let signatures = vec![signature];
        SignedNote { text, signatures }.to_text()
    }
}

/// A coordinator, which may show different logs to different nodes, and its nodes.
struct World {
    now: Timestamp,
    branches: Vec<(Log, Gathering)>,
    nodes: Vec<(Ed25519KeyPair, Member)>,
    forks: Vec<(usize, Fork)>,
}

impl World {
    fn new(nodes: u8) -> Self {
        let node = |seed| (key(seed), Member::new(Held::default(), 0, NOW));
        let mut world = Self {
            now: NOW,
            branches: vec![(Log::default(), Gathering::default())],
            nodes: (1..=nodes).map(node).collect(),
            forks: Vec::new(),
        };
        world.branches[0].0.append("start");
        for node in 0..usize::from(nodes) {
            world.connect(node, 0);
        }
        world
    }

    fn roster(&self) -> Vec<IdentityKey> {
        self.nodes.iter().map(|(pair, _)| public(pair)).collect()
    }

    /// A node's session is with this branch from now on.
    fn connect(&mut self, node: usize, branch: usize) {
        let (pair, member) = &self.nodes[node];
        let (key, seen) = (public(pair), member.seen());
        self.branches.iter_mut().for_each(|(_, one)| one.gone(&key));
        self.branches[branch].1.seen(key, seen.size);
    }

    /// A second passes; every branch shows its log, nodes sign, cosignatures are handed round.
    fn exchange(&mut self) {
        self.now = self.now.after_ms(1_000);
        for branch in 0..self.branches.len() {
            let (log, gathering) = &mut self.branches[branch];
            let size = log.frontier.size();
            if gathering.is_due(self.now, size) {
                let edge = (size, log.frontier.root());
                gathering.publish(self.now, edge, log.note());
            }
            let Some((note, size, owed)) = gathering.owed() else {
                continue;
            };
            for (node, from) in owed {
                let head = LogHead {
                    key: public(&key(99)),
                    note: note.clone(),
                    from,
                    consistency: consistency(log, from, size).unwrap_or_default(),
                };
                let place = self
                    .nodes
                    .iter()
                    .position(|(pair, _)| public(pair) == node)
                    .unwrap();
                let (pair, member) = &mut self.nodes[place];
                match member.look(&head) {
                    Step::Cosign(held) => {
                        let sign = |text: &str| pair.sign(text.as_bytes()).as_ref().to_vec();
                        let said = member.signed(self.now, *held, sign).unwrap();
                        assert!(gathering.cosigned(&node, &said));
                    }
                    Step::Fork(fork) => self.forks.push((place, *fork)),
                    Step::Ignore(why) => panic!("{why}"),
                }
            }
            if let Some(news) = gathering.news() {
                let here = self.nodes.iter_mut().enumerate();
                for (place, (pair, member)) in here {
                    if gathering_has(gathering, pair)
                        && let Some(fork) = member.on_quorum(&news)
                    {
                        self.forks.push((place, *fork));
                    }
                }
            }
        }
    }

    /// Which nodes work in a round that begins now.
    fn round(&mut self) -> Vec<bool> {
        let (roster, now) = (self.roster(), self.now);
        let each = self.nodes.iter_mut().map(|(_, member)| {
            let works = member.may_work(now, &STUDY, &roster);
            if works {
                member.works(STUDY);
            }
            works
        });
        each.collect()
    }
}

/// Whether a node's session is with this branch.
fn gathering_has(gathering: &Gathering, pair: &Ed25519KeyPair) -> bool {
    format!("{gathering:?}").contains(&public(pair).to_string())
}

#[test]
fn nodes_that_see_one_history_work_on() {
    let mut world = World::new(3);
    for round in 0..5 {
        world.exchange();
        assert_eq!(world.round(), [true; 3], "{round}");
        world.branches[0].0.append("round");
    }
    assert!(world.forks.is_empty());
}

#[test]
fn nothing_is_worked_on_before_there_is_a_quorum() {
    let mut world = World::new(3);
    assert_eq!(world.round(), [false; 3]);
}

#[test]
fn r1_fork_caught_within_one_round() {
    for nodes in 3_u8..=9 {
        let mut world = World::new(nodes);
        world.exchange();
        assert!(world.round().into_iter().all(|works| works));
        // From here on the last nodes, less than half, are shown another history.
        let other = (world.branches[0].0.clone(), Gathering::default());
        world.branches.push(other);
        let (half, nodes) = ((usize::from(nodes) - 1) / 2, usize::from(nodes));
        (nodes - half..nodes).for_each(|node| world.connect(node, 1));
        world.branches[0].0.append("study");
        world.branches[1].0.append("another study");
        world.exchange();
        let _ = world.round();
        world.branches[0].0.append("round");
        world.branches[1].0.append("round");
        world.exchange();
        let works = world.round();
        let deceived = &works[nodes - half..];
        assert!(deceived.iter().all(|works| !works), "{nodes}: {works:?}");
        // Back on the first branch, each shows both notes.
        (nodes - half..nodes).for_each(|node| world.connect(node, 0));
        world.branches[0].0.append("more");
        world.exchange();
        assert_eq!(world.forks.len(), half);
        for (_, fork) in &world.forks {
            assert!(fork.held.contains("aquifer/coordinator") && fork.held != fork.shown);
        }
    }
}

#[test]
fn r1_neither_half_of_a_split_works() {
    let mut world = World::new(4);
    world.exchange();
    world.round();
    let other = (world.branches[0].0.clone(), Gathering::default());
    world.branches.push(other);
    (2..4).for_each(|node| world.connect(node, 1));
    world.branches[0].0.append("study");
    world.branches[1].0.append("another study");
    world.exchange();
    world.round();
    world.exchange();
    assert_eq!(world.round(), [false; 4]);
}

/// The coordinator is put back to an older copy and goes on from there.
fn restored(more: usize) -> World {
    let mut world = World::new(3);
    let backup = world.branches[0].0.clone();
    for _ in 0..3 {
        world.branches[0].0.append("lost");
    }
    world.exchange();
    assert_eq!(world.round(), [true; 3]);
    world.branches[0] = (backup, Gathering::default());
    (0..more).for_each(|_| world.branches[0].0.append("other"));
    (0..3).for_each(|node| world.connect(node, 0));
    world.exchange();
    world
}

#[test]
fn a_restored_coordinator_is_refused_by_all() {
    for (more, reason) in [
        (0, "the log is shorter than it was"),
        (2, "the log is shorter than it was"),
        (3, "the log has another root at the same size"),
        (9, "the log does not continue what it was"),
    ] {
        let world = restored(more);
        assert_eq!(world.forks.len(), 3, "{more}");
        assert!(
            world.forks.iter().all(|(_, fork)| fork.reason == reason),
            "{more}"
        );
    }
}

#[test]
fn another_key_of_the_log_is_a_fork() {
    let mut world = World::new(1);
    world.exchange();
    let other = LogHead {
        key: public(&key(98)),
        note: world.branches[0].0.note(),
        from: 1,
        consistency: Vec::new(),
    };
    assert!(matches!(world.nodes[0].1.look(&other), Step::Fork(_)));
}

#[test]
fn what_is_not_signed_or_from_elsewhere_is_not_cosigned() {
    let world = World::new(1);
    let (member, log) = (&world.nodes[0].1, &world.branches[0].0);
    let good = LogHead {
        key: public(&key(99)),
        note: log.note(),
        from: 0,
        consistency: Vec::new(),
    };
    assert!(matches!(member.look(&good), Step::Cosign(_)));
    let unsigned = LogHead {
        note: good.note.replace("\n1\n", "\n2\n"),
        ..good.clone()
    };
    assert!(matches!(member.look(&unsigned), Step::Ignore(_)));
    let elsewhere = LogHead { from: 5, ..good };
    assert!(matches!(member.look(&elsewhere), Step::Ignore(_)));
}

#[test]
fn cosignatures_of_strangers_and_of_other_checkpoints_do_not_count() {
    let mut world = World::new(3);
    world.exchange();
    let stranger = Cosigned {
        size: 1,
        root: world.branches[0].0.frontier.root(),
        seconds: 5,
        signature: key(50).sign(b"other").as_ref().to_vec(),
    };
    assert!(!world.branches[0].1.cosigned(&public(&key(50)), &stranger));
    let strangers: Vec<IdentityKey> = (40..43).map(|seed| public(&key(seed))).collect();
    let now = world.now;
    assert!(!world.nodes[0].1.may_work(now, &STUDY, &strangers));
    let roster = world.roster();
    assert!(world.nodes[0].1.may_work(now, &STUDY, &roster));
}

#[test]
fn a_proof_reads_back_and_another_text_does_not() {
    for count in [0, 1, 20] {
        let hashes = vec![Hash32([3; 32]); count];
        let text = tlog_proof(7, &hashes, "a note\n\n\u{2014} x y\n");
        let read = read_tlog_proof(&text).unwrap();
        assert_eq!(read, (7, hashes, "a note\n\n\u{2014} x y\n".to_owned()));
    }
    for text in [
        "",
        "c2sp.org/tlog-proof@v1\nindex 07\n\nnote",
        "c2sp.org/tlog-proof@v2\nindex 7\n\nnote",
    ] {
        assert_eq!(read_tlog_proof(text), None);
    }
}

#[track_caller]
fn check_quorum(nodes: usize, dishonest: usize, expected: usize) {
    assert_eq!(quorum(nodes, dishonest), expected);
}

#[test]
fn two_histories_never_both_have_a_quorum() {
    check_quorum(1, 0, 1);
    check_quorum(2, 0, 1);
    check_quorum(3, 0, 2);
    check_quorum(4, 1, 3);
    check_quorum(7, 2, 5);
    for nodes in 3..200 {
        for dishonest in 0..=(nodes - 1) / 3 {
            let enough = quorum(nodes, dishonest);
            // The dishonest sign both, everybody else signs one.
            assert!(2 * enough > nodes + dishonest && nodes - dishonest >= enough);
        }
    }
}
