//! Between frames and the study's events: the one place of the simulated coordinator that knows the messages by kind.

use aquifer_coordinator::core::event::Event;
use aquifer_coordinator::core::study::Study;
use aquifer_coordinator::core::update::verify;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{Decision, Message, Refusal, Update, read_body};

use crate::simulator::network::{Frame, split};

/// What the study hears of a member's frame; nothing where it is not for this study.
///
/// # Errors
///
/// No frame that a coordinator takes.
pub(super) fn read(study: &Study, member: usize, bytes: &Frame) -> Result<Option<Event>, CodecError> {
    let (kind, body) = split(bytes)?;
    Ok(match kind {
        Decision::KIND => {
            let decision: Decision = read_body(kind, body)?;
            let own = decision.study == study.hash();
            own.then_some(Event::Decided(member, decision.verdict))
        }
        Refusal::KIND => {
            let refusal: Refusal = read_body(kind, body)?;
            let own = refusal.study == study.hash();
            own.then_some(Event::Refused(member, refusal))
        }
        Update::KIND => {
            let update: Update = read_body(kind, body)?;
            let key = study.terms().roster[member];
            study.is_live(&update.attempt).then(|| match verify(&key, update) {
                Ok(update) => Event::Update(member, update),
                Err(malformed) => Event::Malformed(member, malformed),
            })
        }
        got => return Err(CodecError::Kind { got }),
    })
}
