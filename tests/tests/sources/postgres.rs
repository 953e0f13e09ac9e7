//! Tables that a query gives on a PostgreSQL server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aquifer_tests::processes::{Watcher, command, wait_for};

use super::certificates::certificates_for;
use super::server::{Postgres, unit_on};
use super::unit::{CANARIES, check_counts, check_refused};

/// How long a check may take, in milliseconds.
const STEP_MS: u64 = 180_000;
const MEMORY_BYTES_MAX: u64 = 320 << 20;

/// Customers 0 to `rows` - 1; every third has left, every tenth has no tenure.
fn table(name: &str, rows: u64) -> String {
    format!(
        "CREATE TABLE {name} AS SELECT 'c' || n AS customer_id, NULLIF(n % 10, 9) AS tenure, \
         CASE n % 2 WHEN 0 THEN 'month' ELSE 'year' END AS plan, CASE n % 3 WHEN 0 THEN 'yes' ELSE 'no' END AS churned \
         FROM generate_series(0, {rows} - 1) AS n; GRANT SELECT ON {name} TO reader"
    )
}

const TYPES: &str = "
CREATE TYPE plan AS ENUM ('month', 'year');
CREATE TABLE types (id uuid, small smallint, whole int, big bigint, four real, eight double precision,
    exact numeric, fixed numeric(9,2), letters text, few varchar(9), padded char(9), flag boolean, day date,
    moment timestamp, zoned timestamptz, plan plan, odd point);
INSERT INTO types VALUES
    ('10111213-1415-1617-1819-1a1b1c1d1e1f', 1, 2, 3, 0.5, 0.25, 4.125, 5.50, 'x', 'month', 'month', true, '2024-02-29',
     '2024-02-29 12:00', '2024-02-29 12:00+02', 'month', '(1,2)'),
    ('20111213-1415-1617-1819-1a1b1c1d1e1f', -1, -2, -3, 'NaN', 'inf', 'NaN', -5.50, '', 'year', 'year', false, 'infinity',
     '-infinity', 'infinity', 'year', NULL);
INSERT INTO types (id) VALUES ('30111213-1415-1617-1819-1a1b1c1d1e1f');
GRANT SELECT ON types TO reader";

#[test]
fn queries_of_every_size_and_type_become_tables() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    for (name, rows) in [("none", 0), ("one", 1), ("many", 200_000)] {
        server.run(&table(name, rows));
    }
    check_counts(&server.unit("SELECT * FROM many"), 200_000, 200_000, 66_667);
    let report = server.unit("SELECT * FROM many").report();
    assert_eq!(
        report["columns"][0]["missing"]["rows"], 20_000,
        "{report:#}"
    );
    // One row is a table; none is a problem, and no failure.
    let one = server.unit("SELECT * FROM one;").check(&[]);
    assert!(
        one.stdout.contains("1 in the mapped table, 1 customers"),
        "{one:?}"
    );
    let none = server.unit("SELECT * FROM none").check(&[]);
    assert!(
        none.stdout.contains("no row has a customer and a label"),
        "{none:?}"
    );
    // What the server filters and joins need not be on the wire; the mapping may join further.
    let pushed = "SELECT a.* FROM many a JOIN one b ON true WHERE a.customer_id < 'c2'";
    let mapping = "SELECT a.* FROM customers a JOIN customers b ON a.customer_id = b.customer_id";
    check_counts(
        &unit_on(&server.parts(), mapping, pushed),
        111_112,
        111_112,
        37_036,
    );
    server.run(TYPES);
    let columns = "id, small, whole, big, four, eight, exact, fixed, letters, few, padded, flag, day, moment, zoned, plan";
    let mapping = "SELECT id AS customer_id, plan, CASE WHEN flag AND day = DATE '2024-02-29' \
        AND moment = TIMESTAMP '2024-02-29T12:00:00' AND zoned = TIMESTAMP '2024-02-29T10:00:00Z' \
        AND small + whole + big = 6 AND four + eight + exact + fixed = 10.375 AND letters = 'x' AND few = 'month' \
        AND TRIM(padded) = 'month' THEN 'yes' ELSE 'no' END AS churned, \
        CASE WHEN small = -1 AND isnan(four) AND isnan(exact) AND eight > 1e300 AND day IS NULL AND moment IS NULL \
        AND zoned IS NULL AND letters = '' THEN 1 WHEN small IS NULL AND exact IS NULL AND plan IS NULL THEN 2 END AS tenure \
        FROM customers";
    let types = unit_on(
        &server.parts(),
        mapping,
        &format!("SELECT {columns} FROM types"),
    );
    check_counts(&types, 3, 3, 1);
    let report = types.report();
    assert_eq!(
        report["columns"][0]["missing"]["examples"],
        serde_json::json!([1]),
        "{report:#}"
    );
    assert_eq!(
        report["columns"][1]["missing"]["examples"],
        serde_json::json!([3]),
        "{report:#}"
    );
    let odd = server.unit("SELECT odd FROM types");
    check_refused(
        &odd,
        &[
            "table \"customers\"",
            "column \"odd\" of type POINT",
            "cast it",
        ],
    );
}

/// A gigabyte of rows, which is several times the memory that the node may take.
#[test]
fn rows_are_in_memory_only_as_they_are_needed() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    server.run(&table("many", 25_000));
    let mapping = "SELECT * FROM customers WHERE length(wide) = 40000";
    let query = "SELECT *, repeat('x', 40000) AS wide FROM many";
    let unit = unit_on(&server.parts(), mapping, query);
    let watcher = Watcher::new();
    let mut check = command("aquifer-node", ["check", "--dir"]);
    let log = unit.path().join("log");
    let mut check = watcher
        .start("check", check.arg(unit.path()), &log)
        .unwrap();
    assert!(check.wait(STEP_MS).unwrap().success());
    let peak = watcher.report().each["check"].pss_peak;
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes");
}

/// Queries, and what is said of them.
const REFUSED: [(&str, &[&str]); 12] = [
    (
        "SELECT * FROM clients",
        &[
            "table \"customers\"",
            "its query, line 1, column 15",
            "\"clients\" does not exist",
        ],
    ),
    (
        "SELECT customer_id,\n agee FROM customers",
        &["line 2, column 2", "\"agee\" does not exist"],
    ),
    ("SELEC", &["its query, line 1, column 1", "syntax error"]),
    ("SELECT * FROM hidden", &["permission denied"]),
    ("SELECT 1; DROP TABLE customers", &["multiple commands"]),
    ("DELETE FROM customers", &["gives no columns"]),
    ("CREATE TABLE x AS SELECT 1", &["gives no columns"]),
    ("SELECT 1 AS a, 2 AS a", &["gives column \"a\" twice"]),
    (
        "SELECT *, fails() FROM customers",
        &["table \"customers\"", "SQLSTATE P0001"],
    ),
    (
        "SELECT customer_id::int AS customer_id, tenure, plan, churned FROM customers",
        &["cannot be converted", "of the server"],
    ),
    (
        "SELECT *, 1 / (tenure - 1) FROM customers",
        &["divides by zero on the server"],
    ),
    (
        "SELECT *, pg_terminate_backend(pg_backend_pid()) FROM customers",
        &["starting or stopping"],
    ),
];

#[test]
fn what_is_wrong_with_a_query_is_told_without_its_values() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    server.run(&table("customers", 100));
    server.run(&format!(
        "CREATE TABLE hidden AS SELECT * FROM customers; \
         INSERT INTO customers VALUES ('{}', 1, '{}', 'no'); \
         CREATE FUNCTION warns() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '{}'; RETURN 1; END $$; \
         CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{}'; END $$",
        CANARIES[0], CANARIES[1], CANARIES[1], CANARIES[1]
    ));
    for (query, words) in REFUSED {
        check_refused(&server.unit(query), words);
    }
    let slow = format!("{}, timeout_seconds = 1", server.parts());
    let slow = server.unit_on(&slow, "SELECT *, pg_sleep(60)::text FROM customers");
    check_refused(&slow, &["longer than `timeout_seconds`"]);
    // A transaction that can only read, whatever the role may do.
    server.run("GRANT ALL ON customers TO reader");
    let deletes = server.unit("DELETE FROM customers RETURNING *");
    check_refused(&deletes, &["expected one that only reads"]);
    let writes = "SELECT *, set_config('transaction_read_only', 'off', false) FROM customers";
    check_refused(&server.unit(writes), &["table \"customers\""]);
    check_counts(
        &server.unit("SELECT *, warns() FROM customers"),
        101,
        101,
        34,
    );
    // The mapping's own mistakes are told as for files.
    let cast =
        "SELECT customer_id, CAST(customer_id AS INT) AS tenure, plan, churned FROM customers";
    check_refused(
        &unit_on(&server.parts(), cast, "SELECT * FROM customers"),
        &["TRY_CAST"],
    );
}

#[test]
fn connections_are_private_or_not_made() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    server.run(&table("customers", 10));
    let query = "SELECT * FROM customers";
    let parts = server.parts();
    let refused = |from: &str, to: &str, words: &[&str]| {
        assert!(parts.contains(from), "{parts}");
        let unit = server.unit_on(&parts.replace(from, to), query);
        check_refused(&unit, &[&["table \"customers\""], words].concat());
    };
    check_counts(&server.unit(query), 10, 10, 4);
    let (port, ca) = (
        format!("port = {}", server.port),
        format!("{:?}", server.certificates.authority),
    );
    let localhost = "host = \"localhost\"";
    refused(
        localhost,
        "host = \"nowhere.invalid\"",
        &["there is no host \"nowhere.invalid\""],
    );
    refused(&port, "port = 1", &["nobody listens"]);
    refused(
        &format!(", ca_file = {ca}"),
        "",
        &["not trusted", "ca_file"],
    );
    refused(localhost, "host = \"127.0.0.1\"", &["another host name"]);
    refused("\"postgres\"", "\"crm\"", &["no such database"]);
    refused("\"reader\"", "\"nobody\"", &["refuses user or password"]);
    refused(&ca, "\"missing.pem\"", &["missing.pem", "cannot be read"]);
    refused("\"password\"", "\"nofile\"", &["nofile"]);
    let other = tempfile::tempdir().unwrap();
    let foreign = certificates_for("localhost", other.path()).authority;
    refused(&ca, &format!("{foreign:?}"), &["not trusted"]);
    let unit = server.unit(query).secret("password", "qxcanary-value");
    check_refused(&unit, &["refuses user or password"]);
    fs::set_permissions(
        unit.path().join("password"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    check_refused(&unit, &["password", "640"]);
}

#[test]
fn tls_is_left_out_only_on_this_machine_and_when_said() {
    let Some(server) = Postgres::start("localhost") else {
        return;
    };
    server.run(&table("customers", 10));
    let (query, parts) = ("SELECT * FROM customers", server.parts());
    let ca = format!("{:?}", server.certificates.authority);
    // A URL in a file says where, but not that TLS is off.
    let url = |more: &str| {
        let url = format!(
            "postgres://reader:{}@localhost:{}/postgres{more}",
            CANARIES[2], server.port
        );
        let table = format!(
            "customers.postgres = {{ url_file = \"url\", ca_file = {ca} }}\ncustomers.query = '{query}'"
        );
        super::unit::Unit::with(&table).secret("url", &url)
    };
    check_counts(&url(""), 10, 10, 4);
    // A slash that was not written as %2F: what is left of it looks like a host and stays unsaid.
    let broken = url("").secret(
        "url",
        &format!("postgres://{}.invalid/x@localhost/postgres", CANARIES[2]),
    );
    check_refused(&broken, &["there is no host of the name in `url_file`"]);
    check_refused(
        &url("?sslmode=disable"),
        &["expected host, port, user, password or dbname only"],
    );
    let plain = format!("plain = true, {parts}");
    check_counts(&server.unit_on(&plain, query), 10, 10, 4);
    let socket = plain.replace("\"localhost\"", &format!("{:?}", server.socket()));
    check_counts(&server.unit_on(&socket, query), 10, 10, 4);
    let remote = plain.replace("localhost", "db.north.example");
    check_refused(&server.unit_on(&remote, query), &["loopback address"]);
    server.run("ALTER SYSTEM SET ssl = off");
    server.run("SELECT pg_reload_conf()");
    wait_for("a server without TLS", 60_000, || {
        let said = server.unit(query).check(&[]).stderr;
        Ok(said.contains("the server has no TLS").then_some(()))
    })
    .unwrap();
}
