//! The places of those who have not shown yet who they are: so many in all, and so many for each address.
//!
//! Where all are taken, the oldest stranger of the address with most gives way, so that a few addresses keep nobody else out. Knows
//! nothing of connections: whoever holds a place ends what it does when the place is taken away.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Places at a door.
#[derive(Debug)]
pub(super) struct Strangers {
    most: usize,
    most_each: usize,
    held: Mutex<Held>,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Strangers>,
    address: IpAddr,
    number: u64,
    away: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    taken: usize,
    addresses: HashMap<IpAddr, Guests>,
}

/// Those from one address, by number: whoever came first has the lowest.
#[derive(Debug, Default)]
struct Guests {
    unknown: BTreeMap<u64, Arc<Notify>>,
    known: BTreeSet<u64>,
}

impl Strangers {
    /// So many places in all, and for each address.
    pub(super) fn new(most: usize, most_each: usize) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self {
            most,
            most_each,
            held,
        })
    }

    /// A place; none if all of this address are taken, or all of those who stay.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut held = self.lock();
        let own = held.addresses.get(&address).map_or(0, Guests::count);
        if own >= self.most_each || (held.taken >= self.most && !held.make_room(address)) {
            return None;
        }
        let number = held.next;
        held.next += 1;
        held.taken += 1;
        let away = Arc::new(Notify::new());
        let guests = held.addresses.entry(address).or_default();
        guests.unknown.insert(number, away.clone());
        Some(Place {
            strangers: self.clone(),
            address,
            number,
            away,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whoever holds it is no stranger any more: it gives way to nobody.
    pub(super) fn keep(&self) {
        let mut held = self.strangers.lock();
        if let Some(guests) = held.addresses.get_mut(&self.address)
            && guests.unknown.remove(&self.number).is_some()
        {
            guests.known.insert(self.number);
        }
    }

    /// Waits until the place has been given to another.
    pub(super) async fn taken_away(&self) {
        self.away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.lock().leave(self.address, self.number);
    }
}

impl Held {
    /// Takes the place of the oldest stranger of the address with most, the newcomer's own with the newcomer; false if there is none.
    fn make_room(&mut self, newcomer: IpAddr) -> bool {
        let oldest = self.addresses.iter().filter_map(|(address, guests)| {
            let (number, away) = guests.unknown.first_key_value()?;
            let count = guests.unknown.len() + usize::from(*address == newcomer);
            Some((count, Reverse(*number), *address, away))
        });
        let Some((_, Reverse(number), address, away)) =
            oldest.max_by_key(|(count, number, ..)| (*count, *number))
        else {
            return false;
        };
        away.notify_one();
        self.leave(address, number);
        true
    }

    /// Frees a place, if it was not taken away.
    fn leave(&mut self, address: IpAddr, number: u64) {
        let Some(guests) = self.addresses.get_mut(&address) else {
            return;
        };
        if guests.unknown.remove(&number).is_some() || guests.known.remove(&number) {
            self.taken -= 1;
        }
        if guests.count() == 0 {
            self.addresses.remove(&address);
        }
    }
}

impl Guests {
    fn count(&self) -> usize {
        self.unknown.len() + self.known.len()
    }
}

/// What counts as one address: whoever has one of version 6 has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Whether these are still theirs.
    fn stay(places: &[&Option<Place>]) -> Vec<bool> {
        let stays = places.iter().map(|place| {
            let away = pin!(place.as_ref().unwrap().taken_away());
            away.poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending
        });
        stays.collect()
    }

    #[test]
    fn each_address_has_its_own_places_and_all_together_no_more() {
        let strangers = Strangers::new(3, 2);
        let first = strangers.take(from(1));
        let second = strangers.take(from(1));
        assert!(first.is_some() && second.is_some());
        assert!(strangers.take(from(1)).is_none());
        drop(first);
        let third = strangers.take(from(1));
        assert!(third.is_some());
        drop((second, third));
        assert!(strangers.lock().addresses.is_empty(), "nothing is kept");
        assert_eq!(strangers.lock().taken, 0);
    }

    #[test]
    fn the_oldest_of_the_fullest_address_gives_way() {
        let strangers = Strangers::new(5, 3);
        let one = [1, 2, 2, 1, 1].map(|last| strangers.take(from(last)));
        let newcomer = strangers.take(from(3));
        assert!(newcomer.is_some());
        let all = [&one[0], &one[1], &one[2], &one[3], &one[4], &newcomer];
        assert_eq!(stay(&all), [false, true, true, true, true, true]);
        // The place is another's already: it is not free once more.
        drop(one);
        assert_eq!(strangers.lock().taken, 1);
    }

    #[test]
    fn whoever_has_most_with_the_newcomer_gives_way_to_itself() {
        let strangers = Strangers::new(4, 3);
        let held = [1, 2, 1, 2].map(|last| strangers.take(from(last)));
        let _newcomer = strangers.take(from(2)).unwrap();
        let all = [&held[0], &held[1], &held[2], &held[3]];
        assert_eq!(stay(&all), [true, false, true, true]);
    }

    #[test]
    fn nobody_gives_way_who_is_known() {
        let strangers = Strangers::new(2, 2);
        let held = [1, 1].map(|last| strangers.take(from(last)));
        held.iter().flatten().for_each(Place::keep);
        assert!(strangers.take(from(2)).is_none());
        assert_eq!(stay(&[&held[0], &held[1]]), [true, true]);
        drop(held);
        assert_eq!(strangers.lock().taken, 0);
        assert!(strangers.take(from(2)).is_some());
    }

    #[track_caller]
    fn check_network(address: &str, expected: &str) {
        let found = network(address.parse().unwrap());
        assert_eq!(found, expected.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_network_counts_as_one_address() {
        check_network("192.0.2.7", "192.0.2.7");
        check_network("::ffff:192.0.2.7", "192.0.2.7");
        check_network("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
