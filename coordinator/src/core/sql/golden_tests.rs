//! Statements with their plans, prices or refusals; spellings that mean the same; texts that nobody would write.

use proptest::prelude::*;

use super::fixtures::{contract, query, settings, standing, statement};
use super::*;
use aquifer_shared::base::units::{Delta, Epsilon, MicroRho};

const GOLDEN: &str = include_str!("../../../golden/statements.txt");

/// One word for what a statement is: a plan with its price, or SQLSTATE and place.
fn outcome(text: &str) -> String {
    // Bun and Steinke 2016: rho-zCDP is (rho + 2·sqrt(rho·ln(1/delta)), delta)-DP; solved for rho.
    let within = |epsilon: Epsilon, delta: Delta| {
        let log = -delta.get().ln();
        let root = (log + epsilon.get()).sqrt() - log.sqrt();
        MicroRho((root * root * 1e6).floor() as u64)
    };
    let plan = |query: &Query| {
        let price = price(query, &standing(), Left::default(), within);
        let price = price.map_or_else(
            |refusal| refusal.state.to_owned(),
            |price| price.0.to_string(),
        );
        format!("{} {price}", &query.plan.to_string()[..16])
    };
    match statement(text) {
        Ok(Statement::Empty) => "empty".to_owned(),
        Ok(Statement::Query(query)) => plan(&query),
        Ok(Statement::Explain { query, json }) => {
            format!(
                "explain{} {}",
                if json { " json" } else { "" },
                plan(&query)
            )
        }
        Ok(Statement::Set(_)) => "set".to_owned(),
        Ok(Statement::Show(_)) => "show".to_owned(),
        Ok(Statement::Transaction(tag)) => tag.to_owned(),
        Err(refusal) => {
            assert!(
                !refusal.hint.is_empty() && !refusal.message.is_empty(),
                "{text}"
            );
            let place = refusal.position.map_or("-".to_owned(), |at| at.to_string());
            format!("{}@{place}", refusal.state)
        }
    }
}

#[test]
fn every_statement_has_its_published_plan_or_refusal() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in GOLDEN.lines() {
        let (expected, text) = line.split_once(" | ").unwrap();
        let found = outcome(text);
        if found != expected {
            wrong.push(format!("{found} | {text}"));
        }
        count += 1;
    }
    assert!(count >= 200, "{count} statements");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[track_caller]
fn check_same(texts: &[&str]) {
    let first = query(texts[0]);
    for text in &texts[1..] {
        let other = query(text);
        assert_eq!(other.question, first.question, "{text}");
        assert_eq!(other.plan, first.plan, "{text}");
    }
}

/// Every block of the reference is a statement that compiles, or one that is refused as the comment behind it says.
#[test]
fn the_reference_says_what_is_true() {
    let reference = include_str!("../../../../docs/sql.md");
    let mut count = 0;
    for block in reference.split("```sql\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let mut rest = block;
        while let Some(end) = rest.find(';') {
            let line = rest[end..].find('\n').map_or(rest.len(), |line| end + line);
            let expected = rest[end..line].strip_prefix("; -- refused: ");
            let found = statement(&rest[..end]).map_err(|refusal| refusal.state);
            assert_eq!(found.err(), expected, "{}", &rest[..end]);
            rest = &rest[line..];
            count += 1;
        }
    }
    assert!(count >= 20, "{count} statements");
}

#[test]
fn spellings_of_one_question_share_its_plan() {
    check_same(&[
        "SELECT contract, COUNT(*) AS n, AVG(monthly_charges) AS fee FROM customers GROUP BY contract",
        "select CONTRACT, avg(Monthly_Charges), count(*) from Customers group by 1 order by 2 limit 1",
        "SELECT AVG(c.monthly_charges), c.contract, COUNT(1) FROM public.customers c GROUP BY c.contract HAVING COUNT(*) > 5",
        "SELECT * FROM (SELECT contract, COUNT(*), AVG(monthly_charges), COUNT(*) x FROM customers GROUP BY contract) t LIMIT 3",
        "SELECT contract, COUNT(DISTINCT customer_id), AVG(monthly_charges), SUM(monthly_charges) FROM customers GROUP BY contract",
        "SELECT contract, COUNT(monthly_charges), AVG(monthly_charges) FROM customers WHERE monthly_charges >= 0 GROUP BY contract",
        "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS (rho = 0.1) contract, AVG(monthly_charges) FROM customers GROUP BY contract",
    ]);
    check_same(&[
        "SELECT COUNT(*) FROM orders WHERE shop = 'north' AND amount > 10",
        "SELECT COUNT(*) FROM orders WHERE 10 < amount AND shop IN ('north', 'north')",
        "SELECT COUNT(*) FROM orders WHERE NOT (shop <> 'north' OR amount <= 10)",
        "SELECT COUNT(*) FROM orders WHERE NOT (shop IN ('south', 'west''s', 'other')) AND amount > 5 AND amount > 10.0",
        "SELECT COUNT(*) FROM orders WHERE shop = 'north' AND amount > 10 AND (shop = 'north' OR age = 20)",
        "SELECT COUNT(*) FROM orders WHERE shop = 'north' AND amount NOT BETWEEN -10 AND 10",
    ]);
    check_same(&[
        "SELECT COUNT(*) FROM orders WHERE amount IN (1, 2)",
        "SELECT COUNT(*) FROM orders WHERE amount = 2.0 OR amount = 1 OR amount = 1",
        "SELECT COUNT(*) FROM orders WHERE NOT amount NOT IN (2, 1)",
        "SELECT COUNT(*) FROM orders WHERE amount BETWEEN 1 AND 2 AND NOT (amount > 1 AND amount < 2)",
    ]);
    check_same(&[
        "SELECT COUNT(*) FROM orders",
        "SELECT COUNT(*) FROM orders WHERE shop IN ('north', 'south', 'west''s', 'other')",
        "SELECT COUNT(*) FROM orders WHERE age IS NOT NULL",
        "SELECT COUNT(*) FROM orders WHERE amount IS NULL OR amount IS NOT NULL",
        "SELECT COUNT(age) FROM orders WHERE age BETWEEN 18 AND 91",
    ]);
    check_same(&[
        "SELECT date_trunc('month', day) m, shop, SUM(amount) FROM orders GROUP BY m, shop",
        "SELECT shop, SUM(amount) s, date_trunc('MONTH', orders.day) FROM orders GROUP BY shop, 3, date_trunc('month', day)",
        "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS (max_groups_contributed = 12) SUM(amount) FROM orders GROUP BY shop, date_trunc('month', day)",
    ]);
}

#[test]
fn questions_that_differ_have_plans_of_their_own() {
    let texts = [
        "SELECT COUNT(*) FROM orders",
        "SELECT COUNT(*) FROM customers",
        "SELECT COUNT(amount) FROM orders",
        "SELECT COUNT(DISTINCT customer_id) FROM orders",
        "SELECT COUNT(*) FROM orders WHERE amount > 10",
        "SELECT COUNT(*) FROM orders WHERE amount >= 10",
        "SELECT COUNT(*) FROM orders GROUP BY shop",
        "SELECT COUNT(*) FROM orders GROUP BY day",
        "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS (max_groups_contributed = 2) COUNT(*) FROM orders GROUP BY shop",
    ];
    let mut plans: Vec<_> = texts.iter().map(|text| query(text).plan).collect();
    plans.sort_unstable();
    plans.dedup();
    assert_eq!(plans.len(), texts.len());
}

#[test]
fn parameters_are_literals() {
    let text = "SELECT COUNT(*) FROM orders WHERE amount > $1 AND shop = $2 AND day < $3 LIMIT $4";
    let values = ["10", "north", "2024-06-01", "5"].map(|text| Parameter::Text(text.to_owned()));
    let bound = compile(text, &settings(), &contract(), Some(&values)).unwrap();
    let Statement::Query(bound) = bound else {
        panic!("a query");
    };
    let written = "SELECT COUNT(*) FROM orders WHERE amount > 10 AND shop = 'north' AND day < '2024-06-01' LIMIT 5";
    assert_eq!(bound.plan, query(written).plan);
    use ParameterKind::{Date, Number, Text, Whole};
    let described = compile(text, &settings(), &contract(), None).unwrap();
    let Statement::Query(described) = described else {
        panic!("a query");
    };
    assert_eq!(described.parameters, [Number, Text, Date, Whole]);
    let refused =
        |values: &[Parameter]| compile(text, &settings(), &contract(), Some(values)).unwrap_err();
    assert_eq!(refused(&values[..3]).state, "08P01");
    let mut hostile = values.clone();
    hostile[1] = Parameter::Text("north' OR 1=1 --".to_owned());
    assert_eq!(
        (refused(&hostile).state, refused(&hostile).position),
        ("22023", Some(58))
    );
    hostile[0] = Parameter::Null;
    assert_eq!(
        (refused(&hostile).state, refused(&hostile).position),
        ("22023", Some(44))
    );
}

#[test]
fn long_deep_and_wide_texts_are_refused() {
    let count = "SELECT COUNT(*) FROM orders WHERE ";
    let long = format!("{count}shop = '{}'", "x".repeat(64 << 10));
    assert_eq!(outcome(&long), "54001@-");
    let deep = format!(
        "{count}{}shop = 'north'{}",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    assert!(outcome(&deep).starts_with("54001@"));
    let nots = format!("{count}{}shop = 'north'", "NOT ".repeat(5_000));
    assert!(outcome(&nots).starts_with("54001@"));
    let wide = |terms| format!("{count}{}", vec!["shop = 'north'"; terms].join(" OR "));
    assert!(!outcome(&wide(64)).starts_with("54001"));
    assert!(outcome(&wide(65)).starts_with("54001@"));
    let many = |count: usize| {
        let shares: Vec<String> = (0..count)
            .map(|share| format!("PERCENTILE_CONT(0.{share:02}) WITHIN GROUP (ORDER BY amount)"))
            .collect();
        format!("SELECT {} FROM orders", shares.join(", "))
    };
    assert!(!outcome(&many(16)).contains('@'));
    assert_eq!(outcome(&many(17)), "54001@1");
    let wrapped = (0..9).fold("SELECT COUNT(*) FROM orders".to_owned(), |inner, _| {
        format!("SELECT * FROM ({inner}) t")
    });
    assert!(outcome(&wrapped).contains('@'));
    let outputs = |count: usize| {
        format!(
            "SELECT {} FROM orders GROUP BY shop",
            vec!["shop"; count].join(", ")
        )
    };
    assert_eq!(outcome(&format!("{} ORDER BY 1", outputs(65))), "54001@8");
    // Few cells, many copies of what they say.
    let copies = |count: usize| {
        let counts: Vec<String> = (0..count).map(|n| format!("COUNT(*) AS n{n}")).collect();
        let counts = counts.join(", ");
        format!("SELECT {counts} FROM orders GROUP BY shop, date_trunc('day', day)")
    };
    assert!(!outcome(&copies(2)).contains('@'));
    assert_eq!(outcome(&copies(62)), "54001@1");
    let sorted = format!(
        "SELECT COUNT(*) FROM orders ORDER BY {}",
        vec!["1"; 65].join(", ")
    );
    assert_eq!(outcome(&sorted), "54001@38");
    let having = format!(
        "SELECT COUNT(*) n FROM orders HAVING n IN ({})",
        vec!["1"; 1_025].join(", ")
    );
    assert_eq!(outcome(&having), "54001@44");
    let list: Vec<String> = (0..20_000).map(|_| "1".to_owned()).collect();
    assert_eq!(
        outcome(&format!("{count}amount IN ({})", list.join(","))),
        "54001@46"
    );
}

#[test]
fn settings_are_applied_and_shown() {
    let mut session = Settings::default();
    let mut set = |text: &str| {
        let Ok(Statement::Set(change)) = statement(text) else {
            panic!("{text}");
        };
        session.apply(change);
        session.clone()
    };
    assert_eq!(
        set("SET aquifer.purpose = 'p'").purpose.as_deref(),
        Some("p")
    );
    assert_eq!(set("SET aquifer.rho_share TO 0.5").rho_share, Some(0.5));
    assert_eq!(
        set("SET aquifer.intervals TO json").intervals,
        Intervals::Json
    );
    assert_eq!(
        set("SET application_name = psql").purpose.as_deref(),
        Some("p")
    );
    assert_eq!(set("RESET aquifer.purpose").purpose, None);
    assert_eq!(set("SET aquifer.rho_share = DEFAULT").rho_share, None);
    assert_eq!(
        set("SET aquifer.cache = only")
            .shown("aquifer.cache")
            .as_deref(),
        Some("only")
    );
    assert_eq!(set("RESET ALL"), Settings::default());
    let unset = compile(
        "SELECT COUNT(*) FROM orders",
        &Settings::default(),
        &contract(),
        None,
    );
    let Ok(Statement::Query(unset)) = unset else {
        panic!("a query");
    };
    assert_eq!(unset.purpose().unwrap_err().state, "55000");
}

#[test]
fn places_are_characters_of_the_text() {
    assert_eq!(
        outcome("SELECT COUNT(*)\n  FROM orders\nWHERE colour = 'grün'"),
        "42703@37"
    );
    assert_eq!(
        outcome("/* größe */ SELECT COUNT(*) FROM nowhere"),
        "42P01@34"
    );
    assert_eq!(outcome("SELECT COUNT(*)\r\nFROM nowhere"), "42P01@23");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Statements with pieces left out, doubled, swapped or replaced: a plan or a refusal inside the text, never a panic.
    #[test]
    fn mutated_statements_never_panic(
        line in 0_usize..1_000,
        other in 0_usize..1_000,
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..6, any::<char>()), 1..5),
    ) {
        let lines: Vec<&str> = GOLDEN.lines().filter_map(|line| line.split_once(" | ")).map(|(_, text)| text).collect();
        let mut text: Vec<char> = lines[line % lines.len()].chars().collect();
        let donor: Vec<char> = lines[other % lines.len()].chars().collect();
        for (index, kind, character) in cuts {
            if text.is_empty() {
                text.push(' ');
            }
            let at = index.index(text.len());
            match kind {
                0 => drop(text.remove(at)),
                1 => text.insert(at, character),
                2 => text.truncate(at),
                3 => text.extend_from_within(at..),
                4 => text.splice(at.., donor.iter().copied().skip(at)).for_each(drop),
                _ => text.rotate_left(at),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(refusal) = statement(&text) {
            prop_assert!(refusal.position.is_none_or(|at| (1..=text.chars().count() + 1).contains(&at)), "{refusal:?}");
            prop_assert!(!refusal.hint.is_empty());
        }
    }

    #[test]
    fn random_texts_never_panic(text in "\\PC{0,200}") {
        drop(statement(&text));
    }

    #[test]
    fn random_words_never_panic(words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..40)) {
        drop(statement(&words.join(" ")));
    }
}

const WORDS: [&str; 48] = [
    "SELECT",
    "FROM",
    "orders",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "(",
    ")",
    ",",
    "*",
    "COUNT",
    "SUM",
    "AVG",
    "(",
    ")",
    "amount",
    "shop",
    "day",
    "=",
    "<",
    ">=",
    "'north'",
    "1",
    "-",
    "2.5",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "IS",
    "NULL",
    "AS",
    "t",
    ".",
    "date_trunc",
    "'month'",
    "width_bucket",
    "DISTINCT",
    "EXPLAIN",
    "SET",
    "$1",
    "\"amount\"",
    ";",
];
