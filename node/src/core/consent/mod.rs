//! Consent as a history of events, and who is eligible for a purpose at a time. Pure: time and rules are arguments.
//!
//! Nothing is ever overwritten: a state is what the events up to a time add up to, in whatever order they came in.

mod event;
mod fold;
mod notice;
mod register;
mod roll;
mod subject;
#[cfg(test)]
mod tests;
mod told;
mod view;

pub use event::{AgeSaid, ConsentEvent, Effect, EventKind, Scope};
pub use fold::{State, Thread};
pub use notice::{Notice, NoticeBook, NoticeFault};
pub use register::{Cut, Defaults, Register, TooMany};
pub use roll::Roll;
pub use subject::{SubjectKey, SubjectRef, Subjects};
pub use told::{kind_of, told};
