//! One seed, one history; and whatever the weather, messages come in order and once.

use std::time::Duration;

use super::chatter::{join, open};
use super::network::{Traffic, Weather};
use super::world::{Entry, World};

const DAY: Duration = Duration::from_secs(86_400);
const STORM: Weather = Weather {
    loss: 0.1,
    doubled: 0.05,
    delay_ms: 20,
    jitter_ms: 40,
};

/// Two nodes for half a minute.
fn history(seed: u64, weather: Weather) -> (Traffic, Vec<Entry>) {
    let mut world = World::new(seed);
    world.network.set(weather);
    world.run(async |world| {
        let members = [2, 3].map(|number| world.member(number, DAY));
        let _centre = open(world);
        let _running = members.each_ref().map(|member| join(world, member));
        world.pass(Duration::from_secs(30)).await;
    });
    (world.network.traffic(), world.log.entries())
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let (first, again, other) = (history(1, STORM), history(1, STORM), history(2, STORM));
    assert_eq!(first.0, again.0);
    assert_eq!(first.1, again.1);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
}

#[track_caller]
fn check_in_order(weather: Weather, messages_min: usize) {
    for seed in 0..4 {
        let (traffic, entries) = history(seed, weather);
        let heard = |entry: &&Entry| entry.what.starts_with("heard");
        let heard = entries.iter().filter(heard).count();
        assert!(heard >= messages_min, "seed {seed}: {heard}, {traffic:?}");
        assert_eq!(traffic.lost > 0, weather.loss > 0.0);
        assert_eq!(traffic.doubled > 0, weather.doubled > 0.0);
        assert_eq!(traffic.overtaken > 0, weather.jitter_ms > 0);
    }
}

#[test]
fn in_fine_weather_everything_comes() {
    // Two nodes, both directions, two messages a second for 30 s; the first of them are waited for.
    check_in_order(Weather::FINE, 4 * 58);
}

#[test]
fn messages_come_in_order_through_loss() {
    check_in_order(
        Weather {
            loss: 0.2,
            ..Weather::FINE
        },
        100,
    );
}

#[test]
fn messages_come_in_order_though_datagrams_are_overtaken_and_doubled() {
    let weather = Weather {
        doubled: 0.2,
        jitter_ms: 100,
        ..Weather::FINE
    };
    check_in_order(weather, 150);
}

#[test]
fn messages_come_in_order_through_everything_at_once() {
    check_in_order(STORM, 100);
}
