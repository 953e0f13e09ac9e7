//! How long a decision takes. Run it by hand, in a release build:
//! `cargo test --release -p aquifer-shared --lib law::tests::speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement; the figure depends on the machine"]
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
            for _ in 0..10_000 {
                let _ = black_box(black_box(&case).decide(&book, NEVER));
            }
            best = best.min(start.elapsed().as_nanos() / 10_000);
        }
        println!("decide: {best} ns ({kind} {differs})");
    }
}
