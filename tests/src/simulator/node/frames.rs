//! Between frames and the machine's events: the one place of the simulated node that knows the messages by kind.

use aquifer_node::core::participant::{Event, Outgoing};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    Delivery, End, LedgerHeld, Message, Offer, Proof, Roster, StudyEnd, Task, frame, read_body,
};

use crate::simulator::network::{Frame, split};

/// What the machine hears of a frame; `fresh` gives bytes for a kind of message that were never used before.
///
/// # Errors
///
/// No frame that a node takes.
pub(super) fn read(bytes: &[u8], fresh: impl FnOnce(u8) -> [u8; 32]) -> Result<Event, CodecError> {
    let (kind, body) = split(bytes)?;
    Ok(match kind {
        Offer::KIND => Event::Offer(read_body(kind, body)?),
        Task::KIND => Event::Task(read_body(kind, body)?, Some(Secret::new(fresh(kind)))),
        Roster::KIND => Event::Roster(read_body(kind, body)?, Some(Secret::new(fresh(kind)))),
        Delivery::KIND => Event::Delivery(read_body(kind, body)?),
        Proof::KIND => Event::Proof(read_body(kind, body)?),
        End::KIND => Event::End(read_body(kind, body)?),
        StudyEnd::KIND => Event::StudyEnd(read_body(kind, body)?),
        LedgerHeld::KIND => Event::LedgerHeld(read_body(kind, body)?),
        got => return Err(CodecError::Kind { got }),
    })
}

/// Whether a program that knows nothing of secure sums would not know a frame.
pub(super) fn is_new(bytes: &[u8]) -> bool {
    let kind = split(bytes).map(|(kind, _)| kind);
    matches!(kind, Ok(Roster::KIND | Delivery::KIND | Proof::KIND))
}

/// The frame of what the machine says.
pub(super) fn write(message: Outgoing) -> Frame {
    let bytes = match message {
        Outgoing::Decision(decision) => frame(&decision),
        Outgoing::Refusal(refused) => frame(&refused.refusal),
        Outgoing::Update(released) | Outgoing::Shares(released) | Outgoing::Opening(released) => {
            released.into_frame()
        }
        Outgoing::Advert(advert) => frame(&advert),
        Outgoing::Cannot(cannot) => frame(&cannot),
        Outgoing::Confirm(confirm) => frame(&confirm),
        Outgoing::Left(left) => frame(&left),
        Outgoing::Copy(copy) => frame(&copy),
    };
    bytes.into()
}
