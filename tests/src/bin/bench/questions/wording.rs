//! Questions that nobody has asked yet: a grouped count whose condition moves from one to the next.

use aquifer_shared::domain::contract::{NumberColumn, Published, PublishedKind};

/// Says one question after the other, none twice.
#[derive(Clone, Debug)]
pub struct Wording {
    key: String,
    table: String,
    rows: usize,
    first: Lower,
    second: Lower,
    asked: u64,
}

/// A lower end of a column that moves up in steps, to half of the range.
#[derive(Clone, Debug)]
struct Lower {
    column: String,
    number: NumberColumn,
}

impl Wording {
    /// For a table with a key and two numbers: the key with the most levels up to 24.
    pub fn of(table: &Published) -> Option<Self> {
        let levels = |place: &usize| table.columns[*place].kind.levels().unwrap_or(0);
        let places = 0..table.columns.len();
        let key = places
            .filter(|place| levels(place) <= 24)
            .max_by_key(levels)?;
        let mut numbers = table
            .columns
            .iter()
            .filter_map(|column| match &column.kind {
                PublishedKind::Number(number) => Some(Lower {
                    column: column.name.clone(),
                    number: number.clone(),
                }),
                _ => None,
            });
        Some(Self {
            key: table.columns[key].name.clone(),
            table: table.name.clone(),
            rows: levels(&key),
            first: numbers.next()?,
            second: numbers.next()?,
            asked: 0,
        })
    }

    /// Rows of every answer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The next question.
    pub fn next(&mut self) -> String {
        self.asked += 1;
        let (first, second) = (self.first.steps(), self.second.steps());
        format!(
            "SELECT \"{key}\", COUNT(*) AS n FROM \"{table}\" WHERE {} AND {} GROUP BY \"{key}\"",
            self.first.condition(self.asked % first),
            self.second.condition(self.asked / first % second),
            key = self.key,
            table = self.table,
        )
    }
}

impl Lower {
    fn steps(&self) -> u64 {
        let steps = self.number.high.abs_diff(self.number.low) / 2;
        (steps / self.number.step.unsigned_abs()).max(1)
    }

    fn condition(&self, step: u64) -> String {
        let number = &self.number;
        let from = next_multiple(number.low, number.step) + step as i64 * number.step;
        let unit = 10_i64.pow(number.digits.into());
        let sign = if from < 0 { "-" } else { "" };
        let (whole, part) = (from.abs() / unit, from.abs() % unit);
        let digits = usize::from(number.digits);
        match digits {
            0 => format!("\"{}\" >= {sign}{whole}", self.column),
            _ => format!("\"{}\" >= {sign}{whole}.{part:0digits$}", self.column),
        }
    }
}

/// The number itself, or the next multiple of a step.
fn next_multiple(number: i64, step: i64) -> i64 {
    number + (step - number.rem_euclid(step)) % step
}
