//! What the codes mean with which nodes refuse studies, and what can be done about each.

use aquifer_shared::domain::law::{Cause, Word as _};
use aquifer_shared::protocol::wire::RefusalCode;

/// A code in words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Meaning {
    /// What the node found.
    pub(crate) what: &'static str,
    /// What would help, and who can do it.
    pub(crate) advice: &'static str,
}

/// The cause of a refusal by law, from its detail.
pub(crate) fn cause(code: RefusalCode, detail: u64) -> Option<Cause> {
    let place = usize::try_from(detail.checked_sub(1)?).ok()?;
    let cause = Cause::ALL.get(place).copied();
    cause.filter(|_| code == RefusalCode::Law)
}

/// The meaning of a code.
pub(crate) fn meaning(code: RefusalCode) -> Meaning {
    let (what, advice) = match code {
        RefusalCode::Budget => (
            "the unit's caps do not cover the study; the number is what is left, in micro-rho",
            "submit a cheaper study, or ask the unit to decide on its caps (aquifer-node budget)",
        ),
        RefusalCode::NotApproved => (
            "nobody signed whom the unit's node.toml pins as approver",
            "let a pinned approver run aquifer study approve; aquifer whoami shows the key to pin",
        ),
        RefusalCode::DeltaTooLarge => (
            "delta is above 1 / (10 x population), or population or customers_max is below what the unit declares",
            "submit with a smaller delta, or with the true sizes",
        ),
        RefusalCode::Roster => (
            "the roster leaves this unit out, or has fewer members than its policy demands",
            "name more nodes in the study, or submit again now that the unit has joined",
        ),
        RefusalCode::Synthetic => (
            "the unit takes no synthetic study, or the answer slot is too short for its size",
            "leave slot_ms out; rehearsals need allow_synthetic in the unit's node.toml",
        ),
        RefusalCode::RefusedByPerson => (
            "a person at the unit said no, or took the unit out",
            "ask the unit why",
        ),
        RefusalCode::Withdrawn => (
            "the unit withdrew from the study",
            "ask the unit why; what was spent stays spent",
        ),
        RefusalCode::TrustMode | RefusalCode::PurposeUnknown | RefusalCode::HoldOut => policy(code),
        RefusalCode::NotPinned | RefusalCode::Operators | RefusalCode::Tolerances => others(code),
        RefusalCode::RosterInvalid
        | RefusalCode::PeerBehind
        | RefusalCode::Equivocation
        | RefusalCode::ProofInvalid => attempt(code),
        RefusalCode::ContractDiffers | RefusalCode::TermsDiffer | RefusalCode::Version => {
            differs(code)
        }
        _ => standing(code),
    };
    Meaning { what, advice }
}

fn policy(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::PurposeUnknown => (
            "the purpose is not among those of the unit's policy",
            "check the purpose for a slip, or ask the unit to allow it (purposes in node.toml)",
        ),
        RefusalCode::HoldOut => (
            "the unit has no such hold-out column, or its hold-out key is not the one that it accepted the study under",
            "hold out a fraction, or ask the unit to name its holdout_column or to put node.key back from its backup",
        ),
        _ => (
            "the unit does not take this trust mode",
            "submit in a mode that all units take (trust in the study; trust in the unit's node.toml)",
        ),
    }
}

/// Codes about the other members, on whom a unit relies in shared-noise.
fn others(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::NotPinned => (
            "the unit does not know a member; the number is that member's place in the roster, from 1",
            "the unit adds the member to its node.toml once key and operator were checked by voice (aquifer nodes --pins \
             prints the lines), or submit without that member, or with trust = \"node-noise\"",
        ),
        RefusalCode::Operators => (
            "by the unit's node.toml one operator runs more members of a group than the study lets collude; the number is \
             the place of the one too many, from 1, or 0 where the unit does not state who runs the coordinator",
            "raise c_max in the study, leave members of that operator out, or let the unit state coordinator_operator",
        ),
        _ => (
            "the unit's policy demands other tolerances; the number is 1 for too few honest shares (honest_min), 2 for too \
             few colluders (colluders_min), 3 for too many (colluders_max)",
            "submit with other d_max or c_max, or with more nodes, or ask the unit to change its node.toml",
        ),
    }
}

/// Codes about one attempt at a secure sum.
fn attempt(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::RosterInvalid => (
            "the roster of an attempt breaks a rule: too few members, a signature, a task or a key that is not theirs",
            "the attempt is tried again; if this stays, a member or the coordinator runs another version or lies",
        ),
        RefusalCode::PeerBehind => (
            "a member's ledger is older than one that the unit has seen; the number is that member, from 1 in its group",
            "that member was restored from an old backup: it adopts its newer ledger (aquifer-node ledger adopt)",
        ),
        RefusalCode::Equivocation => (
            "the unit was shown two rosters or two sets of dealers for one attempt; it kept both as evidence",
            "stop the study and find out why: an honest coordinator never does this",
        ),
        _ => (
            "the proof that enough members confirmed the same sum does not hold",
            "the attempt is tried again; if this stays, the coordinator runs another version or lies",
        ),
    }
}

fn differs(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::ContractDiffers => (
            "the unit has another contract, version or hash",
            "send the unit the contract file; aquifer contract check prints the hash on both sides",
        ),
        RefusalCode::Version => (
            "the terms have a version that the node does not speak",
            "bring both sides to the same version of the software",
        ),
        _ => (
            "the terms break a rule, or are not what was signed",
            "submit the study again; if this stays, compare the versions of the software",
        ),
    }
}

/// Codes about how the node and the study stand, not about what the study asks.
fn standing(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::Expired => (
            "the study has expired, by the unit's clock",
            "submit it again with a later expires_in_hours, and compare the clocks",
        ),
        RefusalCode::Locked => (
            "the unit's ledger disagrees with its witness",
            "the unit decides: aquifer-node ledger adopt, or ledger write-off",
        ),
        RefusalCode::Unfit => (
            "noise, disk or source failed at the unit",
            "the unit frees space or repairs the disk, and starts its node again",
        ),
        RefusalCode::AttemptsUsedUp => (
            "no attempt of the sum is left",
            "submit a new study, with more attempts_max",
        ),
        RefusalCode::AlreadyCharged => (
            "the attempt was charged for another task; the number names it",
            "nothing was spent twice; submit a new study if this one stands still",
        ),
        RefusalCode::Law => (
            "the unit's rule packs, or what it declares of its customers, deny it; the number is the cause, 0 where it declares nothing",
            "the unit sees rules, remedy and whom to ask with aquifer-node check and in its log",
        ),
        RefusalCode::History => (
            "too few units have signed the history that this unit was shown: some are away, or they were shown another one",
            "the operator looks who is connected (aquifer nodes); units see evidence with aquifer-node history show",
        ),
        RefusalCode::StudyUnknown => (
            "the unit does not know the study, or did not accept it",
            "wait until the unit has decided, or submit again",
        ),
        _ => (
            "the study is over at the unit, or the question was for another attempt",
            "nothing to do unless the study stands still",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [RefusalCode; 29] = [
        RefusalCode::NotLive,
        RefusalCode::StudyUnknown,
        RefusalCode::Expired,
        RefusalCode::TermsDiffer,
        RefusalCode::Budget,
        RefusalCode::AlreadyCharged,
        RefusalCode::AttemptsUsedUp,
        RefusalCode::Locked,
        RefusalCode::Unfit,
        RefusalCode::Withdrawn,
        RefusalCode::Version,
        RefusalCode::PurposeUnknown,
        RefusalCode::ContractDiffers,
        RefusalCode::NotApproved,
        RefusalCode::DeltaTooLarge,
        RefusalCode::TrustMode,
        RefusalCode::Synthetic,
        RefusalCode::RefusedByPerson,
        RefusalCode::Roster,
        RefusalCode::HoldOut,
        RefusalCode::RosterInvalid,
        RefusalCode::PeerBehind,
        RefusalCode::Equivocation,
        RefusalCode::ProofInvalid,
        RefusalCode::NotPinned,
        RefusalCode::Operators,
        RefusalCode::Tolerances,
        RefusalCode::Law,
        RefusalCode::History,
    ];

    #[test]
    fn a_refusal_by_law_names_its_cause() {
        let place = |cause: Cause| cause as u64 + 1;
        let found = cause(RefusalCode::Law, place(Cause::EpsilonAboveCap));
        assert_eq!(found, Some(Cause::EpsilonAboveCap));
        assert_eq!(cause(RefusalCode::Law, 0), None);
        assert_eq!(cause(RefusalCode::Law, 9_999), None);
        assert_eq!(cause(RefusalCode::Budget, 1), None);
    }

    #[test]
    fn every_code_has_a_meaning_of_its_own() {
        for (index, code) in ALL.into_iter().enumerate() {
            let own = meaning(code);
            assert!(!own.what.is_empty() && !own.advice.is_empty(), "{code:?}");
            let others = ALL[..index].iter();
            let same = others
                .filter(|other| meaning(**other).what == own.what)
                .count();
            assert_eq!(same, 0, "{code:?}");
        }
    }
}
