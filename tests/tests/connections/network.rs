//! A network of datagrams in memory: each is lost, doubled or delayed by a seed, and ways can be cut in either direction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::shell::platform::{Platform, Sleep};
use aquifer_tests::random::Seeded;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{
    AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, UdpPoller,
};

use super::clock::Clock;

/// Where the coordinator is.
pub const CENTRE: IpAddr = host(1);

/// Address of a host.
pub const fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// What happens to datagrams on their way.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Share that is lost.
    pub loss: f64,
    /// Share that comes twice.
    pub doubled: f64,
    /// What each takes.
    pub delay_ms: u64,
    /// What it may take on top: those that take longer are overtaken.
    pub jitter_ms: u64,
}

impl Weather {
    pub const FINE: Self = Self {
        loss: 0.0,
        doubled: 0.0,
        delay_ms: 10,
        jitter_ms: 0,
    };
}

/// What became of datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    pub sent: u64,
    pub bytes: u64,
    pub lost: u64,
    pub doubled: u64,
    pub overtaken: u64,
    pub cut: u64,
}

/// All hosts and the ways between them.
#[derive(Clone)]
pub struct Network {
    pub clock: Clock,
    /// The clock on the wall at the start of a run.
    start: Timestamp,
    ways: Arc<Mutex<Ways>>,
}

struct Ways {
    random: Seeded,
    weather: Weather,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    sockets: BTreeMap<SocketAddr, Weak<Inbox>>,
    last_arrival: BTreeMap<(SocketAddr, SocketAddr), Duration>,
    next_port: u16,
    traffic: Traffic,
}

impl Network {
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let ways = Ways {
            random: Seeded::new(seed, 0),
            weather: Weather::FINE,
            cut: BTreeSet::new(),
            sockets: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            next_port: 40_000,
            traffic: Traffic::default(),
        };
        Self {
            clock: Clock::new(),
            start,
            ways: Arc::new(Mutex::new(ways)),
        }
    }

    pub fn set(&self, weather: Weather) {
        self.ways().weather = weather;
    }

    /// Nothing from one host reaches the other any more; the way back is not touched.
    pub fn cut(&self, from: IpAddr, to: IpAddr) {
        self.ways().cut.insert((from, to));
    }

    pub fn cut_both(&self, one: IpAddr, other: IpAddr) {
        self.cut(one, other);
        self.cut(other, one);
    }

    pub fn heal(&self) {
        self.ways().cut.clear();
    }

    /// What a host has open goes silent at once, as in a power cut; sockets that it opens afterwards work.
    pub fn unplug(&self, host: IpAddr) {
        let mut ways = self.ways();
        let open: Vec<SocketAddr> = ways.sockets.keys().copied().collect();
        for address in open.into_iter().filter(|address| address.ip() == host) {
            let inbox = ways.sockets.remove(&address);
            if let Some(inbox) = inbox.and_then(|inbox| inbox.upgrade()) {
                inbox.dead.store(true, Ordering::Relaxed);
            }
        }
    }

    pub fn traffic(&self) -> Traffic {
        self.ways().traffic
    }

    /// A host's own view of it.
    pub fn at(&self, address: IpAddr) -> Host {
        Host {
            address,
            network: self.clone(),
        }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, from: SocketAddr, transmit: &Transmit<'_>) {
        let to = transmit.destination;
        let delays = self
            .ways()
            .decide(self.clock.now(), from, to, transmit.contents.len());
        for delay in delays {
            let datagram = Datagram {
                from,
                ecn: transmit.ecn,
                bytes: transmit.contents.to_vec(),
            };
            let ways = self.ways.clone();
            self.clock.after(delay, move || {
                let ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
                let inbox = ways.sockets.get(&to).and_then(Weak::upgrade);
                drop(ways);
                inbox.is_some_and(|inbox| inbox.put(datagram))
            });
        }
    }
}

impl Ways {
    /// When the copies of a datagram arrive; none if it is lost.
    fn decide(
        &mut self,
        now: Duration,
        from: SocketAddr,
        to: SocketAddr,
        length: usize,
    ) -> Vec<Duration> {
        self.traffic.sent += 1;
        self.traffic.bytes += length as u64;
        // As many draws for every datagram, so that one that is cut leaves the fate of others alone.
        let (lost, doubled) = (self.random.uniform(), self.random.uniform());
        let late = [self.random.uniform(), self.random.uniform()];
        if self.cut.contains(&(from.ip(), to.ip())) {
            self.traffic.cut += 1;
            return Vec::new();
        }
        if lost < self.weather.loss {
            self.traffic.lost += 1;
            return Vec::new();
        }
        let copies = 1 + usize::from(doubled < self.weather.doubled);
        self.traffic.doubled += copies as u64 - 1;
        let jitter = self.weather.jitter_ms as f64;
        let mut delays = Vec::with_capacity(copies);
        for late in &late[..copies] {
            let micros = self.weather.delay_ms * 1_000 + (late * jitter * 1_000.0) as u64;
            let delay = Duration::from_micros(micros);
            let last = self.last_arrival.entry((from, to)).or_default();
            self.traffic.overtaken += u64::from(now + delay < *last);
            *last = (*last).max(now + delay);
            delays.push(delay);
        }
        delays
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// What sessions of one host live on.
#[derive(Clone, Debug)]
pub struct Host {
    address: IpAddr,
    network: Network,
}

impl Platform for Host {
    fn endpoint(
        &self,
        mut config: EndpointConfig,
        bind: SocketAddr,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint> {
        let mut ways = self.network.ways();
        let port = match bind.port() {
            0 => {
                ways.next_port += 1;
                ways.next_port
            }
            port => port,
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&ways.random.next_u64().to_le_bytes());
        config.rng_seed(Some(seed));
        let inbox = Arc::new(Inbox::default());
        let address = SocketAddr::new(self.address, port);
        ways.sockets.insert(address, Arc::downgrade(&inbox));
        drop(ways);
        let socket = Arc::new(Socket {
            address,
            inbox,
            network: self.network.clone(),
        });
        Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(self.clone()))
    }

    fn sleep(&self, wait: Duration) -> Sleep {
        Box::pin(self.network.clock.sleep(wait))
    }

    fn now(&self) -> Timestamp {
        let since = self.network.clock.now().as_millis();
        self.network.start.after_ms(u64::try_from(since).unwrap())
    }

    fn chance(&self) -> u8 {
        self.network.ways().random.next_u64() as u8
    }
}

impl Runtime for Host {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(self.network.clock.timer_at(at))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> Instant {
        self.network.clock.instant()
    }
}

struct Datagram {
    from: SocketAddr,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    waiting: Mutex<(VecDeque<Datagram>, Option<Waker>)>,
    dead: AtomicBool,
}

impl Inbox {
    fn put(&self, datagram: Datagram) -> bool {
        let mut waiting = self.waiting();
        waiting.0.push_back(datagram);
        let waker = waiting.1.take();
        drop(waiting);
        waker.map(Waker::wake).is_some()
    }

    fn waiting(&self) -> MutexGuard<'_, (VecDeque<Datagram>, Option<Waker>)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Socket {
    address: SocketAddr,
    inbox: Arc<Inbox>,
    network: Network,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.inbox.dead.load(Ordering::Relaxed) {
            self.network.carry(self.address, transmit);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.inbox.waiting();
        let Some(datagram) = waiting.0.pop_front() else {
            waiting.1 = Some(context.waker().clone());
            return Poll::Pending;
        };
        let length = datagram.bytes.len();
        buffers[0][..length].copy_from_slice(&datagram.bytes);
        meta[0] = RecvMeta {
            addr: datagram.from,
            len: length,
            stride: length,
            ecn: datagram.ecn,
            dst_ip: None,
        };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
