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
