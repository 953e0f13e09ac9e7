//! Consent through the commands that a unit uses: imports, the desk, receipts, and scores that are suppressed.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aquifer_shared::domain::law::Basis;
use aquifer_tests::policy::Policy;
use aquifer_tests::study::state;
use serde_json::{Value, json};

use super::fixture::{STEP_MS, Small, check_says, policy};

const NOTICE: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// Two purposes in two columns, as a consent system has them.
const MAPPING: &str = r#"
source = "crm"
format = "csv-wide"
subject = "customer"
event_at = "at"
notice = "notice"
[purposes]
learn = "churn.train"
score = "churn.score"
[statuses]
yes = "given"
no = "withdrawn"
"#;

/// A unit at whose desk somebody sits.
pub struct Unit<'a> {
    pub small: &'a Small,
    pub index: usize,
}

impl Unit<'_> {
    pub fn file(&self, name: &str, text: &str) -> String {
        let folder = &self.small.cluster.nodes[self.index].folder;
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Ends with this code and says this as JSON.
    #[track_caller]
    pub fn consent(&self, arguments: &[&str], code: i32) -> Value {
        let arguments = [&["consent"], arguments, &["--json"]].concat();
        let outcome = self.small.node(self.index, &arguments);
        check_says(&outcome, code, &[]);
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// All customers of the unit agree to both, a day ago.
    pub fn everybody_agrees(&self) -> u64 {
        let notices = format!(
            "[[notice]]\nid = \"privacy\"\nversion = 1\nlang = \"en\"\nsha256 = \"{NOTICE}\"\n"
        );
        self.consent(&["notices", &self.file("notices.toml", &notices)], 0);
        let before = SystemTime::now() - Duration::from_secs(24 * 3_600);
        let at = before.duration_since(UNIX_EPOCH).unwrap().as_millis();
        let customers = self.small.company.of_unit(self.index);
        let rows: Vec<String> = customers
            .map(|customer| format!("{},{at},{NOTICE},yes,yes\n", customer.id))
            .collect();
        let text = format!("customer,at,notice,learn,score\n{}", rows.concat());
        let (file, map) = (self.file("crm.csv", &text), self.file("crm.toml", MAPPING));
        let tried = self.consent(&["import", &file, "--map", &map, "--dry-run"], 0);
        let done = self.consent(&["import", &file, "--map", &map], 0);
        assert_eq!(
            (&tried["new"], &done["new"]),
            (&json!(2 * rows.len()), &tried["new"])
        );
        let again = self.consent(&["import", &file, "--map", &map], 0);
        assert_eq!((&again["new"], &again["known"]), (&json!(0), &done["new"]));
        rows.len() as u64
    }

    pub fn eligible(&self, purpose: &str) -> u64 {
        let status = self.consent(&["status"], 0);
        let purposes = status["purposes"].as_array().unwrap();
        let own = purposes.iter().find(|own| own["purpose"] == purpose);
        own.unwrap()["eligible"].as_u64().unwrap()
    }

    /// State and score of each customer.
    pub fn scores(&self, name: &str) -> BTreeMap<String, (String, String)> {
        let out = self.small.folder.path().join(name);
        let arguments = [
            "score",
            "--model",
            "churn",
            "--purpose",
            "churn.score",
            "--reasons",
            "0",
            "--out",
            &out.to_string_lossy(),
        ];
        check_says(&self.small.node(self.index, &arguments), 0, &["suppressed"]);
        let text = fs::read_to_string(out).unwrap();
        let line = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            let [customer, probability, score, state] = fields[..] else {
                panic!("four columns");
            };
            assert_eq!(probability.is_empty(), score.is_empty());
            (customer.to_owned(), (state.to_owned(), score.to_owned()))
        };
        text.lines().skip(1).map(line).collect()
    }
}

#[test]
fn c3_objector_is_never_scored_and_is_in_no_later_cut() {
    let small = Small::started(&Policy {
        basis: Basis::Consent,
        ..policy()
    });
    let unit = |index| Unit {
        small: &small,
        index,
    };
    for index in 1..3 {
        unit(index).everybody_agrees();
    }
    // The nodes run, and read what is imported before their next sum.
    let north = unit(0);
    let count = north.everybody_agrees();
    assert_eq!(north.eligible("churn.train"), count);
    let last = small.cluster.run_study(&small.study(""), STEP_MS).unwrap();
    assert_eq!(state(&last), "published", "{last}");

    let ids: Vec<String> = small.company.of_unit(0).map(|own| own.id.clone()).collect();
    let (withdrawn, objector) = (&*ids[0], &*ids[1]);
    let all = north.scores("before.csv");
    assert!(
        all.values()
            .all(|(state, score)| state == "scored" && !score.is_empty())
    );
    let withdraw = [
        "withdraw",
        "--subject",
        withdrawn,
        "--purpose",
        "churn.score",
    ];
    assert_eq!(north.consent(&withdraw, 0)["recorded"], "withdrawn");
    let object = ["object", "--subject", objector, "--purpose", "all"];
    assert_eq!(north.consent(&object, 0)["recorded"], "objected");
    assert_eq!(north.eligible("churn.score"), count - 2);
    assert_eq!(north.eligible("churn.train"), count - 1);

    let after = north.scores("after.csv");
    for (customer, (state, score)) in &after {
        let out = [withdrawn, objector].contains(&customer.as_str());
        let expected = if out { "suppressed" } else { "scored" };
        assert_eq!((state.as_str(), score.is_empty()), (expected, out));
    }
    check_desk(&north, withdrawn, objector);
    check_history(&north);
    check_models(&north, objector);
    check_refusals(&north);
}

fn check_desk(unit: &Unit<'_>, withdrawn: &str, objector: &str) {
    let shown = unit.consent(&["show", "--subject", withdrawn], 0);
    assert_eq!(shown["events"].as_array().unwrap().len(), 3);
    let of = |shown: &Value, purpose: &str| {
        let purposes = shown["purposes"].as_array().unwrap();
        let own = purposes.iter().find(|own| own["purpose"] == purpose);
        own.unwrap().clone()
    };
    assert_eq!(of(&shown, "churn.score")["consent"], "withdrawn");
    assert_eq!(of(&shown, "churn.train")["eligible"], true);
    let shown = unit.consent(&["show", "--subject", objector], 0);
    assert_eq!(of(&shown, "churn.train")["blocked"], "objected");

    let receipt = [
        "receipt",
        "--subject",
        withdrawn,
        "--purpose",
        "churn.score",
    ];
    let receipt = unit.consent(&receipt, 0)["content"].clone();
    assert_eq!(receipt["@type"], "dpv:ConsentReceipt");
    assert_eq!(receipt["state"], "dpv:ConsentWithdrawn");
    assert_eq!(receipt["notice"]["sha256"], NOTICE);
    assert_eq!(receipt["events"].as_array().unwrap().len(), 2);
    assert!(receipt["next_round_excluded_from"].is_string());
    assert!(
        !receipt.to_string().contains(withdrawn),
        "the id is not in it"
    );
}

/// What was written down while the node ran is in its history, and the records are what it was told.
fn check_history(unit: &Unit<'_>) {
    let found = unit.consent(&["verify"], 0);
    assert_eq!((&found["altered"], &found["open"]), (&json!(0), &json!(0)));
    let printed = unit.small.node(unit.index, &["history", "show", "--json"]);
    let shown: Value = serde_json::from_str(&printed.success().unwrap()).unwrap();
    let kinds: Vec<&str> = shown["newest"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|own| own["kind"].as_str())
        .collect();
    // Unless the hour was full just now, and what is newest are pads.
    for kind in ["consent.withdrawn", "consent.objected", "score.suppressed"] {
        let is_there = kinds.contains(&kind) || kinds.contains(&"log.pad");
        assert!(is_there, "{kind}: {kinds:?}");
    }
}

/// Who objects is told which models were released before, and the receipt says so.
fn check_models(unit: &Unit<'_>, objector: &str) {
    let receipt = ["receipt", "--subject", objector, "--purpose", "churn.train"];
    let content = &unit.consent(&receipt, 0)["content"];
    let models = content["models_released_before"].as_array().unwrap();
    assert_eq!(models.len(), 1, "{content}");
    assert_eq!(models[0]["name"], "churn");
    assert_eq!(models[0]["what"], "may have contributed");
}

fn check_refusals(unit: &Unit<'_>) {
    let undeclared = ["object", "--subject", "c", "--purpose", "churn.tain"];
    assert_eq!(unit.consent(&undeclared, 1)["refused"]["code"], "purpose");
    let nobody = ["receipt", "--subject", "nobody"];
    assert_eq!(unit.consent(&nobody, 1)["refused"]["code"], "nothing");
    let (file, map) = (
        unit.file(
            "bad.csv",
            "customer,at,notice,learn,score\ncanary-1,soon,,yes,no\n",
        ),
        unit.file("bad.toml", &MAPPING.replace("churn.score", "churn.scores")),
    );
    let refused = unit.consent(&["import", &file, "--map", &map], 1);
    assert_eq!(refused["refused"]["code"], "purpose");
    let map = unit.file("good.toml", MAPPING);
    let rejects = unit.file("rejects.csv", "");
    fs::remove_file(&rejects).unwrap();
    let import = ["import", &file, "--map", &map, "--rejects", &rejects];
    let imported = unit.consent(&import, 1);
    assert_eq!(imported["rejects"], json!({"time_missing": 2}));
    let rejected = fs::read_to_string(rejects).unwrap();
    assert_eq!(rejected, "row,reason\n2,time_missing\n2,time_missing\n");
    let outcome = unit.small.node(
        0,
        &[
            "score",
            "--model",
            "churn",
            "--purpose",
            "churn.train",
            "--out",
            "never.csv",
        ],
    );
    check_says(&outcome, 1, &["refused"]);
}
