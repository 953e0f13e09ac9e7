//! The only way to open a database file: encrypted, page by page, with the key before anything else.
//!
//! No statement is logged: the first one holds the key. A plain file from before is encrypted on the way, or refused.

// Named for its features: SQLCipher instead of SQLite below sqlx.
use libsqlite3_sys as _;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _,
};
use zeroize::Zeroizing;

use super::keys::DatabaseKey;
use super::takeover::take_over;

/// How a database is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One process alone, with a small cache.
    Exclusive,
    /// Several processes, each waiting this long for another that writes; what is deleted is overwritten.
    Shared(Duration),
    /// One process alone, which waits this long for one that is closing it; what is deleted is overwritten.
    Log(Duration),
}

/// Opens a database file for its owner alone, makes it where there is none, encrypts it where it is plain. Write-ahead log; what is
/// committed survives a power cut.
///
/// # Errors
///
/// The file cannot be opened, is none, was encrypted under another key, or is plain where nothing is.
pub async fn open_sqlite(
    path: &Path,
    key: &DatabaseKey,
    shape: Shape,
) -> Result<SqliteConnection, sqlx::Error> {
    prepare(path, key).await?;
    let options = encrypted(path, key)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let options = match shape {
        Shape::Exclusive => options
            .locking_mode(SqliteLockingMode::Exclusive)
            .pragma("cache_size", "-512"),
        Shape::Log(wait) => options
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(wait)
            .pragma("secure_delete", "on")
            .pragma("cache_size", "-2048"),
        Shape::Shared(wait) => options.pragma("secure_delete", "on").busy_timeout(wait),
    };
    SqliteConnection::connect_with(&options).await
}

/// As [`open_sqlite`], one connection behind the interface that serves several kinds of databases.
///
/// # Errors
///
/// As there.
pub async fn open_any(
    path: &Path,
    key: &DatabaseKey,
    wait: Duration,
) -> Result<AnyPool, sqlx::Error> {
    sqlx::any::install_default_drivers();
    prepare(path, key).await?;
    let options = url(path)
        .parse::<AnyConnectOptions>()?
        .disable_statement_logging();
    // Tells at once why a file cannot be used: a pool tries again and again, and says in the end that it has waited.
    probe(&options, key).await?;
    let key = key.clone();
    AnyPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(wait)
        // A file of this process does not go away as a server does.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let key = key.clone();
            Box::pin(async move { unlock(connection, &key).await })
        })
        .connect_with(options)
        .await
}

async fn probe(options: &AnyConnectOptions, key: &DatabaseKey) -> Result<(), sqlx::Error> {
    let first = async {
        let mut first = AnyConnection::connect_with(options).await?;
        unlock(&mut first, key).await?;
        first.close().await
    };
    match first.await {
        // Another process is opening or closing it: worth waiting for.
        Err(error) if is_busy(&error) => Ok(()),
        probed => probed,
    }
}

/// The key first, then what makes commits last.
async fn unlock(connection: &mut AnyConnection, key: &DatabaseKey) -> Result<(), sqlx::Error> {
    let statement = Zeroizing::new(format!("PRAGMA key = \"{}\"", *key.literal()));
    connection
        .execute(AssertSqlSafe(statement.to_string()))
        .await?;
    connection.execute("PRAGMA cipher_log_level = NONE").await?;
    connection.execute("PRAGMA journal_mode = WAL").await?;
    connection.execute("PRAGMA synchronous = FULL").await?;
    Ok(())
}

/// Options with the key, which sqlx puts in front of every other pragma.
pub(super) fn encrypted(path: &Path, key: &DatabaseKey) -> SqliteConnectOptions {
    plain(path)
        .pragma("key", format!("\"{}\"", *key.literal()))
        // A wrong key is told by an error; the library's own lines on stderr say no more.
        .pragma("cipher_log_level", "NONE")
}

/// Options without a key; nothing is made, nothing is logged.
pub(super) fn plain(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .disable_statement_logging()
}

// Without them, a process that ends while a file is closed may end with a segmentation fault.
const _: () = assert!(
    option_env!("LIBSQLITE3_FLAGS").is_some(),
    "build inside the repository: .cargo/config.toml has flags for the library that encrypts"
);

/// What comes before every opening.
async fn prepare(path: &Path, key: &DatabaseKey) -> Result<(), sqlx::Error> {
    // First of all: the library that encrypts is not taken down at exit, while a thread may still be closing a file with it.
    openssl_sys::init();
    make_private(path)?;
    take_over(path, key).await
}

/// SQLITE_BUSY, in its plain and extended forms.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

/// The URL of a file, whatever characters its path has.
fn url(file: &Path) -> String {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut url = "sqlite://".to_owned();
    for byte in whole.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push(char::from(*byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url + "?mode=rw"
}

/// Makes an empty file for its owner alone, unless there is one.
fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::refusal_in;
    use super::*;

    const CANARY: &str = "canary-4711-of-a-customer";

    async fn filled(path: &Path, key: &DatabaseKey, shape: Shape) {
        let mut connection = open_sqlite(path, key, shape).await.unwrap();
        connection.execute("CREATE TABLE t (v TEXT)").await.unwrap();
        sqlx::query("INSERT INTO t VALUES ($1)")
            .bind(CANARY)
            .execute(&mut connection)
            .await
            .unwrap();
        let row = sqlx::query("SELECT v FROM t")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(row.get::<&str, _>(0), CANARY);
        check_hidden(path);
        connection.close().await.unwrap();
        check_hidden(path);
    }

    /// Nothing in the file's folder holds the value.
    #[track_caller]
    fn check_hidden(path: &Path) {
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let found = bytes
                .windows(CANARY.len())
                .any(|part| part == CANARY.as_bytes());
            assert!(!found && !bytes.starts_with(b"SQLite format 3"));
        }
    }

    #[tokio::test]
    async fn a_database_is_opened_with_its_key_alone() {
        for shape in [Shape::Exclusive, Shape::Shared(Duration::from_secs(1))] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            filled(&path, &DatabaseKey::new([7; 32]), shape).await;
            for _ in 0..2 {
                let other = open_sqlite(&path, &DatabaseKey::new([8; 32]), shape).await;
                let code = other.unwrap_err();
                let code = code
                    .as_database_error()
                    .unwrap()
                    .code()
                    .unwrap()
                    .into_owned();
                assert_eq!(code, "26");
                let again = open_sqlite(&path, &DatabaseKey::new([7; 32]), shape).await;
                let mut again = again.unwrap();
                let row = sqlx::query("SELECT v FROM t")
                    .fetch_one(&mut again)
                    .await
                    .unwrap();
                assert_eq!(row.get::<&str, _>(0), CANARY);
            }
        }
    }

    /// Locks of this process on a file.
    fn locks(path: &Path) -> usize {
        let number = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
        let (process, file) = (format!(" {} ", std::process::id()), format!(":{number} "));
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        let own = all.lines().filter(|line| line.contains(&process));
        own.filter(|line| line.contains(&file)).count()
    }

    #[tokio::test]
    async fn opening_a_database_again_leaves_the_first_connection_its_locks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (key, shape) = (
            DatabaseKey::new([7; 32]),
            Shape::Shared(Duration::from_secs(1)),
        );
        let mut first = open_sqlite(&path, &key, shape).await.unwrap();
        first.execute("CREATE TABLE t (v TEXT)").await.unwrap();
        assert!(locks(&path) > 0);
        let second = open_sqlite(&path, &key, shape).await.unwrap();
        second.close().await.unwrap();
        assert!(locks(&path) > 0, "or another process takes its log away");
    }

    #[tokio::test]
    async fn a_pool_opens_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b%20?c.db");
        let key = DatabaseKey::new([7; 32]);
        filled(&path, &key, Shape::Exclusive).await;
        let pool = open_any(&path, &key, Duration::from_secs(5)).await.unwrap();
        let found: String = sqlx::query_scalar("SELECT v FROM t")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(found, CANARY);
        pool.close().await;
        check_hidden(&path);
        let other = DatabaseKey::new([8; 32]);
        let other = open_any(&path, &other, Duration::from_secs(5));
        assert!(other.await.is_err());
    }

    #[tokio::test]
    async fn a_plain_database_of_before_is_encrypted_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let options = plain(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut old = SqliteConnection::connect_with(&options).await.unwrap();
        old.execute("CREATE TABLE t (v TEXT)").await.unwrap();
        sqlx::query("INSERT INTO t VALUES ($1)")
            .bind(CANARY)
            .execute(&mut old)
            .await
            .unwrap();
        // As after a crash: what was committed is in the log alone.
        let copy = folder.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        for name in ["x.db", "x.db-wal"] {
            std::fs::copy(folder.path().join(name), copy.join(name)).unwrap();
        }
        std::fs::write(copy.join("x.db.sealing"), "left by a crash").unwrap();
        let (path, key) = (copy.join("x.db"), DatabaseKey::new([7; 32]));
        // Where all is encrypted, somebody put it there.
        let mut strict = key.clone();
        strict.takes_plain = false;
        for _ in 0..2 {
            let refused = open_sqlite(&path, &strict, Shape::Exclusive).await;
            let refused = anyhow::Error::from(refused.unwrap_err());
            assert!(refusal_in(&refused).is_some(), "{refused:#}");
        }
        for _ in 0..2 {
            let mut taken = open_sqlite(&path, &key, Shape::Exclusive).await.unwrap();
            let row = sqlx::query("SELECT v FROM t")
                .fetch_one(&mut taken)
                .await
                .unwrap();
            assert_eq!(row.get::<&str, _>(0), CANARY);
            taken.close().await.unwrap();
            check_hidden(&path);
        }
        assert!(!copy.join("x.db.sealing").exists());
    }

    #[tokio::test]
    async fn another_file_is_no_database_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let text = "name,age\nx,7\n".repeat(500);
        std::fs::write(&path, &text).unwrap();
        assert!(
            open_sqlite(&path, &DatabaseKey::new([7; 32]), Shape::Exclusive)
                .await
                .is_err()
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    /// Set in a process of [`a_process_that_ends_while_files_are_closed_ends_well`]: where its files are.
    const ENDING: &str = "AQUIFER_TEST_ENDING_IN";

    /// Threads open and close databases over and over, and the process ends in the middle of it.
    fn end_in_the_middle(folder: &Path) -> ! {
        let (begun, heard) = std::sync::mpsc::channel();
        for number in 0..4 {
            let (path, begun) = (folder.join(format!("{number}.db")), begun.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                let key = DatabaseKey::new([7; 32]);
                loop {
                    runtime.block_on(filled_again(&path, &key));
                    let _ = begun.send(());
                }
            });
        }
        for _ in 0..6 {
            heard.recv().unwrap();
        }
        std::process::exit(0)
    }

    async fn filled_again(path: &Path, key: &DatabaseKey) {
        let opened = open_sqlite(path, key, Shape::Exclusive).await;
        let mut opened = opened.unwrap();
        let made = opened.execute("CREATE TABLE IF NOT EXISTS t (v TEXT)");
        made.await.unwrap();
        opened.execute("INSERT INTO t VALUES ('x')").await.unwrap();
        opened.close().await.unwrap();
    }

    /// The library must not be taken down at exit under a thread that still closes a file: that ends some processes with a signal.
    ///
    /// Seen to fail with the flags' work undone (a preloaded `__cxa_at_quick_exit` that calls `__cxa_atexit`): one of the first 16 processes
    /// ended with signal 11 in each of three runs.
    #[test]
    fn a_process_that_ends_while_files_are_closed_ends_well() {
        if let Some(folder) = std::env::var_os(ENDING) {
            end_in_the_middle(Path::new(&folder));
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_process_that_ends_while_files_are_closed_ends_well");
        for number in 0..40 {
            let folder = tempfile::tempdir().unwrap();
            let own = std::env::current_exe().unwrap();
            let mut child = std::process::Command::new(own);
            let child = child.args(["--exact", &name]).env(ENDING, folder.path());
            let ended = child.output().unwrap();
            assert_eq!(ended.status.code(), Some(0), "process {number}: {ended:?}");
            assert!(folder.path().join("0.db").exists(), "it did what it is for");
        }
    }
}
