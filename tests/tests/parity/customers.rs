//! All customers of a data set at one node, and a study over them in this process.

use aquifer_node::core::contribution::contribution;
use aquifer_node::core::holdout::Split;
use aquifer_node::core::table::{Table, TableBuilder};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::predictor::learner::{Fitted, Learner};
use aquifer_shared::domain::predictor::plan::{Shape, additive_rounds, total_sigma};
use aquifer_shared::domain::sum::{HoldOut, NoiseShare, RoundTerms};
use aquifer_shared::protocol::wire::TaskBody;
use aquifer_tests::company::{Company, SPLIT_COLUMN};
use aquifer_tests::exact;
use aquifer_tests::given::shared;
use aquifer_tests::law::everybody;
use aquifer_tests::random::Seeded;

/// All customers of a data set in one table, as one node would hold them.
pub struct Customers {
    pub shapes: Vec<Shape>,
    pub table: Table,
    pub split: Split,
    /// Cells and label of the hold-out, in file order.
    pub test: Vec<(Vec<usize>, bool)>,
}

/// The noise that a released sum of a study has in all.
pub trait Released {
    /// Standard deviation in a cell of the sum of this round.
    fn sigma(&self, round: usize) -> f64;
    /// Draws it.
    fn noise(&mut self, round: usize, cells: usize) -> Vec<i64>;
}

pub struct Without;

impl Released for Without {
    fn sigma(&self, _round: usize) -> f64 {
        0.0
    }

    fn noise(&mut self, _round: usize, cells: usize) -> Vec<i64> {
        vec![0; cells]
    }
}

/// The noise of eight nodes of which five are certain to be honest.
const SHARED: NoiseShare = NoiseShare {
    honest: 5,
    multiplicity: 1,
};

/// Shared noise of eight nodes, drawn from a seed and rounded.
pub struct Shared {
    pub rounds: Vec<RoundTerms>,
    pub seeded: Seeded,
}

impl Released for Shared {
    fn sigma(&self, round: usize) -> f64 {
        total_sigma(self.rounds[round].sigma_share, 8)
    }

    fn noise(&mut self, round: usize, cells: usize) -> Vec<i64> {
        let sigma = self.sigma(round);
        (0..cells)
            .map(|_| (sigma * self.seeded.normal()).round() as i64)
            .collect()
    }
}

/// A data set in file order, test rows first; `None` where there is none.
pub fn company(name: &str) -> Option<Company> {
    let path = shared()?.join("data").join(name);
    Some(Company::read(&path, SPLIT_COLUMN).unwrap())
}

pub fn customers(company: &Company) -> Customers {
    let columns = &company.contract.columns;
    let shapes: Vec<Shape> = company
        .contract
        .shapes()
        .into_iter()
        .map(|(ordered, cells)| Shape { ordered, cells })
        .collect();
    let cells = shapes.iter().map(|shape| shape.cells).collect();
    let mut builder = TableBuilder::new(cells, Some(SPLIT_COLUMN));
    let mut test = Vec::new();
    for customer in &company.customers {
        let values = columns.iter().zip(&customer.values);
        let cells: Vec<usize> = values
            .map(|(column, value)| column.cell_of_text(Some(value)))
            .collect();
        let label = company.is_positive(customer);
        builder
            .push(cells.clone(), label, &customer.id, customer.held_out)
            .unwrap();
        if customer.held_out {
            test.push((cells, label));
        }
    }
    let table = builder.finish();
    let rule = HoldOut::Column(SPLIT_COLUMN.to_owned());
    let split = Split::of(&table, &[0; 32], &company.contract.name, &rule).unwrap();
    Customers {
        shapes,
        table,
        split,
        test,
    }
}

impl Customers {
    pub fn rounds(&self, urho: u64, clip: u32) -> Vec<RoundTerms> {
        additive_rounds(&self.shapes, MicroRho(urho), clip, 8, SHARED).unwrap()
    }

    pub fn sum(&self, body: &TaskBody, terms: &RoundTerms, clip: u32) -> Vec<i64> {
        let sum = contribution(
            &self.table,
            &self.split,
            &everybody(self.table.rows()),
            body,
            terms,
            clip,
        );
        sum.unwrap().expose().clone()
    }

    /// A whole study up to its last curve.
    pub fn learn(&self, rounds: &[RoundTerms], clip: u32, released: &mut dyn Released) -> Fitted {
        let mut sum = |round: usize, body: &TaskBody| {
            let mut sum = self.sum(body, &rounds[round], clip);
            let noise = released.noise(round, sum.len());
            sum.iter_mut()
                .zip(noise)
                .for_each(|(sum, noise)| *sum += noise);
            (sum, released.sigma(round))
        };
        let (counts, sigma) = sum(0, &TaskBody::Counts);
        let mut learner = Learner::after_counts(&self.shapes, &counts, sigma, clip).unwrap();
        for round in 1..=8 {
            let (residuals, sigma) = sum(round, &TaskBody::Residuals(learner.state()));
            learner.step(&residuals, sigma).unwrap();
        }
        assert!(learner.consistent());
        learner.finish().unwrap()
    }

    /// AUC, log-loss and calibration on the hold-out, from the rows themselves.
    pub fn exact(&self, fitted: &Fitted) -> [f64; 3] {
        let model = fitted.additive(&vec![true; self.shapes.len()]);
        let rows = self
            .test
            .iter()
            .map(|(cells, label)| (model.score(cells), *label));
        let scored: Vec<(i64, bool)> = rows.collect();
        let shown: Vec<(f64, bool)> = scored
            .iter()
            .map(|(score, label)| (model.probability(*score), *label))
            .collect();
        let by_score: Vec<(f64, bool)> = scored
            .iter()
            .map(|(score, label)| (*score as f64, *label))
            .collect();
        let surplus = shown
            .iter()
            .map(|(p, label)| p - f64::from(u8::from(*label)));
        let calibration = surplus.sum::<f64>() / shown.len() as f64;
        [
            exact::auc(&by_score).unwrap(),
            exact::log_loss(&shown).unwrap(),
            calibration,
        ]
    }
}
