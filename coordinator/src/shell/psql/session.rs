//! A session of a SQL client: statements in, rows out, one at a time.
//!
//! Spends through the hub alone, and only where a statement is carried out.

use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, TransactionStatus};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};

use aquifer_shared::base::limits::SQL_MESSAGE_BYTES_MAX;
use aquifer_shared::protocol::ask::{AnswerColumn, AnswerValue, Objection};
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::platform::within;

use super::Place;
use super::kept::Kept;
use super::line::{Line, LineFault};
use super::reply::{self, Reply};
use super::startup::Options;
use super::welcome::Pass;
use crate::core::asking::objection;
use crate::core::psql::frontend::Frontend;
use crate::core::sql::{self, Refusal};
use crate::shell::store::Party;

/// A session.
pub(super) struct Session<S> {
    pub(super) line: Line<S>,
    pub(super) options: Options,
    pub(super) party: Party,
    pass: Pass,
    pub(super) called: Called,
    pub(super) looks: watch::Receiver<u64>,
    /// In a transaction, or in one that has failed; none outside.
    pub(super) state: Option<TransactionStatus>,
    pub(super) kept: Kept,
    /// Columns and rows of the last answer.
    pub(super) last: Option<(Vec<AnswerColumn>, Vec<Vec<AnswerValue>>)>,
    /// A message was refused: the rest of its group is not read.
    pub(super) skipping: bool,
}

/// The place of a session, and what it is told to stop waiting by.
pub(super) struct Called {
    /// Its number.
    pub number: i32,
    /// What only its client knows.
    pub key: i32,
    pub wake: Arc<Notify>,
    /// What it takes up.
    pub place: Place,
}

/// The end of a session.
#[derive(Debug)]
pub(super) enum End {
    /// The client has gone, or its line broke.
    Gone,
    /// It is sent away: SQLSTATE and reason.
    Away(&'static str, String),
}

/// A statement that does not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The statement is refused.
    Refused(Box<Objection>),
    /// The session ends.
    End(End),
}

impl From<LineFault> for End {
    fn from(fault: LineFault) -> Self {
        match fault {
            LineFault::Network(_) => Self::Gone,
            LineFault::TooLong { .. } => Self::Away("54000", fault.to_string()),
            LineFault::Malformed(_) | LineFault::Unwritable => {
                Self::Away("08P01", fault.to_string())
            }
        }
    }
}

impl From<LineFault> for Stop {
    fn from(fault: LineFault) -> Self {
        Self::End(fault.into())
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(objection(&refusal)))
    }
}

impl From<Box<Objection>> for Stop {
    fn from(objection: Box<Objection>) -> Self {
        Self::Refused(objection)
    }
}

impl Called {
    /// A number and a key by chance; none without randomness.
    pub(super) fn new(place: Place, wake: Arc<Notify>) -> Option<Self> {
        loop {
            let random = random_bytes32().ok()?;
            let word = |at: usize| Some(i32::from_be_bytes(*random[at..].first_chunk()?));
            let (number, key) = (word(0)? & i32::MAX, word(4)?);
            if place.shared.cancels.add(number, key, wake.clone()) {
                return Some(Self {
                    number,
                    key,
                    wake,
                    place,
                });
            }
        }
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        self.place.shared.cancels.remove(self.number);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(
        line: Line<S>,
        options: Options,
        party: Party,
        pass: Pass,
        called: Called,
    ) -> Self {
        let looks = called.place.shared.front.looks();
        Self {
            line,
            options,
            party,
            pass,
            called,
            looks,
            state: None,
            kept: Kept::default(),
            last: None,
            skipping: false,
        }
    }

    /// Serves the client until it leaves or is sent away.
    pub(super) async fn run(mut self) {
        let end = loop {
            let ended = match self.next().await {
                Ok(message) => self.hear(message).await.err(),
                Err(end) => Some(end),
            };
            if let Some(end) = ended {
                break end;
            }
        };
        if let End::Away(state, text) = end {
            tracing::info!(party = %self.party.name, state, "a SQL client is sent away");
            let platform = self.called.place.shared.front.platform.clone();
            let told = self.line.put(reply::fatal(state, &text)).is_ok();
            // The client may have gone, or not listen.
            let _ = within(&*platform, SEND_TIMEOUT, self.line.close())
                .await
                .filter(|_| told);
        }
        tracing::info!(party = %self.party.name, "a SQL client has left");
    }

    /// The next message. Looks at the client's pass again whenever anybody's may have changed.
    async fn next(&mut self) -> Result<Frontend, End> {
        let platform = self.called.place.shared.front.platform.clone();
        let mut idle = platform.sleep(IDLE_TIMEOUT);
        loop {
            tokio::select! {
                begun = self.line.begun() => match begun? {
                    true => break,
                    false => return Err(End::Gone),
                },
                _ = self.looks.changed() => self.look().await?,
                () = &mut idle => return Err(End::Away("57P05", "nothing was asked for too long".into())),
            }
        }
        let message = self.line.next(SQL_MESSAGE_BYTES_MAX);
        match within(&*platform, MESSAGE_TIMEOUT, message).await {
            Some(message) => message?.ok_or(End::Gone),
            None => Err(End::Away(
                "08P01",
                "a message did not come to its end in time".into(),
            )),
        }
    }

    /// Looks at the client's pass again.
    pub(super) async fn look(&mut self) -> Result<(), End> {
        match self.called.place.shared.still(&self.pass).await {
            Some(party) => self.party = party,
            None => {
                return Err(End::Away(
                    "57P01",
                    "certificate or password is no longer good".into(),
                ));
            }
        }
        Ok(())
    }

    async fn hear(&mut self, message: Frontend) -> Result<(), End> {
        match message {
            Frontend::Terminate => Err(End::Gone),
            Frontend::Sync => self.extended(Frontend::Sync).await,
            _ if self.skipping => Ok(()),
            Frontend::Query(text) => self.query(&text).await,
            Frontend::Proof(_) => Err(End::Away("08P01", "nobody asked for a proof".into())),
            Frontend::Copy => Ok(()),
            other => self.extended(other).await,
        }
    }

    /// Statements to be carried out at once; after the first that is refused, none.
    async fn query(&mut self, text: &str) -> Result<(), End> {
        let pieces = match sql::split(text) {
            Ok(pieces) => pieces,
            Err(refusal) => {
                self.refuse(&objection(&refusal), 0)?;
                return self.ready().await;
            }
        };
        if pieces.is_empty() {
            self.line
                .put(Message::EmptyQueryResponse(EmptyQueryResponse::new()))?;
        }
        for piece in pieces {
            let intervals = self.options.own.intervals;
            match self.statement(piece.text, &[], intervals).await {
                Ok(reply) => self.tell(reply).await?,
                Err(Stop::Refused(objection)) => {
                    self.refuse(&objection, piece.before)?;
                    break;
                }
                Err(Stop::End(end)) => return Err(end),
            }
        }
        self.ready().await
    }

    /// Tells what a statement came to, all at once.
    async fn tell(&mut self, reply: Reply) -> Result<(), End> {
        match reply {
            Reply::Empty => self
                .line
                .put(Message::EmptyQueryResponse(EmptyQueryResponse::new()))?,
            Reply::Done(tag) => self.complete(tag)?,
            Reply::Rows(rows) => {
                self.note(&rows.notices)?;
                self.line.put(reply::description(&rows.columns, &[]))?;
                for values in &rows.rows {
                    self.row(&rows.columns, values, &[]).await?;
                }
                self.complete(rows.tag(rows.rows.len()))?;
            }
        }
        Ok(())
    }

    pub(super) fn complete(&mut self, tag: String) -> Result<(), End> {
        let complete = Message::CommandComplete(CommandComplete::new(tag));
        Ok(self.line.put(complete)?)
    }

    pub(super) fn note(&mut self, notices: &[String]) -> Result<(), End> {
        for text in notices {
            self.line.put(reply::notice(text))?;
        }
        Ok(())
    }

    pub(super) async fn row(
        &mut self,
        columns: &[AnswerColumn],
        values: &[AnswerValue],
        formats: &[bool],
    ) -> Result<(), End> {
        self.line.put(reply::row(columns, values, formats))?;
        if self.line.is_full() {
            self.send().await?;
        }
        Ok(())
    }

    /// Tells why a statement is refused; a transaction has failed with it.
    pub(super) fn refuse(&mut self, objection: &Objection, before: usize) -> Result<(), End> {
        if self.state.is_some() {
            self.state = Some(TransactionStatus::Error);
        }
        Ok(self.line.put(reply::refusal(objection, before))?)
    }

    /// Tells that the next statement may come.
    pub(super) async fn ready(&mut self) -> Result<(), End> {
        self.line.put(reply::ready(self.state))?;
        self.send().await
    }

    /// Sends what waits; a client that does not listen is left.
    pub(super) async fn send(&mut self) -> Result<(), End> {
        let platform = self.called.place.shared.front.platform.clone();
        let sent = within(&*platform, SEND_TIMEOUT, self.line.flush()).await;
        Ok(sent.ok_or(End::Gone)??)
    }
}

/// How long a session may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(8 * 3_600);
/// How long a message may take once it has begun.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may leave what it was sent unread.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
