//! Which program each node of a sum reported, as a record in front of the sum.

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::domain::sum::StudyTerms;

use super::record::Record;

/// The same records with, in front of each sum, what its nodes reported. They are made durable together: no sum is without.
#[must_use]
pub fn named(
    terms: &StudyTerms,
    records: Vec<Record>,
    reported: impl Fn(&IdentityKey) -> Option<Hash32>,
) -> Vec<Record> {
    let mut all = Vec::with_capacity(records.len() + 1);
    for record in records {
        if let Some(members) = members(terms, &record) {
            let program = |member: u32| {
                let key = terms.roster.get(member as usize)?;
                Some((member, reported(key)?))
            };
            let programs = members.into_iter().filter_map(program).collect();
            all.push(Record::Programs { programs });
        }
        all.push(record);
    }
    all
}

/// Whose noise and customers' parts are in the sum of a record, as places in the roster; none where it is no sum.
#[must_use]
pub fn members(terms: &StudyTerms, record: &Record) -> Option<Vec<u32>> {
    match record {
        Record::Result { members, .. } => Some(members.clone()),
        Record::GroupSum { group, dealers, .. } => {
            let groups = terms.groups();
            let start = groups.get(usize::from(*group))?.start as u32;
            let place = |index: u16| start + u32::from(index) - 1;
            Some(dealers.iter().map(place).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::time::Timestamp;
    use aquifer_shared::protocol::aggregation::MemberSet;

    use super::super::fixtures::terms;
    use super::*;

    const AT: Timestamp = Timestamp(5);

    fn result(members: &[u32]) -> Record {
        Record::Result {
            round: 0,
            attempt: 0,
            members: members.to_vec(),
            cells: vec![1],
            at: AT,
        }
    }

    fn group_sum(dealers: &[u16]) -> Record {
        Record::GroupSum {
            round: 0,
            group: 0,
            attempt: 0,
            dealers: MemberSet::of(dealers.iter().copied()),
            cells: vec![1],
            at: AT,
        }
    }

    fn open() -> Record {
        Record::Open {
            round: 1,
            attempt: 0,
            at: AT,
        }
    }

    /// The places that are named in front of each record; every node but the second of the roster has reported.
    #[track_caller]
    fn check(records: Vec<Record>, expected: &[&[u32]]) {
        let terms = terms();
        let silent = terms.roster[1];
        let reported = |key: &IdentityKey| (*key != silent).then_some(Hash32(key.0));
        let named = named(&terms, records.clone(), reported);
        let places = named.iter().filter_map(|record| match record {
            Record::Programs { programs } => Some(programs),
            _ => None,
        });
        let found: Vec<Vec<u32>> = places
            .map(|programs| programs.iter().map(|(place, _)| *place).collect())
            .collect();
        assert_eq!(found, expected);
        let is_other = |record: &Record| !matches!(record, Record::Programs { .. });
        let others: Vec<Record> = named.into_iter().filter(is_other).collect();
        assert_eq!(others, records);
    }

    #[test]
    fn every_sum_has_its_programs_in_front() {
        check(vec![result(&[0, 2])], &[&[0, 2]]);
        check(vec![group_sum(&[1, 3])], &[&[0, 2]]);
        check(vec![group_sum(&[1]), result(&[0]), open()], &[&[0], &[0]]);
    }

    #[test]
    fn a_node_that_reported_nothing_is_not_made_up() {
        check(vec![result(&[0, 1])], &[&[0]]);
    }

    #[test]
    fn other_records_have_none() {
        check(vec![open()], &[]);
        check(Vec::new(), &[]);
    }
}
