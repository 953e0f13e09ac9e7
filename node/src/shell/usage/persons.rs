//! Numbers of persons: given when somebody is eligible for the first time, kept from table to table.

use aquifer_shared::base::secret::Personal;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::core::consent::SubjectRef;
use crate::core::table::Bits;

/// The persons of a table by place, and their numbers as far as they are known.
///
/// # Privacy
///
/// Says who is in the table: it cannot be printed and never leaves the node.
pub(super) struct Persons {
    subjects: Personal<Vec<SubjectRef>>,
    numbers: Personal<Vec<u32>>,
}

impl Persons {
    pub(super) fn new(subjects: Vec<SubjectRef>) -> Self {
        let numbers = vec![UNASKED; subjects.len()];
        Self {
            subjects: Personal::new(subjects),
            numbers: Personal::new(numbers),
        }
    }

    /// Numbers of those who are in a set of places; who is kept out has none.
    pub(super) async fn numbers_of(
        &mut self,
        connection: &mut SqliteConnection,
        eligible: &Bits,
        at: i64,
    ) -> Result<Vec<u32>, sqlx::Error> {
        let subjects = self.subjects.expose();
        let mut numbers = std::mem::take(&mut self.numbers).into_inner();
        let places = (0..subjects.len().min(eligible.rows())).filter(|place| eligible.get(*place));
        let new = places.clone().filter(|place| numbers[*place] == UNASKED);
        let new: Vec<usize> = new.collect();
        let mut asked = Ok(());
        for some in new.chunks(AT_ONCE) {
            asked = ask(connection, subjects, some, (&mut numbers, at)).await;
            if asked.is_err() {
                break;
            }
        }
        let found = places.map(|place| numbers[place]);
        let found = found.filter(|number| *number < NOBODY).collect();
        self.numbers = Personal::new(numbers);
        asked.map(|()| found)
    }
}

/// Gives numbers to those who have none, and reads all of them.
async fn ask(
    connection: &mut SqliteConnection,
    subjects: &[SubjectRef],
    places: &[usize],
    (numbers, at): (&mut [u32], i64),
) -> Result<(), sqlx::Error> {
    let all = places
        .iter()
        .flat_map(|place| subjects[*place].0.to_be_bytes());
    let all: Vec<u8> = all.collect();
    let count = places.len() as i64;
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2), \
         asked(own) AS (SELECT DISTINCT substr($1, i * 16 + 1, 16) FROM n) \
         INSERT INTO persons (subject) SELECT own FROM asked \
         WHERE NOT EXISTS (SELECT 1 FROM persons WHERE subject = own) \
         AND NOT EXISTS (SELECT 1 FROM kept_out WHERE subject = own AND until > $3)",
    )
    .bind(all.as_slice())
    .bind(count)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    let found = sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2) \
         SELECT i, ordinal FROM n JOIN persons ON subject = substr($1, i * 16 + 1, 16)",
    )
    .bind(all.as_slice())
    .bind(count)
    .fetch_all(connection)
    .await?;
    places.iter().for_each(|place| numbers[*place] = NOBODY);
    for row in found {
        let asked = usize::try_from(row.get::<i64, _>(0)).ok();
        let number = u32::try_from(row.get::<i64, _>(1)).ok();
        let number = number.filter(|number| *number < NOBODY);
        // Numbers end where the set of them does; who has none counts nowhere, and that must not be.
        let number = number.ok_or(sqlx::Error::RowNotFound)?;
        if let Some(place) = asked.and_then(|asked| places.get(asked)) {
            numbers[*place] = number;
        }
    }
    Ok(())
}

/// Nobody has asked for it yet.
const UNASKED: u32 = u32::MAX;
/// Kept out.
const NOBODY: u32 = u32::MAX - 1;
/// Persons that are asked for at once.
const AT_ONCE: usize = 4_096;
