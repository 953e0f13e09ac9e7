//! How exact answers are: counts against the theory of their noise, means and percentiles against a central implementation.
//!
//! In this process, with the units' exact sums, the shipped noise and the coordinator's readings.

mod central;

use anyhow::{Context, Result};
use aquifer_coordinator::core::sql::Value as Cell;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::text::number;
use aquifer_shared::domain::contract::{NumberColumn, Published, PublishedKind};
use aquifer_shared::domain::sum::NoiseShare;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_shared::shell::report::{Table, Tone};
use aquifer_tests::asked::{Asked, Prepared, Terms};
use aquifer_tests::company::Company;
use aquifer_tests::measured::price;
use aquifer_tests::reports::published;
use aquifer_tests::training::usual_share;
use serde_json::{Value, json};

use crate::options::Options;
use central::{Central, Release, percentile_cont};

const EPSILON: f64 = 1.0;
const DELTA: f64 = 1e-6;
/// Most by which the mean absolute error of a count may differ from its theory.
const COUNT_LIMIT: f64 = 0.05;
/// Most that our error may be of the central one.
const RATIO_LIMIT: f64 = 1.05;

/// What is compared: column, and the key by which it is grouped.
const CASES: [(&str, &str, &str); 6] = [
    ("adult", "age", "sex"),
    ("adult", "hours_per_week", "education"),
    ("adult", "capital_gain", "sex"),
    ("telco", "MonthlyCharges", "Contract"),
    ("telco", "tenure", "PaymentMethod"),
    ("telco", "TotalCharges", "InternetService"),
];

/// Measures on the public data sets.
pub fn measure(options: &Options) -> Result<Value> {
    let urho = price(EPSILON, DELTA)?;
    let mut counts = Table::new(&[
        "count of 20 groups, epsilon 1",
        "trust",
        "answers",
        "mean absolute error",
        "theory",
        "off [5 %]",
    ]);
    let mut compared = Table::new(&[
        "column, by",
        "aggregate",
        "our error",
        "central error",
        "ratio [1.05]",
        "with the usual tolerances",
        "node-noise",
    ]);
    let (mut counted, mut ratios) = (Vec::new(), Vec::new());
    for name in ["adult", "telco"] {
        let Some(path) = options.data_set(name) else {
            continue;
        };
        let company = published(Company::read(&path, "unit_iid")?)?;
        let asked = Asked::of(&company)?;
        let table = company.contract.published(&company.contract.table);
        let table = table.context("published")?;
        for (trust, share) in shares(company.units.len())? {
            let terms = Terms { urho, share };
            counted.push(count(
                options,
                (name, trust),
                (&asked, table),
                terms,
                &mut counts,
            )?);
        }
        for (_, column, key) in CASES.iter().filter(|case| case.0 == name) {
            let place = Place {
                company: &company,
                table,
                column,
                key,
            };
            ratios.extend(compare(options, &asked, &place, urho, &mut compared)?);
        }
    }
    counts.print()?;
    compared.print()?;
    Ok(json!({"counts": counted, "central": ratios}))
}

/// Trust modes by name: the noise of an honest coordinator's dream, that of the usual tolerances, that of each unit.
fn shares(units: usize) -> Result<[(&'static str, NoiseShare); 3]> {
    let whole = NoiseShare {
        honest: u16::try_from(units)?,
        multiplicity: 1,
    };
    Ok([
        ("noise once", whole),
        ("shared-noise", usual_share(units)?),
        ("node-noise", NoiseShare::OWN),
    ])
}

/// Mean absolute error of a count of 20 groups. Of 20,000 errors the mean is within 5 % of its theory but once in 10^20 runs.
fn count(
    options: &Options,
    (name, trust): (&str, &str),
    (asked, table): (&Asked, &Published),
    terms: Terms,
    printed: &mut Table,
) -> Result<Value> {
    let question = twenty_groups(table)?;
    let prepared = asked.prepare(&question)?;
    let truth = figures(&prepared.truth()?.rows);
    anyhow::ensure!(truth.len() == 20, "{} groups, expected 20", truth.len());
    let answers = options.times(1_000, 200);
    let mut error = 0.0;
    for _ in 0..answers {
        let found = figures(&prepared.answer(terms, &mut OpenDpNoise)?.rows);
        error += apart(&found, &truth);
    }
    let error = error / answers as f64;
    let theory = prepared.sigma(terms, 0)? * std::f64::consts::FRAC_2_PI.sqrt();
    let off = error / theory - 1.0;
    let tone = tone(off.abs() <= COUNT_LIMIT);
    printed.toned_row([
        plain(name),
        plain(trust),
        plain(answers.to_string()),
        plain(format!("{error:.2}")),
        plain(format!("{theory:.2}")),
        (format!("{:+.1} %", off * 100.0), tone),
    ]);
    Ok(json!({
        "dataset": name, "trust": trust, "answers": answers, "groups": 20, "mean_absolute_error": error, "theory": theory,
        "off": off, "limit": COUNT_LIMIT,
    }))
}

/// A grouped count with exactly 20 groups: buckets of the first number.
fn twenty_groups(table: &Published) -> Result<String> {
    let numbers = table
        .columns
        .iter()
        .filter_map(|column| match &column.kind {
            PublishedKind::Number(number) => Some((&column.name, number)),
            _ => None,
        });
    let (name, number) = numbers.into_iter().next().context("a number")?;
    let missing = usize::from(number.on_null.is_none());
    let (low, high) = (shown(number, number.low), shown(number, number.high));
    Ok(format!(
        "SELECT width_bucket(\"{name}\", {low}, {high}, {}) AS part, COUNT(*) AS n FROM \"{}\" GROUP BY 1",
        18 - missing,
        table.name
    ))
}

fn shown(number: &NumberColumn, units: i64) -> String {
    let digits = usize::from(number.digits);
    format!("{:.digits$}", number.value_of(units as f64))
}

/// A column and its groups.
struct Place<'a> {
    company: &'a Company,
    table: &'a Published,
    column: &'a str,
    key: &'a str,
}

/// What is read from a group.
#[derive(Clone, Copy)]
enum Figure {
    Mean,
    Percentile(&'static str, f64),
}

const FIGURES: [Figure; 4] = [
    Figure::Mean,
    Figure::Percentile("0.5", 0.5),
    Figure::Percentile("0.25", 0.25),
    Figure::Percentile("0.9", 0.9),
];

impl Figure {
    fn name(self) -> String {
        match self {
            Self::Mean => "AVG".to_owned(),
            Self::Percentile("0.5", _) => "MEDIAN".to_owned(),
            Self::Percentile(share, _) => format!("PERCENTILE_CONT({share})"),
        }
    }

    fn sql(self, column: &str) -> String {
        match self {
            Self::Mean => format!("AVG(\"{column}\")"),
            Self::Percentile(share, _) => {
                format!("PERCENTILE_CONT({share}) WITHIN GROUP (ORDER BY \"{column}\")")
            }
        }
    }

    fn truth(self, column: &NumberColumn, sorted: &[i64]) -> Result<f64> {
        Ok(column.value_of(match self {
            Self::Mean => sorted.iter().sum::<i64>() as f64 / sorted.len() as f64,
            Self::Percentile(_, share) => percentile_cont(sorted, share)?,
        }))
    }
}

/// Errors of both in one run, for every aggregate. A group that either cannot name is a miss by half of the range.
fn compare(
    options: &Options,
    asked: &Asked,
    place: &Place<'_>,
    urho: MicroRho,
    printed: &mut Table,
) -> Result<Vec<Value>> {
    let (column, groups) = place.groups()?;
    let mut found = Vec::new();
    for figure in FIGURES {
        let text = format!(
            "SELECT \"{key}\", {} AS figure FROM \"{}\" GROUP BY \"{key}\"",
            figure.sql(place.column),
            place.table.name,
            key = place.key,
        );
        let prepared = asked.prepare(&text)?;
        let truth = groups.iter().map(|values| figure.truth(column, values));
        let truth = truth.collect::<Result<Vec<f64>>>()?;
        let ours = shares(place.company.units.len())?
            .map(|(_, share)| our_error(options, &prepared, Terms { urho, share }, &truth, column));
        let [once, shared, own] = ours;
        let (once, shared, own) = (once?, shared?, own?);
        let (by, central) = central_error(options, figure, column, &groups, urho)?;
        let ratio = once / central;
        printed.toned_row([
            plain(format!("{}, {}", place.column, place.key)),
            plain(figure.name()),
            plain(format!("{once:.3}")),
            plain(format!("{central:.3} ({by})")),
            (format!("{ratio:.2}"), tone(ratio <= RATIO_LIMIT)),
            plain(format!("{:.2}", shared / central)),
            plain(format!("{:.2}", own / central)),
        ]);
        found.push(json!({
            "dataset": place.company.name, "column": place.column, "key": place.key, "aggregate": figure.name(),
            "error": once, "error_shared": shared, "error_node": own, "central_error": central, "central": by, "ratio": ratio,
            "limit": RATIO_LIMIT,
        }));
    }
    Ok(found)
}

fn our_error(
    options: &Options,
    prepared: &Prepared<'_>,
    terms: Terms,
    truth: &[f64],
    column: &NumberColumn,
) -> Result<f64> {
    let times = options.times(200, 40);
    let miss = column.value_of((column.high - column.low) as f64 / 2.0);
    let mut error = 0.0;
    for _ in 0..times {
        let mut found = figures(&prepared.answer(terms, &mut OpenDpNoise)?.rows);
        // The rest, which no level names, is empty.
        found.truncate(truth.len());
        error += found
            .iter()
            .zip(truth)
            .map(|(found, truth)| found.map_or(miss, |found| (found - truth).abs()))
            .sum::<f64>();
    }
    Ok(error / (times * truth.len()) as f64)
}

/// The least error of those ways that fit, and which.
fn central_error(
    options: &Options,
    figure: Figure,
    column: &NumberColumn,
    groups: &[Vec<i64>],
    urho: MicroRho,
) -> Result<(String, f64)> {
    let releases = match figure {
        Figure::Mean => vec![("sums", Release::Histogram)],
        Figure::Percentile(..) => vec![
            ("histogram", Release::Histogram),
            ("tree of 4", Release::Tree(4)),
            ("tree of 8", Release::Tree(8)),
        ],
    };
    let times = options.times(200, 40);
    let miss = column.value_of((column.high - column.low) as f64 / 2.0);
    let mut best = (String::new(), f64::INFINITY);
    for (name, release) in releases {
        let mut error = 0.0;
        for values in groups {
            let truth = figure.truth(column, values)?;
            let rho = urho.as_rho();
            let central = Central {
                column,
                values,
                rho,
            };
            for _ in 0..times {
                let found = match figure {
                    Figure::Mean => central.mean()?,
                    Figure::Percentile(_, share) => central.percentile(share, release)?,
                };
                error += found.map_or(miss, |found| (found - truth).abs());
            }
        }
        let error = error / (times * groups.len()) as f64;
        if error < best.1 {
            best = (name.to_owned(), error);
        }
    }
    Ok(best)
}

impl Place<'_> {
    /// The column, and the sorted values of each level of the key.
    fn groups(&self) -> Result<(&NumberColumn, Vec<Vec<i64>>)> {
        let position = self
            .table
            .position(self.column)
            .context("the column is there")?;
        let key = self.table.position(self.key).context("the key is there")?;
        let kinds = (
            &self.table.columns[position].kind,
            &self.table.columns[key].kind,
        );
        let (PublishedKind::Number(column), PublishedKind::Key { levels, .. }) = kinds else {
            anyhow::bail!("{} is no number, or {} no key", self.column, self.key);
        };
        let contract = &self.company.contract;
        let at = |name: &str| contract.position(name).context("a feature");
        let (value_at, key_at) = (at(self.column)?, at(self.key)?);
        let mut groups = vec![Vec::new(); levels.len()];
        for customer in &self.company.customers {
            let level = levels
                .iter()
                .position(|level| *level == customer.values[key_at]);
            let units = column.units_of(number(&customer.values[value_at]));
            if let Some((level, units)) = level.zip(units) {
                groups[level].push(units);
            }
        }
        groups.iter_mut().for_each(|values| values.sort_unstable());
        anyhow::ensure!(
            groups.iter().all(|values| !values.is_empty()),
            "a level has no customer"
        );
        Ok((column, groups))
    }
}

/// The second column of every row.
fn figures(rows: &[Vec<Cell>]) -> Vec<Option<f64>> {
    let figure = |row: &Vec<Cell>| match row.get(1) {
        Some(Cell::Whole(number)) => Some(*number as f64),
        Some(Cell::Real(number)) => Some(*number),
        _ => None,
    };
    rows.iter().map(figure).collect()
}

/// Mean distance of figures that are all there.
fn apart(found: &[Option<f64>], truth: &[Option<f64>]) -> f64 {
    let apart = found.iter().zip(truth);
    let apart = apart.filter_map(|(found, truth)| Some((found.as_ref()? - truth.as_ref()?).abs()));
    apart.sum::<f64>() / truth.len() as f64
}

fn plain(text: impl Into<String>) -> (String, Tone) {
    (text.into(), Tone::Plain)
}

fn tone(reached: bool) -> Tone {
    if reached { Tone::Good } else { Tone::Bad }
}
