//! Between frames and the machine's events: the one place of the simulated node that knows the messages by kind.

use aquifer_node::core::participant::{Event, Outgoing};
use aquifer_shared::protocol::codec::CodecError;
use aquifer_shared::protocol::wire::{
    End, Message, Offer, StudyEnd, Task, frame, read_body,
};

use crate::simulator::network::{Frame, split};

/// What the machine hears of a frame.
///
/// # Errors
///
/// No frame that a node takes.
pub(super) fn read(bytes: &[u8]) -> Result<Event, CodecError> {
    let (kind, body) = split(bytes)?;
    Ok(match kind {
        Offer::KIND => Event::Offer(read_body(kind, body)?),
        Task::KIND => Event::Task(read_body(kind, body)?),
        End::KIND => Event::End(read_body(kind, body)?),
        StudyEnd::KIND => Event::StudyEnd(read_body(kind, body)?),
        got => return Err(CodecError::Kind { got }),
    })
}

/// The frame of what the machine says.
pub(super) fn write(message: Outgoing) -> Frame {
    let bytes = match message {
        Outgoing::Decision(decision) => frame(&decision),
        Outgoing::Refusal(refusal) => frame(&refusal),
        Outgoing::Update(released) => released.into_frame(),
    };
    bytes.into()
}
