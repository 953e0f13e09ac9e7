//! The arithmetic of secure aggregation on one core: dealing, adding, reading with all spare openings checked.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::domain::sharing::{
    Dealer, Element, Packing, Reader, Record, RecordSpace, SummedShares, read, record_bytes,
};
use aquifer_shared::domain::sum::Thresholds;
use aquifer_shared::shell::report::Table;
use serde_json::{Map, Value, json};

use crate::options::Options;

/// Members, cells, the limit of dealing in seconds, repetitions.
const CASES: [(usize, usize, Option<f64>, usize); 6] = [
    (4, 350, None, 401),
    (8, 1_000, None, 401),
    (64, 350, Some(60e-6), 401),
    (128, 350, None, 401),
    (128, 100_000, Some(40e-3), 21),
    (128, 1_000_000, None, 3),
];

/// Median seconds of one member's or the coordinator's part.
struct Medians {
    matrix: f64,
    deal: f64,
    add: f64,
    read: f64,
    read_anew: f64,
}

/// Measures all sizes with usual tolerances and everybody's opening; every sum is compared with the plain one.
pub fn measure(options: &Options) -> Result<Value> {
    let mut table = Table::new(&[
        "secure aggregation, one core, ms",
        "matrix, once",
        "deal",
        "limit",
        "add all records",
        "read and check",
        "with its matrices",
    ]);
    let mut figures = Map::new();
    for (members, cells, limit, times) in CASES {
        let medians = measure_case(members, cells, options.times(times, times.min(21)))?;
        let ms = |seconds: f64| format!("{:.3}", seconds * 1e3);
        table.row([
            format!("{members} members, {cells} cells"),
            ms(medians.matrix),
            ms(medians.deal),
            limit.map_or_else(String::new, ms),
            ms(medians.add),
            ms(medians.read),
            ms(medians.read_anew),
        ]);
        figures.insert(
            format!("members_{members}_cells_{cells}"),
            json!({
                "matrix_seconds": medians.matrix,
                "deal_seconds": medians.deal,
                "deal_limit_seconds": limit,
                "add_seconds": medians.add,
                "read_seconds": medians.read,
                "read_limit_seconds": medians.deal,
                "read_with_matrices_seconds": medians.read_anew,
            }),
        );
    }
    table.print()?;
    Ok(Value::Object(figures))
}

fn measure_case(members: usize, cells: usize, times: usize) -> Result<Medians> {
    let (absent, colluders) = (
        Thresholds::usual_absent(members),
        Thresholds::usual_colluders(members),
    );
    let thresholds = Thresholds::new(members, absent, colluders)?;
    let packing = Packing::new(members, thresholds.packed(), thresholds.colluders_max())?;
    let blocks = packing.blocks(cells)?;
    let plain: Vec<i64> = (0..cells as i64).map(|cell| cell * 977 - 4_711).collect();
    let vector: Vec<Element> = plain.iter().map(|&cell| Element::from(cell)).collect();

    let (matrix, dealer) = median(times, || Ok(Dealer::new(packing)))?;
    let mut records = vec![vec![0; record_bytes(blocks)]; members];
    let (deal, ()) = median(times, || {
        let numbered = (1..).zip(&mut records);
        let mut spaces: Vec<RecordSpace<'_>> = numbered
            .map(|(member, bytes)| RecordSpace { member, bytes })
            .collect();
        Ok(dealer.deal(&vector, Secret::new([7; 32]), &mut spaces)?)
    })?;
    // As many records as a member gets from everybody; which ones makes no difference to the time.
    let (add, _) = median(times, || {
        let mut summed = SummedShares::zero(blocks);
        for record in &records {
            summed.add(&Record::parse(record, blocks)?);
        }
        Ok(summed)
    })?;
    let opened = records.iter().map(|record| {
        let mut summed = SummedShares::zero(blocks);
        summed.add(&Record::parse(record, blocks)?);
        Ok(Element::list(&summed.open())?)
    });
    let opened = opened.collect::<Result<Vec<_>>>()?;
    let openings: BTreeMap<u16, &[Element]> = (1..).zip(opened.iter().map(Vec::as_slice)).collect();
    let reader = Reader::new(packing, &openings.keys().copied().collect())?;
    let (read_ready, reading) = median(times, || Ok(reader.read(cells, &openings)?))?;
    let (read_anew, again) = median(times, || Ok(read(packing, cells, &openings)?))?;
    ensure!(
        reading.sum == plain && again == reading,
        "a sum of {cells} cells from {members} members is not the plain one"
    );
    Ok(Medians {
        matrix,
        deal,
        add,
        read: read_ready,
        read_anew,
    })
}

/// Median seconds of several times, and the last outcome.
fn median<T>(times: usize, mut once: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut taken = Vec::with_capacity(times);
    let mut last = black_box(once()?);
    for _ in 0..times {
        let started = Instant::now();
        last = black_box(once()?);
        taken.push(started.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok((taken[times / 2], last))
}
