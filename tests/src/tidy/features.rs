//! The features of the release against the tests: every id has a test, and the page for auditors names each and nothing else.

use std::collections::BTreeSet;

use super::{Finding, Source};

/// The page for auditors.
const PAGE: &str = "docs/compliance.md";

/// Ids of tests by feature; a test of an id is one whose name begins with it.
const RELEASED: &[(&str, &[&str])] = &[
    (
        "L1",
        &["l1_golden_table", "l1_unknown_denies", "l1_no_bypass"],
    ),
    ("L2", &["l2_join_laws", "l2_never_more_permissive"]),
    (
        "L3",
        &[
            "l3_significant_needs_reviewer",
            "l3_screened_use_denied",
            "l3_override_needs_two_signers",
        ],
    ),
    ("L4", &["l4_expired_rule_denies"]),
    (
        "C1",
        &[
            "c1_receipt_verifies_in_python",
            "c1_any_flipped_byte_fails",
            "c1_every_iri_is_known",
        ],
    ),
    (
        "C2",
        &[
            "c2_withdrawn_is_in_no_later_cut",
            "c2_import_order_is_irrelevant",
            "c2_tie_goes_to_withdrawal",
            "c2_old_consent_never_revives",
        ],
    ),
    (
        "C3",
        &[
            "c3_objector_is_never_scored",
            "c3_objector_is_in_no_cut",
            "c3_coordinator_refuses_real_customers",
        ],
    ),
    ("C4", &["c4_sale_denied_without_signals"]),
    (
        "C5",
        &[
            "c5_material_change_voids",
            "c5_cosmetic_change_keeps",
            "c5_unknown_hash_denies",
        ],
    ),
    ("C6", &["c6_age_table", "c6_unknown_age_denies"]),
    (
        "C7",
        &[
            "c7_second_import_appends_no_consent",
            "c7_bad_rows_are_quarantined",
            "c7_future_dates_rejected",
            "c7_partial_status_map_fails",
        ],
    ),
    (
        "A1",
        &[
            "a1_accountant_matches_reference",
            "a1_exhausted_denies",
            "a1_crash_forgets_no_spend",
            "a1_concurrent_requests_never_overspend",
        ],
    ),
    (
        "A3",
        &["a3_no_id_shaped_field", "a3_canary_ids_not_on_wire"],
    ),
    (
        "A4",
        &[
            "a4_neighbour_queries_differ_by_noise_only",
            "a4_no_exact_count_in_coordinator",
            "a4_refusal_ignores_data",
        ],
    ),
    (
        "S1",
        &[
            "s1_bad_certificates_refused",
            "s1_no_plaintext_on_disk",
            "s1_policy_change_needs_two",
        ],
    ),
    (
        "S3",
        &["s3_wrong_digest_refused", "s3_digest_in_round_record"],
    ),
    (
        "T1",
        &[
            "t1_every_number_has_an_index",
            "t1_changed_ledger_refuses",
            "t1_word_lint",
            "t1_accessible_html",
            "t1_explanation_matches_score",
        ],
    ),
    ("T2", &["t2_golden_subject_exact", "t2_no_other_subject"]),
    ("T3", &["t3_incomplete_block_refuses_card"]),
    (
        "R1",
        &[
            "r1_same_ledger_same_bytes",
            "r1_alter_drop_reorder_fork_located",
            "r1_python_agrees",
            "r1_c2sp_note_vector",
            "r1_fork_caught_within_one_round",
            "r1_crash_at_every_write_leaves_a_valid_log",
            "r1_tree_size_hides_consent_count",
        ],
    ),
    ("R2", &["r2_stale_dpia_denies"]),
    (
        "R3",
        &[
            "r3_correct_noise_passes",
            "r3_quarter_noise_caught",
            "r3_tenth_noise_caught",
            "r3_no_clipping_caught",
            "r3_shared_noise_stream_caught",
            "r3_wrong_sampling_rate",
        ],
    ),
];

/// Findings about the tests of features, and about the page that lists them.
pub(super) fn check(files: &[Source]) -> Vec<Finding> {
    check_released(files, RELEASED)
}

fn check_released(files: &[Source], released: &[(&str, &[&str])]) -> Vec<Finding> {
    let tests: BTreeSet<String> = files.iter().flat_map(tests_of).collect();
    let mut found = Vec::new();
    let mut say = |line: usize, message: String| {
        found.push(Finding {
            file: PAGE.to_owned(),
            line,
            message: format!("features: {message}"),
        });
    };
    for id in released.iter().flat_map(|(_, ids)| ids.iter()) {
        if !tests.iter().any(|test| is_of(test, id)) {
            say(0, format!("no test has a name that begins with {id}"));
        }
    }
    let page = files.iter().find(|file| file.path == PAGE);
    let rows: Vec<Row<'_>> = page.map(rows).unwrap_or_default();
    for row in &rows {
        for name in &row.tests {
            if !tests.iter().any(|test| is_of(test, name)) {
                say(row.line, format!("{name} is no test"));
            }
        }
    }
    for (feature, ids) in released {
        let own: Vec<&Row<'_>> = rows.iter().filter(|row| row.first == *feature).collect();
        match own[..] {
            [row] if row.tests == *ids => {}
            [row] => say(
                row.line,
                format!("{feature} has {:?}, expected {ids:?}", row.tests),
            ),
            _ => say(0, format!("{} rows of {feature}, expected one", own.len())),
        }
    }
    for row in rows.iter().filter(|row| is_feature(row.first)) {
        if !released.iter().any(|(feature, _)| *feature == row.first) {
            say(row.line, format!("{} is not in the release", row.first));
        }
    }
    found
}

/// A row of a table of the page.
struct Row<'a> {
    line: usize,
    first: &'a str,
    /// What the last cell quotes.
    tests: Vec<&'a str>,
}

fn rows(page: &Source) -> Vec<Row<'_>> {
    let numbered = page.text.lines().enumerate();
    let rows = numbered.filter_map(|(index, text)| {
        let cells: Vec<&str> = text.strip_prefix("| ")?.split(" | ").collect();
        let last = cells.last()?;
        let tests = last.split('`').skip(1).step_by(2).collect();
        let (line, first) = (index + 1, cells[0]);
        Some(Row { line, first, tests })
    });
    rows.collect()
}

fn is_feature(cell: &str) -> bool {
    let mut letters = cell.chars();
    let starts = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_uppercase());
    starts && cell.len() > 1 && letters.all(|letter| letter.is_ascii_digit())
}

/// Whether a test is one of an id: its name is the id, or goes on after it.
fn is_of(test: &str, id: &str) -> bool {
    let rest = test.strip_prefix(id);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Names of functions that run as tests.
fn tests_of(file: &Source) -> Vec<String> {
    let (mut found, mut marked) = (Vec::new(), false);
    for line in file.code.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        let named = line.strip_prefix("async ").unwrap_or(line);
        if let Some(named) = named.strip_prefix("fn ") {
            let name = named.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut marked) {
                found.push(name.trim().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: [(&str, &[&str]); 1] = [("L1", &["l1_one", "l1_two"])];
    const TESTS: &str =
        "#[test]\nfn l1_one() {}\n#[tokio::test]\nasync fn l1_two_and_more() {}\nfn l1_none() {}\n";

    #[track_caller]
    fn check_page(page: &str, tests: &str, expected: &[&str]) {
        let files = [Source::new(PAGE, page), Source::new("node/src/x.rs", tests)];
        let found = check_released(&files, &RELEASED);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    const ROW: &str = "| L1 | what runs | `l1_one` `l1_two` |\n";

    #[test]
    fn every_id_has_a_test_and_a_row() {
        check_page(ROW, TESTS, &[]);
        check_page(ROW, "", &["l1_one", "l1_two", "l1_one", "l1_two"]);
        check_page("", TESTS, &["0 rows of L1"]);
        let twice = format!("{ROW}{ROW}");
        check_page(&twice, TESTS, &["2 rows of L1"]);
    }

    #[test]
    fn rows_name_what_there_is() {
        let less = "| L1 | what runs | `l1_one` |\n";
        check_page(less, TESTS, &["expected [\"l1_one\", \"l1_two\"]"]);
        let more = format!("{ROW}| L2 | `aquifer` | `l1_two` |\n");
        check_page(&more, TESTS, &["L2 is not in the release"]);
        let wrong = format!("{ROW}| an attack | `l1_none` |\n");
        check_page(&wrong, TESTS, &["l1_none is no test"]);
        let begun = format!("{ROW}| an attack | `l1_tw` |\n");
        check_page(&begun, TESTS, &["l1_tw is no test"]);
    }
}
