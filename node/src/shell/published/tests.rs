//! Tables for analysts from files to sums, and from one epoch to the next.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aquifer_shared::base::ids::{Hash32, IdentityKey};
use aquifer_shared::base::secret::Secret;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::history::{Event, Kind};
use aquifer_shared::domain::law::change::Accepted;
use aquifer_shared::domain::question::{Block, BlockKind, Filter, Key, Period, Question};
use aquifer_shared::domain::sum::{Part, RoundTerms};
use aquifer_shared::shell::report::chain;
use tempfile::TempDir;

use super::*;
use crate::core::analytics::{ChoiceKey, excess};
use crate::core::consent::SubjectKey;
use crate::core::fixtures::{NOW, gatekeeper};
use crate::core::intake::Wanted;
use crate::shell::config::NodeConfig;
use crate::shell::doorman::Doorman;
use crate::shell::governance::digest;

const CONTRACT: &str = r#"
[contract]
name = "shop"
version = 1
[table.customers]
privacy_unit = "id"
label = { column = "left", positive = "yes" }
size_band = [1, 4]
[table.customers.column.plan]
levels = ["basic", "plus"]
[table.orders]
privacy_unit = "id"
rows_per_group_max = 2
groups_per_unit_max = 2
size_band = [1, 3]
[table.orders.column.shop]
levels = ["north", "south"]
[table.orders.column.amount]
low = 0
high = 100
step = 0.01
[table.orders.column.day]
first = 2024-01-01
last = 2024-12-31
"#;

const CUSTOMERS: &str = "id,plan,left\na,basic,yes\nb,plus,no\nc,CANARY,\n";
const ORDERS: &str = "id,shop,amount,day\n\
    a,north,10.5,2024-01-31\n\
    a,north,-3,2024-02-01\n\
    b,CANARY,CANARY,CANARY\n\
    b,south,1e9,2030-01-01\n\
    a,north,20,2024-02-29\n";

const MAPPED: &str = r#"orders = "SELECT * FROM o""#;

struct Unit(TempDir);

impl Unit {
    fn new(orders: &str) -> Self {
        let unit = Self(tempfile::tempdir().unwrap());
        unit.write("contract.toml", CONTRACT);
        unit.write("c.csv", CUSTOMERS);
        unit.write("o.csv", orders);
        unit.configure(r#"epoch = "e1""#, MAPPED);
        unit
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn configure(&self, epoch: &str, published: &str) {
        self.write(
            "node.toml",
            &format!(
                r#"
[data]
contract = "contract.toml"
query = "SELECT * FROM c"
basis = "test"
customers_max = 10
{epoch}
[data.published]
{published}
[data.tables]
c = "c.csv"
o = "o.csv"
[ledger]
witness = "w"
[policy]
rho_micro_per_contract = 1
rho_micro_per_year = 1
purposes = []
approvers = []
"#
            ),
        );
    }

    fn load(&self) -> anyhow::Result<Option<Snapshot>> {
        let config = NodeConfig::load(self.0.path())?.data;
        Ok(Snapshot::load(
            &config,
            self.0.path(),
            (&[7; 32], &SubjectKey::new(&[8; 32])),
            &doorman(),
        )?)
    }

    fn snapshot(&self) -> Snapshot {
        self.load().unwrap().unwrap()
    }

    /// The orders, with what there is to tell about them.
    fn inspected(&self) -> Inspected {
        let config = NodeConfig::load(self.0.path()).unwrap().data;
        let contract = Contract::parse(CONTRACT).unwrap();
        let mapping = mappings(&config, &contract).unwrap()[1];
        let key = ChoiceKey::derive(&[7; 32], &SubjectKey::new(&[8; 32]), "orders");
        inspect(&config, self.0.path(), mapping, key).unwrap()
    }

    fn refresher(&self) -> Refresher {
        self.refresher_under(doorman())
    }

    fn refresher_under(&self, doorman: Doorman) -> Refresher {
        let config = NodeConfig::load(self.0.path()).unwrap();
        let accepted = Accepted {
            digest: digest(&config, None).unwrap(),
            ..accepted(&[])
        };
        self.refresher_of(accepted, doorman)
    }

    fn refresher_of(&self, accepted: Accepted, doorman: Doorman) -> Refresher {
        let config = NodeConfig::load(self.0.path()).unwrap().data;
        let (snapshot, failed) = first(
            &config,
            self.0.path(),
            (&[7; 32], &SubjectKey::new(&[8; 32])),
            &doorman,
        )
        .unwrap();
        let shelf = Arc::new(Shelf::new(snapshot));
        let (contract, key) = (Contract::parse(CONTRACT).unwrap(), Secret::new([7; 32]));
        Refresher::new(
            self.0.path(),
            (key, SubjectKey::new(&[8; 32])),
            (contract.hash(), accepted, doorman),
            shelf,
            failed,
        )
    }
}

/// A policy, not that of the files, with these officers: without, one person may change it.
fn accepted(officers: &[u8]) -> Accepted {
    let officers = officers.iter().map(|byte| IdentityKey([*byte; 32]));
    Accepted {
        digest: Hash32([9; 32]),
        officers: officers.collect(),
        at: NOW,
        signers: Vec::new(),
        signed: None,
        overrides: Vec::new(),
        exceptions: Vec::new(),
    }
}

#[test]
fn s1_a_refresh_is_held_against_what_was_accepted_at_the_start() {
    let unit = Unit::new(ORDERS);
    let refresher = unit.refresher_of(accepted(&[1, 2]), doorman());
    unit.configure(r#"epoch = "e2""#, MAPPED);
    // There is no record at all: that is no first start.
    check_not_started(&refresher, "0 of its officers");
    let refresher = unit.refresher_of(accepted(&[1]), doorman());
    unit.configure(r#"epoch = "e3""#, MAPPED);
    // One person may change it, and the history hears of that at the next start.
    check_not_started(&refresher, "start aquifer-node again");
    let refresher = unit.refresher();
    unit.configure(r#"epoch = "e4""#, MAPPED);
    assert!(refresher.start().is_ok());
    unit.configure(r#"epoch = "e5""#, "orders = \"SELECT * FROM o LIMIT 1\"");
    check_not_started(&refresher, "start aquifer-node again");
}

/// Lets in what the sample unit's purposes cover.
fn doorman() -> Doorman {
    Doorman::new(Some(gatekeeper()), |_| {}, (|| NOW, NOW))
}

/// The exact sums of a question whose only block has a scale of one.
fn ask(snapshot: &Snapshot, table: &str, keys: Vec<Key>, kind: BlockKind) -> Vec<i64> {
    let groups_max = if table == "orders" && !keys.is_empty() {
        2
    } else {
        1
    };
    let question = Question {
        table: table.to_owned(),
        keys,
        filter: Filter::All,
        groups_max,
        blocks: vec![Block {
            kind,
            weight: 1_000,
        }],
    };
    let terms = RoundTerms {
        part: Part::Training,
        cells_max: 1 << 14,
        cell_abs_max: 1 << 22,
        delta_sq: 1 << 48,
        urho: MicroRho(1),
        sigma_share: 16,
    };
    let (_, table) = snapshot.table(&question.table).unwrap();
    let cohort = crate::core::fixtures::everybody(table.rows());
    snapshot.answer(&question, &cohort, 4, &terms).unwrap()
}

/// The answer in rows of a table where R rows become 2^22.
fn rows(snapshot: &Snapshot, table: &str, keys: Vec<Key>, most: i64) -> Vec<i64> {
    let sums = ask(snapshot, table, keys, BlockKind::Rows);
    sums.into_iter().map(|sum| (sum * most) >> 22).collect()
}

#[test]
fn rows_of_files_are_counted() {
    let snapshot = Unit::new(ORDERS).snapshot();
    assert_eq!(
        snapshot.tables().collect::<Vec<_>>(),
        ["customers", "orders"]
    );
    // One of three orders of `a` in the north is too many; what is no level is `other`.
    assert_eq!(rows(&snapshot, "orders", vec![Key::Level(0)], 2), [2, 1, 1]);
    let quarters = rows(
        &snapshot,
        "orders",
        vec![Key::Period(2, Period::Quarter)],
        2,
    );
    assert_eq!(quarters, [2, 0, 0, 1, 1]);
    let values = ask(&snapshot, "orders", vec![], BlockKind::Values(1));
    assert_eq!((values[0] * 2) >> 22, 3);
}

#[test]
fn the_training_table_is_published_by_its_own_query() {
    let snapshot = Unit::new(ORDERS).snapshot();
    assert_eq!(
        rows(&snapshot, "customers", vec![Key::Level(0)], 1),
        [1, 1, 1]
    );
}

#[test]
fn findings_name_rows_and_never_values() {
    let unit = Unit::new(&format!("{ORDERS},north,5,2024-03-01\n"));
    let inspected = unit.inspected();
    let contract = Contract::parse(CONTRACT).unwrap();
    let published = contract.published("orders").unwrap();
    let findings = &inspected.findings;
    assert_eq!((findings.rows, findings.customers), (6, 2));
    assert_eq!(findings.without_customer.examples, [6]);
    let [shop, amount, day] = &findings.columns[..] else {
        panic!("three columns")
    };
    assert_eq!(shop.unknown_level.examples, [3]);
    assert_eq!(
        (&amount.missing.examples, &amount.out_of_range.examples),
        (&vec![3], &vec![2, 4])
    );
    assert_eq!(
        (&day.missing.examples, &day.out_of_range.examples),
        (&vec![3], &vec![4])
    );
    let excess = excess(&inspected.table, published);
    assert_eq!((excess.customers_over_rows, excess.rows_left_out), (1, 1));
    assert_eq!(
        excess.customers_over_groups,
        [("shop".to_owned(), 0), ("day".to_owned(), 0)]
    );
    assert!(!format!("{inspected:?}").contains("CANARY"));
}

#[track_caller]
fn check_refused(unit: &Unit, expected: &str) {
    let error = unit.load().unwrap_err();
    let text = format!("{} {error:?}", chain(&error));
    assert!(
        text.contains(expected) && !text.contains("CANARY"),
        "{text}"
    );
}

#[track_caller]
fn check_mapping(epoch: &str, published: &str, expected: &str) {
    let unit = Unit::new(ORDERS);
    unit.configure(epoch, published);
    check_refused(&unit, expected);
}

#[test]
fn mappings_that_do_not_fit_are_refused() {
    let epoch = r#"epoch = "e1""#;
    check_mapping("", MAPPED, "[data] has no epoch");
    check_mapping(
        epoch,
        r#"visits = "SELECT 1""#,
        "the contract publishes [\"orders\"]",
    );
    check_mapping(
        epoch,
        r#"customers = "SELECT 1""#,
        "[data] query maps that one",
    );
    check_mapping(
        epoch,
        r#"orders = "DELETE FROM o""#,
        "published table \"orders\": the query",
    );
    let query = r#"orders = "SELECT id, shop, amount FROM o""#;
    check_mapping(
        epoch,
        query,
        "column \"day\" of the mapped table is missing",
    );
    let query = r#"orders = "SELECT id, shop, amount, 20240101 AS day FROM o""#;
    check_mapping(epoch, query, "has type Int64, expected dates");
    let query = r#"orders = "SELECT id, shop, amount, CAST(day AS DATE) AS day FROM o""#;
    check_mapping(epoch, query, "TRY_CAST gives NULL instead");
}

/// One row decides nothing: what cannot count is left out.
#[test]
fn rows_that_nobody_may_count_are_left_out() {
    let shops = |orders: &str| {
        let snapshot = Unit::new(orders).snapshot();
        rows(&snapshot, "orders", vec![Key::Level(0)], 2)
    };
    let all = shops(ORDERS);
    assert_eq!(shops(&format!("{ORDERS},north,5,\n")), all);
    // The band ends at three customers: one of the four is left out, and two are in another shop.
    let more = format!("{ORDERS}c,north,1,\nCANARY,north,1,\n");
    let counted: i64 = shops(&more).iter().sum();
    assert!(counted < all.iter().sum::<i64>() + 2, "{counted}");
    let inspected = Unit::new(&more).inspected();
    assert_eq!(inspected.table.customers(), 3);
    assert_eq!(
        (
            inspected.findings.customers,
            inspected.table.customers_left_out()
        ),
        (4, 1)
    );
}

#[test]
fn a_unit_without_orders_answers_all_the_same() {
    let snapshot = Unit::new("id,shop,amount,day\n").snapshot();
    assert_eq!(rows(&snapshot, "orders", vec![Key::Level(0)], 2), [0, 0, 0]);
}

#[test]
fn a_table_that_is_not_mapped_is_not_served() {
    let unit = Unit::new(ORDERS);
    unit.configure(r#"epoch = "e1""#, "");
    let snapshot = unit.snapshot();
    assert_eq!(snapshot.tables().collect::<Vec<_>>(), ["customers"]);
}

/// Starts a refresh and waits for its end.
fn refreshed(refresher: &Refresher) -> DataView {
    refresher.start().unwrap();
    loop {
        let view = refresher.view();
        if view.reading.is_none() {
            return view;
        }
        std::thread::yield_now();
    }
}

#[track_caller]
fn check_not_started(refresher: &Refresher, expected: &str) {
    let error = refresher.start().unwrap_err();
    assert!(chain(&error).contains(expected), "{error:#}");
}

#[test]
fn a_refresh_brings_another_epoch_whole_or_not_at_all() {
    let unit = Unit::new(ORDERS);
    let refresher = unit.refresher();
    let held = refresher.shelf().current().unwrap();
    check_not_started(&refresher, "epoch e1 was served already");

    fs::remove_file(unit.0.path().join("o.csv")).unwrap();
    unit.configure(r#"epoch = "e2""#, MAPPED);
    let view = refreshed(&refresher);
    assert_eq!(view.epoch.as_ref().unwrap().as_str(), "e1");
    let failed = view.failed.unwrap();
    assert!(failed.problem.contains("o.csv"), "{failed:?}");

    // The same name may be tried again, as nobody saw anything under it.
    unit.write("o.csv", &format!("{ORDERS}c,south,1,\n"));
    let view = refreshed(&refresher);
    assert_eq!((view.epoch.unwrap().as_str(), view.failed), ("e2", None));
    let newest = refresher.shelf().current().unwrap();
    assert_eq!(rows(&newest, "orders", vec![Key::Level(0)], 2), [2, 2, 1]);
    assert_eq!(rows(&held, "orders", vec![Key::Level(0)], 2), [2, 1, 1]);

    unit.configure(r#"epoch = "e1""#, MAPPED);
    check_not_started(&refresher, "epoch e1 was served already");
    unit.configure(r#"epoch = "e3""#, MAPPED);
    unit.write("contract.toml", &CONTRACT.replace("[1, 4]", "[1, 5]"));
    check_not_started(&refresher, "start the node again");
    assert_eq!(refresher.view().epoch.unwrap().as_str(), "e2");
}

/// What a node that starts serves, and what it says.
#[track_caller]
fn check_start(unit: &Unit, epoch: Option<&str>, expected: &str) {
    let view = unit.refresher().view();
    assert_eq!(view.epoch.as_ref().map(|epoch| epoch.as_str()), epoch);
    let said = view.failed.map_or(String::new(), |failed| failed.problem);
    assert!(
        said.contains(expected) && said.is_empty() == expected.is_empty(),
        "{said}"
    );
}

#[test]
fn an_epoch_names_one_state_across_restarts() {
    let unit = Unit::new(ORDERS);
    check_start(&unit, Some("e1"), "");
    check_start(&unit, Some("e1"), "");
    // The same rows in another order are the same state.
    let mut lines: Vec<&str> = ORDERS.lines().collect();
    lines[1..].reverse();
    unit.write("o.csv", &(lines.join("\n") + "\n"));
    check_start(&unit, Some("e1"), "");
    unit.write("o.csv", &format!("{ORDERS}c,south,1,\n"));
    check_start(&unit, None, "epoch e1 was served with other tables");
    unit.configure(r#"epoch = "e2""#, MAPPED);
    check_start(&unit, Some("e2"), "");
    // Old names stay taken, for a refresh too.
    unit.configure(r#"epoch = "e1""#, MAPPED);
    unit.configure(r#"epoch = "e2""#, MAPPED);
    let refresher = unit.refresher();
    unit.configure(r#"epoch = "e1""#, MAPPED);
    let view = refreshed(&refresher);
    assert!(
        view.failed
            .unwrap()
            .problem
            .contains("epoch e1 was served with other tables")
    );
    assert_eq!(view.epoch.unwrap().as_str(), "e2");
}

#[test]
fn a_line_that_was_torn_is_written_again_and_a_broken_one_is_told() {
    let unit = Unit::new(ORDERS);
    check_start(&unit, Some("e1"), "");
    let whole = fs::read_to_string(unit.0.path().join("epochs.jsonl")).unwrap();
    assert!(!whole.contains("north") && whole.lines().count() == 1);
    unit.write("epochs.jsonl", &whole[..whole.len() - 9]);
    check_start(&unit, Some("e1"), "");
    let again = fs::read_to_string(unit.0.path().join("epochs.jsonl")).unwrap();
    assert_eq!(again, whole);
    unit.write("epochs.jsonl", &format!("{whole}e2\n"));
    check_start(&unit, Some("e1"), "");
    unit.configure(r#"epoch = "e3""#, MAPPED);
    check_start(&unit, None, "line 2 of");
}

static CLOCK: AtomicU64 = AtomicU64::new(NOW.0);
/// 2028-01-01: no purpose of the sample unit has been reviewed for that long.
const LATE: Timestamp = Timestamp(21_184 * 24 * 3_600 * 1_000);

#[test]
fn l1_every_refresh_is_decided_anew_and_told() {
    let told: Arc<Mutex<Vec<Event>>> = Arc::default();
    let kept = told.clone();
    let keep = move |event| kept.lock().unwrap().push(event);
    let clock: fn() -> Timestamp = || Timestamp(CLOCK.load(Ordering::SeqCst));
    let unit = Unit::new(ORDERS);
    let refresher = unit.refresher_under(Doorman::new(Some(gatekeeper()), keep, (clock, NOW)));
    let said = || {
        let told = told.lock().unwrap();
        [Kind::PolicyDecision, Kind::DatasetRegistered]
            .map(|kind| told.iter().filter(|event| event.kind == kind).count())
    };
    assert_eq!(said(), [2, 2], "two tables");
    let snapshot = refresher.shelf().current().unwrap();
    assert!(snapshot.is_for("orders", "churn.query"));
    assert!(!snapshot.is_for("orders", "churn.train"));
    unit.configure(r#"epoch = "e2""#, MAPPED);
    assert!(refreshed(&refresher).failed.is_none());
    assert_eq!(said(), [4, 4]);
    CLOCK.store(LATE.0, Ordering::SeqCst);
    unit.configure(r#"epoch = "e3""#, MAPPED);
    let view = refreshed(&refresher);
    let problem = view.failed.unwrap().problem;
    assert!(problem.contains("review_overdue"), "{problem}");
    assert_eq!(view.epoch.unwrap().as_str(), "e2", "nothing was read");
    assert_eq!(said(), [6, 4]);
}

#[test]
fn a_clock_set_back_by_a_year_lets_nothing_in_again() {
    let contract = Contract::parse(CONTRACT).unwrap();
    let orders = Wanted::published(contract.published("orders").unwrap());
    let admits = |floor| {
        let doorman = Doorman::new(Some(gatekeeper()), |_| {}, (|| NOW, floor));
        doorman.admit(&orders).is_ok()
    };
    assert!(admits(Timestamp(0)));
    assert!(!admits(LATE), "what was written down last counts");
}

#[test]
fn without_declarations_no_table_is_read() {
    let unit = Unit::new("not,a,table\n");
    let config = NodeConfig::load(unit.0.path()).unwrap().data;
    let doorman = Doorman::new(None, |_| {}, (|| NOW, NOW));
    let keys = (&[7; 32], &SubjectKey::new(&[8; 32]));
    let (snapshot, failed) = first(&config, unit.0.path(), keys, &doorman).unwrap();
    assert!(snapshot.is_none());
    assert!(failed.unwrap().problem.contains("no [people]"));
    let (_, table, intake) = doorman.training(&config, unit.0.path()).unwrap();
    assert!(table.rows() == 0 && intake.is_none());
}
