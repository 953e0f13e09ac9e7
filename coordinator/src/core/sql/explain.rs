//! What a question would cost and how exact its answer would be: a function of question, contract, public terms and what is left.
//!
//! Spends nothing, contacts nobody, reads no customer data.

use serde_json::{Value as Json, json};

use super::answer::Noise;
use super::compile::{PRICE_MIN, PriceWish, Query};
use super::figure::{BlockSum, Figure, Sums};
use super::reading::Reading;
use super::refusal::{Refusal, Rule};
use aquifer_shared::base::units::{Delta, Epsilon, MicroRho};
use aquifer_shared::domain::contract::Published;
use aquifer_shared::domain::question::{BlockKind, Layout, RUN_CELLS, Scales, doubled, number};
use aquifer_shared::domain::sum::{NoiseShare, TrustMode};

/// The public terms under which questions are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicTerms {
    /// Trust mode.
    pub mode: TrustMode,
    /// What each node's noise is a share of.
    pub share: NoiseShare,
    /// Units whose noise is in a sum that holds everybody.
    pub nodes: u32,
    /// Customers per node, declared.
    pub customers_max: u64,
    /// Price of a statement that says nothing of its own.
    pub price_usual: MicroRho,
    /// Most that a statement may cost.
    pub price_max: MicroRho,
    /// Delta of statements.
    pub delta: Delta,
    /// Groups with a smaller noisy count are suppressed.
    pub cohort_floor: u64,
    /// Answers leave at multiples of this.
    pub slot_ms: u32,
    /// Which data.
    pub data_version: String,
}

/// What is left, as far as it is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Left {
    /// Of the hard budget, at the node with the least.
    pub hard: Option<MicroRho>,
    /// Of the analyst's share.
    pub share: Option<MicroRho>,
}

/// The price of a statement.
///
/// `within` gives the largest price whose epsilon at a delta is within a target (zero where there is none).
///
/// # Errors
///
/// More than the owner allows, less than the smallest price, or no share that a part could be taken of.
pub fn price(
    query: &Query,
    standing: &PublicTerms,
    left: Left,
    within: impl Fn(Epsilon, Delta) -> MicroRho,
) -> Result<MicroRho, Refusal> {
    let price = match query.price {
        PriceWish::Usual => standing.price_usual,
        PriceWish::Rho(rho) => rho,
        PriceWish::Epsilon(epsilon, delta) => within(epsilon, delta.unwrap_or(standing.delta)),
        PriceWish::Share(part) => {
            let share = left.share.unwrap_or(standing.price_max).min(URHO_SHARE_MAX);
            let part = (share.0 as f64 * part).floor() as u64;
            MicroRho(part).min(standing.price_max)
        }
    };
    if price > standing.price_max {
        return Err(Refusal::of_all(
            "QP003",
            Rule::Price,
            format!("the statement would cost {price}"),
            format!("ask for at most {}", standing.price_max),
        ));
    }
    if price < PRICE_MIN {
        return Err(Refusal::of_all(
            "22023",
            Rule::Price,
            format!("the statement would cost {price}"),
            format!("ask for at least {PRICE_MIN}"),
        ));
    }
    Ok(price)
}

/// Shares are counted as floating point only below this, where that is exact.
const URHO_SHARE_MAX: MicroRho = MicroRho(1 << 52);

/// The scale of each node's noise at a price; `None` where limits of the private sum leave none.
#[must_use]
pub fn noise(
    query: &Query,
    table: &Published,
    standing: &PublicTerms,
    price: MicroRho,
) -> Option<Noise> {
    let scales = Scales::of(&query.question, table, standing.customers_max)?;
    Some(Noise {
        sigma_share: standing.share.scale(scales.delta_sq, price)?,
        nodes: standing.nodes,
    })
}

/// What `EXPLAIN` says, from the cells to the slot; whoever knows purposes, rules and stored answers adds those.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Identity of the plan.
    pub plan: String,
    /// Groups.
    pub groups: usize,
    /// Cells.
    pub cells: usize,
    /// Price.
    pub price: MicroRho,
    /// Epsilon at the delta.
    pub epsilon: f64,
    /// Expected errors, one entry for each reading.
    pub errors: Vec<ExpectedError>,
    /// How many questions of this price the hard budget still holds.
    pub hard_left: Option<u64>,
    /// How many the analyst's share still holds.
    pub share_left: Option<u64>,
    facts: Vec<(&'static str, String)>,
}

/// Half-widths of 95 % intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedError {
    /// The column.
    pub name: String,
    /// For counts and sums, whatever the group's size.
    pub half_width: Option<f64>,
    /// For everything else, by size of the group, at the middle of the range; `None` where there is no use.
    pub by_size: Vec<(u64, Option<f64>)>,
}

/// Sizes of groups for which errors of ratios are stated.
pub const REFERENCE_SIZES: [u64; 3] = [100, 1_000, 10_000];

/// Explains a question at a price; `epsilon` is that of the price at the delta of the terms.
///
/// # Errors
///
/// The price leaves no scale within the limits of the private sum.
pub fn explain(
    query: &Query,
    table: &Published,
    standing: &PublicTerms,
    price: MicroRho,
    epsilon: f64,
    left: Left,
) -> Result<Explanation, Refusal> {
    let layout = Layout::of(&query.question, table);
    let noise = noise(query, table, standing, price);
    let errors = noise.and_then(|n| expected_errors(query, table, n, standing.customers_max));
    let (Some(layout), Some(noise), Some(errors)) = (layout, noise, errors) else {
        return Err(Refusal::of_all(
            "22023",
            Rule::Price,
            format!("no noise within the limits belongs to {price}"),
            "ask for another price",
        ));
    };
    let affordable = |left: Option<MicroRho>| left.map(|left| left.0 / price.0.max(1));
    Ok(Explanation {
        plan: query.plan.to_string(),
        groups: layout.groups(),
        cells: layout.cells(),
        price,
        epsilon,
        errors,
        hard_left: affordable(left.hard),
        share_left: affordable(left.share),
        facts: facts(query, table, standing, noise),
    })
}

/// How exact the figures of a question will be under this noise; `None` where its sizes do not fit.
#[must_use]
pub fn expected_errors(
    query: &Query,
    table: &Published,
    noise: Noise,
    customers_max: u64,
) -> Option<Vec<ExpectedError>> {
    let scales = Scales::of(&query.question, table, customers_max)?;
    let sigmas = query.question.blocks.iter().enumerate();
    let sigmas: Vec<(BlockKind, f64)> = sigmas
        .map(|(index, block)| (block.kind, noise.sigma() * scales.unit(index)))
        .collect();
    let errors = query.presentation.readings();
    let errors = errors.map(|(name, reading)| expected(name, reading, table, &sigmas));
    Some(errors.collect())
}

fn facts(
    query: &Query,
    table: &Published,
    standing: &PublicTerms,
    noise: Noise,
) -> Vec<(&'static str, String)> {
    let mode = match standing.mode {
        TrustMode::NodeNoise => "node-noise",
        TrustMode::SharedNoise => "shared-noise",
    };
    let blocks: Vec<String> = query
        .question
        .blocks
        .iter()
        .map(|block| format!("{} ({}/1000)", block_name(block.kind, table), block.weight))
        .collect();
    vec![
        ("data version", standing.data_version.clone()),
        ("trust mode", mode.to_owned()),
        ("units", standing.nodes.to_string()),
        ("blocks", blocks.join(", ")),
        (
            "rows per group",
            format!("R = {}", table.rows_per_group_max),
        ),
        (
            "groups per customer",
            format!("G = {}", query.question.groups_max),
        ),
        ("privacy unit", table.privacy_unit.clone()),
        (
            "noise",
            format!(
                "sigma {} at each of {} units",
                noise.sigma_share, noise.nodes
            ),
        ),
        ("cohort floor", standing.cohort_floor.to_string()),
        ("slot", format!("{} ms", standing.slot_ms)),
    ]
}

fn block_name(kind: BlockKind, table: &Published) -> String {
    let column = kind
        .column()
        .and_then(|column| table.columns.get(usize::from(column)));
    let column = column.map_or("", |column| column.name.as_str());
    match kind {
        BlockKind::Units => "customers".to_owned(),
        BlockKind::Rows => "rows".to_owned(),
        BlockKind::Values(_) => format!("values of {column}"),
        BlockKind::Sum(_) => format!("sum of {column}"),
        BlockKind::Centred(_) => format!("centred sum of {column}"),
        BlockKind::Squares(_) => format!("squares of {column}"),
        BlockKind::Grid(_) => format!("grid of {column}"),
        BlockKind::Runs(_) => format!("runs of the grid of {column}"),
    }
}

fn expected(
    name: &str,
    reading: &Reading,
    table: &Published,
    sigmas: &[(BlockKind, f64)],
) -> ExpectedError {
    let half = |size: f64| {
        let sums = reference(table, sigmas, size);
        let figure = sums.read(reading, true)?;
        let width = (figure.high - figure.low) / 2.0;
        is_useful(&figure, reading, table).then_some(width)
    };
    let name = name.to_owned();
    if matches!(reading, Reading::Count(_) | Reading::Sum(_)) {
        return ExpectedError {
            name,
            half_width: reference(table, sigmas, 0.0).half_width(reading),
            by_size: Vec::new(),
        };
    }
    let sizes = REFERENCE_SIZES.map(|size| (size, half(size as f64)));
    ExpectedError {
        name,
        half_width: None,
        by_size: sizes.to_vec(),
    }
}

/// Sums without noise of a group whose values are spread evenly over the range.
fn reference<'a>(table: &'a Published, sigmas: &[(BlockKind, f64)], size: f64) -> Sums<'a> {
    let blocks = sigmas.iter().map(|(kind, sigma)| {
        let column = kind
            .column()
            .and_then(|column| table.columns.get(usize::from(column)));
        let column = column.and_then(|column| number(&column.kind));
        let sums = match (kind, column) {
            (BlockKind::Units | BlockKind::Rows | BlockKind::Values(_), _) => vec![size],
            (BlockKind::Sum(_), Some(column)) => {
                vec![size * (column.low as f64 + column.high as f64) / 2.0]
            }
            // (2x - low - high)² is a third of the squared range on average, less a half of it.
            (BlockKind::Squares(_), Some(column)) => {
                let square = ((column.high - column.low) as f64).powi(2);
                vec![-size * square / if doubled(column) { 3.0 } else { 6.0 }]
            }
            (BlockKind::Grid(_), Some(column)) => {
                let cells = usize::from(column.grid);
                vec![size / cells as f64; cells]
            }
            (BlockKind::Runs(_), Some(column)) => {
                let cells = usize::from(column.grid);
                let length = |run: usize| (cells - run * RUN_CELLS).min(RUN_CELLS);
                let runs = (0..column.runs()).map(length);
                runs.map(|length| size * length as f64 / cells as f64)
                    .collect()
            }
            _ => vec![0.0],
        };
        BlockSum {
            kind: *kind,
            sums,
            sigma: *sigma,
        }
    });
    Sums {
        table,
        blocks: blocks.collect(),
    }
}

/// An interval that holds everything that the contract allows says nothing.
fn is_useful(figure: &Figure, reading: &Reading, table: &Published) -> bool {
    let column = match reading {
        Reading::Mean(column) | Reading::Percentile(column, _) => *column,
        Reading::Variance(_) | Reading::Deviation(_) => return figure.low > 0.0,
        Reading::Count(_) | Reading::Sum(_) => return true,
    };
    let column = table.columns.get(usize::from(column));
    let Some(column) = column.and_then(|column| number(&column.kind)) else {
        return false;
    };
    let (low, high) = (
        column.value_of(column.low as f64),
        column.value_of(column.high as f64),
    );
    figure.low > low && figure.high < high
}

impl Explanation {
    /// Rows of property and value.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            ("plan".to_owned(), self.plan.clone()),
            (
                "cells".to_owned(),
                format!("{} in {} groups", self.cells, self.groups),
            ),
            (
                "price".to_owned(),
                format!(
                    "rho {} ({}), epsilon {}",
                    self.price.as_rho(),
                    self.price,
                    self.epsilon
                ),
            ),
        ];
        let facts = self.facts.iter();
        rows.extend(facts.map(|(name, fact)| ((*name).to_owned(), fact.clone())));
        for error in &self.errors {
            rows.push((format!("{}, 95 %", error.name), error.to_text()));
        }
        for (name, left) in [("hard budget", self.hard_left), ("share", self.share_left)] {
            let left = left.map(|left| format!("{left} such questions"));
            rows.extend(left.map(|left| (format!("left of the {name}"), left)));
        }
        rows
    }

    /// The same as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let errors = self.errors.iter().map(|error| {
            let sizes = error.by_size.iter();
            let sizes = sizes.map(|(size, half)| json!({"size": size, "half_width": half}));
            json!({
                "column": error.name,
                "half_width": error.half_width,
                "by_size": sizes.collect::<Vec<_>>(),
            })
        });
        let facts = self.facts.iter();
        let facts: serde_json::Map<String, Json> = facts
            .map(|(name, fact)| (name.replace(' ', "_"), json!(fact)))
            .collect();
        json!({
            "plan": self.plan,
            "groups": self.groups,
            "cells": self.cells,
            "rho": self.price.as_rho(),
            "rho_micro": self.price.0,
            "epsilon": self.epsilon,
            "errors": errors.collect::<Vec<_>>(),
            "hard_budget_questions": self.hard_left,
            "share_questions": self.share_left,
            "terms": facts,
        })
    }
}

impl ExpectedError {
    /// For people: `+- 62.0`, or one half-width for each size of group.
    #[must_use]
    pub fn to_text(&self) -> String {
        if let Some(half) = self.half_width {
            return format!("+- {}", short(half));
        }
        let sizes = self.by_size.iter().map(|(size, half)| match half {
            Some(half) => format!("n = {size}: +- {}", short(*half)),
            None => format!("n = {size}: no use"),
        });
        sizes.collect::<Vec<_>>().join("; ")
    }
}

/// Three figures, as far as they matter.
fn short(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        return format!("{value:.0}");
    }
    let behind = (2 - value.log10().floor() as i32).clamp(0, 9);
    format!("{value:.*}", usize::try_from(behind).unwrap_or(0))
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
