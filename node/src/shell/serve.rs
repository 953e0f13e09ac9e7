//! `aquifer-node run`: the loop. Waits for a frame, a sum, noise, a question or the clock; lets the participant decide; acts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aquifer_shared::base::ids::{Name, StudyHash};
use aquifer_shared::base::limits::{CLOCK_LOOK_MS, FRAME_BYTES_MAX, LEDGER_COPY_BYTES_MAX};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    Delivery, End, LedgerHeld, Message, Offer, Proof, RefusalCode, Roster, StudyEnd, Task,
    read_body,
};
use aquifer_shared::shell::history::History;
use aquifer_shared::shell::keys::{Identity, random_bytes32};
use aquifer_shared::shell::own_program::own_program;
use aquifer_shared::shell::platform::System;
use aquifer_shared::shell::policy_record::{PolicyFault, Term};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::at_rest;
use super::attached::Data;
use super::clock::now;
use super::config::NodeConfig;
use super::consent::entering::hold;
use super::control::{Asked, Door};
use super::evidence::EvidenceFile;
use super::gate::TaskGate;
use super::glass::{Glass, Lock};
use super::history::publish;
use super::link::{self, Ends, LinkEvent, LinkFault, Queued};
use super::published::Refresher;
use super::say::frame_of;
use super::serve_history::{attach, signer_of};
use super::store::Store;
use super::telling::Teller;
use super::usage::{self, News as Used, Usage};
use super::witnessing::{Distrust, Heard, Witnessing};
use super::worker::Workers;
use crate::core::chronicle::{Chronicler, Keyed};
use crate::core::ledger::{Batch, Ledger};
use crate::core::participant::{Audit, Effect, Event, Fresh, Judges, Outgoing, Participant, Sign};

/// Why the node stopped.
#[derive(Debug)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// There will be no session any more.
    NoSession(LinkFault),
    /// The ledger cannot be written.
    Unfit,
    /// A history is not what it was, the coordinator's or this node's own; or a ledger is not the one that the history knows.
    Distrust(Distrust),
    /// The policy is not in force any more: a broken glass has run out.
    RunOut(PolicyFault),
}

pub(super) struct Node {
    pub(super) participant: Participant,
    chronicler: Chronicler,
    store: Store,
    workers: Workers,
    outgoing: mpsc::Sender<Queued>,
    /// KiB that may still wait for the session.
    room: Arc<Semaphore>,
    head: watch::Sender<Head>,
    evidence: EvidenceFile,
    pub(super) refresher: Refresher,
    usage: Usage,
    pub(super) directory: PathBuf,
    pub(super) history: History,
    pub(super) teller: Teller,
    pub(super) gate: TaskGate,
    /// To the task that watches the coordinator's history.
    pub(super) heard: mpsc::Sender<Heard>,
    /// How long the policy is in force.
    term: Term,
}

/// Runs the node of a directory until it is stopped.
///
/// # Errors
///
/// Configuration, identity, ledger or data cannot be used: nothing was sent.
///
/// # Privacy
///
/// The table lives in the computing thread; only charged, noisy sums reach the session.
pub fn run(directory: &Path, glass: &Glass) -> anyhow::Result<Stopped> {
    let config = NodeConfig::load(directory)?;
    let (identity, runtime) = (at_rest::identity(directory)?, runtime()?);
    let (store, ledger, used, teller) = books(directory, &config, (&runtime, glass))?;
    let history = teller.history().clone();
    let door = runtime.block_on(async { Door::open(directory) })?;
    let own = identity.identity().public();
    let (told, more) = ((&history, &runtime), (glass, used.usage()));
    let data = Data::attach(directory, (&config, own), &ledger, told, more)?;
    let signer = at_rest::identity(directory)?.into_identity();
    let participant =
        Participant::new(now(), data.rules, ledger, sign_with(signer), Judges::STRICT);
    let (outgoing, queued) = mpsc::channel(QUEUE_MAX);
    let (head, head_seen) = watch::channel(participant.ledger().durable());
    let (events, linked) = mpsc::channel(FRAMES_MAX);
    let ends = Ends {
        events,
        outgoing: queued,
        head: head_seen,
        epochs: data.epochs.clone(),
        program: runtime.block_on(own_program())?,
    };
    let room = Arc::new(Semaphore::new(OUTGOING_KIB_MAX));
    let (distrust, distrusted) = mpsc::channel(1);
    let (heard, to_witness) = mpsc::channel(QUEUE_MAX);
    let (witnessing, witnessed) = Witnessing::new(
        directory,
        (signer_of(directory)?, identity.coordinator().release_key),
        history.clone(),
        (outgoing.clone(), room.clone()),
        (usize::from(config.history.dishonest_max), distrust.clone()),
    )?;
    let node = Node {
        chronicler: Chronicler::behind(participant.ledger()),
        participant,
        store,
        workers: data.workers,
        outgoing,
        room,
        head,
        evidence: EvidenceFile::of(directory),
        refresher: data.refresher,
        usage: used.usage(),
        directory: directory.to_owned(),
        history: history.clone(),
        teller: teller.clone(),
        gate: TaskGate::new(witnessed),
        heard: heard.clone(),
        term: data.term,
    };
    let stopped = runtime.block_on(async {
        let (to_loop, asked) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(door.serve(to_loop));
        let session = tokio::spawn(link::run(Arc::new(System), identity, ends));
        let witnessing = tokio::spawn(witnessing.run(to_witness));
        let period_ms = config.history.publish_every_minutes.ms();
        let publishing = tokio::spawn(publish(teller.clone(), heard, period_ms));
        let telling = tokio::spawn(teller.run(distrust));
        let stopped = node
            .turn(data.results, (linked, distrusted), asked, data.epochs)
            .await;
        end([publishing, witnessing, telling], history).await;
        let stopped = stopped?;
        // The session says goodbye once the loop's ends are gone.
        let _ = tokio::time::timeout(GOODBYE_WAIT, session).await;
        Ok(stopped)
    });
    used.finish();
    stopped
}

/// Ends what runs beside the loop: it holds ends of the session as well.
async fn end<const N: usize>(beside: [JoinHandle<()>; N], history: History) {
    for task in beside {
        task.abort();
        let _ = task.await;
    }
    history.close().await;
}

/// Opens what the node writes to: budgets, who was in which sum, the history, which hears what it does not know yet.
fn books(
    directory: &Path,
    config: &NodeConfig,
    (runtime, glass): (&tokio::runtime::Runtime, &Glass),
) -> anyhow::Result<(Store, Ledger, usage::UsageThread, Teller)> {
    // The ledger first: a second process is refused before it reads any data.
    let (ledger, witness) = (
        config.ledger_path(directory),
        config.witness_path(directory),
    );
    let database = at_rest::vault(directory)?.database(at_rest::LEDGER);
    let (mut store, ledger) = runtime.block_on(Store::open(&ledger, &witness, &database))?;
    let history = runtime.block_on(attach(directory, config, &mut store))?;
    let at = ledger.present(now());
    let consent = (glass.reason(Lock::Consent), at);
    runtime.block_on(hold(&history, directory, consent))?;
    let usage = (glass.reason(Lock::Usage), at);
    runtime.block_on(usage::hold(&history, directory, usage))?;
    // Only then is anything written to the usage ledger.
    let used = usage::start(directory, &ledger, |after| {
        Ok(runtime.block_on(store.links_after(after, usize::MAX))?)
    })?;
    let teller = Teller::new(history, directory);
    if let Err(fault) = runtime.block_on(teller.tell()) {
        tracing::error!("something is not in the history yet: {fault:#}");
    }
    Ok((store, ledger, used, teller))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("the runtime did not start")
}

/// The node's signing function.
#[must_use]
pub fn sign_with(identity: Identity) -> Sign {
    Box::new(move |digest| identity.sign(digest))
}

impl Node {
    async fn turn(
        mut self,
        mut results: mpsc::Receiver<Event>,
        (mut link, mut distrusted): (mpsc::Receiver<LinkEvent>, mpsc::Receiver<Distrust>),
        mut asked: mpsc::Receiver<Asked>,
        mut epochs: watch::Receiver<Option<Name>>,
    ) -> anyhow::Result<Stopped> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        // Beyond a file size limit a write shall fail instead of killing the process.
        let _too_long = signal(SignalKind::from_raw(SIGXFSZ))?;
        let mut quorums = self.gate.changes();
        let stopped = loop {
            self.act().await;
            if let Some(stopped) = self.unfit().await {
                break stopped;
            }
            let event = tokio::select! {
                Some(event) = results.recv() => event,
                heard = link.recv() => match heard {
                    None => break Stopped::Asked,
                    Some(LinkEvent::Over(fault)) => break Stopped::NoSession(fault),
                    Some(LinkEvent::Up) => {
                        self.tell(Heard::Up);
                        Event::Connected
                    }
                    Some(LinkEvent::Frame(kind, body)) => match self.read(kind, &body) {
                        Ok(event) => event,
                        Err(error) => break Stopped::NoSession(LinkFault::Link(error.into())),
                    },
                },
                Some(distrust) = distrusted.recv() => break Stopped::Distrust(distrust),
                Ok(()) = quorums.changed() => Event::Tick,
                Some(asked) = asked.recv() => {
                    self.reply(asked).await;
                    Event::Tick
                }
                Ok(()) = epochs.changed() => {
                    let epoch = epochs.borrow_and_update().clone();
                    self.participant.serve_data(epoch);
                    Event::Tick
                }
                () = until(self.next_wakeup()) => Event::Tick,
                _ = interrupted.recv() => break Stopped::Asked,
                _ = terminated.recv() => break Stopped::Asked,
            };
            let event = match self.gated(event) {
                Some(event) => event,
                None => continue,
            };
            let asked_mirror = matches!(event, Event::LedgerHeld(_));
            self.participant.handle(now(), event);
            if asked_mirror {
                self.report_lock();
            }
        };
        if matches!(stopped, Stopped::Asked) {
            self.participant.leave_a_copy(now());
            self.act().await;
        }
        self.term.end(&self.history).await;
        if !matches!(stopped, Stopped::Unfit) {
            self.store.close().await?;
        }
        Ok(stopped)
    }

    /// Why the node goes on no more: a ledger or a history that cannot be written, or a broken glass that has run out.
    async fn unfit(&mut self) -> Option<Stopped> {
        if self.participant.is_unfit() {
            return Some(Stopped::Unfit);
        }
        let present = self.participant.ledger().present(now());
        if let Err(fault) = self.term.check(present) {
            return Some(Stopped::RunOut(fault));
        }
        if let Err(fault) = self.term.charge(&self.history).await {
            tracing::error!(%fault, "the history does not keep how long the glass is broken");
            return Some(Stopped::Unfit);
        }
        None
    }

    /// Under a broken glass the clock is looked at all the time.
    fn next_wakeup(&self) -> Option<Timestamp> {
        let wakeup = self.gate.next_wakeup(self.participant.next_wakeup());
        let look = self.term.ends().then(|| now().after_ms(CLOCK_LOOK_MS));
        wakeup.into_iter().chain(look).min()
    }

    pub(super) async fn act(&mut self) {
        while let Some(effect) = self.participant.poll_effect() {
            match effect {
                Effect::Send(message) => {
                    self.note_sent(&message).await;
                    self.send(message);
                }
                Effect::Journal(batch) => {
                    let event = self.write(batch).await;
                    self.participant.handle(now(), event);
                }
                Effect::Prepare { family, holdout } => self.workers.prepare(family, holdout),
                Effect::Compute(job) => {
                    let (attempt, task) = (job.attempt, job.task);
                    if !self.workers.compute(job) {
                        let sum = Err(RefusalCode::Unfit);
                        let event = Event::Computed { attempt, task, sum };
                        self.participant.handle(now(), event);
                    }
                }
                Effect::Draw { study, kind } => {
                    if !self.workers.draw(study, kind) {
                        let noise = None;
                        let event = Event::Drawn { study, kind, noise };
                        self.participant.handle(now(), event);
                    }
                }
                Effect::Recall {
                    study,
                    round,
                    attempt,
                } => {
                    let event = self.recall((study, round, attempt)).await;
                    self.participant.handle(now(), event);
                }
                Effect::ReadLinks { after } => {
                    let event = self.read_links(after).await;
                    self.participant.handle(now(), event);
                }
                Effect::Late { study } => {
                    tracing::warn!(study = %study.short(), "an answer was not ready in its slot: this machine is too slow or too busy");
                }
                Effect::Audit(audit) => self.keep(&audit),
            }
        }
    }

    async fn recall(&mut self, (study, round, attempt): (StudyHash, u32, u32)) -> Event {
        let update = self.store.recall(&study, round, attempt).await;
        let update = update.unwrap_or_else(|fault| {
            tracing::error!(study = %study.short(), round, attempt, %fault, "stored update");
            None
        });
        Event::Recalled {
            study,
            round,
            attempt,
            update,
        }
    }

    async fn read_links(&mut self, after: u64) -> Event {
        let links = self.store.links_after(after, LEDGER_COPY_BYTES_MAX).await;
        let links = links.unwrap_or_else(|fault| {
            tracing::error!(after, %fault, "entries for the mirror");
            Vec::new()
        });
        Event::Links { after, links }
    }

    fn keep(&self, audit: &Audit) {
        if let Err(error) = self.evidence.append(now(), audit) {
            let path = self.evidence.path().display();
            tracing::error!(%path, %error, "evidence was not kept");
        }
    }

    fn report_lock(&self) {
        if let Some(reason) = self.participant.lock() {
            tracing::error!(
                %reason,
                "ledger-behind: locked, everything is refused; stop the node, then `aquifer-node ledger adopt`"
            );
        }
    }

    async fn write(&mut self, batch: Batch) -> Event {
        match self.store.append(&batch).await {
            Ok(head) => {
                let records = batch.records.iter();
                let said = records.flat_map(|record| self.chronicler.entered(&record.bytes));
                let said: Vec<Keyed> = said.collect();
                self.note(said).await;
                let links = batch.records.into_iter().map(|record| record.bytes);
                self.usage.tell(Used::Entries(links.collect()));
                self.head.send_replace(head);
                Event::Journaled(head)
            }
            Err(fault) => {
                let fault = anyhow::Error::from(fault);
                tracing::error!(
                    fault = format!("{fault:#}"),
                    "the ledger cannot be written; nothing more is sent"
                );
                Event::JournalFailed
            }
        }
    }

    pub(super) fn send(&self, message: Outgoing) {
        let bytes = frame_of(self.participant.rules(), message);
        let kib = u32::try_from(bytes.len() / 1_024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(kib).ok();
        let sent = room.is_some_and(|room| self.outgoing.try_send((bytes, room)).is_ok());
        if !sent {
            tracing::warn!("a message was dropped: no session takes it");
        }
    }
}

pub(super) fn read_frame(kind: u8, body: &[u8]) -> Result<Event, CodecError> {
    Ok(match kind {
        Offer::KIND => Event::Offer(read_body(kind, body)?),
        Task::KIND => Event::Task(read_body(kind, body)?, fresh()),
        Roster::KIND => Event::Roster(read_body(kind, body)?, fresh()),
        Delivery::KIND => Event::Delivery(read_body(kind, body)?),
        Proof::KIND => Event::Proof(read_body(kind, body)?),
        LedgerHeld::KIND => Event::LedgerHeld(read_body(kind, body)?),
        End::KIND => Event::End(read_body(kind, body)?),
        StudyEnd::KIND => Event::StudyEnd(read_body(kind, body)?),
        got => return Err(CodecError::Kind { got }),
    })
}

/// Bytes for one event, from the operating system.
fn fresh() -> Fresh {
    let drawn = random_bytes32();
    if drawn.is_err() {
        tracing::error!("the operating system gives no randomness");
    }
    drawn.ok().map(Secret::new)
}

async fn until(wakeup: Option<Timestamp>) {
    match wakeup {
        Some(at) => {
            let ms = at.since_ms(now()).min(CLOCK_LOOK_MS);
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        None => std::future::pending().await,
    }
}

/// Messages, results and questions that may wait.
const QUEUE_MAX: usize = 256;
/// Frames of the coordinator that may wait; each may be a delivery.
const FRAMES_MAX: usize = 4;
/// What may wait for a session, in KiB: a few messages of shares.
const OUTGOING_KIB_MAX: usize = 4 * (FRAME_BYTES_MAX >> 10);
const GOODBYE_WAIT: Duration = Duration::from_secs(4);
/// "File size limit exceeded" on every Linux that Rust runs on but MIPS.
const SIGXFSZ: i32 = 25;
