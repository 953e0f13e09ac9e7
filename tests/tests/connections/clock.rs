//! Time that passes only when nothing else can happen: the same order of events on every run, hours in moments.
//!
//! Whatever is due lies in one queue. A runtime of one thread takes the next thing from it each time it would go to sleep.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use quinn::AsyncTimer;
use tokio::runtime::{Builder, Runtime};

/// What happens at a moment; true if that gives a task something to do.
type Due = Box<dyn FnOnce() -> bool + Send>;
/// A place in the queue: its moment, then the order of asking.
type Place = (Duration, u64);

/// The time since the start of a run.
#[derive(Clone)]
pub struct Clock {
    queue: Arc<Mutex<Queue>>,
    start: Instant,
}

#[derive(Default)]
struct Queue {
    now: Duration,
    asked: u64,
    due: BTreeMap<Place, Due>,
    keeps_pace: bool,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            queue: Arc::default(),
            start: Instant::now(),
        }
    }

    /// A runtime that lets this clock run whenever it is idle. It has no other timers: who asks for real time is found out.
    pub fn runtime(&self) -> Runtime {
        self.on_park(Builder::new_current_thread())
    }

    /// A runtime with real timers as well, for a store that works in threads of its own; see [`Clock::keep_pace`].
    pub fn runtime_with_store(&self) -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.enable_time();
        self.on_park(builder)
    }

    fn on_park(&self, mut builder: Builder) -> Runtime {
        let clock = self.clone();
        builder.on_thread_park(move || clock.advance());
        builder.build().unwrap()
    }

    /// From now on this clock is no faster than the real one, or again as fast as can be.
    pub fn keep_pace(&self, keep: bool) {
        self.queue().keeps_pace = keep;
    }

    pub fn now(&self) -> Duration {
        self.queue().now
    }

    pub fn instant(&self) -> Instant {
        self.start + self.now()
    }

    /// Does something after a while.
    pub fn after(&self, wait: Duration, due: impl FnOnce() -> bool + Send + 'static) {
        let at = self.now() + wait;
        self.put(at, Box::new(due));
    }

    pub fn sleep(&self, wait: Duration) -> Timer {
        self.timer(self.now() + wait)
    }

    fn timer(&self, at: Duration) -> Timer {
        Timer {
            clock: self.clone(),
            at,
            place: None,
        }
    }

    pub fn timer_at(&self, at: Instant) -> Timer {
        self.timer(at.saturating_duration_since(self.start))
    }

    fn put(&self, at: Duration, due: Due) -> Place {
        let mut queue = self.queue();
        queue.asked += 1;
        let place = (at.max(queue.now), queue.asked);
        queue.due.insert(place, due);
        place
    }

    fn advance(&self) {
        loop {
            let mut queue = self.queue();
            let Some((place, due)) = queue.due.pop_first() else {
                return;
            };
            let wait = place.0.saturating_sub(queue.now);
            let keeps_pace = queue.keeps_pace;
            queue.now = place.0;
            drop(queue);
            if keeps_pace {
                let end = Instant::now() + wait;
                while let Some(left) = end.checked_duration_since(Instant::now()) {
                    std::thread::park_timeout(left);
                }
            }
            if due() {
                return;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// Ready at its moment.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    at: Duration,
    place: Option<Place>,
}

impl Timer {
    fn withdraw(&mut self) {
        if let Some(place) = self.place.take() {
            self.clock.queue().due.remove(&place);
        }
    }

    fn poll_due(&mut self, waker: &Waker) -> Poll<()> {
        self.withdraw();
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        let waker = waker.clone();
        let wake = Box::new(move || {
            waker.wake();
            true
        });
        self.place = Some(self.clock.put(self.at, wake));
        Poll::Pending
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_due(context.waker())
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.withdraw();
        self.at = at.saturating_duration_since(self.clock.start);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_due(context.waker())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.withdraw();
    }
}
