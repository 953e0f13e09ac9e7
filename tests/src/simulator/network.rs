//! The network: one link between each node and the coordinator, with faults of its own in either direction.
//!
//! A session is a reliable, ordered stream as QUIC gives it; below it frames may be late, and a link that stays blocked for
//! longer than [`IDLE_MS`] breaks it. Loss, duplication and overtaking of single frames are beyond what QUIC lets through:
//! they are here because the machines must not depend on it. Carries frames; reads none.

use std::collections::BTreeMap;
use std::rc::Rc;

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{HEADER_BYTES, read_header};

use super::faults::{Fault, Faults};
use crate::random::Seeded;

/// A message in its frame.
pub type Frame = Rc<[u8]>;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From a node to the coordinator.
    Up,
    /// From the coordinator to a node.
    Down,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    links: Vec<Link>,
    sessions: u64,
    traffic: Traffic,
}

/// Frames that parties sent and their bytes without frame headers, by kind of message.
pub type Traffic = BTreeMap<u8, (u64, u64)>;

#[derive(Debug)]
struct Link {
    base_ms: u64,
    jitter: Seeded,
    /// Until when nothing goes through, by way.
    blocked: [Timestamp; 2],
    /// When the last frame arrives that was sent in order, by way.
    last: [Timestamp; 2],
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Carried {
    /// When it arrives; twice where it is duplicated, never where it is lost.
    pub arrivals: [Option<Timestamp>; 2],
    /// The session breaks under it: both ends notice then.
    pub breaks: Option<Timestamp>,
}

impl Network {
    /// Links to this many nodes, each with a latency of its own.
    #[must_use]
    pub fn new(seed: u64, nodes: usize) -> Self {
        let link = |node: usize| {
            let mut jitter = Seeded::new(seed, 1_000 + node as u64);
            Link {
                base_ms: 1 + jitter.next_u64() % 20,
                jitter,
                blocked: [Timestamp(0); 2],
                last: [Timestamp(0); 2],
            }
        };
        Self {
            links: (0..nodes).map(link).collect(),
            sessions: 0,
            traffic: Traffic::new(),
        }
    }

    /// Counts a frame that a party sends.
    pub fn count(&mut self, frame: &Frame) {
        if let [_version, kind, ..] = &frame[..] {
            let (frames, bytes) = self.traffic.entry(*kind).or_default();
            *frames += 1;
            *bytes += frame.len().saturating_sub(HEADER_BYTES) as u64;
        }
    }

    /// What was counted.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How long a frame takes that meets no fault.
    pub fn latency_ms(&mut self, node: usize) -> u64 {
        let link = &mut self.links[node];
        link.base_ms + link.jitter.next_u64() % 4
    }

    /// A number for a new session, if a handshake goes through now.
    pub fn dial(&mut self, now: Timestamp, node: usize) -> Option<u64> {
        let link = &mut self.links[node];
        if link.blocked.iter().any(|until| *until > now) {
            return None;
        }
        self.sessions += 1;
        Some(self.sessions)
    }

    /// When a welcome that leaves now arrives: before anything that is sent later in order.
    pub fn welcome(&mut self, now: Timestamp, node: usize) -> Timestamp {
        let arrival = now.after_ms(self.latency_ms(node));
        self.links[node].last = [now, arrival];
        arrival
    }

    /// Takes a frame.
    pub fn send(&mut self, now: Timestamp, node: usize, way: Way, faults: &mut Faults) -> Carried {
        let mut carried = Carried::default();
        let party = node + 1;
        if let Some(mut numbers) = faults.strikes(now, Fault::Cut, party) {
            carried.breaks = Some(now.after_ms(100 + numbers.next_u64() % IDLE_MS));
            return carried;
        }
        if faults.strikes(now, Fault::Loss, party).is_some() {
            return carried;
        }
        let mut latency = self.latency_ms(node);
        if let Some(mut numbers) = faults.strikes(now, Fault::Delay, party) {
            latency += 200 + numbers.next_u64() % 8_000;
        }
        let link = &mut self.links[node];
        let leaves = now.max(link.blocked[way as usize]);
        let mut arrival = leaves.after_ms(latency);
        match faults.strikes(now, Fault::Reorder, party) {
            Some(mut numbers) => arrival = arrival.after_ms(numbers.next_u64() % 500),
            None => {
                arrival = arrival.max(link.last[way as usize]);
                link.last[way as usize] = arrival;
            }
        }
        carried.arrivals[0] = Some(arrival);
        if let Some(mut numbers) = faults.strikes(now, Fault::Duplicate, party) {
            carried.arrivals[1] = Some(arrival.after_ms(numbers.next_u64() % 3_000));
        }
        carried
    }

    /// Chances of a partition for a link; tells when a session breaks under it.
    pub fn weather(
        &mut self,
        now: Timestamp,
        node: usize,
        faults: &mut Faults,
    ) -> Option<Timestamp> {
        const WAYS: [(Fault, &[Way]); 3] = [
            (Fault::PartitionUp, &[Way::Up]),
            (Fault::PartitionDown, &[Way::Down]),
            (Fault::PartitionBoth, &[Way::Up, Way::Down]),
        ];
        let mut breaks = None;
        for (fault, ways) in WAYS {
            let Some(mut numbers) = faults.strikes(now, fault, node + 1) else {
                continue;
            };
            let lasts_ms = 100 + numbers.next_u64() % PARTITION_MS_MAX;
            for way in ways {
                let blocked = &mut self.links[node].blocked[*way as usize];
                *blocked = (*blocked).max(now.after_ms(lasts_ms));
            }
            if lasts_ms > IDLE_MS {
                breaks = Some(now.after_ms(IDLE_MS));
            }
        }
        breaks
    }

    /// Every partition ends.
    pub fn heal(&mut self) {
        for link in &mut self.links {
            link.blocked = [Timestamp(0); 2];
        }
    }
}

/// Kind and body of a frame.
///
/// # Errors
///
/// Too short, another version, or another length than it says.
pub fn split(bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    let malformed = CodecError::Malformed {
        what: "frame",
        length: bytes.len(),
        reason: "it ends too early",
    };
    let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(malformed)?;
    let (kind, length) = read_header(*header, usize::MAX)?;
    if length != body.len() {
        return Err(CodecError::Trailing {
            what: "frame",
            extra: body.len().abs_diff(length),
        });
    }
    Ok((kind, body))
}

/// After so long without a sign of life a session is over.
pub const IDLE_MS: u64 = 3_000;
const PARTITION_MS_MAX: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::clock::START;
    use crate::simulator::faults::{Chosen, FaultId, Profile};

    fn arrivals(chosen: Chosen) -> Vec<Carried> {
        let mut network = Network::new(1, 1);
        let mut faults = Faults::new(1, chosen, START.after_ms(1_000));
        let send = |at| network.send(START.after_ms(at), 0, Way::Up, &mut faults);
        (0..20).map(send).collect()
    }

    fn only(fault: Fault) -> Chosen {
        let id = FaultId {
            fault,
            party: 1,
            chance: 3,
        };
        Chosen::Only([id].into())
    }

    #[test]
    fn without_faults_frames_arrive_in_order() {
        let found = arrivals(Chosen::ByRate(Profile::None, 1.0));
        let times: Vec<_> = found.iter().map(|carried| carried.arrivals[0]).collect();
        assert!(times.iter().all(Option::is_some) && times.is_sorted());
        assert!(found.iter().all(|carried| carried.arrivals[1].is_none()));
    }

    #[test]
    fn each_fault_does_what_it_says() {
        assert_eq!(arrivals(only(Fault::Loss))[3], Carried::default());
        let cut = arrivals(only(Fault::Cut))[3];
        assert!(cut.breaks.is_some() && cut.arrivals == [None; 2]);
        let twice = arrivals(only(Fault::Duplicate))[3];
        assert!(twice.arrivals[1] >= twice.arrivals[0] && twice.arrivals[0].is_some());
        let late = arrivals(only(Fault::Delay))[3];
        assert!(late.arrivals[0] >= Some(START.after_ms(200)));
    }

    #[test]
    fn a_blocked_link_lets_nothing_through() {
        let mut network = Network::new(1, 1);
        let id = FaultId {
            fault: Fault::PartitionDown,
            party: 1,
            chance: 0,
        };
        let mut faults = Faults::new(1, Chosen::Only([id].into()), START);
        network.weather(START, 0, &mut faults);
        assert_eq!(network.dial(START, 0), None);
        let mut arrival = |way| {
            let carried = network.send(START, 0, way, &mut faults);
            carried.arrivals[0].unwrap().since_ms(START)
        };
        assert!(arrival(Way::Up) < 100 && arrival(Way::Down) >= 100);
        network.heal();
        assert!(network.dial(START, 0).is_some());
    }
}
