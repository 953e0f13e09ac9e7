//! Ctrl-C and SIGTERM: ask every process to stop, then let the demonstration unwind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use aquifer_tests::processes::Stopper;
use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody asked to stop, and what to stop then.
pub struct Stop {
    asked: Arc<AtomicBool>,
    stopper: Arc<Mutex<Option<Stopper>>>,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        let stop = Self {
            asked: Arc::default(),
            stopper: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.context("cannot listen for signals")?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        let (asked, stopper) = (Arc::clone(&stop.asked), Arc::clone(&stop.stopper));
        thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                    asked.store(true, Ordering::SeqCst);
                    stop_all(&stopper);
                }
            });
        });
        Ok(stop)
    }

    /// What to stop, from now on.
    pub fn set(&self, stopper: Stopper) {
        *self.stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopper);
        if self.asked() {
            stop_all(&self.stopper);
        }
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends the demonstration here if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.asked() {
            bail!("stopped");
        }
        Ok(())
    }
}

fn stop_all(stopper: &Mutex<Option<Stopper>>) {
    if let Some(stopper) = &*stopper.lock().unwrap_or_else(PoisonError::into_inner) {
        stopper.stop_all();
    }
}
