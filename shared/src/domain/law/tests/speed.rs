//! How long a decision takes: printed, never asserted. The figure that counts is that of a release build (under 2 microseconds):
//! `cargo test --release -p aquifer-shared --lib law::tests::speed -- --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
fn decide_takes_how_long() {
    let book = book();
    for (kind, differs) in [
        ("person", ""),
        ("person", "place=US-CA"),
        ("person", "age=unknown block=objected"),
        ("run", ""),
        ("run", "place=DE,FR,GB"),
    ] {
        let case = case(kind, differs);
        let mut best = u128::MAX;
        for _ in 0..20 {
            let start = Instant::now();
            for _ in 0..DECISIONS {
                let _ = black_box(black_box(&case).decide(&book, NEVER));
            }
            best = best.min(start.elapsed().as_nanos() / DECISIONS);
        }
        println!("decide: {best} ns ({kind} {differs})");
    }
}

const DECISIONS: u128 = 200;
