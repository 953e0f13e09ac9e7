//! A progress bar on standard error: only for people who look, and only for work that takes long enough to wonder.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far some work is.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    hidden: bool,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// Bytes.
    Bytes,
    /// Anything else.
    Items,
}

impl Progress {
    /// Work of this size, not begun; `what` says what it is.
    #[must_use]
    pub fn new(what: &'static str, total: u64, counted: Counted) -> Self {
        let template = match counted {
            Counted::Bytes => "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
            Counted::Items => "{msg} {wide_bar} {human_pos} of {human_len}, {eta} left",
        };
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template(template).expect("templates are constants"));
        bar.set_message(what);
        Self {
            bar,
            started: Instant::now(),
            hidden: true,
        }
    }

    /// The work is as far as `position`.
    pub fn reach(&mut self, position: u64) {
        if self.hidden && self.started.elapsed() > PATIENCE && stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.hidden = false;
        }
        self.bar.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shorter work needs no bar.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_shows_nothing() {
        for counted in [Counted::Bytes, Counted::Items] {
            let mut progress = Progress::new("predicting", 10, counted);
            progress.reach(10);
            assert!(progress.hidden);
        }
    }
}
