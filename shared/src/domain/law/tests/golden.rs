//! The table of golden cells.

use super::*;

/// `deny CAUSE…`, with `...` where there may be more; or `allow`.
fn is_as_told(told: &str, causes: Set<Cause>) -> bool {
    let words: Vec<&str> = told.split_whitespace().collect();
    let named: Vec<Cause> = words[1..]
        .iter()
        .filter(|word| **word != "...")
        .map(|word| Cause::from_word(word).unwrap_or_else(|| panic!("no cause {word}")))
        .collect();
    match words[0] {
        "allow" => causes.is_empty() && named.is_empty(),
        "deny" if words.contains(&"...") => named.iter().all(|cause| causes.contains(*cause)),
        "deny" => !named.is_empty() && causes == Set::of(&named),
        other => panic!("{other:?}, expected allow or deny"),
    }
}

#[test]
fn l1_golden_table() {
    let book = book();
    let (mut cells, mut wrong) = (0, Vec::new());
    for line in GOLDEN
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let [differs, told, reference] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line:?}, expected three parts");
        };
        let (kind, differs) = differs.split_once(' ').unwrap();
        let decision = decided(&book, kind, differs);
        let of_causes = decision
            .reasons()
            .into_iter()
            .flat_map(|reason| reason.grounds);
        let grounds = match decision.verdict() {
            Verdict::Allow => decision.grounds(),
            Verdict::Deny => of_causes.collect(),
        };
        let named = grounds.iter().any(|ground| ground.reference == reference);
        if !named || !is_as_told(told, decision.causes()) {
            wrong.push(format!(
                "{line}\n  found {:?}, on {grounds:?}",
                decision.causes()
            ));
        }
        cells += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(cells >= 200, "{cells} cells");
}

#[test]
fn l1_every_cause_is_in_the_golden_table() {
    // Packs that lack a rule or contradict each other are not vendored: their causes are tested with made-up packs.
    let elsewhere = [
        Cause::RuleMissing,
        Cause::LimitsConflict,
        Cause::SensitiveProhibited,
    ];
    for cause in Cause::ALL.iter().filter(|cause| !elsewhere.contains(cause)) {
        let told = GOLDEN
            .lines()
            .any(|line| line.split_whitespace().any(|word| word == cause.word()));
        assert!(told, "no cell is denied by {cause}");
    }
}

#[test]
fn l1_a_no_says_what_to_do_and_whom_to_ask() {
    let decision = decided(&book(), "run", "population=199");
    let told: Vec<String> = decision.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "cohort_too_small: the declared population is below the smallest cohort (house/cohort_min_train@2018-01-01: decision of the \
             organisation); join the units, or leave this one out; ask \
             the approver"
        ]
    );
}

#[test]
fn l1_a_decision_is_bound_to_its_inputs_and_rules() {
    let base = decided(&book(), "run", "");
    assert_eq!(base.id(), decided(&book(), "run", "").id());
    for differs in [
        "population=5001",
        "on=2026-11-26",
        "purpose=interest.train",
        "place=DE,FR",
        "columns=tenure",
        "delta_pico=1",
    ] {
        let other = decided(&book(), "run", differs);
        assert_ne!(base.inputs_digest(), other.inputs_digest(), "{differs}");
        assert_ne!(base.id(), other.id());
        assert_eq!(base.policy_digest(), other.policy_digest());
    }
    let changed = book_with(|_, text| text.replace("value = 200", "value = 201"));
    let other = decided(&changed, "run", "");
    assert_eq!(base.inputs_digest(), other.inputs_digest());
    assert_ne!(base.policy_digest(), other.policy_digest());
    assert_ne!(base.id(), other.id());
}

#[test]
fn l1_a_witness_is_for_its_gate_and_subject_alone() {
    use crate::domain::law::witness::{Person, Query, Run, Train};
    let allowed = || decided(&book(), "run", "");
    assert!(allowed().allowed::<Train, Run>().is_ok());
    assert!(allowed().allowed::<Query, Run>().is_err());
    assert!(allowed().allowed::<Train, Person>().is_err());
    assert!(
        decided(&book(), "run", "population=1")
            .allowed::<Train, Run>()
            .is_err()
    );
    assert!(
        decided(&book(), "person", "")
            .allowed::<Train, Person>()
            .is_ok()
    );
}

#[test]
fn l1_what_is_printed_says_nothing_about_a_person() {
    use crate::domain::law::witness::{Person, Train};
    let decision = decided(&book(), "person", "age=12 block=objected");
    assert_eq!(format!("{decision:?}"), "Decision(train person <personal>)");
    let refused = decision.allowed::<Train, Person>().err().unwrap();
    assert_eq!(
        refused.to_string(),
        "a person is not eligible at gate train"
    );
    assert_eq!(
        format!("{:?}", case("person", "age=12"))
            .matches("<personal>")
            .count(),
        1
    );
}

#[test]
fn obligations_come_with_a_yes() {
    let of = |kind, differs| decided(&book(), kind, differs).obligations();
    let set = Set::<Obligation>::of;
    assert_eq!(
        of("run", ""),
        set(&[Obligation::Noise, Obligation::MinCohort])
    );
    assert_eq!(of("run", "epsilon_micro=999999"), of("run", ""));
    assert!(of("run", "epsilon_micro=1000000").contains(Obligation::WarnEpsilon));
    assert_eq!(
        of("run", "gate=query purpose=churn.query"),
        set(&[
            Obligation::Noise,
            Obligation::MinCohort,
            Obligation::Suppress
        ])
    );
    assert_eq!(
        of("person", "gate=score purpose=churn.score"),
        set(&[Obligation::LogExplanation])
    );
    assert_eq!(
        of("person", "gate=score purpose=churn.score block=objected"),
        set(&[Obligation::Suppress])
    );
    assert!(of("run", "population=1").is_empty());
}
