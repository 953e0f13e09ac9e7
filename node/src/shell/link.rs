//! The session with the coordinator: connects, comes back after a loss, greets, renews the certificate, passes frames on.
//!
//! Runs beside the loop and knows nothing of studies. What cannot be delivered is dropped: the coordinator asks again.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::{Hash32, Name};
use aquifer_shared::base::limits::GREETING_BYTES_MAX;
use aquifer_shared::domain::sum::SUM_VERSION;
use aquifer_shared::protocol::chain::Head;
use aquifer_shared::protocol::program::ProgramRefused;
use aquifer_shared::protocol::wire::{
    CloseReason, Delivery, End, Goodbye, Hello, LedgerHeld, LogHead, LogQuorum, Message,
    ModelLives, ModelPlans, NodeHeld, Offer, Proof, Renew, Renewed, Roster, StudyEnd, Task,
    Welcome, frame, read_body,
};
use aquifer_shared::shell::directory::{DirectoryFault, IdentityDirectory};
use aquifer_shared::shell::platform::{Platform, within};
use aquifer_shared::shell::quic::{
    Frame, FrameReader, Link, LinkError, close, receive_frame, send,
};
use quinn::{RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

/// What the loop hears.
#[derive(Debug)]
pub enum LinkEvent {
    /// The coordinator welcomed this node.
    Up,
    /// A frame came.
    Frame(u8, Vec<u8>),
    /// The session is over for good: nothing but a person helps.
    Over(LinkFault),
}

/// Why there will be no session any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    /// The connection cannot be used.
    #[error("no session with the coordinator")]
    Link(#[from] LinkError),
    /// The identity cannot be used.
    #[error("the node's identity cannot be used")]
    Directory(#[from] DirectoryFault),
    /// The coordinator demands another program than this one.
    #[error("{}", refused_text(.0))]
    Program(ProgramRefused),
}

/// A frame that waits for the session, and its room among those that may wait.
pub type Queued = (Vec<u8>, OwnedSemaphorePermit);

/// The ends that the session task holds.
pub struct Ends {
    /// To the loop.
    pub events: mpsc::Sender<LinkEvent>,
    /// Frames from the loop.
    pub outgoing: mpsc::Receiver<Queued>,
    /// The ledger's head, for greetings.
    pub head: watch::Receiver<Head>,
    /// The state of the tables for analysts, for greetings; another one needs another greeting.
    pub epochs: watch::Receiver<Option<Name>>,
    /// SHA-256 of the program that runs, for greetings.
    pub program: Hash32,
}

/// Keeps a session up until it is over for good or the loop goes away.
pub async fn run(platform: Arc<dyn Platform>, mut identity: IdentityDirectory, mut ends: Ends) {
    let mut tries = 0;
    loop {
        match session(&platform, &mut identity, &mut ends, &mut tries).await {
            Ok(Ended::LoopGone) => return,
            Ok(Ended::Lost(error)) => {
                tracing::warn!(reason = %error, "no session; trying again");
            }
            Ok(Ended::Outdated) => tracing::info!("other tables are served: greeting again"),
            Err(fault) => {
                // The loop may have gone already.
                let _ = ends.events.send(LinkEvent::Over(fault)).await;
                return;
            }
        }
        let pause = pause_ms(tries, platform.chance());
        tries = tries.saturating_add(1);
        tokio::select! {
            biased;
            () = ends.events.closed() => return,
            () = platform.sleep(Duration::from_millis(pause)) => {}
        }
    }
}

enum Ended {
    LoopGone,
    /// The greeting says what is no longer so.
    Outdated,
    Lost(LinkError),
}

async fn session(
    platform: &Arc<dyn Platform>,
    identity: &mut IdentityDirectory,
    ends: &mut Ends,
    tries: &mut u32,
) -> Result<Ended, LinkFault> {
    let shown = identity.certificate().fingerprint;
    let greeted = greet(platform, identity, ends).await;
    let (link, writer, reader) = match greeted {
        Ok(greeted) => greeted,
        Err(LinkFault::Link(error)) if error.may_pass() => return Ok(Ended::Lost(error)),
        Err(fault) => return Err(fault),
    };
    *tries = 0;
    // What waited for another session is asked for again in this one.
    while ends.outgoing.try_recv().is_ok() {}
    if ends.events.send(LinkEvent::Up).await.is_err() {
        link.close().await;
        return Ok(Ended::LoopGone);
    }
    tracing::info!("session is up");
    let ended = exchange(&**platform, identity, ends, writer, reader).await;
    match ended {
        // The certificate of this session has come to its end, and another one is there.
        Err(LinkFault::Link(error @ LinkError::Closed(CloseReason::Expired)))
            if identity.certificate().fingerprint != shown =>
        {
            Ok(Ended::Lost(error))
        }
        Ok(ended @ Ended::LoopGone) => {
            close(&link.connection, CloseReason::Shutdown);
            link.close().await;
            Ok(ended)
        }
        Ok(ended) => Ok(ended),
        Err(LinkFault::Link(error)) if error.may_pass() => Ok(Ended::Lost(error)),
        Err(fault) => {
            close(&link.connection, CloseReason::Protocol);
            link.close().await;
            Err(fault)
        }
    }
}

async fn greet(
    platform: &Arc<dyn Platform>,
    identity: &IdentityDirectory,
    ends: &mut Ends,
) -> Result<(Link, SendStream, FrameReader), LinkFault> {
    let link = identity
        .connect_on(platform, identity.client_config()?)
        .await?;
    let opened = link.connection.open_bi().await;
    let (mut writer, mut reader) = opened.map_err(LinkError::from)?;
    let head = *ends.head.borrow();
    let hello = Hello {
        protocol: SUM_VERSION,
        software: env!("CARGO_PKG_VERSION").to_owned(),
        ledger_seq: head.seq,
        ledger_head: head.hash,
        data_version: ends.epochs.borrow_and_update().clone(),
        program: ends.program,
    };
    send(&mut writer, &hello).await?;
    let welcome = welcomed(&**platform, &mut reader).await?;
    let (own, theirs) = (platform.now(), welcome.now);
    let apart_ms = own.since_ms(theirs).max(theirs.since_ms(own));
    if apart_ms > CLOCK_APART_MS {
        tracing::warn!(apart_ms, "this clock and the coordinator's differ");
    }
    Ok((link, writer, FrameReader::new(reader)))
}

/// The welcome, or why there is none.
async fn welcomed(platform: &dyn Platform, reader: &mut RecvStream) -> Result<Welcome, LinkFault> {
    let frame = receive_frame(reader, GREETING_BYTES_MAX);
    let frame = within(platform, WELCOME_WAIT, frame).await;
    let Some((kind, body)) = frame.ok_or(LinkError::TimedOut)?? else {
        let expected = Welcome::NAME;
        return Err(LinkError::Ended { expected }.into());
    };
    if kind == ProgramRefused::KIND {
        let refused = read_body(kind, &body).map_err(LinkError::from)?;
        return Err(LinkFault::Program(refused));
    }
    Ok(read_body(kind, &body).map_err(LinkError::from)?)
}

fn refused_text(refused: &ProgramRefused) -> String {
    let expected: Vec<String> = refused.expected.iter().map(Hash32::to_string).collect();
    format!(
        "the coordinator refuses this program (rule nodes.programs of its settings): this node reported SHA-256 {}, expected {}; install a \
         release of aquifer-node with a listed digest (sha256sum shows it), or ask the operator of the coordinator to list this one",
        refused.found,
        expected.join(" or ")
    )
}

async fn exchange(
    platform: &dyn Platform,
    identity: &mut IdentityDirectory,
    ends: &mut Ends,
    mut writer: SendStream,
    mut reader: FrameReader,
) -> Result<Ended, LinkFault> {
    let mut renewal = platform.sleep(Duration::ZERO);
    loop {
        tokio::select! {
            // In a fixed order: what is ready to leave never waits for what comes.
            biased;
            next = ends.outgoing.recv() => {
                let Some((bytes, _room)) = next else {
                    end(platform, writer).await;
                    return Ok(Ended::LoopGone);
                };
                writer.write_all(&bytes).await.map_err(LinkError::from)?;
            }
            next = reader.next_within(longest) => {
                let Some((kind, body)) = next? else {
                    return Ok(Ended::Lost(LinkError::Finished));
                };
                if let Some(ended) = take(identity, ends, (kind, body)).await? {
                    return Ok(ended);
                }
            }
            Ok(()) = ends.epochs.changed() => return Ok(Ended::Outdated),
            () = &mut renewal => {
                renewal = platform.sleep(RENEWAL_CHECK);
                if identity.certificate().wants_renewal(platform.now()) {
                    let csr = identity.renewal_request()?;
                    send(&mut writer, &Renew { csr }).await?;
                }
            }
        }
    }
}

/// What was said last arrives before the connection is closed, which drops what is still on its way.
async fn end(platform: &dyn Platform, mut writer: SendStream) {
    if writer.finish().is_ok() {
        let arrived = within(platform, LAST_WORDS_WAIT, writer.stopped()).await;
        if arrived.is_none() {
            tracing::warn!("the coordinator has not taken everything before the end");
        }
    }
}

/// Takes a frame: the session's own are handled here, others go to the loop.
async fn take(
    identity: &mut IdentityDirectory,
    ends: &Ends,
    (kind, body): Frame,
) -> Result<Option<Ended>, LinkFault> {
    match kind {
        Renewed::KIND => {
            let renewed: Renewed = read_body(kind, &body).map_err(LinkError::from)?;
            match identity.store_renewed(&renewed.certificate) {
                Ok(()) => tracing::info!("certificate renewed"),
                // The old one still holds; it is tried again before it ends.
                Err(fault) => tracing::error!(%fault, "the renewed certificate was not stored"),
            }
            Ok(None)
        }
        Goodbye::KIND => {
            let goodbye: Goodbye = read_body(kind, &body).map_err(LinkError::from)?;
            let closed = LinkError::Closed(goodbye.reason);
            if closed.may_pass() {
                return Ok(Some(Ended::Lost(closed)));
            }
            Err(closed.into())
        }
        _ => {
            let sent = ends.events.send(LinkEvent::Frame(kind, body)).await;
            Ok(sent.is_err().then_some(Ended::LoopGone))
        }
    }
}

/// The longest body of a message that a coordinator may send within a session; nothing of any other is read.
fn longest(kind: u8) -> Option<usize> {
    Some(match kind {
        Offer::KIND => Offer::BYTES_MAX,
        Task::KIND => Task::BYTES_MAX,
        End::KIND => End::BYTES_MAX,
        StudyEnd::KIND => StudyEnd::BYTES_MAX,
        Renewed::KIND => Renewed::BYTES_MAX,
        Goodbye::KIND => Goodbye::BYTES_MAX,
        Roster::KIND => Roster::BYTES_MAX,
        Delivery::KIND => Delivery::BYTES_MAX,
        Proof::KIND => Proof::BYTES_MAX,
        LedgerHeld::KIND => LedgerHeld::BYTES_MAX,
        LogHead::KIND => LogHead::BYTES_MAX,
        LogQuorum::KIND => LogQuorum::BYTES_MAX,
        NodeHeld::KIND => NodeHeld::BYTES_MAX,
        ModelLives::KIND => ModelLives::BYTES_MAX,
        ModelPlans::KIND => ModelPlans::BYTES_MAX,
        _ => return None,
    })
}

/// A message as the loop hands it over.
#[must_use]
pub fn bytes_of<M: Message>(message: &M) -> Vec<u8> {
    frame(message)
}

/// Pause before the next try: doubling up to a limit, and anything from half of it to all of it.
fn pause_ms(tries: u32, chance: u8) -> u64 {
    let full = PAUSE_MS_MIN
        .saturating_mul(1 << tries.min(16))
        .min(PAUSE_MS_MAX);
    full / 2 + full * u64::from(chance) / 512
}

const PAUSE_MS_MIN: u64 = 100;
const PAUSE_MS_MAX: u64 = 10_000;
const WELCOME_WAIT: Duration = Duration::from_secs(10);
/// How long a coordinator may take to get the last frames of a session.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);
/// How often the certificate's age is looked at.
const RENEWAL_CHECK: Duration = Duration::from_secs(600);
/// Clocks that differ by more than this are worth a warning: expiry and the yearly budget follow them.
const CLOCK_APART_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_coordinator_says_in_a_session_is_not_read() {
        let kinds: Vec<u8> = (0..=u8::MAX)
            .filter(|kind| longest(*kind).is_some())
            .collect();
        assert_eq!(
            kinds,
            [3, 5, 8, 9, 11, 12, 14, 16, 18, 24, 26, 28, 32, 34, 35]
        );
        for small in [End::KIND, StudyEnd::KIND, Renewed::KIND, Goodbye::KIND] {
            assert_eq!(longest(small), Some(GREETING_BYTES_MAX));
        }
        assert_eq!(longest(Hello::KIND), None);
    }

    #[test]
    fn a_refused_program_says_rule_found_expected_and_whom_to_ask() {
        let refused = ProgramRefused {
            found: Hash32([0xab; 32]),
            expected: vec![Hash32([1; 32]), Hash32([2; 32])],
        };
        let text = LinkFault::Program(refused.clone()).to_string();
        let digests = refused.expected.iter().chain([&refused.found]);
        let digests: Vec<String> = digests.map(Hash32::to_string).collect();
        let words = ["nodes.programs", "sha256sum", "ask the operator"];
        for word in digests.iter().map(String::as_str).chain(words) {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert!((0..=255).all(|chance| (50..=100).contains(&pause_ms(0, chance))));
        assert!((0..=255).all(|chance| (5_000..=10_000).contains(&pause_ms(40, chance))));
        assert!((0..100).all(|tries| pause_ms(tries, 255) <= PAUSE_MS_MAX));
    }

    #[test]
    fn a_renewal_is_due_in_the_last_third() {
        use aquifer_shared::base::time::Timestamp;
        use aquifer_shared::shell::certificates::PeerCertificate;
        let certificate = PeerCertificate {
            fingerprint: Default::default(),
            name: "north".parse().unwrap(),
            role: aquifer_shared::base::ids::Role::Node,
            not_before: Timestamp(0),
            not_after: Timestamp(300),
        };
        assert!(!certificate.wants_renewal(Timestamp(200)));
        assert!(certificate.wants_renewal(Timestamp(201)));
        assert!(certificate.wants_renewal(Timestamp(900)));
    }
}
