//! Between frames and the study's events: the one place of the simulated coordinator that knows the messages by kind.

use aquifer_coordinator::core::event::{Event, Secure};
use aquifer_coordinator::core::study::Study;
use aquifer_coordinator::core::update::verify;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    Advert, BudgetLeft, Cannot, Confirm, Decision, LedgerCopy, Message, Opening, Refusal, Shares,
    Update, read_body,
};

use crate::simulator::network::{Frame, split};

/// What a frame means to the coordinator.
pub(super) enum Heard {
    /// For the study.
    Event(Box<Event>),
    /// For the mirror.
    Copy(LedgerCopy),
    /// For no study that there is.
    Nothing,
}

/// What the coordinator hears of a member's frame.
///
/// # Errors
///
/// No frame that a coordinator takes.
pub(super) fn read(study: &Study, member: usize, bytes: &Frame) -> Result<Heard, CodecError> {
    let (kind, body) = split(bytes)?;
    let secure = match kind {
        Decision::KIND => {
            let decision: Decision = read_body(kind, body)?;
            let own = decision.study == study.hash();
            return Ok(heard(
                own.then_some(Event::Decided(member, decision.verdict)),
            ));
        }
        Refusal::KIND => {
            let refusal: Refusal = read_body(kind, body)?;
            let own = refusal.study == study.hash();
            return Ok(heard(own.then_some(Event::Refused(member, refusal))));
        }
        Update::KIND => {
            let update: Update = read_body(kind, body)?;
            let key = study.terms().roster[member];
            let live = study.is_live(&update.attempt);
            return Ok(heard(live.then(|| match verify(&key, update) {
                Ok(update) => Event::Update(member, update),
                Err(malformed) => Event::Malformed(member, malformed),
            })));
        }
        BudgetLeft::KIND => return read_body::<BudgetLeft>(kind, body).map(|_| Heard::Nothing),
        LedgerCopy::KIND => return Ok(Heard::Copy(read_body(kind, body)?)),
        Advert::KIND => Secure::Advert(read_body(kind, body)?),
        Shares::KIND => Secure::Shares(read_body(kind, body)?),
        Confirm::KIND => Secure::Confirm(read_body(kind, body)?),
        Cannot::KIND => Secure::Cannot(read_body(kind, body)?),
        Opening::KIND => Secure::Opening(read_body(kind, body)?),
        got => return Err(CodecError::Kind { got }),
    };
    let live = study.is_live(&secure.attempt());
    Ok(heard(live.then_some(Event::Secure(member, secure))))
}

fn heard(event: Option<Event>) -> Heard {
    event.map_or(Heard::Nothing, |event| Heard::Event(Box::new(event)))
}
