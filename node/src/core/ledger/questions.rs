//! Questions under one standing study: which signature they rest on, and what they cost together.

use aquifer_shared::base::ids::StudyHash;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::sum::{Plan, StudyTerms, study_hash};
use aquifer_shared::protocol::codec::encode;

use super::Ledger;
use super::budget::Account;

/// What approvers of a study sign: the study, or for a question its standing study; none where it is outside that.
#[must_use]
pub fn signed(study: &StudyHash, terms: &StudyTerms) -> Option<StudyHash> {
    match terms.plan {
        Plan::Question { .. } => Some(study_hash(&encode(&terms.standing().ok()?))),
        Plan::Additive { .. } | Plan::Synthetic { .. } => Some(*study),
    }
}

impl Ledger {
    /// What all questions under a standing study were charged and what those that run may still be; none where that does not fit.
    #[must_use]
    pub fn asked(&self, standing: &StudyHash) -> Option<MicroRho> {
        let under = self.accounts.iter().filter(|(study, account)| {
            account.signed == Some(*standing) && account.signed != Some(**study)
        });
        let committed = under.map(|(_, account)| committed(account));
        let over = self.folded.of_standing(standing);
        committed
            .into_iter()
            .try_fold(over, |sum, one| sum.checked_add(one?))
    }
}

fn committed(account: &Account) -> Option<MicroRho> {
    let spent = account.spent(Default::default())?;
    Some(spent.checked_add(account.outstanding()?)?.everyone)
}
