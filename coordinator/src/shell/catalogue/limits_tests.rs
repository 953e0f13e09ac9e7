//! What the engine does not do, however it is asked.

use aquifer_shared::base::limits::STATEMENT_BYTES_MAX;

use super::golden_tests::{asked, engine, ready};

#[track_caller]
fn check(found: &str, sql: &str, expected: &str) {
    let shown: String = sql.chars().take(200).collect();
    assert_eq!(found, expected, "{shown}");
}

/// SQLSTATE of what is refused, or the number of rows.
async fn told(sql: &str) -> String {
    match asked(&engine(), &ready(), sql, &[]).await {
        Ok(answer) => format!("{} rows", answer.rows.len()),
        Err(objection) => objection.sqlstate,
    }
}

#[tokio::test]
async fn no_function_reads_or_swells() {
    for call in [
        "pg_read_file('/etc/passwd')",
        "repeat('x', 1000000000)",
        "lpad('x', 1000000000)",
        "array_repeat(1, 1000000000)",
        "pg_sleep(1000)",
        "read_csv('/etc/passwd')",
        "dblink('host=other')",
        "secret.version()",
    ] {
        let sql = format!("SELECT {call}");
        check(&told(&sql).await, &sql, "42883");
    }
    let sql = "SELECT * FROM pg_class, generate_series(1, 1000000000)";
    check(&told(sql).await, sql, "54001");
    let sql = "SELECT * FROM pg_class, read_parquet('/tmp/x.parquet')";
    check(&told(sql).await, sql, "42883");
}

#[tokio::test]
async fn texts_do_not_swell() {
    let mut sql = format!("SELECT '{}' AS x FROM pg_class", "x".repeat(1_000));
    for _ in 0..8 {
        sql = format!("SELECT x || x AS x FROM ({sql}) t");
    }
    assert!(sql.len() < STATEMENT_BYTES_MAX);
    check(&told(&sql).await, &sql, "54000");
}

#[tokio::test]
async fn rows_time_and_recursion_are_bounded() {
    let many = "SELECT a.oid FROM pg_type a, pg_type b, pg_type c";
    check(&told(many).await, many, "54000");
    let long = "SELECT count(a.oid + b.oid + c.oid + d.oid + e.oid + f.oid) FROM pg_type a, pg_type b, pg_type c, pg_type d, pg_type e, pg_type f";
    check(&told(long).await, long, "57014");
    let endless = "WITH RECURSIVE t AS (SELECT oid FROM pg_type UNION ALL SELECT oid + 1 FROM t) SELECT count(*) FROM t";
    check(&told(endless).await, endless, "0A000");
}

#[tokio::test]
async fn the_engine_holds_no_published_table() {
    let own = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    check(&told(own).await, own, "1 rows");
    for table in [
        "customers",
        "public.customers",
        "catalogue.public.customers",
    ] {
        let sql = format!("SELECT (SELECT count(*) FROM {table}) FROM pg_class");
        check(&told(&sql).await, &sql, "0A000");
    }
}

/// SQLSTATE, what was found, and the hint of a statement that is refused.
#[track_caller]
fn check_words(objection: &aquifer_shared::protocol::ask::Objection, sql: &str, expected: &[&str]) {
    let told = format!(
        "{} {} | {}",
        objection.sqlstate, objection.message, objection.hint
    );
    for words in expected {
        assert!(told.contains(words), "{sql}\n{told}\n{words}");
    }
    for foreign in [
        "DataFusion",
        "Error during",
        "Schema error",
        "Arrow",
        "Valid fields",
        "Did you mean",
        "sql parser",
        "not implemented",
        "Invalid function",
        "catalogue.public",
        "coerc",
        "aq_",
        "Int64",
        "Utf8",
    ] {
        assert!(!told.contains(foreign), "{sql}\n{told}");
    }
    assert!(!objection.hint.is_empty(), "{sql}");
}

#[tokio::test]
async fn refusals_are_in_words_of_our_own() {
    let (engine, ready) = (engine(), ready());
    for (sql, expected) in [
        (
            "SELECT relnam FROM pg_class",
            &["42703", "\"relnam\"", "perhaps relname;"][..],
        ),
        (
            "SELECT c.nspname FROM pg_class c",
            &["42703", "\"nspname\"", "information_schema.columns"],
        ),
        (
            "SELECT oid FROM pg_class a, pg_type b",
            &["42702", "more than one table", "t.oid"],
        ),
        (
            "SELECT relkind, count(*) FROM pg_class",
            &["42803", "aggregates"],
        ),
        (
            "SELECT relname FROM pg_class WHERE count(*) > 1",
            &["42803", "HAVING"],
        ),
        (
            "SELECT oid, relname FROM pg_class UNION SELECT oid FROM pg_type",
            &["42601", "UNION"],
        ),
        ("SELECT 1 / 0 FROM pg_class", &["22012", "NULLIF"]),
        (
            "SELECT CAST(relname AS int8) FROM pg_class",
            &["22P02", "::int8"],
        ),
        (
            "SELECT relnamee FROM pg_class a JOIN pg_type b ON a.oid = b.oid",
            &["42703"],
        ),
        (
            "WITH RECURSIVE t AS (SELECT oid FROM pg_type UNION ALL SELECT oid FROM t) SELECT * FROM t",
            &["0A000", "no recursion"],
        ),
        (
            "SELECT lowwer(relname) FROM pg_class",
            &["42883", "\"lowwer\"", "perhaps lower;"],
        ),
        (
            "SELECT 1 FROM pg_class, customers",
            &["0A000", "table customers", "aquifer.last_answer"],
        ),
        (
            "SELECT 1 FROM pg_class, invoices",
            &["42P01", "\"invoices\"", "information_schema.tables"],
        ),
        (
            "SELECT set_config(relname, 'x', false) FROM pg_class",
            &["42883", "write set_config"],
        ),
        (
            "SELECT FROM pg_catalog.pg_class WHERE (",
            &["42601", "expected"],
        ),
    ] {
        match asked(&engine, &ready, sql, &[]).await {
            Ok(answer) => panic!("{sql}: {} rows", answer.rows.len()),
            Err(objection) => check_words(&objection, sql, expected),
        }
    }
}
