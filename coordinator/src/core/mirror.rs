//! The mirror of a node's ledger: which copies of its links continue what is held, and which tell another past.
//!
//! Decides only; where links are kept is the store's business. Never lets what is held go unnoticed: a copy that contradicts it is
//! kept apart, and replaces it only where it says that the node's operator wrote the lost budget off.

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::limits::{LEDGER_COPY_LINKS_MAX, LEDGER_LINK_BYTES_MAX};
use aquifer_shared::protocol::chain::{BrokenChain, Head, Link, WRITE_OFF_KIND};
use aquifer_shared::protocol::codec::decode;
use aquifer_shared::protocol::wire::{Hello, LedgerCopy, ledger_digest};

use super::update::is_signed;

/// What is held of a node's ledger.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Position of the last link; zero if there is none.
    pub head: Head,
    /// The node's signature over that position; empty if there is none.
    pub signature: Vec<u8>,
    /// Bytes of all links.
    pub bytes: u64,
}

/// A link of a ledger and the position that it reaches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MirrorLink {
    /// Its number and hash.
    pub head: Head,
    /// Its encoding, as it is hashed.
    pub bytes: Vec<u8>,
}

/// Links that follow each other, signed by their node. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct SignedCopy {
    base: Head,
    links: Vec<(u8, MirrorLink)>,
    signature: Vec<u8>,
}

/// A copy that no honest node sends.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadCopy {
    /// No links, or too many.
    #[error("a copy of a ledger has {got} entries, expected 1 to {LEDGER_COPY_LINKS_MAX}")]
    Length {
        /// Found.
        got: usize,
    },
    /// The links do not follow each other.
    #[error("a copy of a ledger is no chain")]
    Chain(#[from] BrokenChain),
    /// Not signed by the node's identity key.
    #[error("a copy of a ledger is not signed by its node")]
    Signature,
}

/// How a copy relates to what is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Relation {
    /// All of it is held.
    Known,
    /// These links come next.
    Continues(Vec<MirrorLink>),
    /// Links between what is held and the copy are missing.
    Gap,
    /// From this number on the node tells another past.
    Contradicts {
        /// Number of the first link that differs, or that of the link before the copy.
        seq: u64,
        /// The links that differ.
        links: Vec<MirrorLink>,
    },
    /// From this number on the node's operator gave up what was lost and wrote it off: these links take its place.
    WrittenOff {
        /// Number of the first link that differs.
        seq: u64,
        /// From there on.
        links: Vec<MirrorLink>,
    },
}

/// What a node's first words say about its ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Greeting {
    /// Nothing against the mirror.
    Fits,
    /// It has fewer entries than it once signed.
    Behind,
    /// It has another entry at the mirror's position.
    Beside,
}

/// Checks that the links of a copy follow each other and that their node signed the last position.
///
/// # Errors
///
/// What is wrong with the copy.
pub fn verify(key: &IdentityKey, copy: LedgerCopy) -> Result<SignedCopy, BadCopy> {
    let got = copy.links.len();
    if !(1..=LEDGER_COPY_LINKS_MAX).contains(&got) {
        return Err(BadCopy::Length { got });
    }
    let base = base_of(&copy.links[0])?;
    let (mut head, mut links) = (base, Vec::with_capacity(got));
    for bytes in copy.links {
        let (link, next) = head.follow(&bytes, LEDGER_LINK_BYTES_MAX)?;
        links.push((link.kind, MirrorLink { head: next, bytes }));
        head = next;
    }
    if !is_signed(key, &ledger_digest(&head), &copy.signature) {
        return Err(BadCopy::Signature);
    }
    Ok(SignedCopy {
        base,
        links,
        signature: copy.signature,
    })
}

/// The position before a link, as the link tells it.
fn base_of(bytes: &[u8]) -> Result<Head, BrokenChain> {
    let decoded = decode::<Link>("ledger entry", bytes, LEDGER_LINK_BYTES_MAX);
    let link = decoded.map_err(|source| BrokenChain::Encoding { seq: 1, source })?;
    let before = link.seq.checked_sub(1).ok_or(BrokenChain::Sequence {
        got: 0,
        expected: 1,
    })?;
    Ok(Head {
        seq: before,
        hash: link.prev_hash,
    })
}

impl SignedCopy {
    /// The position before the first link.
    #[must_use]
    pub fn base(&self) -> Head {
        self.base
    }

    /// The position behind the last link.
    #[must_use]
    pub fn head(&self) -> Head {
        self.links.last().map_or(self.base, |(_, link)| link.head)
    }

    /// The node's signature over [`SignedCopy::head`].
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Holds it against what is held; `hash_at` gives the hashes of held links from [`SignedCopy::base`] on.
    #[must_use]
    pub fn against(self, held: &Head, hash_at: impl Fn(u64) -> Option<Hash32>) -> Relation {
        if self.base.seq > held.seq {
            return Relation::Gap;
        }
        let hash_at = |seq: u64| match seq {
            0 => Some(Hash32::default()),
            seq if seq == held.seq => Some(held.hash),
            seq => hash_at(seq),
        };
        let plain = |links: Vec<(u8, MirrorLink)>| links.into_iter().map(|(_, link)| link);
        if hash_at(self.base.seq) != Some(self.base.hash) {
            return Relation::Contradicts {
                seq: self.base.seq,
                links: plain(self.links).collect(),
            };
        }
        let is_held = |(_, link): &&(u8, MirrorLink)| {
            link.head.seq <= held.seq && hash_at(link.head.seq) == Some(link.head.hash)
        };
        let known = self.links.iter().take_while(is_held).count();
        let rest = self.links[known..].to_vec();
        let Some((_, first)) = rest.first() else {
            return Relation::Known;
        };
        let seq = first.head.seq;
        if seq > held.seq {
            return Relation::Continues(plain(rest).collect());
        }
        let written_off = rest.iter().any(|(kind, _)| *kind == WRITE_OFF_KIND);
        let links = plain(rest).collect();
        match written_off {
            true => Relation::WrittenOff { seq, links },
            false => Relation::Contradicts { seq, links },
        }
    }
}

/// Holds a node's first words against the mirror.
#[must_use]
pub fn greet(hello: &Hello, held: &Head) -> Greeting {
    if hello.ledger_seq < held.seq {
        return Greeting::Behind;
    }
    match hello.ledger_seq == held.seq && hello.ledger_head != held.hash {
        true => Greeting::Beside,
        false => Greeting::Fits,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn key() -> IdentityKey {
        IdentityKey(pair().public_key().as_ref().try_into().unwrap())
    }

    /// A chain of these kinds after a position; the body tells branches apart.
    fn chain(after: Head, kinds: &[u8], branch: u8) -> Vec<MirrorLink> {
        let mut head = after;
        let link = |kind: &u8| {
            let (bytes, next) = head.append(*kind, vec![branch]);
            head = next;
            MirrorLink { head, bytes }
        };
        kinds.iter().map(link).collect()
    }

    fn copy(links: &[MirrorLink]) -> LedgerCopy {
        let head = links.last().unwrap().head;
        LedgerCopy {
            links: links.iter().map(|link| link.bytes.clone()).collect(),
            signature: pair().sign(&ledger_digest(&head).0).as_ref().to_vec(),
        }
    }

    fn relation(held: &[MirrorLink], sent: &[MirrorLink]) -> Relation {
        let head = held.last().map_or(Head::default(), |link| link.head);
        let hashes: BTreeMap<u64, Hash32> = held
            .iter()
            .map(|link| (link.head.seq, link.head.hash))
            .collect();
        let signed = verify(&key(), copy(sent)).unwrap();
        assert_eq!(signed.head(), sent.last().unwrap().head);
        signed.against(&head, |seq| hashes.get(&seq).copied())
    }

    #[test]
    fn a_copy_continues_what_is_held() {
        let whole = chain(Head::default(), &[1, 2, 3, 2], 0);
        let continues = |held: usize, from: usize| {
            let rest = whole[held..].to_vec();
            assert_eq!(
                relation(&whole[..held], &whole[from..]),
                Relation::Continues(rest)
            );
        };
        continues(0, 0);
        continues(2, 2);
        // Sent again because the answer was lost.
        continues(3, 1);
        continues(3, 0);
    }

    #[test]
    fn what_is_held_already_changes_nothing() {
        let whole = chain(Head::default(), &[1, 2, 3, 2], 0);
        assert_eq!(relation(&whole, &whole), Relation::Known);
        assert_eq!(relation(&whole, &whole[1..3]), Relation::Known);
    }

    #[test]
    fn a_gap_is_no_continuation() {
        let whole = chain(Head::default(), &[1, 2, 3, 2], 0);
        assert_eq!(relation(&whole[..1], &whole[2..]), Relation::Gap);
        assert_eq!(relation(&[], &whole[1..]), Relation::Gap);
    }

    #[track_caller]
    fn check_fork(held: usize, sent_from: usize, kinds: &[u8], written_off: bool) {
        let whole = chain(Head::default(), &[1, 2, 3, 2], 0);
        let branch = chain(whole[1].head, kinds, 9);
        let mut sent = whole[sent_from..2].to_vec();
        sent.extend(branch.clone());
        let (seq, links) = (3, branch);
        let expected = match written_off {
            true => Relation::WrittenOff { seq, links },
            false => Relation::Contradicts { seq, links },
        };
        assert_eq!(relation(&whole[..held], &sent), expected);
    }

    #[test]
    fn another_past_contradicts_unless_the_loss_was_written_off() {
        check_fork(4, 2, &[2], false);
        check_fork(4, 0, &[2, 2, 2, 2], false);
        check_fork(3, 1, &[3], false);
        check_fork(4, 2, &[WRITE_OFF_KIND], true);
        check_fork(4, 0, &[3, WRITE_OFF_KIND, 2], true);
    }

    #[test]
    fn a_past_that_never_met_the_mirror_contradicts() {
        let whole = chain(Head::default(), &[1, 2, 3], 0);
        let other = chain(Head::default(), &[1, 2, 3, WRITE_OFF_KIND], 9);
        let expected = Relation::Contradicts {
            seq: 3,
            links: other[3..].to_vec(),
        };
        assert_eq!(relation(&whole, &other[3..]), expected);
    }

    #[track_caller]
    fn check_bad(change: impl FnOnce(&mut LedgerCopy), expected: &str) {
        let mut sent = copy(&chain(Head::default(), &[1, 2, 3], 0));
        change(&mut sent);
        let error = verify(&key(), sent).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn copies_that_no_node_sends_are_refused() {
        check_bad(|copy| copy.links.clear(), "0 entries");
        check_bad(|copy| copy.links = vec![vec![0]; 20_000], "20000 entries");
        check_bad(|copy| drop(copy.links.remove(1)), "no chain");
        check_bad(|copy| copy.links[2].push(0), "no chain");
        check_bad(|copy| copy.links[0][0] = 0, "no chain");
        check_bad(|copy| copy.signature[0] ^= 1, "not signed");
        check_bad(|copy| drop(copy.links.pop()), "not signed");
        check_bad(|copy| copy.signature.clear(), "not signed");
    }

    #[track_caller]
    fn check_greeting(seq: u64, hash: u8, expected: Greeting) {
        let held = Head {
            seq: 5,
            hash: Hash32([5; 32]),
        };
        let hello = Hello {
            protocol: 1,
            software: String::new(),
            ledger_seq: seq,
            ledger_head: Hash32([hash; 32]),
            data_version: None,
            program: Hash32::default(),
        };
        assert_eq!(greet(&hello, &held), expected);
    }

    #[test]
    fn a_node_that_forgot_entries_shows_in_its_hello() {
        check_greeting(5, 5, Greeting::Fits);
        check_greeting(9, 1, Greeting::Fits);
        check_greeting(4, 5, Greeting::Behind);
        check_greeting(5, 6, Greeting::Beside);
    }
}
