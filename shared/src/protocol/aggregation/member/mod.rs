//! A node's side of one attempt at a secure sum, from "sum and noise are there" to its opening.
//!
//! Pure: fresh bytes, marks and acknowledgements are arguments. What stays with the caller (the node's participant): the
//! checks of a task, slots, the ledger, deadlines, END. It must keep these orders, which this machine cannot see:
//!
//! 1. [`OnRoster::Charge`]: write the charge and the marks in one durable batch, **then** call [`Member::deal`] and send what
//!    it returns (wrapped in what only a durable charge can build).
//! 2. [`OnDelivery::Mark`]: write the marks durably, **then** call [`Member::confirm`] and send what it returns.
//!
//! | state | waits for | answers |
//! | --- | --- | --- |
//! | Ready | ROSTER | `Charge` |
//! | Charging | [`Member::deal`] | same ROSTER: `Wait` |
//! | Dealt | DELIVERY | `Mark` or `Cannot`; same ROSTER: `Resend` |
//! | Marking | [`Member::confirm`] | same DELIVERY: `Wait` |
//! | Confirmed | PROOF | opening; same DELIVERY: `Resend` |
//! | Opened | END (caller) | PROOF: same opening; same DELIVERY: `Resend` |
//! | Erased | nothing | everything is refused as `NotLive` |
//!
//! Every message for another attempt, or out of state, is refused as `NotLive` and changes nothing. A refusal with
//! [`MemberRefusal::ends`] has wiped the attempt: the caller closes it (charged if it was) and drops the machine.

mod dealing;
mod event;
mod fixed;
mod refusal;

use std::{fmt, mem};

use self::dealing::{Admitted, Hand, OwnRow};
use self::fixed::{Fixed, Point};
use super::seal::EphemeralKey;
use super::setting::{carries, signed};
use super::{
    Advert, Cannot, Confirm, Delivery, Guard, MemberSet, Opening, Proof, Roster, Setting, Sign,
    Signature64, advert_digest, confirm_digest,
};
use crate::base::ids::{Hash32, IdentityKey};
use crate::base::secret::Secret;
use crate::domain::sharing::SummedShares;
use crate::protocol::chain::Head;
use crate::protocol::wire::{RefusalCode, frame};

pub use event::{Contribution, DealingTable, OnDelivery, OnRoster, Seat};
pub use refusal::{Broken, Evidence, MemberRefusal};

/// The machine. Its secrets are wiped when they are no longer needed, and all of them when it is dropped.
pub struct Member {
    setting: Setting,
    seat: Seat,
    advert: Advert,
    step: Step,
    charged: bool,
    /// What dealing a second time would need: kept only in simulations without the rule of one roster.
    spare: Option<Hand>,
}

enum Step {
    Ready(Hand),
    Charging(Charging),
    Dealt(Dealt),
    Fixed(Fixed),
    Erased,
}

struct Charging {
    admitted: Admitted,
    hand: Hand,
    seed: Secret<[u8; 32]>,
}

struct Dealt {
    admitted: Admitted,
    own_row: OwnRow,
    /// SHARES as it was sent.
    frame: Vec<u8>,
}

impl Member {
    /// Begins: makes the ephemeral key and the advert. The caller sends it at its slot, and sends the same again where the
    /// same task comes again.
    ///
    /// # Panics
    ///
    /// If the noisy sum does not have exactly the cells of the setting, the setting is none that [`carries`] allows, or the
    /// seat is not in it: bugs of the caller.
    ///
    /// # Privacy
    ///
    /// Nothing about the sum is in the advert.
    #[must_use]
    pub fn advertise(
        setting: Setting,
        seat: Seat,
        contribution: Contribution,
        sign: Sign<'_>,
    ) -> (Self, Advert) {
        let Contribution {
            noisy,
            ledger,
            fresh,
        } = contribution;
        assert_eq!(noisy.expose().len(), setting.cells, "cells of the sum");
        assert!(
            carries(setting.thresholds, setting.cells),
            "checked with the study's terms"
        );
        assert!(
            setting.key_of(seat.own).is_some()
                && setting.members.len() == setting.thresholds.members(),
            "a member of its group"
        );
        let key = EphemeralKey::new(&fresh);
        let mut advert = Advert {
            attempt: setting.attempt,
            task: setting.task,
            index: seat.own,
            key: key.public(),
            ledger,
            signature: Signature64([0; 64]),
        };
        advert.signature = signed(sign, &advert_digest(&advert));
        let member = Self {
            setting,
            seat,
            advert: advert.clone(),
            step: Step::Ready(Hand { noisy, key }),
            charged: false,
            spare: None,
        };
        (member, advert)
    }

    /// The attempt.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The advert, the same bytes whenever it is sent.
    #[must_use]
    pub fn advert(&self) -> &Advert {
        &self.advert
    }

    /// Whether a charge was asked for: what the attempt counts as when it ends early.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        self.charged
    }

    /// Takes a roster. `fresh` are 32 bytes drawn after it came (the dealing seed; wiped where they are not needed); `behind`
    /// says whether a peer's ledger is behind or beside its mark.
    ///
    /// # Errors
    ///
    /// A roster that breaks a rule ends the attempt; so does a second one, with both as evidence.
    pub fn on_roster(
        &mut self,
        roster: Roster,
        fresh: Secret<[u8; 32]>,
        behind: &dyn Fn(&IdentityKey, &Head) -> bool,
    ) -> Result<OnRoster, MemberRefusal> {
        if roster.attempt() != Some(self.setting.attempt) || matches!(self.step, Step::Erased) {
            return Err(MemberRefusal::not_live());
        }
        if let Some(held) = self.roster() {
            if *held == roster {
                return Ok(self.on_same_roster());
            }
            if !self.forgives(Guard::OneRoster) {
                let (held, shown) = (held.clone(), roster);
                self.erase();
                return Err(MemberRefusal::of_equivocation(Evidence::Rosters {
                    held,
                    shown,
                }));
            }
        }
        let before = mem::replace(&mut self.step, Step::Erased);
        let (first, dealt) = (
            matches!(before, Step::Ready(_)),
            matches!(before, Step::Dealt(_) | Step::Fixed(_)),
        );
        let hand = match before {
            Step::Ready(hand) | Step::Charging(Charging { hand, .. }) => Some(hand),
            Step::Dealt(_) | Step::Fixed(_) | Step::Erased => self.spare.take(),
        };
        let hand = hand.ok_or_else(MemberRefusal::not_live)?;
        let admitted = Admitted::new(&self.setting, &self.advert, &hand.key, roster, behind);
        let admitted = admitted.map_err(MemberRefusal::of_roster)?;
        let charge = OnRoster::Charge {
            roster: admitted.hash,
            marks: admitted.marks(&self.setting, self.seat.own),
        };
        let seed = admitted.seed(&self.setting, &fresh);
        self.step = Step::Charging(Charging {
            admitted,
            hand,
            seed,
        });
        if first {
            self.charged = true;
            return Ok(charge);
        }
        // A second roster that is forgiven: the charge of the first pays for it.
        let again = if dealt { self.deal() } else { None };
        Ok(again.map_or(OnRoster::Wait, OnRoster::Resend))
    }

    /// Deals: the frame of SHARES. To be called **only when the charge is durable**; `None` where no roster waits for it.
    ///
    /// # Privacy
    ///
    /// Each record can be opened by its receiver alone; any `c_max` of them tell nothing about the sum. The noisy sum and the
    /// seed are wiped.
    #[must_use]
    pub fn deal(&mut self) -> Option<Vec<u8>> {
        let charging = match mem::replace(&mut self.step, Step::Erased) {
            Step::Charging(charging) => charging,
            other => {
                self.step = other;
                return None;
            }
        };
        let Charging {
            admitted,
            hand,
            seed,
        } = charging;
        let (shares, own_row) = admitted.deal(&self.setting, &self.seat, &hand.noisy, seed);
        let frame = frame(&shares);
        self.spare = self.forgives(Guard::OneRoster).then_some(hand);
        self.step = Step::Dealt(Dealt {
            admitted,
            own_row,
            frame: frame.clone(),
        });
        Some(frame)
    }

    /// Takes a delivery: opens the records and adds them up.
    ///
    /// # Errors
    ///
    /// One that breaks a rule (nothing changes), or a second set (ends the attempt, with both as evidence).
    pub fn on_delivery(&mut self, delivery: Delivery) -> Result<OnDelivery, MemberRefusal> {
        if delivery.attempt != self.setting.attempt {
            return Err(MemberRefusal::not_live());
        }
        match &mut self.step {
            Step::Dealt(_) => self.on_first_set(delivery),
            Step::Fixed(fixed) => {
                let same = delivery.roster == fixed.hash;
                rule(&self.setting, Guard::DeliveredRoster, same)?;
                if delivery.dealers == fixed.dealers {
                    let confirm = fixed.confirm.clone();
                    return Ok(confirm.map_or(OnDelivery::Wait, OnDelivery::Resend));
                }
                if let Some(again) = fixed.again.take() {
                    self.step = Step::Dealt(*again);
                    return self.on_first_set(delivery);
                }
                let evidence = Evidence::Sets {
                    roster: fixed.hash,
                    held: fixed.dealers,
                    shown: delivery.dealers,
                };
                self.erase();
                Err(MemberRefusal::of_equivocation(evidence))
            }
            Step::Ready(_) | Step::Charging(_) | Step::Erased => Err(MemberRefusal::not_live()),
        }
    }

    /// Confirms the fixed set. To be called **only when the marks are durable**; `None` where no set is fixed.
    #[must_use]
    pub fn confirm(&mut self, sign: Sign<'_>) -> Option<Confirm> {
        let Step::Fixed(fixed) = &mut self.step else {
            return None;
        };
        let (attempt, roster, dealers) = (self.setting.attempt, fixed.hash, fixed.dealers);
        let confirm = || Confirm {
            attempt,
            roster,
            dealers,
            signature: signed(sign, &confirm_digest(&attempt, &roster, &dealers)),
        };
        Some(fixed.confirm.get_or_insert_with(confirm).clone())
    }

    /// Takes a proof: the opening, the same bytes every time.
    ///
    /// # Errors
    ///
    /// Fewer than Q valid confirmations of distinct members of the roster over the set that this node confirmed; nothing
    /// changes then.
    ///
    /// # Privacy
    ///
    /// The opening is this node's point of the sum over all dealers; it leaves only when no other set can be opened.
    pub fn on_proof(&mut self, proof: &Proof, sign: Sign<'_>) -> Result<Opening, MemberRefusal> {
        let Step::Fixed(fixed) = &mut self.step else {
            return Err(MemberRefusal::not_live());
        };
        if proof.attempt != self.setting.attempt || fixed.confirm.is_none() {
            return Err(MemberRefusal::not_live());
        }
        fixed.check_proof(&self.setting, proof)?;
        Ok(fixed.open(&self.setting, sign))
    }

    fn on_same_roster(&self) -> OnRoster {
        match &self.step {
            Step::Dealt(dealt) => OnRoster::Resend(dealt.frame.clone()),
            _ => OnRoster::Wait,
        }
    }

    fn on_first_set(&mut self, delivery: Delivery) -> Result<OnDelivery, MemberRefusal> {
        let Step::Dealt(dealt) = &self.step else {
            return Err(MemberRefusal::not_live());
        };
        let (setting, admitted) = (&self.setting, &dealt.admitted);
        let (hash, dealers) = (delivery.roster, delivery.dealers);
        rule(setting, Guard::DeliveredRoster, hash == admitted.hash)?;
        let within = dealers.is_within(&admitted.members);
        rule(setting, Guard::DealersInRoster, within)?;
        let enough = dealers.len() >= setting.thresholds.dealers_min();
        rule(setting, Guard::DealersMin, enough)?;
        let own = (self.seat.own, &dealt.own_row);
        let (sum, missing) = admitted.collect(setting, own, delivery);
        if !setting.checks.hold(Guard::RecordsOpen, missing.is_empty()) {
            return Ok(OnDelivery::Cannot(Cannot {
                attempt: setting.attempt,
                dealers: missing,
            }));
        }
        let others = dealers.iter().filter(|dealer| *dealer != self.seat.own);
        let peers = others.filter_map(|dealer| setting.key_of(dealer).copied());
        let mark = OnDelivery::Mark {
            dealers,
            peers: peers.collect(),
        };
        self.fix(hash, dealers, sum);
        Ok(mark)
    }

    /// From here on there is one set, and no key by which another could be opened.
    fn fix(&mut self, hash: Hash32, dealers: MemberSet, sum: SummedShares) {
        let Step::Dealt(dealt) = mem::replace(&mut self.step, Step::Erased) else {
            return;
        };
        self.step = Step::Fixed(Fixed {
            roster: dealt.admitted.roster.clone(),
            members: dealt.admitted.members,
            hash,
            dealers,
            confirm: None,
            point: Point::Closed(sum),
            again: self.forgives(Guard::OneSet).then(|| Box::new(dealt)),
        });
    }

    fn roster(&self) -> Option<&Roster> {
        match &self.step {
            Step::Charging(charging) => Some(&charging.admitted.roster),
            Step::Dealt(dealt) => Some(&dealt.admitted.roster),
            Step::Fixed(fixed) => Some(&fixed.roster),
            Step::Ready(_) | Step::Erased => None,
        }
    }

    /// Whether a broken rule is overlooked: never, but in simulations of what its loss would do.
    fn forgives(&self, guard: Guard) -> bool {
        self.setting.checks.hold(guard, false)
    }

    fn erase(&mut self) {
        self.step = Step::Erased;
        self.spare = None;
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Ready(_) => "ready",
            Step::Charging(_) => "charging",
            Step::Dealt(_) => "dealt",
            Step::Fixed(fixed) => match (&fixed.confirm, &fixed.point) {
                (None, _) => "marking",
                (Some(_), Point::Closed(_)) => "confirmed",
                (Some(_), Point::Opened(_)) => "opened",
            },
            Step::Erased => "erased",
        };
        let (own, attempt) = (self.seat.own, self.setting.attempt);
        write!(f, "Member({own} of {attempt}, {step})")
    }
}

/// Judges a rule of deliveries; where it does not hold, nothing changes.
fn rule(setting: &Setting, guard: Guard, condition: bool) -> Result<(), MemberRefusal> {
    let holds = setting.checks.hold(guard, condition);
    let refusal = || MemberRefusal::of(RefusalCode::RosterInvalid, guard);
    holds.then_some(()).ok_or_else(refusal)
}
