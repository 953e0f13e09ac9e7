//! Which program each node of a sum reported to run: how the entry of the sum says it, and how the settings say what is demanded.
//!
//! A digest is the node's own word. It tells versions apart and finds mix-ups; it attests nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::Hash32;
use crate::base::limits::{MEMBERS_MAX, PROGRAMS_MAX};
use crate::domain::history::{Event, Json, Kind};

/// What the nodes of one sum reported, by digest; nodes are places in the study's roster, from 0.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Programs {
    /// Nodes by the digest that they reported.
    pub by_digest: BTreeMap<Hash32, BTreeSet<u32>>,
    /// Nodes whose digest is not named.
    pub unknown: BTreeSet<u32>,
}

/// An entry that does not say which program each node of its sum reported, or not in its one form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("does not say of each node of the sum, once, which program it reported")]
pub struct BadPrograms;

impl Programs {
    /// What nodes reported, each named once. Where there are more digests than an entry names, the rarest are left out.
    #[must_use]
    pub fn new(reported: impl IntoIterator<Item = (u32, Option<Hash32>)>) -> Self {
        let mut all = Self::default();
        for (node, program) in reported {
            match program {
                Some(program) => all.by_digest.entry(program).or_default().insert(node),
                None => all.unknown.insert(node),
            };
        }
        while all.by_digest.len() > PROGRAMS_MAX {
            let rarest = all.by_digest.iter().min_by_key(|(_, nodes)| nodes.len());
            let Some(rarest) = rarest.map(|(program, _)| *program) else {
                break;
            };
            let nodes = all.by_digest.remove(&rarest);
            all.unknown.extend(nodes.into_iter().flatten());
        }
        all
    }

    /// The fields of the entry of a sum; none where nothing is known of any node.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, Json)> {
        if self.by_digest.is_empty() {
            return Vec::new();
        }
        let line = |(program, nodes): (&Hash32, &BTreeSet<u32>)| {
            Json::object([
                ("nodes", places(nodes).into()),
                ("sha256", program.to_string().into()),
            ])
        };
        let listed = Json::List(self.by_digest.iter().map(line).collect());
        let unknown = (!self.unknown.is_empty()).then(|| places(&self.unknown));
        let unknown = unknown.map(|nodes| (UNKNOWN.to_owned(), nodes.into()));
        std::iter::once((PROGRAMS.to_owned(), listed))
            .chain(unknown)
            .collect()
    }

    /// What the entry of a sum says; none where it says nothing of programs.
    ///
    /// # Errors
    ///
    /// A node of the sum is missing or named twice, or something is not in its one form.
    pub fn of(payload: &Json) -> Result<Option<Self>, BadPrograms> {
        let (listed, unknown) = (payload.get(PROGRAMS), payload.get(UNKNOWN));
        if listed.is_none() && unknown.is_none() {
            return Ok(None);
        }
        let Some(Json::List(listed)) = listed else {
            return Err(BadPrograms);
        };
        let mut programs = Self::default();
        for line in listed {
            let (program, nodes) = read_line(line).ok_or(BadPrograms)?;
            if programs.by_digest.keys().next_back() >= Some(&program) {
                return Err(BadPrograms);
            }
            programs.by_digest.insert(program, nodes);
        }
        if let Some(unknown) = unknown {
            programs.unknown = unknown.as_text().and_then(read_places).ok_or(BadPrograms)?;
        }
        let members = payload.get("members").and_then(Json::as_u64);
        let whole = Some(programs.nodes().ok_or(BadPrograms)?) == members;
        let fits = whole && (1..=PROGRAMS_MAX).contains(&listed.len());
        fits.then_some(Some(programs)).ok_or(BadPrograms)
    }

    /// How many nodes are named; none where one is named twice.
    fn nodes(&self) -> Option<u64> {
        let mut all = self.unknown.clone();
        let mut named = self.by_digest.values().flatten();
        let once = named.all(|node| all.insert(*node));
        once.then_some(all.len() as u64)
    }
}

/// The event that enters which programs the settings demand; with no program, that they demand none any more.
#[must_use]
pub fn demands_programs(programs: &[Hash32]) -> Event {
    let listed = programs.iter().map(|program| program.to_string().into());
    let payload = Json::object([
        ("declares", PROGRAMS.into()),
        (PROGRAMS, Json::List(listed.collect())),
    ]);
    Event::of_program(Kind::PackLoaded, payload)
}

/// What such an entry demands; none where the entry is another.
#[must_use]
pub fn demanded_programs(payload: &Json) -> Option<BTreeSet<String>> {
    if payload.get("declares")?.as_text()? != PROGRAMS {
        return None;
    }
    let Json::List(listed) = payload.get(PROGRAMS)? else {
        return None;
    };
    let text = |json: &Json| Some(json.as_text()?.to_owned());
    listed.iter().map(text).collect()
}

fn read_line(line: &Json) -> Option<(Hash32, BTreeSet<u32>)> {
    let Json::Object(fields) = line else {
        return None;
    };
    let (nodes, text) = (
        line.get("nodes")?.as_text()?,
        line.get("sha256")?.as_text()?,
    );
    let program: Hash32 = text.parse().ok()?;
    let fits = fields.len() == 2 && program.to_string() == text;
    fits.then_some((program, read_places(nodes)?))
}

/// Places as a text, in ranges as long as they can be: `0-3 5`.
fn places(nodes: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for node in nodes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *node => *last = *node,
            _ => ranges.push((*node, *node)),
        }
    }
    let text = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let texts: Vec<String> = ranges.iter().map(text).collect();
    texts.join(" ")
}

/// Reads what [`places`] writes, and nothing else.
fn read_places(text: &str) -> Option<BTreeSet<u32>> {
    let mut nodes = BTreeSet::new();
    for range in text.split(' ') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last as usize >= MEMBERS_MAX {
            return None;
        }
        nodes.extend(first..=last);
    }
    (places(&nodes) == text).then_some(nodes)
}

/// Field of the entry of a sum, and what an entry of the settings declares.
const PROGRAMS: &str = "programs";
const UNKNOWN: &str = "programs_unknown";

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(programs: &Programs, members: u32) -> Json {
        let members = ("members".to_owned(), Json::from(members));
        Json::Object(programs.fields().into_iter().chain([members]).collect())
    }

    fn hash(number: u16) -> Hash32 {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        Hash32(bytes)
    }

    #[track_caller]
    fn check_places(nodes: &[u32], text: &str) {
        let nodes: BTreeSet<u32> = nodes.iter().copied().collect();
        assert_eq!(places(&nodes), text);
        assert_eq!(read_places(text), Some(nodes));
    }

    #[test]
    fn places_are_ranges() {
        check_places(&[0], "0");
        check_places(&[0, 1, 2, 5, 7, 8], "0-2 5 7-8");
        check_places(&[1_023], "1023");
        for other in [
            "", " ", "0 1", "1-0", "0-0", "3 1", "00", "+1", "1024", "0-2 2", "a", "0- 1",
        ] {
            assert_eq!(read_places(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let reported = [(0, Some(hash(2))), (1, Some(hash(1))), (2, Some(hash(2)))];
        let programs = Programs::new(reported);
        assert_eq!(programs.by_digest.len(), 2);
        assert_eq!(Programs::of(&payload(&programs, 3)), Ok(Some(programs)));
        let some = Programs::new([(0, Some(hash(2))), (4, None)]);
        assert_eq!(Programs::of(&payload(&some, 2)), Ok(Some(some)));
        assert_eq!(Programs::new([(4, None)]).fields(), []);
        let silent = payload(&Programs::default(), 3);
        assert_eq!(Programs::of(&silent), Ok(None));
    }

    /// Every node another program: those beyond the limit stay unnamed, and the entry fits.
    #[test]
    fn as_many_programs_as_nodes_fit_an_entry() {
        let reported = (0..1_024).map(|node| (node, Some(hash(node as u16))));
        let programs = Programs::new(reported);
        assert_eq!(programs.by_digest.len(), PROGRAMS_MAX);
        let payload = payload(&programs, 1_024);
        assert!(payload.to_payload().is_ok());
        assert_eq!(Programs::of(&payload), Ok(Some(programs)));
        // Every second node each of two programs: the longest text of places.
        let reported = (0..1_024).map(|node| (node, Some(hash(node as u16 % 2))));
        let programs = Programs::new(reported);
        let fields = Json::Object(programs.fields().into_iter().collect());
        assert!(fields.to_payload().is_ok_and(|bytes| bytes.len() < 6_000));
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut Programs, &mut u32)) {
        let mut programs = Programs::new([(0, Some(hash(2))), (1, Some(hash(1))), (2, None)]);
        let mut members = 3;
        change(&mut programs, &mut members);
        let found = Programs::of(&payload(&programs, members));
        assert_eq!(found, Err(BadPrograms));
    }

    #[test]
    fn a_node_that_is_missing_or_named_twice_is_refused() {
        check_refused(|_, members| *members = 4);
        check_refused(|_, members| *members = 2);
        check_refused(|programs, _| drop(programs.by_digest.remove(&hash(1))));
        check_refused(|programs, _| programs.unknown.extend([0]));
        check_refused(|programs, _| {
            programs.by_digest.insert(hash(1), BTreeSet::from([0]));
        });
    }

    #[test]
    fn demands_are_read_back() {
        let demand = demands_programs(&[hash(1), hash(2)]);
        let found = demanded_programs(&demand.payload).unwrap();
        assert_eq!(found.len(), 2);
        let none = demands_programs(&[]);
        assert_eq!(demanded_programs(&none.payload), Some(BTreeSet::new()));
        let other = Json::object([("declares", "measures".into())]);
        assert_eq!(demanded_programs(&other), None);
    }
}
