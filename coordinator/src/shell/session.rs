//! One connection to the main endpoint: who it is, its streams, a node's session, questions.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::Role;
use aquifer_shared::domain::sum::SUM_VERSION;
use aquifer_shared::protocol::ask::{HistoryAsk, Look, Request, Response};
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    Advert, BudgetLeft, Cannot, CloseReason, Confirm, Cosigned, Decision, Goodbye, Hello,
    LedgerCopy, LogSeen, Message, NodeHead, Opening, Refusal, Renew, Renewed, Shares, Update,
    Welcome, frame, read_body,
};
use aquifer_shared::shell::certificates::{PeerCertificate, check_request};
use aquifer_shared::shell::platform::within;
use aquifer_shared::shell::quic::{FrameReader, LinkError, close, peer_certificate, send};
use quinn::{Connection, Incoming, RecvStream, SendStream};
use tokio::sync::{Semaphore, mpsc};

use super::demanded::turn_away;
use super::front::{Command, FIRST_FRAMES_PER_CONNECTION_MAX, Front, Line, Said};
use super::history_requests::history_of;
use super::looking::look;
use super::mirror::Copied;
use super::outbox::{Outbox, outbox};
use super::store::Party;
use super::witnesses::WitnessNews;
use crate::core::event::Secure;

/// How long a handshake and a first frame may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a node's program version.
const SOFTWARE_BYTES_MAX: usize = 64;
/// How long an answer may take to leave.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves a connection until it ends.
pub async fn serve_connection(front: Arc<Front>, incoming: Incoming) {
    let greeted = within(&*front.platform, GREETING_TIMEOUT, incoming).await;
    let Some(Ok(connection)) = greeted else {
        return;
    };
    let Ok(peer) = peer_certificate(&connection) else {
        return close(&connection, CloseReason::Protocol);
    };
    if let Err(reason) = front.check(&peer).await {
        tracing::info!(party = %peer.name, ?reason, "connection refused");
        return close(&connection, reason);
    }
    let Some(number) = front.enter(&peer, &connection) else {
        return close(&connection, CloseReason::Busy);
    };
    let firsts = Arc::new(Semaphore::new(FIRST_FRAMES_PER_CONNECTION_MAX));
    while let Ok((sending, receiving)) = connection.accept_bi().await {
        let stream = Stream {
            front: front.clone(),
            connection: connection.clone(),
            peer: peer.clone(),
            number,
            firsts: firsts.clone(),
        };
        tokio::spawn(stream.serve(sending, receiving));
    }
    front.leave(number);
}

struct Stream {
    front: Arc<Front>,
    connection: Connection,
    peer: PeerCertificate,
    number: u64,
    /// Places for first frames on this connection.
    firsts: Arc<Semaphore>,
}

/// What a stream may begin with.
enum First {
    Hello(Hello),
    Request(Request),
}

impl Stream {
    async fn serve(self, sending: SendStream, receiving: RecvStream) {
        let mut reader = FrameReader::new(receiving);
        let first = match self.first(&mut reader).await {
            Ok(Some(first)) => first,
            Ok(None) => return,
            Err(error) => return self.offended(&error),
        };
        let party = match self.front.check(&self.peer).await {
            Ok(party) => party,
            Err(reason) => return close(&self.connection, reason),
        };
        match first {
            First::Hello(hello) if party.role == Role::Node => {
                if let Err(error) = self.session(party, hello, sending, reader).await {
                    self.offended(&error);
                }
            }
            First::Hello(_) => close(&self.connection, CloseReason::WrongRole),
            First::Request(Request::Renew { csr }) => {
                self.renew_on_request(&party, &csr, sending).await;
            }
            First::Request(Request::Look(what)) => self.show(&party, what, sending).await,
            First::Request(Request::History(asked)) => self.tell(&party, asked, sending).await,
            First::Request(request) => self.answer(party, request, sending).await,
        }
    }

    /// What the stream begins with, once there is a place for it; none where nothing came in time.
    async fn first(&self, reader: &mut FrameReader) -> Result<Option<First>, CodecError> {
        let _places = self.front.first(&self.firsts).await;
        let frame = reader.next_within(longest_first);
        let frame = within(&*self.front.platform, GREETING_TIMEOUT, frame).await;
        let (kind, body) = match frame {
            Some(Ok(Some(frame))) => frame,
            Some(Err(LinkError::Codec(error))) => return Err(error),
            Some(Ok(None) | Err(_)) | None => return Ok(None),
        };
        Ok(Some(match kind {
            Hello::KIND => First::Hello(read_body(kind, &body)?),
            Request::KIND => First::Request(read_body(kind, &body)?),
            got => return Err(CodecError::Kind { got }),
        }))
    }

    fn offended(&self, error: &CodecError) {
        tracing::warn!(party = %self.peer.name, %error, "connection broke the protocol");
        close(&self.connection, CloseReason::Protocol);
    }

    async fn answer(&self, party: Party, request: Request, mut sending: SendStream) {
        let (answers, mut replies) = mpsc::channel(8);
        let command = Command::Asked {
            party: Box::new(party),
            request,
            answers,
        };
        if self.front.hub.send(command).await.is_err() {
            return close(&self.connection, CloseReason::Shutdown);
        }
        let stopped = sending.stopped();
        tokio::pin!(stopped);
        loop {
            let response = tokio::select! {
                response = replies.recv() => response,
                // The asker has gone: what it waited for goes with its channel.
                _ = &mut stopped => return,
                _ = self.connection.closed() => return,
            };
            let Some(response) = response else { break };
            let platform = &*self.front.platform;
            let sent = within(platform, ANSWER_TIMEOUT, send(&mut sending, &response)).await;
            if !matches!(sent, Some(Ok(()))) {
                return;
            }
        }
        // Fails only where the asker has gone.
        let _ = sending.finish();
    }

    /// Public records: read beside the hub, which has other things to do.
    async fn show(&self, party: &Party, what: Look, mut sending: SendStream) {
        let response = look(&self.front, party, what).await;
        let platform = &*self.front.platform;
        // Fails only where the asker has gone.
        let _ = within(platform, ANSWER_TIMEOUT, send(&mut sending, &response)).await;
        let _ = sending.finish();
    }

    /// The history: read beside the hub as well.
    async fn tell(&self, party: &Party, asked: HistoryAsk, mut sending: SendStream) {
        let response = history_of(&self.front, party, asked).await;
        let platform = &*self.front.platform;
        // Fails only where the asker has gone.
        let _ = within(platform, ANSWER_TIMEOUT, send(&mut sending, &response)).await;
        let _ = sending.finish();
    }

    async fn renew_on_request(&self, party: &Party, csr: &[u8], mut sending: SendStream) {
        let response = match renewed(&self.front, &self.peer, party, csr).await {
            Ok(certificate) => Response::Certificate(certificate),
            Err(error) => Response::Refused {
                code: "request-invalid".into(),
                message: format!("the certificate was not renewed: {error}"),
            },
        };
        // Fails only where the asker has gone.
        let _ = send(&mut sending, &response).await;
        let _ = sending.finish();
    }

    async fn session(
        &self,
        party: Party,
        hello: Hello,
        mut sending: SendStream,
        reader: FrameReader,
    ) -> Result<(), CodecError> {
        if hello.protocol != SUM_VERSION {
            close(&self.connection, CloseReason::Version);
            return Ok(());
        }
        check_hello(&hello)?;
        let refused = self.front.demanded.as_ref();
        if let Some(refused) = refused.and_then(|list| list.refusal(hello.program)) {
            turn_away(&self.front, (&self.connection, sending), &party, &refused).await;
            return Ok(());
        }
        let welcome = Welcome {
            name: party.name.clone(),
            now: self.front.platform.now(),
        };
        if send(&mut sending, &welcome).await.is_err() {
            return Ok(());
        }
        let (outbox, queue) = outbox();
        let party = Box::new(party);
        let opened = Command::Opened {
            party: party.clone(),
            session: self.number,
            hello,
            line: Line {
                outbox: outbox.clone(),
                connection: self.connection.clone(),
            },
        };
        let _ = self.front.hub.send(opened).await;
        let writer = tokio::spawn(queue.write_all(sending));
        let listened = self.listen(&party, reader, &outbox).await;
        self.witness(WitnessNews::Gone {
            node: party.identity,
            session: self.number,
        })
        .await;
        let _ = self
            .front
            .hub
            .send(Command::Closed {
                party,
                session: self.number,
            })
            .await;
        drop(outbox);
        writer.abort();
        listened
    }

    async fn listen(
        &self,
        party: &Party,
        mut reader: FrameReader,
        outbox: &Outbox,
    ) -> Result<(), CodecError> {
        loop {
            let (kind, body) = match reader.next_within(longest).await {
                Ok(Some(frame)) => frame,
                Err(LinkError::Codec(error)) => return Err(error),
                Ok(None) | Err(_) => return Ok(()),
            };
            let room = self.front.room(body.len()).await;
            let message = match kind {
                Renew::KIND => {
                    let renew: Renew = read_body(kind, &body)?;
                    self.renew(party, &renew, outbox).await;
                    continue;
                }
                LedgerCopy::KIND => {
                    let copy = read_body(kind, &body)?;
                    let party = Box::new(party.clone());
                    // Fails only where the process ends.
                    let _ = self.front.mirror.send(Copied { party, copy, room }).await;
                    continue;
                }
                LogSeen::KIND | Cosigned::KIND | NodeHead::KIND => {
                    let news = self.witnessed(party, outbox, (kind, &body))?;
                    self.witness(news).await;
                    continue;
                }
                Goodbye::KIND => return read_body::<Goodbye>(kind, &body).map(drop),
                _ => said(kind, &body)?,
            };
            let said = Command::Said {
                party: Box::new(party.clone()),
                message,
                room,
            };
            if self.front.hub.send(said).await.is_err() {
                return Ok(());
            }
        }
    }

    /// What a node says about logs.
    fn witnessed(
        &self,
        party: &Party,
        outbox: &Outbox,
        (kind, body): (u8, &[u8]),
    ) -> Result<WitnessNews, CodecError> {
        let node = party.identity;
        Ok(match kind {
            LogSeen::KIND => WitnessNews::Seen {
                node,
                name: party.name.clone(),
                session: self.number,
                outbox: outbox.clone(),
                said: read_body(kind, body)?,
            },
            Cosigned::KIND => WitnessNews::Cosigned {
                node,
                said: read_body(kind, body)?,
            },
            _ => WitnessNews::Head {
                node,
                said: read_body(kind, body)?,
            },
        })
    }

    async fn witness(&self, news: WitnessNews) {
        if let Some(chronicle) = self.front.chronicle() {
            // Fails only where the process ends.
            let _ = chronicle.witnesses.send(news).await;
        }
    }

    /// Signs a new certificate for the keys of a request, and makes it the party's current one before it is sent.
    async fn renew(&self, party: &Party, renew: &Renew, outbox: &Outbox) {
        match renewed(&self.front, &self.peer, party, &renew.csr).await {
            Ok(certificate) => {
                let message = frame(&Renewed { certificate });
                if !outbox.put(message.into()) {
                    close(&self.connection, CloseReason::Busy);
                }
            }
            Err(error) => tracing::warn!(party = %party.name, %error, "certificate not renewed"),
        }
    }
}

/// What is kept and shown of a hello must be what an honest node says.
fn check_hello(hello: &Hello) -> Result<(), CodecError> {
    let printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    let software =
        hello.software.len() <= SOFTWARE_BYTES_MAX && hello.software.bytes().all(printable);
    if software && i64::try_from(hello.ledger_seq).is_ok() {
        return Ok(());
    }
    Err(CodecError::Malformed {
        what: Hello::NAME,
        length: hello.software.len(),
        reason: "a value is outside its range",
    })
}

/// A new certificate for the keys of a request; the one shown on this connection stays good until its own end.
///
/// # Errors
///
/// A request that is none, or a store that fails.
pub async fn renewed(
    front: &Front,
    peer: &PeerCertificate,
    party: &Party,
    csr: &[u8],
) -> anyhow::Result<Vec<u8>> {
    check_request(csr)?;
    let (now, days) = (front.platform.now(), front.certificate_days);
    let issued = front
        .authority
        .sign_csr(csr, &party.name, party.role, now, days)?;
    front
        .store
        .renew(
            (&party.name, &party.identity),
            issued.fingerprint,
            peer.fingerprint,
            issued.not_after,
        )
        .await?;
    front.registry.refresh().await?;
    Ok(issued.der)
}

/// The longest body of a message that a stream may begin with; nothing of any other is read.
fn longest_first(kind: u8) -> Option<usize> {
    match kind {
        Hello::KIND => Some(Hello::BYTES_MAX),
        Request::KIND => Some(Request::BYTES_MAX),
        _ => None,
    }
}

/// The longest body of a message that a node may send within a session; nothing of any other is read.
fn longest(kind: u8) -> Option<usize> {
    Some(match kind {
        Decision::KIND => Decision::BYTES_MAX,
        Update::KIND => Update::BYTES_MAX,
        Refusal::KIND => Refusal::BYTES_MAX,
        Renew::KIND => Renew::BYTES_MAX,
        Goodbye::KIND => Goodbye::BYTES_MAX,
        Advert::KIND => Advert::BYTES_MAX,
        Shares::KIND => Shares::BYTES_MAX,
        Confirm::KIND => Confirm::BYTES_MAX,
        Opening::KIND => Opening::BYTES_MAX,
        Cannot::KIND => Cannot::BYTES_MAX,
        LedgerCopy::KIND => LedgerCopy::BYTES_MAX,
        BudgetLeft::KIND => BudgetLeft::BYTES_MAX,
        LogSeen::KIND => LogSeen::BYTES_MAX,
        Cosigned::KIND => Cosigned::BYTES_MAX,
        NodeHead::KIND => NodeHead::BYTES_MAX,
        _ => return None,
    })
}

/// What the hub is to hear.
fn said(kind: u8, body: &[u8]) -> Result<Said, CodecError> {
    Ok(match kind {
        Decision::KIND => Said::Decision(read_body(kind, body)?),
        Update::KIND => Said::Update(read_body(kind, body)?),
        Refusal::KIND => Said::Refusal(read_body(kind, body)?),
        Advert::KIND => Said::Secure(Secure::Advert(read_body(kind, body)?)),
        Shares::KIND => Said::Secure(Secure::Shares(read_body(kind, body)?)),
        Confirm::KIND => Said::Secure(Secure::Confirm(read_body(kind, body)?)),
        Opening::KIND => Said::Secure(Secure::Opening(read_body(kind, body)?)),
        Cannot::KIND => Said::Secure(Secure::Cannot(read_body(kind, body)?)),
        BudgetLeft::KIND => Said::Left(read_body(kind, body)?),
        got => return Err(CodecError::Kind { got }),
    })
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::limits::{DOCUMENT_BYTES_MAX, FRAME_BYTES_MAX};

    use super::*;

    #[test]
    fn a_stream_begins_with_a_greeting_or_two_documents() {
        let first = |kind| longest_first(kind).unwrap_or(0);
        let kinds: Vec<u8> = (0..=u8::MAX).filter(|kind| first(*kind) > 0).collect();
        assert_eq!(kinds, [Hello::KIND, Request::KIND]);
        assert!(first(Hello::KIND) < 1 << 15);
        let documents = 2 * DOCUMENT_BYTES_MAX;
        assert!((documents..documents + (1 << 15)).contains(&first(Request::KIND)));
    }

    #[track_caller]
    fn check(software: &str, ledger_seq: u64, expected: bool) {
        let hello = Hello {
            protocol: SUM_VERSION,
            software: software.to_owned(),
            ledger_seq,
            ledger_head: Default::default(),
            data_version: None,
            program: Default::default(),
        };
        assert_eq!(check_hello(&hello).is_ok(), expected);
    }

    #[test]
    fn what_no_node_says_in_a_session_is_not_read() {
        let lengths: Vec<u8> = (0..=u8::MAX)
            .filter(|kind| longest(*kind).is_some())
            .collect();
        assert_eq!(
            lengths,
            [4, 6, 7, 10, 12, 13, 15, 17, 19, 22, 23, 25, 27, 29, 36]
        );
        assert!(
            lengths
                .iter()
                .all(|kind| longest(*kind) <= Some(FRAME_BYTES_MAX))
        );
        let kind = |kind| said(kind, &[]).unwrap_err();
        assert!(matches!(kind(Hello::KIND), CodecError::Kind { got: 1 }));
        assert!(matches!(kind(Advert::KIND), CodecError::Malformed { .. }));
    }

    #[test]
    fn a_hello_that_no_node_says_is_refused() {
        check("0.1.0", 42, true);
        check("0.1.0", u64::MAX, false);
        check("\u{1b}[2J", 42, false);
        check(&"x".repeat(65), 42, false);
    }
}
