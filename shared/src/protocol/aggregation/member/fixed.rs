//! A member that has fixed its set of dealers: what it needs to see before it opens, and its opening.

use std::collections::BTreeSet;

use super::{Dealt, MemberRefusal};
use crate::base::ids::Hash32;
use crate::domain::sharing::SummedShares;
use crate::protocol::aggregation::setting::signed;
use crate::protocol::aggregation::{
    Confirm, Guard, MemberSet, Opening, Proof, Roster, Setting, Sign, confirm_digest,
    opening_digest,
};
use crate::protocol::wire::RefusalCode;

/// A set of dealers is fixed: marks are being written, or it is confirmed, or the sum is opened.
pub(super) struct Fixed {
    pub(super) roster: Roster,
    /// A.
    pub(super) members: MemberSet,
    /// The roster of the delivery.
    pub(super) hash: Hash32,
    /// U.
    pub(super) dealers: MemberSet,
    pub(super) confirm: Option<Confirm>,
    pub(super) point: Point,
    /// What a second set would need: kept only in simulations without the rule of one set.
    pub(super) again: Option<Box<Dealt>>,
}

pub(super) enum Point {
    /// Secret.
    Closed(SummedShares),
    /// Sent.
    Opened(Opening),
}

impl Fixed {
    /// At least Q confirmations of distinct members of the roster, over what this member confirmed itself.
    pub(super) fn check_proof(
        &self,
        setting: &Setting,
        proof: &Proof,
    ) -> Result<(), MemberRefusal> {
        let digest = confirm_digest(&setting.attempt, &self.hash, &self.dealers);
        let mut confirmed = BTreeSet::new();
        let mut unsigned = 0;
        for (member, signature) in &proof.confirmations {
            if !self.members.contains(*member) || confirmed.contains(member) {
                continue;
            }
            let valid = setting.is_by(*member, &digest, signature);
            if setting.checks.hold(Guard::ProofSignatures, valid) {
                confirmed.insert(*member);
            } else {
                unsigned += 1;
            }
        }
        let enough = confirmed.len() >= setting.thresholds.confirmations();
        if setting.checks.hold(Guard::ProofQuorum, enough) {
            return Ok(());
        }
        let guard = match unsigned {
            0 => Guard::ProofQuorum,
            _ => Guard::ProofSignatures,
        };
        Err(MemberRefusal::of(RefusalCode::ProofInvalid, guard))
    }

    pub(super) fn open(&mut self, setting: &Setting, sign: Sign<'_>) -> Opening {
        let elements = match &self.point {
            Point::Opened(opening) => return opening.clone(),
            Point::Closed(sum) => sum.open(),
        };
        let digest = opening_digest(&setting.attempt, &self.hash, &self.dealers, &elements);
        let opening = Opening {
            attempt: setting.attempt,
            elements,
            signature: signed(sign, &digest),
        };
        self.point = Point::Opened(opening.clone());
        opening
    }
}
