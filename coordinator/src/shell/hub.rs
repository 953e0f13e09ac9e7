//! The one task that owns all studies: takes commands in turn, drives the machines, performs their effects.
//!
//! Everything that decides is in the core; here is the loop around it. A store that fails stops a study where it is, and is
//! tried again: nothing leaves before it is durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aquifer_shared::base::ids::{IdentityKey, Name, StudyHash};
use aquifer_shared::base::limits::FRAME_BYTES_MAX;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::ask::{Request, Response, StudyStatus};
use aquifer_shared::protocol::codec::{decode, encode};
use aquifer_shared::protocol::wire::{CloseReason, Hello, Task, Verdict, frame};
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::quic::close;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::clock::now;
use super::front::{Command, Front, Line, Said, SharedFrame};
use super::live::Live;
use super::publish;
use super::store::{Party, Store};
use crate::core::event::{Effect, Event, Record, Token};
use crate::core::update;

/// How often the registry's revision is looked at, for changes by other processes.
const REGISTRY_POLL: Duration = Duration::from_millis(250);
/// How often live connections are held against the ends of their certificates.
const EXPIRY_POLL: Duration = Duration::from_secs(5);
/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// The longest sleep between two looks at the studies.
const IDLE: Duration = Duration::from_secs(3_600);

/// All studies and sessions.
pub struct Hub {
    pub(super) front: Arc<Front>,
    pub(super) store: Store,
    pub(super) release: Arc<Identity>,
    pub(super) studies: BTreeMap<StudyHash, Live>,
    sessions: HashMap<IdentityKey, Session>,
    watchers: Vec<(StudyHash, mpsc::Sender<Response>)>,
    task: Option<(Task, SharedFrame)>,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    number: u64,
    line: Line,
}

impl Hub {
    /// Reads all studies and takes up those that were running.
    ///
    /// # Errors
    ///
    /// A store that fails, or a record that this program did not write.
    pub async fn load(
        front: Arc<Front>,
        store: Store,
        release: Arc<Identity>,
    ) -> anyhow::Result<Self> {
        let mut hub = Self {
            front,
            store,
            release,
            studies: BTreeMap::new(),
            sessions: HashMap::new(),
            watchers: Vec::new(),
            task: None,
            retry_at: None,
        };
        let parties = hub.store.parties().await?;
        let names: HashMap<IdentityKey, Name> = parties
            .into_iter()
            .map(|party| (party.identity, party.name))
            .collect();
        for stored in hub.store.studies().await? {
            let text = hub.store.contract(&stored.contract_hash).await?;
            let text = text.context("the store has lost a study's contract")?;
            let bytes = hub.store.records(&stored.hash).await?;
            let read = |bytes: &Vec<u8>| decode::<Record>("record", bytes, FRAME_BYTES_MAX);
            let records: Vec<Record> = bytes.iter().map(read).collect::<Result<_, _>>()?;
            let live = Live::resume(stored, text, records, now(), |key| names.get(key).cloned())?;
            hub.studies.insert(live.hash, live);
        }
        Ok(hub)
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    ///
    /// Only what no retry can mend.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> anyhow::Result<()> {
        let mut poll = interval(REGISTRY_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = interval(EXPIRY_POLL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tick().await;
        loop {
            let wakeup = self.wakeup();
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Stop) => return Ok(()),
                    Some(command) => self.take(command).await,
                },
                () = sleep_until(wakeup) => self.tick().await,
                _ = poll.tick() => self.poll_registry().await,
                _ = expiry.tick() => self.front.close_unwelcome().await,
            }
        }
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
            Command::Said { party, message } => self.hear(&party, message).await,
            Command::Asked {
                party,
                request,
                answers,
            } => self.ask(&party, request, answers).await,
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
        let session = Session { number, line };
        if let Some(before) = self.sessions.insert(party.identity, session) {
            close(&before.line.connection, CloseReason::Replaced);
        }
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

    async fn hear(&mut self, party: &Party, message: Said) {
        let key = party.identity;
        match message {
            Said::Decision(decision) => {
                if let Some(member) = self.member(&decision.study, &key) {
                    self.handle(decision.study, Event::Decided(member, decision.verdict))
                        .await;
                }
            }
            Said::Refusal(refusal) => {
                tracing::info!(node = %party.name, study = %refusal.study.short(), code = ?refusal.code, "refused");
                if let Some(member) = self.member(&refusal.study, &key) {
                    self.handle(refusal.study, Event::Refused(member, refusal))
                        .await;
                }
            }
            Said::Update(update) => {
                let attempt = update.attempt;
                let live = self
                    .studies
                    .values()
                    .find(|live| live.machine.is_live(&attempt));
                let Some((hash, member)) =
                    live.and_then(|live| live.terms.member(&key).map(|member| (live.hash, member)))
                else {
                    return;
                };
                let event = match update::verify(&key, update) {
                    Ok(update) => Event::Update(member, update),
                    Err(malformed) => {
                        tracing::warn!(node = %party.name, %malformed, "update dropped");
                        Event::Malformed(member, malformed)
                    }
                };
                self.handle(hash, event).await;
            }
        }
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

    /// Performs a study's effects until there are none, or until the store fails.
    pub(super) async fn drive(&mut self, hash: StudyHash) {
        while self.settle(hash).await {
            let effect = self
                .studies
                .get_mut(&hash)
                .and_then(|live| live.machine.poll_effect());
            let Some(effect) = effect else { break };
            self.perform(hash, effect).await;
        }
        self.notify(hash);
    }

    async fn perform(&mut self, hash: StudyHash, effect: Effect) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        match effect {
            Effect::Persist { token, records } => {
                live.unsaved = Some((token, records.iter().map(encode).collect()));
            }
            Effect::Offer(member) => {
                let offer = frame(&live.offer());
                self.send(hash, member, offer.into());
            }
            Effect::Task(member, task) => {
                let frame = self.task_frame(task);
                self.send(hash, member, frame);
            }
            Effect::End(member, end) => self.send(hash, member, frame(&end).into()),
            Effect::StudyEnd(member, end) => self.send(hash, member, frame(&end).into()),
            Effect::Conclude => self.conclude(hash).await,
            Effect::Finished(ending) => {
                tracing::info!(study = %hash.short(), ending = %ending, "study ended");
                live.ended = now();
                if let Err(error) = self.store.end_study(&hash, now()).await {
                    tracing::error!(%error, "the end of a study was not noted");
                }
            }
        }
    }

    /// Writes what a study waits for; false while the store fails.
    async fn settle(&mut self, hash: StudyHash) -> bool {
        let Some(live) = self.studies.get_mut(&hash) else {
            return false;
        };
        let Some((token, records)) = &live.unsaved else {
            return true;
        };
        match self.store.append(&hash, live.saved, records).await {
            Ok(()) => {
                let token: Token = *token;
                live.saved += records.len() as u64;
                live.unsaved = None;
                live.machine.handle(now(), Event::Persisted(token));
                true
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(study = %hash.short(), error = format!("{error:#}"), "not durable: the study waits, nothing is sent");
                self.retry_at = Some(Instant::now() + RETRY);
                false
            }
        }
    }

    /// Builds and stores the model; a store that fails is tried again by the next tick.
    async fn conclude(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        match publish::conclude(live, &self.store, &self.release, now()).await {
            Ok(ending) => {
                live.unconcluded = false;
                live.machine.handle(now(), Event::Concluded(ending));
            }
            Err(error) => {
                tracing::error!(study = %hash.short(), error = format!("{error:#}"), "the model is not stored: tried again");
                live.unconcluded = true;
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
    }

    /// The same task goes to all members: encoded once.
    fn task_frame(&mut self, task: Task) -> SharedFrame {
        if let Some((last, frame)) = &self.task
            && *last == task
        {
            return frame.clone();
        }
        let encoded: SharedFrame = frame(&task).into();
        self.task = Some((task, encoded.clone()));
        encoded
    }

    fn send(&mut self, hash: StudyHash, member: usize, frame: SharedFrame) {
        let key = self
            .studies
            .get(&hash)
            .map(|live| live.terms.roster[member]);
        let Some(key) = key else { return };
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        // A node that does not read loses its connection; it comes back and is asked again.
        if session.line.outbox.try_send(frame).is_err() {
            close(&session.line.connection, CloseReason::Busy);
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
    }

    async fn poll_registry(&mut self) {
        match self.front.registry.refresh().await {
            Ok(false) => {}
            Ok(true) => self.front.close_unwelcome().await,
            Err(error) => tracing::error!(%error, "the registry could not be read"),
        }
    }

    /// Tells watchers what is new, and lets them go when the study has ended.
    fn notify(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        let status = live.status();
        if live.told.as_ref() == Some(&status) {
            return;
        }
        let ended = !live.is_running();
        live.told = Some(status.clone());
        self.watchers.retain(|(watched, answers)| {
            *watched != hash || (tell(answers, &status, ended) && !ended)
        });
    }

    /// Adds a watcher; it hears the present state at once.
    pub(super) fn watch(&mut self, hash: StudyHash, answers: mpsc::Sender<Response>) {
        let Some(live) = self.studies.get(&hash) else {
            return;
        };
        let told = answers.try_send(study_response(&live.status())).is_ok();
        if told && live.is_running() {
            self.watchers.push((hash, answers));
        }
    }

    pub(super) fn is_connected(&self, key: &IdentityKey) -> bool {
        self.sessions.contains_key(key)
    }

    async fn ask(&mut self, party: &Party, request: Request, answers: mpsc::Sender<Response>) {
        if let Some(response) = self.respond(party, request, &answers).await {
            let _ = answers.try_send(response);
        }
    }
}

/// Tells one watcher; a slow one misses states in between, never the last. False if it has gone.
fn tell(answers: &mpsc::Sender<Response>, status: &StudyStatus, last: bool) -> bool {
    match answers.try_send(study_response(status)) {
        Ok(()) => true,
        Err(TrySendError::Full(response)) => {
            if last {
                let answers = answers.clone();
                tokio::spawn(async move { answers.send(response).await });
            }
            true
        }
        Err(TrySendError::Closed(_)) => false,
    }
}

fn study_response(status: &StudyStatus) -> Response {
    Response::Studies(vec![status.clone()])
}
