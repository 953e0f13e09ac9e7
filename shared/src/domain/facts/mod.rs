//! Documents made of a verified history alone: model card, privacy notice, record of processing.
//!
//! Every number says which entry of the log it comes from; the same log gives the same bytes. A log that does not verify, or that lacks what
//! a document must say, gives no document. Pure. What is read from payloads is in docs/facts.md.

mod assessment;
mod card;
mod cyclonedx;
mod declared;
mod dossier;
mod html;
mod lines;
mod log;
mod notice;
mod processing;
mod programs;
mod record;
mod settings;
mod terms;
mod words;

pub use assessment::{Assessment, NotAssessed};
pub use card::Card;
pub use declared::{
    Basis, Declaration, Measure, Parties, declares_measures, declares_nothing, declares_rules,
};
pub use dossier::{Dossier, NoDossier};
pub use lines::{Line, Section};
pub use log::{Fact, Log, LogReader, NoDocument};
pub use notice::notice;
pub use record::{Form, Record};
pub use settings::{Based, FactsConfig, FactsError, MeasureConfig, Site};
pub use terms::{expanded, is_known};
pub use words::forbidden;
