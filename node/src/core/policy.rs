//! What a unit's own policy says to a study: accept, hold for a person, or refuse with a fixed code.
//!
//! Decided on public facts alone: terms, approvals, the contract, node.toml, the ledger. Customers are never looked at.

use aquifer_shared::base::ids::{Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::{APPROVALS_MAX, STUDY_LIFE_MS_MAX};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::predictor::ModelState;
use aquifer_shared::domain::predictor::plan::{Shape, additive_rounds};
use aquifer_shared::domain::sum::{
    BrokenRule, HoldOut, Part, Plan, RoundTerms, SLOTS_MS, SUM_VERSION, StudyTerms,
    smallest_slot_ms,
};
use aquifer_shared::protocol::wire::{Approval, RefusalCode, TaskBody, approve_digest};

use super::approved::Approved;
use super::gatekeeper::Gatekeeper;
use super::ledger::{Caps, Ledger, Shortfall, floor_of, read_terms, reservation, signed};
use super::model::Fitted;
use super::trust::TrustPolicy;

/// The unit's own rules, from node.toml.
#[derive(Clone, Debug)]
pub struct NodePolicy {
    /// Budget caps.
    pub caps: Caps,
    /// Purposes that the unit serves.
    pub purposes: Vec<Name>,
    /// Identity keys whose approval counts.
    pub approvers: Vec<IdentityKey>,
    /// Whether a person at the unit decides on every study.
    pub by_person: bool,
    /// Smallest roster.
    pub members_min: usize,
    /// Modes, tolerances and members.
    pub trust: TrustPolicy,
    /// Cap per contract on what customers would lose if every other member colluded, in micro-rho.
    pub floor_per_contract: Option<MicroRho>,
    /// Whether studies marked synthetic are taken.
    pub allow_synthetic: bool,
    /// The unit's declared size.
    pub customers_max: u64,
}

/// The public facts about the unit's contract that terms are held against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContractFacts {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: u32,
    /// Its hash.
    pub hash: Hash32,
    /// At how many nodes it says that a customer may be.
    pub multiplicity: u16,
    /// Its features, as plans see them.
    pub shapes: Vec<Shape>,
    /// Tables that analysts may ask about.
    pub published: Vec<Published>,
    /// The column of the mapped table that can fix a hold-out.
    pub holdout_column: Option<String>,
    /// Names of its features.
    pub features: Vec<String>,
    /// Name of its label.
    pub label: String,
}

/// Everything that a decision rests on beside the study and the ledger.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The unit's policy.
    pub policy: NodePolicy,
    /// Its contract.
    pub contract: ContractFacts,
    /// Its identity key.
    pub identity: IdentityKey,
    /// Under which key it splits customers into training and hold-out.
    pub split: Hash32,
    /// Which state of the published tables the unit serves; none where it publishes nothing.
    pub data_version: Option<Name>,
    /// Standing studies that a person at the unit let pass, where a person decides on studies.
    pub standing: Vec<StudyHash>,
    /// Whether the sampler's own privacy map confirms that every round's price covers its noise.
    pub confirms: fn(&StudyTerms) -> bool,
    /// Rules of law, and what the unit declares of its people; without them, synthetic studies alone are taken.
    pub gatekeeper: Option<Gatekeeper>,
    /// The epsilon of a price at a delta, rounded up.
    pub epsilon: fn(MicroRho, Delta) -> f64,
    /// Approvals whose signatures were looked at.
    pub approved: Approved,
}

/// What policy says.
#[derive(Clone, Debug, PartialEq)]
pub enum Review {
    /// Set budget aside.
    Accept(StudyHash, Box<StudyTerms>),
    /// Ask a person.
    Hold(StudyHash, Box<StudyTerms>),
    /// No, with the code and its detail.
    Refuse(RefusalCode, u64),
}

impl Rules {
    /// Holds an offer against every rule, in a fixed order; the first that it breaks decides.
    #[must_use]
    pub fn review(
        &self,
        now: Timestamp,
        ledger: &Ledger,
        bytes: &[u8],
        approvals: &[Approval],
    ) -> Review {
        let Ok((study, terms)) = read_terms(bytes) else {
            return Review::Refuse(RefusalCode::TermsDiffer, 0);
        };
        let verdict = self
            .check_terms(&terms)
            .and_then(|()| self.check_contract(&terms))
            .and_then(|()| self.check_approval(&study, &terms, approvals))
            .and_then(|()| self.check_public_sizes(now, ledger, &terms))
            .and_then(|()| self.check_roster(&terms))
            .and_then(|()| self.check_kind(&terms))
            .map_err(|code| (code, 0))
            .and_then(|()| self.policy.trust.check(&self.identity, &terms))
            .and_then(|()| self.check_question(ledger, &terms))
            .and_then(|()| self.check_budget(now, ledger, &terms))
            .and_then(|()| self.check_law(now, ledger, &terms));
        if let Err((code, detail)) = verdict {
            return Review::Refuse(code, detail);
        }
        // Whether questions may be asked was decided with their standing study.
        if self.policy.by_person && !matches!(terms.plan, Plan::Question { .. }) {
            return Review::Hold(study, Box::new(terms));
        }
        Review::Accept(study, Box::new(terms))
    }

    /// Whether a study that was accepted with these approvals may still be served: the unit may have changed contract, policy or
    /// approvers since.
    pub(super) fn still_serves(
        &self,
        study: &StudyHash,
        terms: &StudyTerms,
        approvals: &[Approval],
    ) -> Result<(), RefusalCode> {
        self.check_contract(terms)
            .and_then(|()| self.check_approval(study, terms, approvals))
            .and_then(|()| self.check_data_version(terms))
            .and_then(|()| self.check_kind(terms))
            .and_then(|()| {
                let trusted = self.policy.trust.check(&self.identity, terms);
                trusted.map_err(|(code, _)| code)
            })
    }

    /// Whether a task's model has the shape of this unit's contract; decided before any customer is looked at.
    pub(super) fn fits(&self, body: &TaskBody, cells_max: u32) -> bool {
        match body {
            TaskBody::Counts | TaskBody::Synthetic(_) | TaskBody::Question => true,
            TaskBody::Evaluation(state) => self.fitted_bins(state).is_some(),
            TaskBody::Residuals(state) => self
                .fitted_bins(state)
                .is_some_and(|bins| bins <= cells_max as usize),
        }
    }

    fn fitted_bins(&self, state: &ModelState) -> Option<usize> {
        let shapes = self.contract.shapes.iter();
        let cells: Vec<usize> = shapes.map(|shape| shape.cells).collect();
        Fitted::new(&cells, state).ok().map(|fitted| fitted.bins())
    }

    fn check_terms(&self, terms: &StudyTerms) -> Result<(), RefusalCode> {
        if terms.version != SUM_VERSION {
            return Err(RefusalCode::Version);
        }
        terms.check().map_err(|broken| match broken {
            BrokenRule::Roster => RefusalCode::Roster,
            _ => RefusalCode::TermsDiffer,
        })?;
        let priced = terms.price().is_some_and(|price| terms.urho >= price);
        if !priced || !self.has_planned_rounds(terms) || !(self.confirms)(terms) {
            return Err(RefusalCode::TermsDiffer);
        }
        Ok(())
    }

    /// Whether the rounds are those that the plan gives for this unit's own contract.
    fn has_planned_rounds(&self, terms: &StudyTerms) -> bool {
        let Some(share) = terms.noise_share() else {
            return false;
        };
        match &terms.plan {
            Plan::Additive { clip, rounds } => {
                let evaluation = terms
                    .rounds
                    .last()
                    .filter(|last| last.part == Part::HoldOut);
                let urho = evaluation.map_or(MicroRho::ZERO, |last| last.urho);
                let planned = additive_rounds(&self.contract.shapes, urho, *clip, *rounds, share);
                planned.is_some_and(|planned| planned == terms.rounds)
            }
            Plan::Synthetic { cells, rounds } => {
                let fits = |round: &RoundTerms| round.cells_max == *cells;
                terms.rounds.len() == usize::from(*rounds) && terms.rounds.iter().all(fits)
            }
            // Held against the published table by `check_question`.
            Plan::Question { .. } => !terms.is_standing(),
        }
    }

    fn check_contract(&self, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let own = &self.contract;
        let same = terms.contract_name == own.name
            && terms.contract_version == own.version
            && terms.contract_hash == own.hash;
        if !same {
            return Err(RefusalCode::ContractDiffers);
        }
        if terms.multiplicity < own.multiplicity {
            return Err(RefusalCode::TermsDiffer);
        }
        if !self.policy.purposes.contains(&terms.purpose) {
            return Err(RefusalCode::PurposeUnknown);
        }
        Ok(())
    }

    /// Whether somebody whom the unit trusts signed the study, or the standing study that a question is asked under.
    fn check_approval(
        &self,
        study: &StudyHash,
        terms: &StudyTerms,
        approvals: &[Approval],
    ) -> Result<(), RefusalCode> {
        if approvals.len() > APPROVALS_MAX {
            return Err(RefusalCode::TermsDiffer);
        }
        let signed = signed(study, terms).ok_or(RefusalCode::Standing)?;
        let digest = approve_digest(&signed);
        let counts = |approval: &Approval| {
            let pinned = self.policy.approvers.contains(&approval.key);
            pinned && self.approved.holds(&digest, approval)
        };
        if approvals.iter().any(counts) {
            return Ok(());
        }
        Err(RefusalCode::NotApproved)
    }

    fn check_public_sizes(
        &self,
        now: Timestamp,
        ledger: &Ledger,
        terms: &StudyTerms,
    ) -> Result<(), RefusalCode> {
        // A node's own declared size is part of the population, whatever the study says.
        let honest = terms.population >= self.policy.customers_max.min(terms.customers_max);
        let delta_max = 1.0 / (10.0 * terms.population.max(1) as f64);
        if !honest || terms.delta.get() > delta_max {
            return Err(RefusalCode::DeltaTooLarge);
        }
        let present = ledger.present(now);
        if present > terms.expires {
            return Err(RefusalCode::Expired);
        }
        // A question lives minutes; what its approvers signed lives no longer than any study.
        let signed = match &terms.plan {
            Plan::Question { standing, .. } => standing.expires,
            Plan::Additive { .. } | Plan::Synthetic { .. } => terms.expires,
        };
        if terms.expires.max(signed) > present.after_ms(STUDY_LIFE_MS_MAX) {
            return Err(RefusalCode::TermsDiffer);
        }
        Ok(())
    }

    /// Whether the caps cover the study; the detail is what is left under the cap that does not.
    fn check_budget(
        &self,
        now: Timestamp,
        ledger: &Ledger,
        terms: &StudyTerms,
    ) -> Result<(), (RefusalCode, u64)> {
        let affordable = ledger.affordable(now, self.policy.caps, self.split, terms);
        affordable.map_err(|Shortfall { left }| (RefusalCode::Budget, left.0))?;
        let Some(cap) = self.policy.floor_per_contract else {
            return Ok(());
        };
        let committed = ledger.floor_committed(&self.contract.name);
        let left = committed.map_or(MicroRho::ZERO, |committed| cap.left_after(committed));
        let asked = reservation(terms).and_then(|parts| floor_of(terms, parts));
        if asked.is_some_and(|asked| asked <= left) {
            return Ok(());
        }
        Err((RefusalCode::Budget, left.0))
    }

    fn check_roster(&self, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let member = terms.member(&self.identity).is_some();
        if !member || terms.roster.len() < self.policy.members_min {
            return Err(RefusalCode::Roster);
        }
        Ok(())
    }

    fn check_kind(&self, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let synthetic_plan = matches!(terms.plan, Plan::Synthetic { .. });
        let taken = self.policy.allow_synthetic || !(terms.synthetic || synthetic_plan);
        let features = self.contract.shapes.len() as u64;
        let slot_min = match &terms.plan {
            Plan::Question { .. } => self.question_slot_ms(terms),
            _ => smallest_slot_ms(terms.customers_max, features),
        };
        let slotted = SLOTS_MS.contains(&terms.slot_ms) && terms.slot_ms >= slot_min;
        if !taken || (synthetic_plan && !terms.synthetic) || !(slotted || terms.synthetic) {
            return Err(RefusalCode::Synthetic);
        }
        let kept = match &terms.holdout {
            HoldOut::Fraction(ppm) => *ppm < 1_000_000,
            HoldOut::Column(asked) => self.contract.holdout_column.as_ref() == Some(asked),
        };
        if !kept {
            return Err(RefusalCode::HoldOut);
        }
        if terms.customers_max < self.policy.customers_max {
            return Err(RefusalCode::DeltaTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::sum::TrustMode;

    use super::super::ledger::Lost;
    use super::*;
    use crate::core::fixtures::{
        NOW, SPLIT, URHO, name, offer, pinned, public, rules, shared, synthetic, terms,
    };

    #[track_caller]
    fn check(terms: &StudyTerms, rules: &Rules, expected: Result<(), RefusalCode>) {
        let (_, offer) = offer(terms);
        let found = rules.review(NOW, &Ledger::default(), &offer.terms, &offer.approvals);
        let found = match found {
            Review::Refuse(code, _) => Err(code),
            Review::Accept(..) => Ok(()),
            Review::Hold(..) => panic!("nobody asked for a person"),
        };
        assert_eq!(found, expected);
    }

    /// The sample study with one thing changed.
    #[track_caller]
    fn check_changed(change: impl FnOnce(&mut StudyTerms), expected: RefusalCode) {
        let mut changed = terms();
        change(&mut changed);
        check(&changed, &rules(), Err(expected));
    }

    #[test]
    fn the_sample_study_is_accepted() {
        check(&terms(), &rules(), Ok(()));
        check(&synthetic(3), &rules(), Ok(()));
    }

    #[test]
    fn another_version_is_refused_before_anything_else() {
        check_changed(|terms| terms.version = 2, RefusalCode::Version);
    }

    #[test]
    fn terms_that_break_a_rule_are_refused() {
        let code = RefusalCode::TermsDiffer;
        check_changed(|terms| terms.rounds[0].sigma_share -= 1, code);
        check_changed(|terms| terms.urho_cap = MicroRho(1), code);
        check_changed(|terms| terms.urho = MicroRho(URHO.0 - 1), code);
        check_changed(|terms| terms.rounds.swap(0, 1), code);
        check_changed(|terms| terms.rounds.truncate(3), code);
        check_changed(|terms| terms.roster.reverse(), RefusalCode::Roster);
        check_changed(|terms| terms.mode = TrustMode::SharedNoise, code);
    }

    #[test]
    fn rounds_of_another_contract_are_refused() {
        check_changed(
            |terms| terms.rounds[0].cells_max += 1,
            RefusalCode::TermsDiffer,
        );
    }

    #[test]
    fn another_contract_or_purpose_is_refused() {
        let code = RefusalCode::ContractDiffers;
        check_changed(|terms| terms.contract_version = 2, code);
        check_changed(|terms| terms.contract_hash = Hash32([0; 32]), code);
        check_changed(
            |terms| terms.purpose = name("marketing"),
            RefusalCode::PurposeUnknown,
        );
    }

    /// Whether a study is still served that was accepted as it is offered.
    fn serves(rules: &Rules, terms: &StudyTerms) -> Result<(), RefusalCode> {
        let (study, offer) = offer(terms);
        rules.still_serves(&study, terms, &offer.approvals)
    }

    #[test]
    fn more_approvals_than_a_study_carries_are_refused() {
        let (_, offer) = offer(&terms());
        for (count, code) in [
            (APPROVALS_MAX, None),
            (APPROVALS_MAX + 1, Some(RefusalCode::TermsDiffer)),
        ] {
            let approvals = vec![offer.approvals[0].clone(); count];
            let found = rules().review(NOW, &Ledger::default(), &offer.terms, &approvals);
            let found = match found {
                Review::Refuse(code, _) => Some(code),
                _ => None,
            };
            assert_eq!(found, code);
        }
    }

    #[test]
    fn what_was_accepted_under_other_rules_is_not_served() {
        let study = terms();
        assert_eq!(serves(&rules(), &study), Ok(()));
        let mut other = rules();
        other.policy.approvers = vec![public(9)];
        assert_eq!(serves(&other, &study), Err(RefusalCode::NotApproved));
        let mut moved = rules();
        moved.contract.hash = Hash32([9; 32]);
        assert_eq!(serves(&moved, &study), Err(RefusalCode::ContractDiffers));
        let mut narrowed = rules();
        narrowed.policy.purposes.clear();
        assert_eq!(serves(&narrowed, &study), Err(RefusalCode::PurposeUnknown));
        let mut grown = rules();
        grown.policy.customers_max = study.customers_max + 1;
        assert!(serves(&grown, &study).is_err());
    }

    #[test]
    fn a_model_of_another_shape_is_refused_without_a_look_at_customers() {
        let hostile = TaskBody::Evaluation(ModelState::default());
        assert!(!rules().fits(&hostile, 64));
        assert!(rules().fits(&TaskBody::Counts, 64));
    }

    #[test]
    fn a_price_that_the_sampler_does_not_confirm_is_refused() {
        let doubtful = Rules {
            confirms: |_| false,
            ..rules()
        };
        check(&terms(), &doubtful, Err(RefusalCode::TermsDiffer));
    }

    #[test]
    fn a_study_without_a_pinned_approval_is_refused() {
        let mut strict = rules();
        strict.policy.approvers = vec![public(9)];
        check(&terms(), &strict, Err(RefusalCode::NotApproved));
        let (_, mut offer) = offer(&terms());
        offer.approvals[0].signature[5] ^= 1;
        let found = rules().review(NOW, &Ledger::default(), &offer.terms, &offer.approvals);
        assert_eq!(found, Review::Refuse(RefusalCode::NotApproved, 0));
    }

    #[test]
    fn an_approval_of_another_study_does_not_count() {
        let (_, other) = offer(&synthetic(1));
        let (_, own) = offer(&terms());
        let found = rules().review(NOW, &Ledger::default(), &own.terms, &other.approvals);
        assert_eq!(found, Review::Refuse(RefusalCode::NotApproved, 0));
    }

    #[test]
    fn delta_follows_the_population() {
        let code = RefusalCode::DeltaTooLarge;
        check_changed(|terms| terms.population = 100_001, code);
        check_changed(|terms| terms.population = 10, code);
        let mut fits = terms();
        fits.population = 100_000;
        check(&fits, &rules(), Ok(()));
    }

    #[test]
    fn an_expired_study_is_refused() {
        check_changed(
            |terms| terms.expires = Timestamp(NOW.0 - 1),
            RefusalCode::Expired,
        );
        let longest = NOW.after_ms(STUDY_LIFE_MS_MAX);
        let endless = |terms: &mut StudyTerms| terms.expires = longest.after_ms(1);
        check_changed(endless, RefusalCode::TermsDiffer);
        let mut long = terms();
        long.expires = longest;
        check(&long, &rules(), Ok(()));
    }

    #[test]
    fn the_roster_names_this_node_and_enough_others() {
        check_changed(
            |terms| {
                terms.roster = vec![public(3)];
                terms.quorum = 1;
            },
            RefusalCode::Roster,
        );
        let mut strict = rules();
        strict.policy.members_min = 3;
        check(&terms(), &strict, Err(RefusalCode::Roster));
    }

    /// What policy says to a study in shared-noise, before anything else is looked at.
    #[track_caller]
    fn check_shared(
        study: &StudyTerms,
        change: impl FnOnce(&mut Rules),
        expected: Result<(), (RefusalCode, u64)>,
    ) {
        let mut rules = rules();
        rules.policy.trust = pinned(study);
        change(&mut rules);
        let verdict = rules.check_terms(study).map_err(|code| (code, 0));
        let trusted = rules.policy.trust.check(&rules.identity, study);
        let budget = rules.check_budget(NOW, &Ledger::default(), study);
        assert_eq!(verdict.and(trusted).and(budget), expected);
    }

    #[test]
    fn a_study_in_shared_noise_has_the_scales_of_its_shares() {
        let study = shared(8);
        check_shared(&study, |_| {}, Ok(()));
        let differs = Err((RefusalCode::TermsDiffer, 0));
        let mut own = study.clone();
        own.rounds = terms().rounds;
        check_shared(&own, |_| {}, differs);
        let mut fewer = study.clone();
        fewer.quorum -= 1;
        check_shared(&fewer, |_| {}, differs);
        let mut none = study.clone();
        none.c_max = 0;
        check_shared(&none, |_| {}, differs);
        let stranger = |rules: &mut Rules| drop(rules.policy.trust.pins.pop_first());
        check_shared(&study, stranger, Err((RefusalCode::NotPinned, 1)));
    }

    #[test]
    fn the_floor_has_a_cap_of_its_own() {
        let study = shared(8);
        let capped =
            |cap| move |rules: &mut Rules| rules.policy.floor_per_contract = Some(MicroRho(cap));
        check_shared(&study, capped(5 * URHO.0), Ok(()));
        let left = 5 * URHO.0 - 1;
        check_shared(&study, capped(left), Err((RefusalCode::Budget, left)));
        // Node-noise costs the same with everybody else against the node.
        let mut rules = rules();
        rules.policy.floor_per_contract = Some(URHO);
        check(&terms(), &rules, Ok(()));
        rules.policy.floor_per_contract = Some(MicroRho(URHO.0 - 1));
        check(&terms(), &rules, Err(RefusalCode::Budget));
    }

    #[test]
    fn studies_add_up_under_the_cap_of_the_floor() {
        let mut ledger = Ledger::default();
        let mut rules = rules();
        rules.policy.caps.per_contract = MicroRho(1 << 30);
        rules.policy.caps.per_year = MicroRho(1 << 30);
        let (_, accepted) = offer(&shared(8));
        let caps = rules.policy.caps;
        let body = (&accepted.terms[..], &shared(8), &accepted.approvals[..]);
        ledger.reserve(NOW, caps, SPLIT, body, false).unwrap();
        rules.policy.floor_per_contract = Some(MicroRho(6 * URHO.0));
        assert_eq!(rules.check_budget(NOW, &ledger, &terms()), Ok(()));
        let again = rules.check_budget(NOW, &ledger, &shared(8));
        assert_eq!(again, Err((RefusalCode::Budget, URHO.0)));
        // What was lost counts like what was charged.
        let (urho, floor) = (MicroRho(1), URHO);
        ledger.write_off(NOW, Lost { urho, floor }, Vec::new(), 0);
        let full = rules.check_budget(NOW, &ledger, &terms());
        assert_eq!(full, Err((RefusalCode::Budget, 0)));
    }

    #[test]
    fn members_that_are_no_longer_pinned_are_not_served() {
        let study = shared(8);
        let mut rules = rules();
        rules.policy.trust = pinned(&study);
        assert_eq!(serves(&rules, &study), Ok(()));
        rules.policy.trust.pins.pop_last();
        assert_eq!(serves(&rules, &study), Err(RefusalCode::NotPinned));
    }

    #[test]
    fn slots_hide_the_computing_time() {
        let code = RefusalCode::Synthetic;
        check_changed(|terms| terms.slot_ms = 0, code);
        check_changed(|terms| terms.slot_ms = 21, code);
        check_changed(|terms| terms.customers_max = 10_000_000, code);
        let mut strict = rules();
        strict.policy.allow_synthetic = false;
        check(&synthetic(1), &strict, Err(code));
    }

    #[test]
    fn an_unknown_holdout_column_is_refused() {
        let holdout = HoldOut::Column("split".into());
        check_changed(
            |terms| terms.holdout = holdout.clone(),
            RefusalCode::HoldOut,
        );
        let mut known = rules();
        known.contract.holdout_column = Some("split".into());
        let mut study = terms();
        study.holdout = holdout;
        check(&study, &known, Ok(()));
    }

    #[test]
    fn a_study_for_smaller_units_is_refused() {
        check_changed(
            |terms| terms.customers_max = 999,
            RefusalCode::DeltaTooLarge,
        );
    }

    #[test]
    fn a1_exhausted_denies() {
        let mut tight = rules();
        tight.policy.caps.per_year = MicroRho(URHO.0 - 1);
        let (_, offer) = offer(&terms());
        let found = tight.review(NOW, &Ledger::default(), &offer.terms, &offer.approvals);
        assert_eq!(found, Review::Refuse(RefusalCode::Budget, URHO.0 - 1));
    }

    #[test]
    fn numbers_that_mean_nothing_do_not_decode() {
        let (_, sound) = offer(&terms());
        let delta = 1e-6_f64.to_le_bytes();
        let at = sound.terms.windows(8).position(|bytes| bytes == delta);
        for bad in [f64::NAN, -1e-6, f64::INFINITY, 0.0] {
            let mut bytes = sound.terms.clone();
            bytes[at.unwrap()..at.unwrap() + 8].copy_from_slice(&bad.to_le_bytes());
            let found = rules().review(NOW, &Ledger::default(), &bytes, &sound.approvals);
            assert_eq!(found, Review::Refuse(RefusalCode::TermsDiffer, 0), "{bad}");
        }
    }

    #[test]
    fn any_other_bytes_are_refused() {
        let (_, sound) = offer(&terms());
        for cut in 0..sound.terms.len() {
            let bytes = &sound.terms[..cut];
            let found = rules().review(NOW, &Ledger::default(), bytes, &sound.approvals);
            assert_eq!(found, Review::Refuse(RefusalCode::TermsDiffer, 0));
        }
    }
}
