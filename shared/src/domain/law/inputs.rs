//! The digest of all that a decision looked at, so that it can be made again and compared.

use super::facts::{About, Age, Facts, Person, Request, Run};
use super::place::Place;
use super::words::Word;
use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::time::Timestamp;

/// Every field in declared order; texts and lists with their length, what is not known as a byte of its own.
pub(super) fn digest(request: &Request<'_>, facts: &Facts<'_>, now: Timestamp) -> Hash32 {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend(now.0.to_be_bytes());
    word(&mut bytes, request.gate);
    text(&mut bytes, request.purpose);
    length(&mut bytes, request.columns.len());
    request
        .columns
        .iter()
        .for_each(|column| text(&mut bytes, column));
    bytes.extend(request.categories.bits().to_be_bytes());
    place(&mut bytes, request.controller);
    bytes.push(request.export.into());
    word(&mut bytes, facts.dpia);
    optional(&mut bytes, facts.reviewer.map(|key| key.0));
    let signers = facts.signers.map(super::TwoSigners::keys);
    optional(&mut bytes, signers.map(|[first, _]| first.0));
    optional(&mut bytes, signers.map(|[_, second]| second.0));
    match &facts.about {
        About::Person(about) => person(&mut bytes, about),
        About::Run(about) => run(&mut bytes, about),
    }
    labelled("aquifer/law/inputs/v1", &[&bytes])
}

fn person(bytes: &mut Vec<u8>, person: &Person) {
    bytes.push(0);
    place(bytes, person.place);
    optional(bytes, person.basis.map(|basis| [basis.index() as u8]));
    word(bytes, person.consent);
    optional(bytes, person.consented_on.map(i32::to_be_bytes));
    word(bytes, person.block);
    optional(bytes, person.notice.map(u32::to_be_bytes));
    bytes.extend(match person.age {
        Age::Years(years) => [0, years],
        Age::Adult => [1, 0],
        Age::MinorWithGuardian => [2, 0],
        Age::Minor => [3, 0],
        Age::Unknown => [4, 0],
    });
}

fn run(bytes: &mut Vec<u8>, run: &Run<'_>) {
    bytes.push(1);
    length(bytes, run.places.len());
    run.places
        .iter()
        .for_each(|known| place(bytes, Some(*known)));
    word(bytes, run.transfer);
    optional(bytes, run.population.map(u64::to_be_bytes));
    optional(
        bytes,
        run.spend.map(|spend| spend.epsilon_micro.to_be_bytes()),
    );
    optional(bytes, run.spend.map(|spend| spend.delta_pico.to_be_bytes()));
}

fn word<T: Word>(bytes: &mut Vec<u8>, word: T) {
    bytes.push(word.index() as u8);
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend((length as u64).to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    length(bytes, text.len());
    bytes.extend(text.as_bytes());
}

fn place(bytes: &mut Vec<u8>, place: Option<Place>) {
    text(bytes, place.as_ref().map_or("", Place::as_str));
}

fn optional<const N: usize>(bytes: &mut Vec<u8>, value: Option<[u8; N]>) {
    bytes.push(value.is_some().into());
    bytes.extend(value.into_iter().flatten());
}
