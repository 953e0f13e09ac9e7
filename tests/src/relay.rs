//! A bad network on loopback: passes datagrams on between one side and one server, and loses, doubles and delays them by a seed.
//!
//! What a seed decides is the fate of the first, second, third datagram each way; how many there are is the programs' business.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};

use crate::random::Seeded;

/// Largest datagram, in bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// What happens to datagrams on their way, in each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Share that is lost.
    pub loss: f64,
    /// Share that comes twice.
    pub doubled: f64,
    /// Each takes up to this long, so that later ones overtake it.
    pub delay_ms_max: u64,
}

/// A relay in front of a server; dropped, it is gone.
pub struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
    runtime: Option<Runtime>,
}

struct Way {
    server: SocketAddr,
    weather: Weather,
    /// Of the way there and of the way back.
    random: [Mutex<Seeded>; 2],
    cut: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    /// All that came, where it is kept.
    kept: Option<Mutex<Vec<u8>>>,
}

impl Relay {
    /// Starts a relay to a server.
    ///
    /// # Errors
    ///
    /// The system has no socket or no thread for it.
    pub fn start(server: SocketAddr, weather: Weather, seed: u64) -> Result<Self> {
        Self::start_with(server, weather, seed, None)
    }

    /// Starts one that loses nothing and keeps every datagram of both directions.
    ///
    /// # Errors
    ///
    /// As [`Relay::start`].
    pub fn keeping(server: SocketAddr) -> Result<Self> {
        Self::start_with(server, Weather::default(), 0, Some(Mutex::default()))
    }

    fn start_with(
        server: SocketAddr,
        weather: Weather,
        seed: u64,
        kept: Option<Mutex<Vec<u8>>>,
    ) -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build()?;
        let front = runtime.block_on(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
        let front = Arc::new(front.context("no socket for a relay")?);
        let address = front.local_addr()?;
        let way = Arc::new(Way {
            server,
            weather,
            random: [0, 1].map(|stream| Mutex::new(Seeded::new(seed, stream))),
            cut: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            kept,
        });
        runtime.spawn(forward(front, way.clone()));
        Ok(Self {
            address,
            way,
            runtime: Some(runtime),
        })
    }

    /// Where it listens, in place of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through any more, or lets it through again.
    pub fn cut(&self, cut: bool) {
        self.way.cut.store(cut, Ordering::Relaxed);
    }

    /// All datagrams that it kept, one behind the other.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let kept = self.way.kept.as_ref();
        let kept = kept.map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone());
        kept.unwrap_or_default()
    }

    /// Datagrams that it let through and that it lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.way.passed), read(&self.way.lost))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Passes on what comes from the one side; each peer there has a socket of its own to the server.
async fn forward(front: Arc<UdpSocket>, way: Arc<Way>) -> io::Result<()> {
    let mut behind: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (length, peer) = front.recv_from(&mut buffer).await?;
        let socket = match behind.get(&peer) {
            Some(socket) => socket.clone(),
            None => {
                let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
                behind.insert(peer, socket.clone());
                tokio::spawn(back(socket.clone(), front.clone(), peer, way.clone()));
                socket
            }
        };
        way.pass(0, &buffer[..length], socket, way.server);
    }
}

/// Passes on what the server says to one peer.
async fn back(behind: Arc<UdpSocket>, front: Arc<UdpSocket>, peer: SocketAddr, way: Arc<Way>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // A server that is away shows as an error, and may come back.
        if let Ok((length, _)) = behind.recv_from(&mut buffer).await {
            way.pass(1, &buffer[..length], front.clone(), peer);
        }
    }
}

impl Way {
    /// Decides a datagram's fate; its copies leave in tasks of their own, each after its delay.
    fn pass(&self, direction: usize, bytes: &[u8], from: Arc<UdpSocket>, to: SocketAddr) {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(bytes);
            // No value is found across two datagrams that do not follow each other.
            kept.extend_from_slice(&[0; 16]);
        }
        let delays = self.delays(direction);
        for delay in delays {
            let (bytes, from) = (bytes.to_vec(), from.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                // One that cannot be sent is one more that is lost.
                let _ = from.send_to(&bytes, to).await;
            });
        }
    }

    fn delays(&self, direction: usize) -> Vec<Duration> {
        let mut random = self.random[direction]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (lost, doubled) = (random.uniform(), random.uniform());
        let late = [random.uniform(), random.uniform()];
        drop(random);
        if self.cut.load(Ordering::Relaxed) || lost < self.weather.loss {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
        let copies = 1 + usize::from(doubled < self.weather.doubled);
        let delay = |late: &f64| late * self.weather.delay_ms_max as f64 / 1_000.0;
        late[..copies]
            .iter()
            .map(|late| Duration::from_secs_f64(delay(late)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const SENT: u32 = 150;

    /// Sends numbered datagrams, fewer than a socket holds, to a server that sends each back; returns what came, in order.
    fn echoed(weather: Weather, seed: u64) -> (Vec<u32>, (u64, u64)) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let relay = Relay::start(server.local_addr().unwrap(), weather, seed).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(relay.address()).unwrap();
        let wait = Some(Duration::from_millis(200));
        server.set_read_timeout(wait).unwrap();
        client.set_read_timeout(wait).unwrap();
        let (mut there, mut back, mut buffer) = (Vec::new(), Vec::new(), [0; 4]);
        let number = |buffer: &[u8; 4]| u32::from_le_bytes(*buffer);
        for sent in 0..SENT {
            client.send(&sent.to_le_bytes()).unwrap();
        }
        while let Ok((_, peer)) = server.recv_from(&mut buffer) {
            there.push((number(&buffer), peer));
        }
        for (number, peer) in &there {
            server.send_to(&number.to_le_bytes(), peer).unwrap();
        }
        while client.recv(&mut buffer).is_ok() {
            back.push(number(&buffer));
        }
        (back, relay.counts())
    }

    #[test]
    fn fine_weather_changes_nothing() {
        let (back, counts) = echoed(Weather::default(), 1);
        let mut sorted = back.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..SENT).collect::<Vec<_>>());
        assert_eq!(counts, (2 * u64::from(SENT), 0));
    }

    #[test]
    fn a_seed_decides_which_are_lost() {
        let weather = Weather {
            loss: 0.2,
            ..Weather::default()
        };
        let (back, counts) = echoed(weather, 7);
        let (again, _) = echoed(weather, 7);
        // Seeded: the same number on every run, near the expected 96 of 150.
        assert_eq!(back.len(), again.len());
        assert!((80..112).contains(&back.len()), "{}", back.len());
        let there = counts.0 as usize - back.len();
        assert_eq!(
            counts.1 as usize,
            (SENT as usize - there) + (there - back.len())
        );
    }

    #[test]
    fn delays_let_later_ones_overtake_and_doubles_come_twice() {
        let weather = Weather {
            doubled: 0.5,
            delay_ms_max: 20,
            ..Weather::default()
        };
        let (back, _) = echoed(weather, 3);
        assert!(back.len() > SENT as usize, "{}", back.len());
        assert!(!back.is_sorted());
    }
}
