//! Identity keys of the parties: the same in every history, so that they are made once.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// An Ed25519 key pair.
pub struct Pair {
    pair: Ed25519KeyPair,
    public: IdentityKey,
}

/// The keys of one history's parties.
#[derive(Clone, Debug)]
pub struct Keys {
    members: Rc<[Arc<Pair>]>,
    approver: Arc<Pair>,
}

impl Pair {
    fn new(number: u32) -> Self {
        let mut seed = [0x51; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into();
        Self {
            public: IdentityKey(public.expect("a public key has 32 bytes")),
            pair,
        }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        self.public
    }

    /// A signature.
    #[must_use]
    pub fn sign(&self, digest: &Hash32) -> Vec<u8> {
        self.pair.sign(&digest.0).as_ref().to_vec()
    }
}

impl Keys {
    /// Keys of this many members, by rising public key, and of an approver.
    #[must_use]
    pub fn new(members: usize) -> Self {
        MADE.with_borrow_mut(|made| {
            if let Some(keys) = made.iter().find(|keys| keys.members.len() == members) {
                return keys.clone();
            }
            let mut pairs: Vec<Arc<Pair>> = (1..=members as u32)
                .map(|number| Arc::new(Pair::new(number)))
                .collect();
            pairs.sort_by_key(|pair| pair.public());
            let keys = Self {
                members: pairs.into(),
                approver: Arc::new(Pair::new(0)),
            };
            made.push(keys.clone());
            keys
        })
    }

    /// The members, in the order of a roster.
    #[must_use]
    pub fn members(&self) -> &[Arc<Pair>] {
        &self.members
    }

    /// The approver.
    #[must_use]
    pub fn approver(&self) -> &Pair {
        &self.approver
    }
}

thread_local! {
    static MADE: RefCell<Vec<Keys>> = const { RefCell::new(Vec::new()) };
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<key pair of {}>", self.public)
    }
}
