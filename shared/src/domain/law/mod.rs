//! Law as data: purposes, rule packs, and the one function that decides what may be done with people's data.
//!
//! A pack states values of one law, each with its reference, its days and its reviewer; several packs are joined so that the strictest
//! wins; [`decide`] answers at five gates and denies by default. Nothing here reads a clock, a file or data of people, and nothing
//! here is legal advice: the packs that come along were reviewed by nobody.

mod book;
mod case;
mod cause;
pub mod change;
mod decide;
mod decision;
pub mod exception;
mod facts;
mod inputs;
mod key;
mod kind;
mod limits;
mod pack;
mod person;
mod place;
pub mod proxy;
mod purpose;
mod read;
mod read_values;
mod reasons;
mod rule;
mod run;
mod status;
#[cfg(test)]
mod tests;
pub mod vendored;
mod vocabulary;
mod what_if;
mod what_if_values;
pub mod witness;
mod words;

pub use book::{Rulebook, WrongBook};
pub use cause::{Ask, Cause};
pub use decide::decide;
pub use decision::{Allowed, Decision, Obligation, Refused, Subject, Verdict};
pub use facts::{
    About, Age, Block, Consent, Dpia, Facts, Person, Request, Run, SameSigner, Spend, Transfer,
    TwoSigners,
};
pub use key::Key;
pub use limits::{Bound, Limits};
pub use pack::{Pack, PackKind};
pub use place::Place;
pub use purpose::{Purpose, Purposes};
pub use reasons::{Ground, Reason};
pub use rule::{Confidence, Origin, Provenance, Rule};
pub use status::{Difference, Status, Turn, differences};
pub use vocabulary::{Action, Basis, Category, Effect, Gate, Overlap, ScreenedUse, Signal};
pub use what_if::WhatIf;
pub use words::{Set, Word};
