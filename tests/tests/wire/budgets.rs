//! What a node says of its budgets.

use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::wire::BudgetLeft;

use super::Sample;

pub(super) fn sample() -> Sample {
    let urho = MicroRho(1_234_567);
    Sample::of("budget-left", &BudgetLeft { urho })
}
