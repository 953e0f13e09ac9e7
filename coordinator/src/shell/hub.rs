//! The one task that owns all studies: takes commands in turn and hands them to the machines.
//!
//! Everything that decides is in the core; here is the loop around it. Several commands that wait are heard before what follows
//! is performed (`drive`), so that what they make durable is one write.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::{AttemptId, Hash32, IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::CLOCK_LOOK_MS;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::protocol::ask::{Request, Response, StudyStatus};
use aquifer_shared::protocol::wire::{CloseReason, Hello, ModelLife, Verdict, frame};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::policy_record::Term;
use aquifer_shared::shell::quic::close;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::asking::{Asker, RunningQuestion};
use super::clock::now;
use super::drive::Frames;
use super::front::{Command, Front, Line, Said};
use super::live::Live;
use super::mirror::held_for;
use super::presenter::Presenter;
use super::retraining::Agenda;
use super::store::{Party, Store, StoreFault};
use super::watchers::{TooMany, Watchers, study_response};
use crate::core::event::Event;
use crate::core::update;

/// How often the registry's revision is looked at, for changes by other processes.
const REGISTRY_POLL: Duration = Duration::from_millis(250);
/// How often live connections are held against the ends of their certificates.
const EXPIRY_POLL: Duration = Duration::from_secs(5);
/// Commands that are heard before what follows from them is performed.
const COMMANDS_AT_ONCE: usize = 64;
/// The longest sleep between two looks at the studies.
const IDLE: Duration = Duration::from_millis(CLOCK_LOOK_MS);

/// All studies and sessions.
pub struct Hub {
    pub(super) front: Arc<Front>,
    pub(super) store: Store,
    pub(super) release: Arc<Identity>,
    pub(super) studies: BTreeMap<StudyHash, Live>,
    /// Studies that the store does not hold whole.
    pub(super) damaged: BTreeMap<StudyHash, StudyStatus>,
    pub(super) sessions: HashMap<IdentityKey, Session>,
    /// State of the tables that each node served last, whether it is here or not.
    pub(super) data_versions: HashMap<IdentityKey, Name>,
    /// Program that each node reported last, whether it is here or not.
    pub(super) programs: HashMap<IdentityKey, Hash32>,
    /// What the budgets of each node with a session leave, as it has said last.
    pub(super) left: HashMap<IdentityKey, MicroRho>,
    /// Nodes with a session that serve tables.
    pub(super) serving: HashSet<IdentityKey>,
    /// How many request ids of each analyst stand for answers that were there.
    pub(super) request_ids: HashMap<Name, u64>,
    /// Who waits for the answers of which studies.
    pub(super) askers: HashMap<StudyHash, Vec<Asker>>,
    pub(super) presenter: Presenter,
    /// Questions that are under way.
    pub(super) running_questions: HashMap<StudyHash, RunningQuestion>,
    watchers: Watchers,
    /// Standing studies that everybody was told are open.
    pub(super) told_open: Option<Vec<StudyHash>>,
    /// Studies that have heard something since their effects were last performed.
    moved: BTreeSet<StudyHash>,
    /// How long released models are used, once it was looked up; none after a change.
    pub(super) lives: Option<Vec<ModelLife>>,
    pub(super) agenda: Agenda,
    pub(super) frames: Frames,
    pub(super) retry_at: Option<Instant>,
    /// What no retry can mend.
    pub(super) broken: Option<StoreFault>,
    /// How long the policy is in force; none: for good.
    pub(super) term: Option<(Term, History)>,
}

/// A node's session.
#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    pub(super) line: Line,
}

impl Hub {
    /// No study yet, no session.
    pub(super) fn new(front: Arc<Front>, store: Store, release: Arc<Identity>) -> Self {
        Self {
            front,
            store,
            release,
            studies: BTreeMap::new(),
            damaged: BTreeMap::new(),
            sessions: HashMap::new(),
            data_versions: HashMap::new(),
            programs: HashMap::new(),
            left: HashMap::new(),
            serving: HashSet::new(),
            request_ids: HashMap::new(),
            askers: HashMap::new(),
            running_questions: HashMap::new(),
            presenter: Presenter::new(),
            watchers: Watchers::default(),
            told_open: None,
            moved: BTreeSet::new(),
            lives: None,
            agenda: Agenda::default(),
            frames: Frames::default(),
            retry_at: None,
            broken: None,
            term: None,
        }
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    ///
    /// Only what no retry can mend, and a policy that is not in force any more.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> anyhow::Result<()> {
        let mut poll = interval(REGISTRY_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = interval(EXPIRY_POLL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.part_with_revoked().await;
        self.part_with_denied().await;
        self.resume_questions().await;
        self.tick().await;
        loop {
            if let Some(fault) = self.broken.take() {
                return Err(fault.into());
            }
            self.tell_open();
            let wakeup = self.wakeup();
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Stop) => return Ok(()),
                    Some(command) => {
                        if self.take_all(command, &mut commands).await.is_break() {
                            return Ok(());
                        }
                    }
                },
                () = sleep_until(wakeup) => self.tick().await,
                _ = poll.tick() => self.poll_registry().await,
                _ = expiry.tick() => self.look_around().await?,
            }
        }
    }

    /// Takes a command and those that wait behind it, then performs what follows; breaks off where the process is to stop.
    async fn take_all(
        &mut self,
        first: Command,
        commands: &mut mpsc::Receiver<Command>,
    ) -> ControlFlow<()> {
        self.take(first).await;
        for _ in 1..COMMANDS_AT_ONCE {
            match commands.try_recv() {
                Ok(Command::Stop) => {
                    self.drive_moved().await;
                    return ControlFlow::Break(());
                }
                Ok(command) => self.take(command).await,
                Err(_) => break,
            }
        }
        self.drive_moved().await;
        ControlFlow::Continue(())
    }

    async fn take(&mut self, command: Command) {
        match command {
            Command::Opened {
                party,
                session,
                hello,
                line,
            } => {
                self.open(&party, session, &hello, line).await;
            }
            Command::Closed { party, session } => self.close(&party, session).await,
            Command::Said {
                party,
                message,
                room,
            } => {
                self.hear(&party, message);
                drop(room);
            }
            Command::Asked {
                party,
                request,
                answers,
            } => self.ask(&party, request, answers).await,
            Command::Put {
                party,
                put,
                answers,
            } => self.put(&party, &put, &answers).await,
            Command::Units(answer) => match self.units().await {
                Ok(units) => drop(answer.send(units)),
                Err(error) => tracing::error!(%error, "the registry could not be read"),
            },
            Command::Stop => {}
        }
    }

    async fn open(&mut self, party: &Party, number: u64, hello: &Hello, line: Line) {
        tracing::info!(node = %party.name, ledger_seq = hello.ledger_seq, "node connected");
        let noted = self
            .store
            .seen(&party.name, now(), hello.ledger_seq, &hello.software)
            .await;
        if let Err(error) = noted {
            tracing::error!(%error, "a hello was not noted");
        }
        let held = match held_for(&self.store, party, hello).await {
            Ok(held) => held,
            Err(error) => {
                // A node that could have forgotten what it signed is not asked anything.
                let error = anyhow::Error::from(error);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the mirror of a ledger was not read"
                );
                return close(&line.connection, CloseReason::Busy);
            }
        };
        let _ = line.outbox.put(frame(&held).into());
        self.serves(&party.identity, hello.data_version.as_ref())
            .await;
        self.runs(&party.identity, hello.program).await;
        let session = Session { number, line };
        if let Some(before) = self.sessions.insert(party.identity, session) {
            close(&before.line.connection, CloseReason::Replaced);
        }
        self.tell_lives_to(&party.identity).await;
        self.tell_studies(&party.identity, Event::Connected).await;
    }

    async fn close(&mut self, party: &Party, number: u64) {
        let current = self
            .sessions
            .get(&party.identity)
            .is_some_and(|session| session.number == number);
        if current {
            tracing::info!(node = %party.name, "node disconnected");
            self.sessions.remove(&party.identity);
            self.serving.remove(&party.identity);
            self.left.remove(&party.identity);
            self.tell_studies(&party.identity, Event::Disconnected)
                .await;
        }
    }

    /// Tells every study that has this member: those that run, and those that ended before the member's reservation did.
    async fn tell_studies(&mut self, key: &IdentityKey, event: impl Fn(usize) -> Event) {
        let current = now();
        let reserved = |live: &Live, member| {
            let verdict = live.machine.member(member).and_then(|(verdict, _)| verdict);
            let kept = matches!(verdict, Some(Verdict::Accepted | Verdict::Held));
            kept && live.terms.expires > current
        };
        let concerned = |live: &Live| {
            let member = live.terms.member(key)?;
            let told = live.is_running() || reserved(live, member);
            told.then_some((live.hash, member))
        };
        let all: Vec<_> = self.studies.values().filter_map(concerned).collect();
        for (hash, member) in all {
            self.handle(hash, event(member)).await;
        }
    }

    fn hear(&mut self, party: &Party, message: Said) {
        let key = party.identity;
        match message {
            Said::Decision(decision) => {
                if let Some(member) = self.member(&decision.study, &key) {
                    self.tell_machine(decision.study, Event::Decided(member, decision.verdict));
                }
            }
            Said::Refusal(refusal) => {
                tracing::info!(node = %party.name, study = %refusal.study.short(), code = ?refusal.code, "refused");
                if let Some(member) = self.member(&refusal.study, &key) {
                    self.tell_machine(refusal.study, Event::Refused(member, refusal));
                }
            }
            Said::Update(update) => {
                let Some((hash, member)) = self.live_member(&update.attempt, &key) else {
                    return;
                };
                let event = match update::verify(&key, update) {
                    Ok(update) => Event::Update(member, update),
                    Err(malformed) => {
                        tracing::warn!(node = %party.name, %malformed, "update dropped");
                        Event::Malformed(member, malformed)
                    }
                };
                self.tell_machine(hash, event);
            }
            Said::Left(left) => {
                self.left.insert(key, left.urho);
            }
            Said::Secure(message) => {
                tracing::debug!(node = %party.name, step = message.name(), "a step of a secure sum");
                if let Some((hash, member)) = self.live_member(&message.attempt(), &key) {
                    self.tell_machine(hash, Event::Secure(member, message));
                }
            }
        }
    }

    /// The study with this live attempt, and the node's place in it.
    fn live_member(&self, attempt: &AttemptId, key: &IdentityKey) -> Option<(StudyHash, usize)> {
        let live = self
            .studies
            .values()
            .find(|live| live.machine.is_live(attempt))?;
        Some((live.hash, live.terms.member(key)?))
    }

    fn member(&self, study: &StudyHash, key: &IdentityKey) -> Option<usize> {
        self.studies.get(study)?.terms.member(key)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = StudyHash> + use<'_> {
        self.studies
            .values()
            .filter(|live| live.is_running())
            .map(|live| live.hash)
    }

    /// Hands an event to a study and performs what follows from it.
    pub(super) async fn handle(&mut self, hash: StudyHash, event: Event) {
        if let Some(live) = self.studies.get_mut(&hash) {
            live.machine.handle(now(), event);
            self.drive(hash).await;
        }
    }

    /// Hands an event to a study; what follows is performed when the commands that wait are heard, so that their writes are one.
    fn tell_machine(&mut self, hash: StudyHash, event: Event) {
        if let Some(live) = self.studies.get_mut(&hash) {
            live.machine.handle(now(), event);
            self.moved.insert(hash);
        }
    }

    async fn drive_moved(&mut self) {
        while let Some(hash) = self.moved.pop_first() {
            self.drive(hash).await;
        }
    }

    /// Ends the studies that the rules of law do not let go on since the process stopped.
    async fn part_with_denied(&mut self) {
        let denied = |live: &Live| Some((live.hash, live.denied()?.to_owned()));
        let denied: Vec<_> = self.studies.values().filter_map(denied).collect();
        for (hash, why) in denied {
            tracing::warn!(study = %hash.short(), why, "the rules of law do not let a study go on");
            self.handle(hash, Event::Denied(why)).await;
        }
    }

    fn wakeup(&self) -> Instant {
        let current = now();
        let due = self
            .running()
            .filter_map(|hash| self.studies[&hash].machine.next_wakeup())
            .min();
        let wait = due.map_or(IDLE, |due: Timestamp| {
            Duration::from_millis(due.since_ms(current)).min(IDLE)
        });
        let regular = Instant::now() + wait;
        self.retry_at.map_or(regular, |retry| retry.min(regular))
    }

    async fn tick(&mut self) {
        self.retry_at = None;
        let hashes: Vec<StudyHash> = self.running().collect();
        for hash in hashes {
            let again = self.studies.get(&hash).is_some_and(|live| live.unconcluded);
            if again {
                self.conclude(hash).await;
            }
            self.handle(hash, Event::Tick).await;
        }
        // Those whose end could not be settled when it came.
        let ended = self.running_questions.keys();
        let ended = ended.filter(|hash| self.studies.get(hash).is_some_and(Live::is_settled));
        for hash in ended.copied().collect::<Vec<_>>() {
            self.answer_askers(hash).await;
        }
    }

    async fn poll_registry(&mut self) {
        match self.front.registry.refresh().await {
            Ok(false) => {}
            Ok(true) => {
                self.front.close_unwelcome().await;
                self.part_with_revoked().await;
                self.note_parties().await;
            }
            Err(error) => tracing::error!(%error, "the registry could not be read"),
        }
    }

    /// Tells running studies which of their members were revoked.
    async fn part_with_revoked(&mut self) {
        let parties = match self.store.parties().await {
            Ok(parties) => parties,
            Err(error) => return tracing::error!(%error, "the registry could not be read"),
        };
        let good = parties.iter().filter(|party| !party.revoked);
        let good: HashSet<IdentityKey> = good.map(|party| party.identity).collect();
        let gone = |live: &Live| {
            let roster = live.terms.roster.iter().enumerate();
            let gone = roster.filter(|(_, key)| !good.contains(key));
            let gone: Vec<usize> = gone.map(|(member, _)| member).collect();
            (live.hash, gone)
        };
        let running = self.studies.values().filter(|live| live.is_running());
        let all: Vec<_> = running.map(gone).collect();
        for (hash, members) in all {
            for member in members {
                self.handle(hash, Event::Revoked(member)).await;
            }
        }
    }

    /// Tells watchers what is new, and lets them go when the study has ended.
    pub(super) fn notify(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        let status = live.status();
        if live.told.as_ref() == Some(&status) {
            return;
        }
        let ended = !live.is_running();
        live.told = Some(status.clone());
        self.watchers.tell(hash, &status, ended);
    }

    /// Adds a watcher; it hears the present state at once.
    ///
    /// # Errors
    ///
    /// Too many watch already.
    pub(super) fn watch(
        &mut self,
        hash: StudyHash,
        party: &Name,
        answers: mpsc::Sender<Response>,
    ) -> Result<(), TooMany> {
        let Some(live) = self.studies.get(&hash) else {
            return Ok(());
        };
        let status = live.status();
        if live.is_running() {
            self.watchers.add(hash, party, answers.clone())?;
        }
        // Fails only where the asker has gone.
        let _ = answers.try_send(study_response(&status));
        Ok(())
    }

    async fn ask(&mut self, party: &Party, request: Request, answers: mpsc::Sender<Response>) {
        if let Some(response) = self.respond(party, request, &answers).await {
            let _ = answers.try_send(response);
        }
    }
}
