//! Analysts who want more than they are given: repetition, rewriting, collusion, forged settings, races, crashes. No answer is had
//! twice for one price, none is had below its price, and nothing that customers' data decide is said beside the answers.

use std::collections::BTreeSet;
use std::process::Stdio;

use aquifer_tests::company::Company;
use aquifer_tests::processes::{Outcome, wait_for};
use aquifer_tests::standing::Standing;
use serde_json::Value;

use super::fixture::check_says;
use super::psql::{Door, PURPOSE, Proof};
use super::questions::{BY_CONTRACT, Reports, STANDING, Shape, URHO};

/// Which releases notices name.
fn releases(said: &str) -> BTreeSet<String> {
    let named = said.split("release ").skip(1);
    let named = named.filter_map(|rest| rest.split(':').next());
    named.map(str::to_owned).collect()
}

#[test]
fn a_thousand_repetitions_are_one_release() {
    let Some(door) = Door::open() else { return };
    let conditions = [
        "age BETWEEN 30 AND 60 AND contract <> 'other'",
        "contract IN ('two years', 'month', 'one year', 'month') AND age >= 30 AND age <= 60",
        "NOT (age < 30 OR age > 60) AND NOT contract = 'other'",
        "NOT contract IN ('other') AND NOT (NOT (age >= 30 AND 60 >= age))",
        "(age <= 60 AND (contract = 'month' OR contract = 'one year' OR contract = 'two years')) AND (age >= 30)",
    ];
    let lists = [
        "contract, COUNT(*) AS n, AVG(tenure) AS t",
        "avg ( tenure ) as mean, CoUnT(*), contract",
        "COUNT(*), AVG(customers.tenure), customers.contract",
        "contract AS c, AVG(tenure), COUNT(*), COUNT(*) AS again",
    ];
    let ends = [
        "",
        " ORDER BY 1 LIMIT 2",
        " HAVING COUNT(*) > 10",
        " ORDER BY 2 DESC LIMIT 3 OFFSET 1",
    ];
    let mut statements = format!("{PURPOSE};\n");
    for number in 0..1_000 {
        let (list, end) = (lists[number / 5 % 4], ends[number / 20 % 4]);
        let sql = format!(
            "SELECT {list} FROM customers WHERE {} GROUP BY contract{end}",
            conditions[number % 5]
        );
        let wrapped = format!("SELECT * FROM ({sql}) AS inner_{number}");
        statements += if number % 3 == 0 { &wrapped } else { &sql };
        statements += &format!(" /* {number} */;\n");
    }
    let outcome = door.asks_file(&statements);
    check_says(&outcome, 0, &["fresh"]);
    let notices = outcome.stderr.matches("NOTICE").count();
    assert!(notices >= 1_000, "{notices} answers");
    assert_eq!(releases(&outcome.stderr).len(), 1, "one release");
    assert_eq!(door.reports.spent(), [URHO; 4], "one charge");
}

#[test]
fn what_is_another_question_is_paid_for_in_full() {
    let reports = Reports::open(4, 1_000_000);
    // Two groups that differ by whoever is 41: their difference costs two questions.
    let all = "SELECT COUNT(*) AS n FROM customers WHERE age >= 40";
    let but = "SELECT COUNT(*) AS n FROM customers WHERE age >= 40 AND age <> 41";
    let answers = [all, but].map(|sql| reports.answer(&[], sql));
    assert_ne!(
        answers[0]["release"]["release_id"],
        answers[1]["release"]["release_id"]
    );
    assert_eq!(reports.spent(), [2 * URHO; 4]);
    // The same question ever more exactly: each is paid for, and averaging is worth no more than the sum of what was paid.
    let mut paid = 2 * URHO;
    for price in [25_000, 30_000, 45_000] {
        let answer = reports.answer(&["--rho-micro", &price.to_string()], all);
        assert_eq!(answer["release"]["cached"], false);
        paid += price;
        assert_eq!(reports.spent(), [paid; 4]);
    }
    // A cheaper one is answered by what is there.
    let answer = reports.answer(&["--rho-micro", "12000"], all);
    assert_eq!(answer["release"]["cached"], true);
    assert_eq!(reports.spent(), [paid; 4]);
}

#[test]
fn bounds_and_settings_cannot_be_forged() {
    let Some(door) = Door::open() else { return };
    let refused = |statements: &[&str], code: &str| {
        check_says(&door.asks(&[&[PURPOSE], statements].concat()), 1, &[code]);
    };
    let options = |options: &str, code: &str| {
        let sql =
            format!("SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS ({options}) COUNT(*) FROM customers");
        refused(&[&sql], code);
    };
    for (option, code) in [
        ("epsilon = 60", "QP003"),
        ("epsilon = 1000", "22023"),
        ("epsilon = 1e308", "22023"),
        ("epsilon = NaN", "22023"),
        ("epsilon = -1", "0A000"),
        ("epsilon = 0", "22023"),
        ("rho = 0.000000001", "22023"),
        ("rho = 1", "QP003"),
        ("delta = 2", "22023"),
        ("max_groups_contributed = 5", "22023"),
        ("max_groups_contributed = 0", "22023"),
        ("privacy_unit_column = contract", "22023"),
        ("noise = 0", "42704"),
    ] {
        options(option, code);
    }
    for (setting, code) in [
        ("SET aquifer.rho_share = 2", "22023"),
        ("SET aquifer.rho_share = 'NaN'", "22023"),
        ("SET aquifer.cohort_floor = 0", "42704"),
        ("SET aquifer.standing = 'x'", "42704"),
        ("SET ROLE operator", "42601"),
        ("SET LOCAL aquifer.rho_share = 1", "0A000"),
        ("SET SESSION AUTHORIZATION ops", "42601"),
    ] {
        refused(&[setting], code);
    }
    refused(
        &[
            "SET default_transaction_read_only = off",
            "DELETE FROM customers",
        ],
        "25006",
    );
    for written in [
        "INSERT INTO customers VALUES (1)",
        "UPDATE customers SET age = 1",
        "CREATE TABLE mine (x int)",
        "COPY customers TO STDOUT",
        "TRUNCATE customers",
        "GRANT ALL ON customers TO ada",
    ] {
        refused(&[written], "25006");
    }
    assert_eq!(door.reports.spent(), [0; 4]);
}

#[test]
fn what_is_written_reaches_no_unit_as_sql() {
    let Some(door) = Door::open() else { return };
    let refused = |sql: &str, code: &str| check_says(&door.asks(&[PURPOSE, sql]), 1, &[code]);
    refused(
        "SELECT COUNT(*) FROM customers WHERE contract = 'month''; DROP TABLE customers; --'",
        "22023",
    );
    refused(
        "SELECT COUNT(*) FROM customers WHERE contract = E'month\\'; SELECT 1'",
        "22023",
    );
    refused(
        "SELECT COUNT(*) AS \"n\"\"; DROP TABLE customers\" FROM \"customers\"\"; DROP\"",
        "42P01",
    );
    refused(
        "DROP TABLE customers; SELECT COUNT(*) FROM customers",
        "25006",
    );
    refused(
        "SELECT COUNT(*) FROM customers UNION SELECT customer_id FROM customers",
        "0A000",
    );
    refused(
        "SELECT (SELECT customer_id FROM customers LIMIT 1), COUNT(*) FROM customers",
        "0A000",
    );
    refused("SELECT COUNT(*) FROM customers WHERE age / 0 = 1", "0A000");
    refused(
        "SELECT COUNT(*) FROM customers WHERE pg_read_file('/etc/passwd') = 'x'",
        "42883",
    );
    refused("SELECT SUM(CAST(contract AS int)) FROM customers", "0A000");
    let named = "SELECT COUNT(*) AS \"n; DROP TABLE customers; --\" FROM customers";
    check_says(&door.asks(&[PURPOSE, named]), 0, &["fresh"]);
    assert_eq!(door.reports.spent(), [URHO; 4]);
}

#[test]
fn too_many_groups_are_refused_before_a_unit_is_asked() {
    let mut reports = Reports::open(4, 1_000_000);
    for node in &mut reports.small.cluster.nodes {
        node.process.take().unwrap().kill().unwrap();
    }
    let sql = "SELECT COUNT(*) FROM customers GROUP BY width_bucket(age, 18, 90, 72), width_bucket(tenure, 0, 72, 72), contract";
    check_says(&reports.ask(["query", sql]), 1, &["54001"]);
    let five = "SELECT COUNT(*) FROM customers GROUP BY 1, 2, 3, 4, 5";
    assert_eq!(reports.ask(["query", five]).code, Some(1));
    // And what fits finds nobody who would answer: nothing is charged.
    check_says(&reports.ask(["query", BY_CONTRACT]), 1, &["QP006"]);
}

#[test]
fn analysts_who_collude_share_one_hard_budget() {
    // Room for three questions, and for the repeated attempt that each sets aside.
    let reports = Reports::open(4, 4 * URHO + 10);
    let bob = reports.small.cluster.add_person("bob", "analyst").unwrap();
    let mut answered = 0;
    for age in 30..36 {
        let sql = format!("SELECT COUNT(*) AS n FROM customers WHERE age >= {age}");
        let person = if age % 2 == 0 { &reports.analyst } else { &bob };
        let outcome = reports.ask_as(person, ["query", &sql]);
        match outcome.code {
            Some(0) => answered += 1,
            _ => check_says(&outcome, 1, &["QP001", "budget.units"]),
        }
    }
    assert_eq!(answered, 3);
    assert_eq!(reports.spent(), [3 * URHO; 4]);
    // Units say what they have left, a moment after they have charged.
    let priced = wait_for(
        "a price tag that knows what units have left",
        30_000,
        || {
            let sql = "SELECT COUNT(*) AS n FROM customers WHERE age >= 40";
            let priced = reports.ask(["explain", sql]);
            Ok(priced.stdout.contains("QP001").then_some(priced))
        },
    );
    let said = ["would be refused", "budget.units", "0 such questions"];
    check_says(&priced.unwrap(), 0, &said);
}

#[test]
fn a_share_is_one_analysts_own() {
    let plan = ", urho_share = 80000, window = \"month\"";
    let reports = Reports::shaped(&Shape {
        plan,
        ..Shape::default()
    });
    let question = |age: u32| format!("SELECT COUNT(*) AS n FROM customers WHERE age >= {age}");
    for age in 30..33 {
        reports.answer(&[], &question(age));
    }
    // 60,000 are used; the next could cost twice 20,000.
    let fourth = question(33);
    let refused = reports.ask(["query", &fourth]);
    check_says(&refused, 1, &["QP002", "budget.share", "20000"]);
    let priced = reports.ask(["explain", &fourth]);
    check_says(
        &priced,
        0,
        &[
            "would be refused",
            "QP002 (budget.share)",
            "0 such questions",
        ],
    );
    let dear = ["query", &fourth, "--rho-micro", "10000"];
    check_says(&reports.ask(dear), 0, &[]);
    let stored = reports.answer(&[], &question(30));
    assert_eq!(stored["release"]["cached"], true, "what is stored is free");
    let bob = reports.small.cluster.add_person("bob", "analyst").unwrap();
    check_says(&reports.ask_as(&bob, ["query", &fourth]), 0, &[]);
    assert_eq!(reports.spent(), [4 * URHO + 10_000; 4]);
}

/// Each of these people asks in so many sessions at the same time, always something else. How many are answered; all others are refused
/// with one of these codes, at least one with the first.
#[track_caller]
fn check_race(door: &Door, people: &[(String, String)], each: usize, refused: &[&str]) -> u64 {
    let all = people.iter().flat_map(|person| vec![person; each]);
    let sessions: Vec<_> = all
        .enumerate()
        .map(|(number, (name, password))| {
            let mut client = door.client(name, &Proof::Password(password), "");
            let age = 20 + number;
            let sql = format!("SELECT COUNT(*) AS n FROM customers WHERE age >= {age}");
            client.args(["-c", PURPOSE, "-c", &sql]);
            client.stdin(Stdio::null());
            client.stdout(Stdio::piped()).stderr(Stdio::piped());
            client.spawn().unwrap()
        })
        .collect();
    let (mut answered, mut counts) = (0, vec![0; refused.len()]);
    for session in sessions {
        let ended = session.wait_with_output().unwrap();
        if ended.status.success() {
            answered += 1;
            continue;
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let code = refused.iter().position(|code| said.contains(code));
        counts[code.unwrap_or_else(|| panic!("{said}"))] += 1;
    }
    println!("{answered} answered, {refused:?}: {counts:?}");
    assert!(answered >= 1 && counts[0] >= 1);
    answered
}

/// Nobody got more than was paid for, and no unit gave more than it may.
#[track_caller]
fn check_spent(door: &Door, answered: u64, most: u64) {
    let spent = door.reports.spent();
    println!("spent {spent:?} of {most}");
    let fits = |spent: &u64| (answered * URHO..=most).contains(spent);
    assert!(spent.iter().all(fits), "{answered} answered: {spent:?}");
}

#[test]
fn a1_concurrent_requests_never_overspend() {
    let cap = 8 * URHO + 10;
    let shape = Shape {
        cap,
        ..Shape::default()
    };
    let Some(door) = Door::shaped(shape) else {
        return;
    };
    // As many as may ask at the same time: no other limit is in the way.
    let mut people = vec![("ada".to_owned(), door.password.clone())];
    for number in 2..=8 {
        let name = format!("analyst-{number}");
        let cluster = &door.reports.small.cluster;
        cluster.add_person(&name, "analyst").unwrap();
        let password = door.new_password(&name);
        people.push((name, password));
    }
    let answered = check_race(&door, &people, 8, &["QP001", "QP008"]);
    check_spent(&door, answered, cap);
}

#[test]
fn concurrent_requests_never_overspend_a_share() {
    let shape = Shape {
        plan: ", urho_share = 80000, window = \"month\"",
        ..Shape::default()
    };
    let Some(door) = Door::shaped(shape) else {
        return;
    };
    let people = [("ada".to_owned(), door.password.clone())];
    let answered = check_race(&door, &people, 8, &["QP002", "QP008"]);
    check_spent(&door, answered, 4 * URHO);
}

/// One customer of each unit has what no column expects, and one unit has nobody.
fn broken(company: &mut Company) {
    let last = company.units.len() - 1;
    company.customers.retain(|customer| customer.unit != last);
    let wild = [
        "1e308",
        "NaN",
        "-inf",
        "",
        "\u{1F980}",
        "99999999999999999999",
        "month;DROP",
    ];
    for unit in 0..last {
        let customers = company.customers.iter_mut();
        let of_unit = customers.filter(|customer| customer.unit == unit);
        for (customer, number) in of_unit.zip(0..40) {
            for (place, value) in customer.values.iter_mut().enumerate() {
                *value = wild[(number + place) % wild.len()].to_owned();
            }
        }
    }
}

#[test]
fn data_decide_nothing_that_is_said_beside_the_answers() {
    let plain = Reports::shaped(&Shape::default());
    let strange = Reports::shaped(&Shape {
        edit: broken,
        ..Shape::default()
    });
    let statements = [
        "SELECT contract, AVG(age) AS a, STDDEV(age) AS s, MEDIAN(tenure) AS m FROM customers WHERE age >= 89 GROUP BY contract",
        "SELECT SUM(monthly_charge) AS s, COUNT(monthly_charge) AS n FROM customers WHERE tenure IS NULL",
        "SELECT AVG(monthly_charge) AS a FROM customers WHERE contract = 'other'",
        "SELECT width_bucket(age, 20, 80, 6) AS b, COUNT(DISTINCT customer_id) AS n FROM customers GROUP BY 1",
        "SELECT SUM(age) / 0 FROM customers",
        "SELECT COUNT(*) FROM customers WHERE contract = 'weekly'",
        "SELECT MAX(age) FROM customers",
    ];
    for sql in statements {
        let said = [&plain, &strange].map(|reports| reports.ask(["query", sql, "--json"]));
        assert_eq!(said[0].code, said[1].code, "{said:?}");
        if said[0].code != Some(0) {
            assert_eq!(
                said[0].stderr, said[1].stderr,
                "one text, whatever the data"
            );
            continue;
        }
        let shape = |outcome: &Outcome| -> Vec<Vec<String>> {
            let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
            let rows = answer["rows"].as_array().unwrap().iter();
            let keys = |row: &Value| {
                let row = row.as_object().unwrap();
                let key = row.get("contract").or(row.get("b")).map(Value::to_string);
                row.keys().cloned().chain(key).collect()
            };
            rows.map(keys).collect()
        };
        assert_eq!(
            shape(&said[0]),
            shape(&said[1]),
            "the same columns and keys"
        );
    }
    assert_eq!(plain.spent(), strange.spent());
}

#[test]
fn asking_a_part_of_the_units_is_another_question() {
    let reports = Reports::open(4, 1_000_000);
    let cluster = &reports.small.cluster;
    let names: Vec<&str> = cluster.nodes[..3].iter().map(|node| &*node.name).collect();
    let nodes = format!("{names:?}");
    let part = Standing {
        name: "part",
        nodes: &nodes,
        ..STANDING
    };
    part.open(cluster, &reports.small.company).unwrap();
    let all = reports.answer(&["--standing", "reports"], BY_CONTRACT);
    let part = reports.answer(&["--standing", "part"], BY_CONTRACT);
    assert_eq!(
        part["release"]["cached"], false,
        "the fourth unit is not had by a difference for free"
    );
    assert_eq!(
        (&all["release"]["updates"], &part["release"]["updates"]),
        (&Value::from(4), &Value::from(3))
    );
    assert_eq!(reports.spent(), [2 * URHO, 2 * URHO, 2 * URHO, URHO]);
}

#[test]
fn a_floor_that_is_higher_now_holds_for_answers_that_are_there() {
    let reports = Reports::open(4, 1_000_000);
    let low = Standing {
        name: "low",
        cohort_floor: 1,
        ..STANDING
    };
    low.open(&reports.small.cluster, &reports.small.company)
        .unwrap();
    let sql = "SELECT age, COUNT(*) AS n FROM customers WHERE age >= 60 GROUP BY width_bucket(age, 60, 100, 40)";
    let sql = &sql.replace("SELECT age", "SELECT width_bucket(age, 60, 100, 40) AS age");
    let shown = |answer: &Value| {
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.filter(|row| row["suppressed"] == false).count()
    };
    let low = reports.answer(&["--standing", "low"], sql);
    let high = reports.answer(&["--standing", "reports"], sql);
    assert_eq!(high["release"]["release_id"], low["release"]["release_id"]);
    assert!(
        shown(&high) < shown(&low),
        "{} of {}",
        shown(&high),
        shown(&low)
    );
    let rows = high["rows"].as_array().unwrap().iter();
    let counts = rows.filter_map(|row| row["n"].as_i64());
    assert!(counts.min().is_none_or(|least| least >= 50));
}
