//! Performs what studies decide: writes, then messages. A store that fails stops a study where it is, and is tried again:
//! nothing leaves before it is durable.

use std::sync::Arc;
use std::time::Duration;

use aquifer_shared::base::ids::{IdentityKey, StudyHash};
use aquifer_shared::protocol::wire::{CloseReason, Message, Proof, Roster, Task, frame};
use aquifer_shared::shell::quic::close;
use tokio::time::Instant;

use super::clock::now;
use super::front::SharedFrame;
use super::hub::Hub;
use super::live::{Granted, Live, Unsaved};
use super::publish;
use super::store::{Closing, StoreFault};
use crate::core::event::{Effect, Ending, Event, Member, Note, Record};
use crate::core::programs::named;

/// How long a store that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// The last of the messages that go to many members alike, encoded once.
#[derive(Debug, Default)]
pub(super) struct Frames {
    task: Option<(Arc<Task>, SharedFrame)>,
    roster: Option<(Arc<Roster>, SharedFrame)>,
    proof: Option<(Arc<Proof>, SharedFrame)>,
}

impl Hub {
    /// Performs a study's effects until there are none, or until the store fails. Writes in a row are made together.
    pub(super) async fn drive(&mut self, hash: StudyHash) {
        while let Some(live) = self.studies.get_mut(&hash) {
            if live.unsaved.tried && !self.settle(hash).await {
                break;
            }
            let Some(live) = self.studies.get_mut(&hash) else {
                break;
            };
            let effect = live.next.take().or_else(|| live.machine.poll_effect());
            match effect {
                Some(Effect::Persist {
                    token,
                    records,
                    spool,
                }) => {
                    let reported = |node: &IdentityKey| self.programs.get(node).copied();
                    let records = named(&live.terms, records, reported);
                    live.unsaved.add(token, &records, &spool);
                    self.decide_again(hash, &records);
                }
                Some(effect) if live.unsaved.is_empty() => self.perform(hash, effect).await,
                None if live.unsaved.is_empty() => break,
                waiting => {
                    live.next = waiting;
                    if !self.settle(hash).await {
                        break;
                    }
                }
            }
        }
        self.notify(hash);
        self.answer_askers(hash).await;
    }

    /// Before each attempt at a sum: rules may have run out since the last one. Where they say no, the number of the attempt is used up,
    /// no unit is asked, and the study ends.
    fn decide_again(&mut self, hash: StudyHash, records: &[Record]) {
        let Some(live) = self.studies.get_mut(&hash).filter(|live| live.is_running()) else {
            return;
        };
        if !live.opens(records) {
            return;
        }
        match self.front.law.study(&live.terms, &live.contract, now()) {
            Ok(permit) => live.stand_on(permit),
            Err(denied) => {
                let why = denied.to_string();
                tracing::warn!(study = %hash.short(), why, "the rules of law do not let a study go on");
                live.forbid(why, now());
            }
        }
    }

    async fn perform(&mut self, hash: StudyHash, effect: Effect) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        let granted = live.granted();
        match effect {
            Effect::Offer(member) => {
                let offer = frame(&live.offer());
                self.ask_unit(granted, member, offer.into());
            }
            Effect::Task(member, task) => {
                let frame = encoded(&mut self.frames.task, task);
                self.ask_unit(granted, member, frame);
            }
            Effect::Roster(member, roster) => {
                let frame = encoded(&mut self.frames.roster, roster);
                self.ask_unit(granted, member, frame);
            }
            Effect::Deliver(member) => {
                if let Some(delivery) = live.machine.delivery(member) {
                    self.ask_unit(granted, member, frame(&delivery).into());
                }
            }
            Effect::Proof(member, proof) => {
                let frame = encoded(&mut self.frames.proof, proof);
                self.ask_unit(granted, member, frame);
            }
            Effect::End(member, end) => self.send(hash, member, frame(&end).into()),
            Effect::StudyEnd(member, end) => self.send(hash, member, frame(&end).into()),
            Effect::Note(note) => self.note(hash, note).await,
            Effect::Conclude => self.conclude(hash).await,
            Effect::Finished(ending) => {
                tracing::info!(study = %hash.short(), ending = %ending, "study ended");
                if live.answer.is_some() {
                    return;
                }
                live.ended = now();
                self.agenda.forget();
                if let Err(error) = self.store.end_study(&hash, now()).await {
                    tracing::error!(%error, "the end of a study was not noted");
                }
            }
            Effect::Persist { .. } => unreachable!("written before anything is performed"),
        }
    }

    /// Writes what a study waits for; false while the store fails.
    async fn settle(&mut self, hash: StudyHash) -> bool {
        let Some(live) = self.studies.get_mut(&hash) else {
            return false;
        };
        live.unsaved.tried = true;
        let Unsaved {
            records,
            spool,
            closing,
            ..
        } = &live.unsaved;
        let append = self
            .store
            .append(&hash, live.saved, records, spool, closing.as_ref());
        let appended = append.await;
        if let Some(closing) = &live.unsaved.closing {
            self.front.lookups.forget_answer(&closing.answer.key);
            self.front.lookups.forget_paid();
        }
        match appended {
            Ok(()) => {
                live.saved += records.len() as u64;
                let saved = std::mem::take(&mut live.unsaved);
                if let Some(closing) = saved.closing {
                    (live.answer, live.ended) = (Some(closing.answer), closing.ended);
                }
                for token in saved.tokens {
                    live.machine.handle(now(), Event::Persisted(token));
                }
                if let Some(live) = self.studies.get(&hash) {
                    self.note_records(live, &saved.records).await;
                }
                true
            }
            Err(overtaken @ StoreFault::Overtaken { .. }) => {
                self.broken = Some(overtaken);
                false
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!(study = %hash.short(), error = format!("{error:#}"), "not durable: the study waits, nothing is sent");
                self.retry_at = Some(Instant::now() + RETRY);
                false
            }
        }
    }

    /// Builds and stores the model; a store that fails is tried again by the next tick. The answer to a question is stored with
    /// the end of its study, in one write.
    pub(super) async fn conclude(&mut self, hash: StudyHash) {
        let Some(live) = self.studies.get_mut(&hash) else {
            return;
        };
        if let Some(answer) = publish::answer(live, now()) {
            live.unsaved.closing = Some(Closing {
                answer,
                paid: live.paid(),
                ended: now(),
            });
            let event = Event::Concluded(Ending::Published);
            return live.machine.handle(now(), event);
        }
        let law = &self.front.law;
        match publish::conclude(live, &self.store, &self.release, law, now()).await {
            Ok((ending, kept)) => {
                let said = kept.as_ref().map(|model| self.modelled(model));
                self.note_history(said).await;
                if kept.is_some_and(|model| model.published) {
                    self.tell_lives().await;
                }
                let Some(live) = self.studies.get_mut(&hash) else {
                    return;
                };
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

    /// Names the peer and the rule in the log, and in the audit where a member is concerned.
    async fn note(&mut self, hash: StudyHash, note: Note) {
        let Some(live) = self.studies.get(&hash) else {
            return;
        };
        let study = hash.short();
        let (member, what) = match note {
            Note::Offence { member, rule, by } => {
                let by = by.map(|by| name_of(live, by));
                let (node, said_by) = (name_of(live, member), by.as_deref().unwrap_or(""));
                tracing::warn!(%study, %node, rule, said_by, "a member broke a rule of the secure sum");
                (node, rule.to_owned())
            }
            Note::LeftOut { member, why } => {
                let node = name_of(live, member);
                tracing::warn!(%study, %node, %why, "left out of the next attempt");
                (node, format!("left out: {why}"))
            }
            Note::Failed {
                round,
                group,
                attempt,
                charged,
                failure,
            } => {
                tracing::warn!(%study, round, group, attempt, charged, %failure, "no secure sum");
                return;
            }
        };
        let subject = hash.to_string();
        if let Err(error) = self.store.audit(now(), &member, &what, &subject).await {
            tracing::error!(%error, "an audit line was not written");
        }
    }

    /// Asks a unit for something, which takes a study that is permitted.
    fn ask_unit(&mut self, granted: Option<Granted>, member: usize, frame: SharedFrame) {
        if let Some(granted) = granted {
            self.send(granted.study(), member, frame);
        }
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
        if !session.line.outbox.put(frame) {
            close(&session.line.connection, CloseReason::Busy);
        }
    }
}

/// The frame of a message that goes to many members, encoded where it is not the same as before.
fn encoded<M: Message>(last: &mut Option<(Arc<M>, SharedFrame)>, message: Arc<M>) -> SharedFrame {
    if let Some((known, frame)) = last
        && Arc::ptr_eq(known, &message)
    {
        return frame.clone();
    }
    let encoded: SharedFrame = frame(&*message).into();
    *last = Some((message, encoded.clone()));
    encoded
}

/// The name of a member, or the start of its key.
fn name_of(live: &Live, member: Member) -> String {
    let short = || format!("{:.12}", live.terms.roster[member].to_string());
    let name = live.names.get(member).and_then(Option::as_ref);
    name.map_or_else(short, ToString::to_string)
}
