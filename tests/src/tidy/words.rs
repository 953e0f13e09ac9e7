//! Words that promise what no program can, and marks of unfinished work.

use super::{Finding, Source};

/// Findings of law about a whole use, not of a program; files that explain why may name them.
const PROMISES: [&str; 4] = ["anonymous", "anonymis", "anonymiz", "gdpr-compliant"];
const MAY_EXPLAIN: [&str; 6] = [
    "docs/privacy.md",
    "README.md",
    "tests/src/tidy/words.rs",
    // What documents refuse to say, and the tests of it.
    "shared/src/domain/facts/words.rs",
    "shared/src/shell/history/documents.rs",
    "node/src/shell/rights/tests.rs",
];
const UNFINISHED: [&str; 4] = ["FIXME", "XXX", "todo!(", "unimplemented!("];

/// Findings about the words of any file.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    if MAY_EXPLAIN.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let found = file.text.lines().enumerate().filter_map(|(index, line)| {
        let lower = line.to_lowercase();
        let promise = PROMISES.iter().find(|word| lower.contains(**word));
        let unfinished = UNFINISHED.iter().find(|mark| line.contains(**mark));
        let message = match (promise, unfinished) {
            (Some(word), _) => format!("words: `{word}` promises what no program can"),
            (None, Some(mark)) => format!("words: `{mark}` marks unfinished work"),
            (None, None) => return None,
        };
        Some(Finding {
            file: file.path.clone(),
            line: index + 1,
            message,
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_and_unfinished_work_are_caught() {
        for bad in [
            "The data is Anonymous.",
            "// FIXME later",
            "fn f() { todo!() }",
        ] {
            assert_eq!(check(&Source::new("docs/x.md", bad)).len(), 1, "{bad}");
        }
        assert_eq!(check(&Source::new("docs/x.md", "Sums with noise.")), []);
    }
}
