//! Database files are opened in one place, with their key: nothing else can make a plain one.

use super::{Finding, Source};

/// Ways to open a database file, past the one that knows its key.
const WAYS: [&str; 6] = [
    "SqliteConnectOptions",
    "SqlitePool",
    "SqliteConnection::connect",
    "AnyConnection::connect",
    "AnyConnectOptions",
    "AnyPoolOptions",
];
/// Where files are opened.
const HERE: &str = "shared/src/shell/at_rest/";
/// Where a database server is connected to; files go through the above.
const SERVER: (&str, &str) = ("coordinator/src/shell/store/mod.rs", "AnyPoolOptions");

/// Findings about how a file opens databases.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    if file.path.starts_with("tests/") || file.path.starts_with(HERE) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, code) in file.shipped() {
        let ways = WAYS.iter().filter(|way| code.contains(**way));
        for way in ways.filter(|way| (file.path.as_str(), **way) != SERVER) {
            found.push(Finding {
                file: file.path.clone(),
                line,
                message: format!("database: `{way}` outside {HERE}, expected `at_rest::open_sqlite` or `open_any`"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_file(path: &str, text: &str, caught: usize) {
        let found = check(&Source::new(path, text));
        assert_eq!(found.len(), caught, "{path}: {text}");
    }

    #[test]
    fn files_are_opened_in_one_place() {
        let plain = "fn f() { SqliteConnectOptions::new(); }\n";
        check_file("node/src/shell/store/mod.rs", plain, 1);
        check_file("shared/src/shell/at_rest/database.rs", plain, 0);
        check_file(
            "node/src/shell/x.rs",
            "fn f() { SqliteConnection::connect(url); }\n",
            1,
        );
    }

    #[test]
    fn a_server_is_connected_to_in_one_place() {
        let pool = "fn f() { AnyPoolOptions::new(); }\n";
        check_file("coordinator/src/shell/store/mod.rs", pool, 0);
        check_file("coordinator/src/shell/hub.rs", pool, 1);
        check_file(
            "coordinator/src/shell/store/mod.rs",
            "fn f() { AnyConnection::connect(u); }\n",
            1,
        );
    }

    #[test]
    fn tests_may_look_at_files_as_they_are() {
        check_file(
            "tests/tests/x.rs",
            "fn f() { SqlitePool::connect(u); }\n",
            0,
        );
    }
}
