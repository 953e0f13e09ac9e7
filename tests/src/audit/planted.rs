//! Made-up customers with canaries among them: tables as a node holds them, and who is eligible by the coins.

use anyhow::Result;
use aquifer_node::core::cohort::Cohort;
use aquifer_node::core::holdout::Split;
use aquifer_node::core::table::{Bits, Table, TableBuilder};
use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::law::witness::Train;
use aquifer_shared::domain::sum::HoldOut;

use super::design::Study;
use crate::law::eligible;
use crate::random::Seeded;

/// Tables of all nodes in a sum.
///
/// A canary is a direction of the space of sums drawn at random: one level of each column, and the label that is rare, so that
/// its residuals are as large as the clamp allows. Two canaries share a cell in one of `levels` columns.
#[derive(Debug)]
pub struct Planted {
    units: Vec<Unit>,
    canaries: Vec<Vec<usize>>,
    alone: Table,
    copies: usize,
}

/// A node's customers: ordinary ones, then its canaries, whether they are in or out.
#[derive(Debug)]
pub struct Unit {
    /// All rows.
    pub table: Table,
    /// Who is held out; never a canary.
    pub split: Split,
    /// Ordinary customers alone: what the attacker knows.
    pub ordinary: Cohort<Train>,
    /// The canary of each row that is one.
    canary_of: Vec<Option<usize>>,
}

impl Planted {
    /// Customers from a seed; each canary has `copies` rows.
    ///
    /// # Errors
    ///
    /// More than a table can hold.
    pub fn new(study: &Study, seed: u64, copies: usize) -> Result<Self> {
        let (features, levels) = (study.design.features, study.design.levels);
        let mut random = Seeded::new(seed, 0);
        let mut cells = || (0..features).map(|_| below(&mut random, levels)).collect();
        let canaries: Vec<Vec<usize>> = (0..study.design.canaries).map(|_| cells()).collect();
        let counts: Vec<usize> = study.shapes.iter().map(|shape| shape.cells).collect();
        let mut alone = TableBuilder::new(counts.clone(), None);
        for (index, cells) in canaries.iter().enumerate() {
            alone.push(cells.iter().copied(), true, &canary_id(index), false)?;
        }
        let units = (0..study.dealers).map(|node| {
            let own = (0..canaries.len())
                .filter(|canary| node < study.honest && study.node_of(*canary) == node);
            let mut rows = Rows::new(&counts);
            rows.ordinary(study, &mut Seeded::new(seed, 1 + node as u64))?;
            for canary in own {
                rows.canary(canary, &canaries[canary], copies)?;
            }
            rows.finish()
        });
        Ok(Self {
            units: units.collect::<Result<_>>()?,
            canaries,
            alone: alone.finish(),
            copies,
        })
    }

    /// Nodes whose updates are in a sum.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Cells of every canary.
    #[must_use]
    pub fn canaries(&self) -> &[Vec<usize>] {
        &self.canaries
    }

    /// A table of one row for each canary, in order.
    #[must_use]
    pub fn alone(&self) -> &Table {
        &self.alone
    }

    /// Rows that a canary has.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.copies
    }
}

impl Unit {
    /// Ordinary customers, and the canaries whose coin says so.
    #[must_use]
    pub fn cohort(&self, coins: &[bool]) -> Cohort<Train> {
        let rows = self.canary_of.iter();
        eligible(
            rows.map(|canary| canary.is_none_or(|canary| coins[canary]))
                .collect(),
        )
    }
}

/// A node's rows as they come.
struct Rows {
    builder: TableBuilder,
    canary_of: Vec<Option<usize>>,
}

impl Rows {
    fn new(counts: &[usize]) -> Self {
        Self {
            builder: TableBuilder::new(counts.to_vec(), Some(SPLIT)),
            canary_of: Vec::new(),
        }
    }

    /// A node's part of the ordinary customers: levels at random, a rare label; some are held out.
    fn ordinary(&mut self, study: &Study, random: &mut Seeded) -> Result<()> {
        let (design, mut training) = (&study.design, 0);
        let wanted = study.customers().div_ceil(study.dealers);
        while training < wanted {
            let held_out = random.uniform() < HELD_OUT;
            let label = random.uniform() < RATE;
            let id = self.canary_of.len().to_string();
            let cells: Vec<usize> = (0..design.features)
                .map(|_| below(random, design.levels))
                .collect();
            self.builder.push(cells, label, &id, held_out)?;
            self.canary_of.push(None);
            training += usize::from(!held_out);
        }
        Ok(())
    }

    fn canary(&mut self, canary: usize, cells: &[usize], copies: usize) -> Result<()> {
        for _ in 0..copies {
            let id = canary_id(canary);
            self.builder.push(cells.iter().copied(), true, &id, false)?;
            self.canary_of.push(Some(canary));
        }
        Ok(())
    }

    fn finish(self) -> Result<Unit> {
        let table = self.builder.finish();
        let family: Name = "canary-audit".parse()?;
        let split = Split::of(
            &table,
            &[0; 32],
            &family,
            &HoldOut::Column(SPLIT.to_owned()),
        )?;
        let ordinary: Bits = self.canary_of.iter().map(Option::is_none).collect();
        Ok(Unit {
            table,
            split,
            ordinary: eligible(ordinary),
            canary_of: self.canary_of,
        })
    }
}

fn canary_id(canary: usize) -> String {
    format!("canary-{canary}")
}

fn below(random: &mut Seeded, count: usize) -> usize {
    (random.uniform() * count as f64) as usize
}

/// The column that says who is held out.
const SPLIT: &str = "split";
/// Share of ordinary customers that are held out.
const HELD_OUT: f64 = 0.1;
/// Share of ordinary customers with the label of the canaries.
const RATE: f64 = 0.04;
