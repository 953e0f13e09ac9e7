//! Many histories, on several threads, each seed on its own.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::scenario::{Scenario, Wish};
use super::world::{History, run};

/// Which histories.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What is simulated.
    pub wish: Wish,
    /// Of which seeds.
    pub seeds: Range<u64>,
    /// On how many threads.
    pub threads: usize,
}

impl Sweep {
    /// Runs all histories; `see` gets each as it ends, and says whether to go on.
    pub fn run(&self, mut see: impl FnMut(u64, History) -> bool) {
        let next = AtomicU64::new(self.seeds.start);
        let enough = AtomicBool::new(false);
        let (ended, histories) = mpsc::sync_channel(64);
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let (ended, next, enough) = (ended.clone(), &next, &enough);
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            return;
                        }
                        let history = run(&Scenario::draw(seed, &self.wish));
                        if ended.send((seed, history)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(ended);
            for (seed, history) in histories {
                if !enough.load(Ordering::Relaxed) && !see(seed, history) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
        });
    }
}
