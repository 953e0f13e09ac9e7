//! Some statements as one durable transaction of a SQLite file, said to its thread at once: each way there and back wakes two threads,
//! which costs more than most statements do.

use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Error, Type};

/// Statements in order, with what is bound to them.
///
/// Parameters are written `?` and bound in the order in which they stand.
#[derive(Debug, Default)]
pub struct Statements {
    text: String,
    count: usize,
    arguments: SqliteArguments,
}

impl Statements {
    /// One more statement; what follows is bound to it.
    pub fn say(&mut self, statement: &str) -> &mut Self {
        self.text.push_str(statement);
        self.text.push(';');
        self.count += 1;
        self
    }

    /// The next parameter.
    ///
    /// # Errors
    ///
    /// A value that cannot be encoded.
    pub fn bind<'t, T>(&mut self, value: T) -> Result<&mut Self, Error>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.arguments.add(value).map_err(Error::Encode)?;
        Ok(self)
    }

    /// Carries all of them out, or none; durable when it returns. Without any, nothing is done.
    ///
    /// To be waited for to the end: whoever lets go of it half way must not write through this connection again, which may be within
    /// the transaction still.
    ///
    /// # Errors
    ///
    /// If the database fails. Nothing is written then, unless it is the commit that failed: that may be on disk or not.
    pub async fn commit(self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let text = match self.count {
            0 => return Ok(()),
            1 => format!("{}{DONE}", self.text),
            _ => format!("BEGIN;{}COMMIT;{DONE}", self.text),
        };
        // What is said once only is not kept ready.
        let query = sqlx::query_with(AssertSqlSafe(text), self.arguments);
        let query = query.persistent(self.count <= READY_MAX);
        let error = match query.fetch_one(&mut *connection).await {
            Ok(_) => return Ok(()),
            // The file's thread is gone before the end.
            Err(Error::RowNotFound) => Error::WorkerCrashed,
            Err(error) => error,
        };
        if self.count > 1 {
            // There may be none to take back any more.
            let _ = sqlx::query("ROLLBACK").execute(connection).await;
        }
        Err(error)
    }
}

/// Its row is seen where everything before it is done.
const DONE: &str = "SELECT 1";
/// Statements of a text that is kept ready for the next time.
const READY_MAX: usize = 4;

/// `(?, ?), (?, ?)`: places for rows of so many columns.
#[must_use]
pub fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;
    use tempfile::TempDir;

    use super::*;
    use crate::shell::at_rest::{DatabaseKey, Shape, open_sqlite};

    async fn opened(folder: &TempDir) -> SqliteConnection {
        let path = folder.path().join("file.sqlite");
        let key = DatabaseKey::new([7; 32]);
        let mut file = open_sqlite(&path, &key, Shape::Exclusive).await.unwrap();
        let table = "CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, word TEXT)";
        sqlx::query(table).execute(&mut file).await.unwrap();
        file
    }

    async fn rows(file: &mut SqliteConnection) -> Vec<(i64, String)> {
        let query = sqlx::query("SELECT number, word FROM rows ORDER BY number");
        let rows = query.fetch_all(file).await.unwrap();
        let read = |row: &sqlx::sqlite::SqliteRow| (row.get(0), row.get(1));
        rows.iter().map(read).collect()
    }

    fn insert(all: &mut Statements, some: &[(i64, &str)]) {
        all.say(&format!(
            "INSERT INTO rows (number, word) VALUES {}",
            places(some.len(), 2)
        ));
        for (number, word) in some {
            all.bind(*number).unwrap().bind(*word).unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_bound_goes_to_its_statement_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = opened(&folder).await;
        Statements::default().commit(&mut file).await.unwrap();
        let mut one = Statements::default();
        insert(&mut one, &[(1, "a")]);
        one.commit(&mut file).await.unwrap();
        let mut some = Statements::default();
        insert(&mut some, &[(2, "b"), (3, "c")]);
        some.say("DELETE FROM rows WHERE word = ?")
            .bind("a")
            .unwrap();
        insert(&mut some, &[(4, "d")]);
        some.commit(&mut file).await.unwrap();
        let expected = [(2, "b"), (3, "c"), (4, "d")].map(|(number, word)| (number, word.into()));
        assert_eq!(rows(&mut file).await, expected);
    }

    #[tokio::test]
    async fn all_are_carried_out_or_none_and_the_file_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = opened(&folder).await;
        for refused in [(1, "again"), (2, "b")] {
            let mut all = Statements::default();
            insert(&mut all, &[(1, "a")]);
            insert(&mut all, &[refused]);
            assert_eq!(all.commit(&mut file).await.is_err(), refused.0 == 1);
            let there = rows(&mut file).await.len();
            assert_eq!(there, if refused.0 == 1 { 0 } else { 2 });
        }
    }

    #[tokio::test]
    async fn what_was_committed_is_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = opened(&folder).await;
        let mut all = Statements::default();
        insert(&mut all, &[(1, "a")]);
        insert(&mut all, &[(2, "b")]);
        all.commit(&mut file).await.unwrap();
        drop(file);
        let mut file = opened(&folder).await;
        assert_eq!(rows(&mut file).await.len(), 2);
    }
}
