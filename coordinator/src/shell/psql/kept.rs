//! Statements that a client keeps, with and without values: so many and so long, and no more.

use std::collections::BTreeMap;

use aquifer_shared::base::limits::{SQL_ANSWERS_BYTES_MAX, SQL_KEPT_BYTES_MAX, SQL_STATEMENTS_MAX};
use aquifer_shared::protocol::ask::{AnswerColumn, Objection};

use super::reply::{Rows, object};
use crate::core::sql::{Intervals, Parameter};

/// A statement without values.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its text.
    pub text: String,
    /// Types of its parameters.
    pub types: Vec<u32>,
    /// Its columns; none where it has no rows.
    pub columns: Option<Vec<AnswerColumn>>,
    /// How intervals were shown when its columns were made: what is told of a statement holds for it, whatever is set later.
    pub intervals: Intervals,
}

/// A statement with values.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    /// Its text.
    pub text: String,
    /// Its values.
    pub parameters: Vec<Parameter>,
    /// Which results are wanted in binary.
    pub formats: Vec<bool>,
    /// Its columns; none where it has no rows.
    pub columns: Option<Vec<AnswerColumn>>,
    /// Those of its statement.
    pub intervals: Intervals,
    /// What it came to, and how many rows of it were sent.
    pub running: Option<(Rows, usize)>,
}

/// Everything that a client keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    prepared: BTreeMap<String, Prepared>,
    portals: BTreeMap<String, Portal>,
}

impl Kept {
    /// Keeps a statement; the one without a name is replaced.
    pub(super) fn prepare(
        &mut self,
        name: String,
        prepared: Prepared,
    ) -> Result<(), Box<Objection>> {
        if !name.is_empty() && self.prepared.contains_key(&name) {
            return Err(object(
                "42P05",
                "a prepared statement of this name is there already",
                "close it first",
            ));
        }
        self.prepared.remove(&name);
        self.check_room(self.prepared.len(), prepared.text.len())?;
        self.prepared.insert(name, prepared);
        Ok(())
    }

    /// Keeps a statement with values; the one without a name is replaced.
    pub(super) fn bind(&mut self, name: String, portal: Portal) -> Result<(), Box<Objection>> {
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(object(
                "42P03",
                "a portal of this name is there already",
                "close it first",
            ));
        }
        self.portals.remove(&name);
        self.check_room(self.portals.len(), size(&portal))?;
        self.portals.insert(name, portal);
        Ok(())
    }

    pub(super) fn prepared(&self, name: &str) -> Result<&Prepared, Box<Objection>> {
        let missing = || {
            object(
                "26000",
                "there is no prepared statement of this name",
                "prepare it first",
            )
        };
        self.prepared.get(name).ok_or_else(missing)
    }

    pub(super) fn portal(&mut self, name: &str) -> Result<&mut Portal, Box<Objection>> {
        let missing = || object("34000", "there is no portal of this name", "bind it first");
        self.portals.get_mut(name).ok_or_else(missing)
    }

    pub(super) fn close_prepared(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    pub(super) fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// Keeps the rows of a portal that were not sent yet; nothing of one whose rows were.
    pub(super) fn go_on(
        &mut self,
        name: &str,
        mut rows: Rows,
        sent: usize,
    ) -> Result<(), Box<Objection>> {
        if sent >= rows.rows.len() {
            rows.rows = Vec::new();
            self.portal(name)?.running = Some((rows, 0));
            return Ok(());
        }
        let kept = self
            .portals
            .values()
            .filter_map(|portal| portal.running.as_ref());
        let bytes = rows.bytes() + kept.map(|(rows, _)| rows.bytes()).sum::<usize>();
        if bytes > SQL_ANSWERS_BYTES_MAX {
            self.portals.remove(name);
            let text = format!("the session keeps about {bytes} bytes of answers");
            let hint = format!("read or close some: at most {SQL_ANSWERS_BYTES_MAX}");
            return Err(object("53400", &text, &hint));
        }
        self.portal(name)?.running = Some((rows, sent));
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets all prepared statements.
    pub(super) fn close_all_prepared(&mut self) {
        self.prepared.clear();
    }

    /// Forgets all values and results: the group of messages that they came with is over.
    pub(super) fn close_portals(&mut self) {
        self.portals.clear();
    }

    fn check_room(&self, count: usize, bytes: usize) -> Result<(), Box<Objection>> {
        let statements = self.prepared.values().map(|prepared| prepared.text.len());
        let kept: usize = statements.chain(self.portals.values().map(size)).sum();
        if count >= SQL_STATEMENTS_MAX || kept + bytes > SQL_KEPT_BYTES_MAX {
            let text = format!("the session keeps {count} statements of {kept} bytes in all");
            let hint = format!(
                "close some: at most {SQL_STATEMENTS_MAX}, and {SQL_KEPT_BYTES_MAX} bytes with their values"
            );
            return Err(object("53400", &text, &hint));
        }
        Ok(())
    }
}

fn size(portal: &Portal) -> usize {
    let values = portal.parameters.iter().map(|parameter| match parameter {
        Parameter::Null => 0,
        Parameter::Text(text) => text.len(),
    });
    portal.text.len() + values.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(bytes: usize) -> Prepared {
        Prepared {
            text: "x".repeat(bytes),
            types: Vec::new(),
            columns: None,
            intervals: Intervals::default(),
        }
    }

    #[track_caller]
    fn check(kept: &mut Kept, name: &str, bytes: usize, expected: Option<&str>) {
        let refused = kept.prepare(name.to_owned(), prepared(bytes)).err();
        assert_eq!(refused.map(|no| no.sqlstate).as_deref(), expected);
    }

    #[test]
    fn names_are_used_once_and_none_again_and_again() {
        let mut kept = Kept::default();
        check(&mut kept, "a", 1, None);
        check(&mut kept, "a", 1, Some("42P05"));
        check(&mut kept, "", SQL_KEPT_BYTES_MAX - 1, None);
        check(&mut kept, "", SQL_KEPT_BYTES_MAX - 1, None);
    }

    #[test]
    fn answers_that_are_not_read_are_bounded() {
        use aquifer_shared::protocol::ask::AnswerValue;
        let rows = |count: usize| Rows {
            command: "SELECT",
            columns: Vec::new(),
            rows: vec![vec![AnswerValue::Whole(1); 64]; count],
            notices: Vec::new(),
        };
        let portal = || Portal {
            text: String::new(),
            parameters: Vec::new(),
            formats: Vec::new(),
            columns: None,
            intervals: Intervals::default(),
            running: None,
        };
        let mut kept = Kept::default();
        let half = SQL_ANSWERS_BYTES_MAX / rows(1).bytes() / 2;
        for name in ["a", "b", "c"] {
            kept.bind(name.to_owned(), portal()).unwrap();
        }
        kept.go_on("a", rows(half), 1).unwrap();
        let refused = kept.go_on("b", rows(half + 9), 1).unwrap_err();
        assert_eq!(refused.sqlstate, "53400");
        assert!(kept.portal("b").is_err() && kept.portal("a").is_ok());
        // What was read is not kept, so that there is room again.
        kept.go_on("a", rows(half), half).unwrap();
        kept.go_on("c", rows(half), 1).unwrap();
    }

    #[test]
    fn room_is_bounded() {
        let mut kept = Kept::default();
        check(&mut kept, "a", SQL_KEPT_BYTES_MAX, None);
        check(&mut kept, "b", 1, Some("53400"));
        kept.close_prepared("a");
        for number in 0..SQL_STATEMENTS_MAX {
            check(&mut kept, &number.to_string(), 1, None);
        }
        check(&mut kept, "one more", 1, Some("53400"));
    }
}
