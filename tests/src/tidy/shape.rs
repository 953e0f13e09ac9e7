//! Length of files and functions, module headers, file names, panics and sleeps.

use super::source::{item_end, line_of};
use super::{Finding, Source};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "misc", "manager", "helpers", "common"];

/// Findings about the shape of a Rust file.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |line, message: String| {
        found.push(Finding {
            file: file.path.clone(),
            line,
            message,
        });
    };
    if !file.text.starts_with("//!") {
        add(
            1,
            "header: the file does not open with `//!`, what it owns and what it never does"
                .to_owned(),
        );
    }
    let whole_test = file.path.starts_with("tests/tests/");
    let lines = if whole_test {
        file.text.lines().count()
    } else {
        file.shipped().count()
    };
    if lines > FILE_LINES_MAX {
        add(
            0,
            format!(
                "length: {lines} lines outside test modules, expected at most {FILE_LINES_MAX}"
            ),
        );
    }
    for (line, length) in function_lengths(file) {
        if length > FUNCTION_LINES_MAX {
            add(
                line,
                format!(
                    "length: a function of {length} lines, expected at most {FUNCTION_LINES_MAX}"
                ),
            );
        }
    }
    for (line, code) in file.shipped() {
        if code.contains(".unwrap()") {
            add(line, "panic: `unwrap` outside tests, expected `expect` with what makes it true, or an error".to_owned());
        }
    }
    for (line, code) in file.tests() {
        if code.contains("thread::sleep") || code.contains("time::sleep") {
            add(
                line,
                "sleep: a test waits for time, expected it to wait for what it needs".to_owned(),
            );
        }
    }
    found
}

/// Findings about the name of any file.
pub(super) fn check_name(file: &Source) -> Option<Finding> {
    let name = file.path.rsplit('/').next()?.split('.').next()?;
    let folder = file.path.rsplit('/').nth(1).unwrap_or_default();
    let empty = EMPTY_NAMES
        .iter()
        .find(|empty| name == **empty || folder == **empty)?;
    Some(Finding {
        file: file.path.clone(),
        line: 0,
        message: format!("name: `{empty}` says nothing, expected a name that says what is inside"),
    })
}

fn function_lengths(file: &Source) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices("fn ") {
        let before = file.code[..at].chars().next_back();
        let line = line_of(&file.code, at);
        let starts = before.is_none_or(|c| c.is_whitespace() || c == '(');
        if !starts || file.in_tests[line] && !file.path.starts_with("tests/tests/") {
            continue;
        }
        let last = line_of(&file.code, item_end(&file.code, at));
        found.push((line + 1, last - line + 1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rule(path: &str, text: &str, rule: Option<&str>) {
        let found = check(&Source::new(path, text));
        let rules: Vec<_> = found
            .iter()
            .map(|f| f.message.split(':').next().unwrap())
            .collect();
        assert_eq!(rules, Vec::from_iter(rule));
    }

    fn function(lines: usize) -> String {
        format!("//! X.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_has_a_header() {
        check_rule("node/src/x.rs", "fn f() {}\n", Some("header"));
        check_rule("node/src/x.rs", "//! X.\nfn f() {}\n", None);
    }

    #[test]
    fn functions_and_files_end() {
        check_rule("node/src/x.rs", &function(70), None);
        check_rule("node/src/x.rs", &function(71), Some("length"));
        let file = |lines: usize| format!("//! X.\n{}", "fn f() {}\n".repeat(lines - 1));
        check_rule("node/src/x.rs", &file(500), None);
        check_rule("node/src/x.rs", &file(501), Some("length"));
        let tests = format!(
            "//! X.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "// t\n".repeat(600)
        );
        check_rule("node/src/x.rs", &tests, None);
    }

    #[test]
    fn shipped_code_does_not_unwrap() {
        check_rule(
            "node/src/x.rs",
            "//! X.\nfn f() { g().unwrap() }\n",
            Some("panic"),
        );
        check_rule(
            "node/src/x.rs",
            "//! X.\nfn f() { g(\".unwrap()\") }\n",
            None,
        );
        check_rule(
            "tests/tests/x.rs",
            "//! X.\nfn f() { g().unwrap() }\n",
            None,
        );
    }

    #[test]
    fn tests_do_not_sleep() {
        check_rule(
            "tests/tests/x.rs",
            "//! X.\nfn f() { std::thread::sleep(d) }\n",
            Some("sleep"),
        );
        let inside = "//! X.\n#[cfg(test)]\nmod tests {\n    async fn f() { tokio::time::sleep(d).await }\n}\n";
        check_rule("node/src/x.rs", inside, Some("sleep"));
    }

    #[test]
    fn names_say_something() {
        for bad in [
            "node/src/utils.rs",
            "node/src/misc/x.rs",
            "shared/src/manager.rs",
        ] {
            assert!(check_name(&Source::new(bad, "")).is_some(), "{bad}");
        }
        assert!(check_name(&Source::new("node/src/ledger.rs", "")).is_none());
    }
}
