//! What a question may do is checked here once more, against the contract and against what was signed.

use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::question::{BadQuestion, Layout, Question, Scales};
use aquifer_shared::domain::sum::RoundTerms;

/// A question that does not fit the contract or the signed terms.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// It breaks a rule.
    #[error("the question breaks a rule of the contract")]
    Question(#[source] BadQuestion),
    /// Units may have more customers than the terms allow for.
    #[error("the contract lets a unit have {most} customers, the terms allow for {customers_max}")]
    Size {
        /// Most customers of a unit.
        most: u64,
        /// Most by the terms.
        customers_max: u64,
    },
    /// A number that the terms rule out.
    #[error("{what} is {got}, the terms allow {most}")]
    Beyond {
        /// The thing.
        what: &'static str,
        /// Found.
        got: u64,
        /// Most.
        most: u64,
    },
}

/// The table of a question, and the scales at which its answer stays within the terms of its round.
///
/// # Errors
///
/// The first thing that does not fit. Follows from public numbers alone.
pub fn scales_within<'a>(
    question: &Question,
    contract: &'a Contract,
    customers_max: u64,
    terms: &RoundTerms,
) -> Result<(&'a Published, Scales), Misfit> {
    let table = question.check(contract).map_err(Misfit::Question)?;
    let most = table.size_band.1;
    let too_many = Misfit::Size {
        most,
        customers_max,
    };
    if most > customers_max {
        return Err(too_many);
    }
    let scales = Scales::of(question, table, customers_max).ok_or(too_many)?;
    let cells = Layout::of(question, table).map_or(usize::MAX, |layout| layout.cells());
    let largest = scales.cell_abs_max.into();
    for (what, got, most) in [
        ("the number of cells", cells as u64, terms.cells_max.into()),
        (
            "one customer's number in a cell",
            largest,
            terms.cell_abs_max.into(),
        ),
        (
            "one customer's squared reach",
            scales.delta_sq,
            terms.delta_sq,
        ),
    ] {
        if got > most {
            return Err(Misfit::Beyond { what, got, most });
        }
    }
    Ok((table, scales))
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::question::{Block, BlockKind, Filter, Key};
    use aquifer_shared::domain::sum::Part;

    use super::*;

    const CONTRACT: &str = r#"
[contract]
name = "shop"
version = 1
[table.people]
privacy_unit = "id"
label = { column = "left", positive = "yes" }
[table.people.column.plan]
levels = ["basic", "plus"]
[table.orders]
privacy_unit = "id"
rows_per_group_max = 4
groups_per_unit_max = 3
size_band = [100, 2000]
[table.orders.column.shop]
levels = ["north", "south"]
"#;

    #[track_caller]
    fn check(change: impl Fn(&mut Question, &mut u64, &mut RoundTerms), expected: &str) {
        let mut question = Question {
            table: "orders".to_owned(),
            keys: vec![Key::Level(0)],
            filter: Filter::All,
            groups_max: 3,
            blocks: vec![Block {
                kind: BlockKind::Rows,
                weight: 1_000,
            }],
        };
        let mut customers_max = 1 << 31;
        let mut terms = RoundTerms {
            part: Part::Training,
            cells_max: 3,
            cell_abs_max: 1 << 19,
            delta_sq: 3 << 38,
            urho: MicroRho(1),
            sigma_share: 16,
        };
        change(&mut question, &mut customers_max, &mut terms);
        let contract = Contract::parse(CONTRACT).unwrap();
        let found = scales_within(&question, &contract, customers_max, &terms);
        let shown = found.map_or_else(|misfit| misfit.to_string(), |(table, _)| table.name.clone());
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_question_within_its_terms_is_taken() {
        check(|_, _, _| {}, "orders");
    }

    #[test]
    fn whatever_goes_beyond_is_refused() {
        check(
            |question, _, _| question.groups_max = 4,
            "the question breaks a rule of the contract",
        );
        check(
            |_, customers_max, _| *customers_max = 1_999,
            "the contract lets a unit have 2000 customers, the terms allow for 1999",
        );
        check(
            |_, _, terms| terms.cells_max = 2,
            "the number of cells is 3, the terms allow 2",
        );
        check(
            |_, _, terms| terms.cell_abs_max -= 1,
            "one customer's number in a cell is 524288, the terms allow 524287",
        );
        check(
            |_, _, terms| terms.delta_sq -= 1,
            "one customer's squared reach is 824633720832, the terms allow 824633720831",
        );
    }
}
