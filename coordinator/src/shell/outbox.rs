//! Frames on their way to one node: a queue that is bounded in frames and in bytes.
//!
//! A delivery can have tens of megabytes; a node that does not read is given up before its frames fill the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use quinn::SendStream;
use tokio::sync::mpsc;

use super::front::SharedFrame;

/// Frames that may wait for one node before its session is given up.
const FRAMES_MAX: usize = 256;
/// Bytes that may wait for one node: a few of the longest frames, as several studies may run.
const BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// Where frames are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    frames: mpsc::Sender<SharedFrame>,
    waiting: Arc<AtomicUsize>,
}

/// Where frames are taken from.
#[derive(Debug)]
pub struct Queue {
    frames: mpsc::Receiver<SharedFrame>,
    waiting: Arc<AtomicUsize>,
}

/// An outbox and its other end.
#[must_use]
pub fn outbox() -> (Outbox, Queue) {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        frames: sender,
        waiting: waiting.clone(),
    };
    let queue = Queue {
        frames: receiver,
        waiting,
    };
    (outbox, queue)
}

impl Outbox {
    /// Puts a frame behind the others; false if too much waits already, or nobody takes frames any more.
    #[must_use]
    pub fn put(&self, frame: SharedFrame) -> bool {
        let length = frame.len();
        let before = self.waiting.fetch_add(length, Ordering::Relaxed);
        let room = before == 0 || before + length <= BYTES_MAX;
        if room && self.frames.try_send(frame).is_ok() {
            return true;
        }
        self.waiting.fetch_sub(length, Ordering::Relaxed);
        false
    }
}

impl Queue {
    /// Sends frames in order until the outbox or the stream is gone.
    pub async fn write_all(mut self, mut sending: SendStream) {
        while let Some(frame) = self.frames.recv().await {
            if sending.write_all(&frame).await.is_err() {
                return;
            }
            self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> SharedFrame {
        vec![0; bytes].into()
    }

    #[test]
    fn frames_are_bounded_in_number() {
        let (outbox, _queue) = outbox();
        assert!((0..FRAMES_MAX).all(|_| outbox.put(frame(1))));
        assert!(!outbox.put(frame(1)));
    }

    #[test]
    fn frames_are_bounded_in_bytes() {
        let (outbox, mut queue) = outbox();
        assert!((0..4).all(|_| outbox.put(frame(FRAME_BYTES_MAX))));
        assert!(!outbox.put(frame(1)));
        let first = queue.frames.try_recv().unwrap();
        queue.waiting.fetch_sub(first.len(), Ordering::Relaxed);
        assert!(outbox.put(frame(1)));
    }

    #[test]
    fn nobody_there_is_no_room() {
        let (outbox, queue) = outbox();
        drop(queue);
        assert!(!outbox.put(frame(1)));
        assert_eq!(outbox.waiting.load(Ordering::Relaxed), 0);
    }
}
