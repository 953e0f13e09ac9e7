//! Rules of the protocol are judged strictly by every program: only simulations name another way.

use super::{Finding, Source};

/// The way to judge rules otherwise, and the one shipped file that may name it: where it is defined.
const OTHERWISE: &str = "Checks::judged_by";
const DEFINED: &str = "shared/src/protocol/aggregation/guards.rs";

/// Findings about how a file judges rules.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    if file.path.starts_with("tests/") || file.path == DEFINED {
        return Vec::new();
    }
    let shipped = file.shipped().filter(|(_, code)| code.contains(OTHERWISE));
    let found = shipped.map(|(line, _)| Finding {
        file: file.path.clone(),
        line,
        message: format!("strictness: `{OTHERWISE}` outside tests, expected `Checks::STRICT`"),
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_file(path: &str, text: &str, caught: usize) {
        assert_eq!(
            check(&Source::new(path, text)).len(),
            caught,
            "{path}: {text}"
        );
    }

    #[test]
    fn programs_judge_strictly() {
        let otherwise = "fn f() { let checks = Checks::judged_by(|_, _| true); }\n";
        check_file("node/src/shell/serve.rs", otherwise, 1);
        check_file("shared/src/protocol/aggregation/setting.rs", otherwise, 1);
        check_file("node/src/shell/serve.rs", "fn f() { Checks::STRICT; }\n", 0);
    }

    #[test]
    fn tests_and_simulations_may_judge_otherwise() {
        let otherwise = "fn f() { Checks::judged_by(g); }\n";
        check_file("tests/src/simulator/judges.rs", otherwise, 0);
        check_file(DEFINED, otherwise, 0);
        let inside = format!("#[cfg(test)]\nmod tests {{\n{otherwise}}}\n");
        check_file("node/src/core/ledger/mod.rs", &inside, 0);
    }
}
