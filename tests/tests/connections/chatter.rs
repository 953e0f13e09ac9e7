//! An application at both ends that counts: every message carries its number, and whoever hears one checks what came before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aquifer_coordinator::shell::front::{Command, Front, Line as Outbox, Said};
use aquifer_node::shell::link::{LinkEvent, bytes_of};
use aquifer_shared::base::ids::{AttemptId, Hash32, Name};
use aquifer_shared::protocol::wire::{CloseReason, Offer, Update, frame, read_body};
use aquifer_shared::shell::platform::Platform;
use aquifer_shared::shell::quic::close;
use aquifer_tests::random::Seeded;
use tokio::sync::mpsc;

use super::network::{CENTRE, Host, Network};
use super::world::{Centre, Line, Log, Member, Running, Way, World};

/// Pause between two messages in one direction.
const BEAT: Duration = Duration::from_millis(500);
/// How often the running coordinator holds connections against the ends of their certificates.
const EXPIRY: Duration = Duration::from_secs(5);
/// Sessions of one life of a node are numbered from a multiple of this.
const LIFE: u64 = 1_000;
/// Largest message, in words.
const WORDS_MAX: u64 = 2_000;

/// Starts the coordinator with this application.
pub fn open(world: &World) -> Centre {
    let (mut centre, commands) = world.centre();
    let hub = Hub {
        front: centre.front.clone(),
        network: world.network.clone(),
        log: world.log.clone(),
        sizes: Seeded::new(1, 0),
        sessions: BTreeMap::new(),
        heard: BTreeMap::new(),
    };
    centre.spawn(hub.run(commands));
    centre
}

/// Starts a node with this application.
pub fn join(world: &World, member: &Member) -> Running {
    let (running, line) = world.start(member);
    let name = member.name.as_str();
    world.log.add(&world.network, name, "started");
    let lives = world.log.count(name, "started") as u64;
    let node = Node {
        name: member.name.clone(),
        network: world.network.clone(),
        log: world.log.clone(),
        sizes: Seeded::new(2, u64::from(member.number())),
        life: lives * LIFE,
        ups: 0,
        said: 0,
        heard: None,
    };
    tokio::spawn(node.run(running.host.clone(), line));
    running
}

struct Hub {
    front: Arc<Front>,
    network: Network,
    log: Log,
    sizes: Seeded,
    sessions: BTreeMap<Name, Session>,
    heard: BTreeMap<Name, Heard>,
}

struct Session {
    number: u64,
    line: Outbox,
    said: u64,
}

/// The last message of a node: its session there, its number, and whether another session was opened since.
struct Heard {
    last: (u64, u64),
    opened: bool,
}

impl Hub {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let host = self.network.at(CENTRE);
        let (mut beat, mut expiry) = (host.sleep(BEAT), host.sleep(EXPIRY));
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                () = &mut beat => {
                    beat = host.sleep(BEAT);
                    self.say();
                }
                () = &mut expiry => {
                    expiry = host.sleep(EXPIRY);
                    self.front.close_unwelcome().await;
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Opened {
                party,
                session,
                line,
                ..
            } => {
                self.log
                    .add(&self.network, "hub", format!("opened {}", party.name));
                let session = Session {
                    number: session,
                    line,
                    said: 0,
                };
                if let Some(before) = self.sessions.insert(party.name.clone(), session) {
                    close(&before.line.connection, CloseReason::Replaced);
                }
                if let Some(heard) = self.heard.get_mut(&party.name) {
                    heard.opened = true;
                }
            }
            Command::Closed { party, session } => {
                self.log
                    .add(&self.network, "hub", format!("closed {}", party.name));
                let current = self.sessions.get(&party.name);
                if current.is_some_and(|current| current.number == session) {
                    self.sessions.remove(&party.name);
                }
            }
            Command::Said {
                party,
                message: Said::Update(update),
                room: _,
            } => {
                let number = (update.cells[0] as u64, update.cells[1] as u64);
                self.hear(&party.name, number, update.cells.len());
            }
            other => self
                .log
                .broken(&self.network, format!("nobody says {other:?}")),
        }
    }

    fn hear(&mut self, name: &Name, number: (u64, u64), words: usize) {
        self.log.add(
            &self.network,
            "hub",
            format!("heard {name} {number:?} {words}"),
        );
        let heard = Heard {
            last: number,
            opened: false,
        };
        let Some(before) = self.heard.insert(name.clone(), heard) else {
            return;
        };
        let next = (before.last.0, before.last.1 + 1);
        let fits = match before.opened {
            // What was said between two sessions is lost, never doubled.
            true => number > before.last,
            false => number == next || number == (before.last.0 + 1, 0),
        };
        if !fits {
            let what = format!("{name}: {number:?} after {:?}", before.last);
            self.log.broken(&self.network, what);
        }
    }

    fn say(&mut self) {
        for session in self.sessions.values_mut() {
            let mut terms = Vec::new();
            terms.extend(session.number.to_le_bytes());
            terms.extend(session.said.to_le_bytes());
            let words = 2 + self.sizes.next_u64() % WORDS_MAX;
            terms.resize(8 * words as usize, 0xa5);
            let offer = frame(&Offer {
                terms,
                approvals: Vec::new(),
            });
            if session.line.outbox.put(offer.into()) {
                session.said += 1;
            }
        }
    }
}

struct Node {
    name: Name,
    network: Network,
    log: Log,
    sizes: Seeded,
    life: u64,
    ups: u64,
    said: u64,
    heard: Option<(u64, u64)>,
}

impl Node {
    async fn run(mut self, host: Host, mut line: Line) {
        let mut beat = host.sleep(BEAT);
        loop {
            tokio::select! {
                biased;
                event = line.events.recv() => match event {
                    Some(LinkEvent::Up) => {
                        (self.ups, self.said, self.heard) = (self.ups + 1, 0, None);
                        self.log("up");
                    }
                    Some(LinkEvent::Frame(kind, body)) => self.hear(kind, &body),
                    Some(LinkEvent::Over(fault)) => {
                        return self.log(&format!("over {:#}", anyhow::Error::from(fault)));
                    }
                    None => return,
                },
                () = &mut beat => {
                    beat = host.sleep(BEAT);
                    self.say(&line.outgoing);
                }
            }
        }
    }

    fn log(&self, what: &str) {
        self.log.add(&self.network, self.name.as_str(), what);
    }

    fn hear(&mut self, kind: u8, body: &[u8]) {
        let offer: Offer = read_body(kind, body).unwrap();
        let word = |at: usize| u64::from_le_bytes(*offer.terms[at..].first_chunk().unwrap());
        let number = (word(0), word(8));
        self.log(&format!("heard {:?} {}", number, offer.terms.len()));
        let fits = match self.heard {
            None => number.1 == 0,
            Some(before) => number == (before.0, before.1 + 1),
        };
        if !fits {
            let what = format!("{}: {number:?} after {:?}", self.name, self.heard);
            self.log.broken(&self.network, what);
        }
        self.heard = Some(number);
    }

    fn say(&mut self, outgoing: &Way) {
        if self.ups == 0 {
            return;
        }
        let words = 2 + self.sizes.next_u64() % WORDS_MAX;
        let mut cells = vec![0x5a5a; words as usize];
        (cells[0], cells[1]) = ((self.life + self.ups) as i64, self.said as i64);
        let update = Update {
            attempt: AttemptId([1; 32]),
            task: Hash32([2; 32]),
            cells,
            signature: vec![0; 64],
        };
        if outgoing.try_send(bytes_of(&update)) {
            self.said += 1;
        }
    }
}
