//! Questions of analysts in this process: the exact sums of every unit, noise, and the rows that the coordinator reads; no
//! process and no network in between.

use crate::law::everybody;
use anyhow::{Context, Result, bail};
use aquifer_coordinator::core::sql::{self, Answer, Query, Settings, Statement};
use aquifer_node::core::analytics::{ChoiceKey, Inquiry, RowTable, TableBuilder, number_code};
use aquifer_node::core::consent::SubjectKey;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::text::number;
use aquifer_shared::domain::contract::{Contract, Published, PublishedKind};
use aquifer_shared::domain::question::Scales;
use aquifer_shared::domain::sum::NoiseShare;
use aquifer_shared::shell::noise::Noise;

use crate::company::{Company, Customer};

/// Units' encoded tables under one contract.
#[derive(Debug)]
pub struct Asked {
    contract: Contract,
    units: Vec<RowTable>,
    customers_max: u64,
}

/// A question with its exact sum, ready to be answered as often as is wanted.
#[derive(Debug)]
pub struct Prepared<'a> {
    asked: &'a Asked,
    query: Box<Query>,
    table: &'a Published,
    exact: Vec<i64>,
}

/// The noise of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Price.
    pub urho: MicroRho,
    /// What each unit's noise is a share of.
    pub share: NoiseShare,
}

impl Asked {
    /// The tables of a company whose customers are published ([`crate::reports::published`]).
    ///
    /// # Errors
    ///
    /// They are not, or are too many.
    pub fn of(company: &Company) -> Result<Self> {
        let contract = company.contract.clone();
        let table = contract.published(&contract.table);
        let table = table.context("the customers are published")?;
        let unit = |unit: usize| {
            let key = ChoiceKey::derive(
                &[unit as u8; 32],
                &SubjectKey::new(&[unit as u8; 32]),
                &table.name,
            );
            let mut builder = TableBuilder::new(table, key);
            for customer in company.of_unit(unit) {
                builder.push(&customer.id, codes(company, table, customer))?;
            }
            Ok(builder.finish())
        };
        let units = (0..company.units.len()).map(unit);
        Ok(Self {
            units: units.collect::<Result<_>>()?,
            customers_max: company.customers_max(),
            contract,
        })
    }

    /// Compiles a question; counts below zero are shown as they are.
    ///
    /// # Errors
    ///
    /// It is refused, or is none.
    pub fn prepare(&self, text: &str) -> Result<Prepared<'_>> {
        let settings = Settings {
            negative_counts: true,
            ..Settings::default()
        };
        let compiled = sql::compile(text, &settings, &self.contract, Some(&[]));
        let Statement::Query(query) = compiled.map_err(|no| anyhow::anyhow!("{no:?}"))? else {
            bail!("{text} is no question");
        };
        let question = &query.question;
        let table = self.contract.published(&question.table);
        let table = table.context("the table is published")?;
        let scales = Scales::of(question, table, self.customers_max);
        let scales = scales.context("the question is within limits")?;
        let mut exact = Vec::new();
        for unit in &self.units {
            let cohort = everybody(unit.rows());
            let sum =
                Inquiry::new((unit, &cohort), table, question, &scales).sum(0..unit.customers());
            exact.resize(sum.len(), 0);
            exact.iter_mut().zip(sum).for_each(|(all, own)| *all += own);
        }
        Ok(Prepared {
            asked: self,
            query,
            table,
            exact,
        })
    }
}

impl Prepared<'_> {
    /// One answer with fresh noise of every unit.
    ///
    /// # Errors
    ///
    /// A price that buys no noise, or a source that fails.
    pub fn answer(&self, terms: Terms, source: &mut dyn Noise) -> Result<Answer> {
        let noise = self.noise(terms)?;
        let mut cells = self.exact.clone();
        for _ in 0..noise.nodes {
            let drawn = source.draw(noise.sigma_share, cells.len())?;
            cells
                .iter_mut()
                .zip(drawn)
                .for_each(|(cell, drawn)| *cell += drawn);
        }
        Ok(self.read(&cells, noise)?)
    }

    /// The answer without noise: SQL on clamped values.
    ///
    /// # Errors
    ///
    /// None that a test would meet.
    pub fn truth(&self) -> Result<Answer> {
        let (sigma_share, nodes) = (0, 1);
        Ok(self.read(&self.exact, sql::Noise { sigma_share, nodes })?)
    }

    /// Standard deviation of the noise in a block, in its own units.
    ///
    /// # Errors
    ///
    /// A price that buys no noise.
    pub fn sigma(&self, terms: Terms, block: usize) -> Result<f64> {
        let scales = Scales::of(&self.query.question, self.table, self.asked.customers_max);
        let unit = scales.context("within limits")?.unit(block);
        Ok(self.noise(terms)?.sigma() * unit)
    }

    fn read(&self, cells: &[i64], noise: sql::Noise) -> Result<Answer, sql::OtherCells> {
        let most = self.asked.customers_max;
        sql::present(&self.query, self.table, cells, noise, most, 0)
    }

    fn noise(&self, terms: Terms) -> Result<sql::Noise> {
        let most = self.asked.customers_max;
        let question = &self.query.question;
        let round = question.round(self.table, most, terms.urho, terms.share);
        Ok(sql::Noise {
            sigma_share: round.context("the price buys noise")?.sigma_share,
            nodes: u32::try_from(self.asked.units.len())?,
        })
    }
}

/// A customer's row in codes.
fn codes(company: &Company, table: &Published, customer: &Customer) -> Vec<u64> {
    let columns = table.columns.iter().map(|column| {
        let place = company.contract.position(&column.name);
        let text = place.map_or("", |place| customer.values[place].as_str());
        match &column.kind {
            PublishedKind::Number(kind) => number_code(kind, number(text)).0,
            PublishedKind::Key { levels, .. } => {
                let known = levels.iter().position(|level| level == text);
                known.unwrap_or(levels.len()) as u64
            }
            PublishedKind::Date { .. } => unreachable!("training tables have no dates"),
        }
    });
    columns.collect()
}
