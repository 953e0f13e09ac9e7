//! What costs nothing: stored answers, and statements about the catalogue.

use anyhow::Result;
use aquifer_shared::shell::report::Table;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{Bench, SHARED, judged, pace, plain};

/// Statements a second, and for how many seconds.
const PER_SECOND: f64 = 500.0;
const SECONDS: usize = 20;
const SECONDS_QUICK: usize = 4;
/// Sessions that share them.
const SESSIONS: usize = 16;
const LIMIT_MS: f64 = 5.0;

/// What psql 15 sends for `\dt`.
const TABLES: &str = r#"SELECT n.nspname as "Schema",
  c.relname as "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END as "Type",
  pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r','p','')
      AND n.nspname <> 'pg_catalog'
      AND n.nspname !~ '^pg_toast'
      AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2"#;

/// Measures both.
pub fn measure(bench: &mut Bench<'_>) -> Result<Value> {
    let seconds = bench.options.times(SECONDS, SECONDS_QUICK);
    let mut clients = Vec::new();
    for number in 0..SESSIONS {
        let analyst = &bench.analysts[number % bench.analysts.len()];
        let opened = Client::open(&bench.reports, analyst, SHARED);
        clients.push(bench.runtime.block_on(opened)?);
    }
    let question = bench.wording.next();
    let rows = Some(bench.wording.rows());
    bench.runtime.block_on(clients[0].ask(&question, rows))?;
    let mut table = Table::new(&[
        "500 a second, ms",
        "p50",
        "p99 [limit]",
        "slowest",
        "failed",
    ]);
    let mut figures = Map::new();
    let cases = [
        ("stored answer", question.as_str(), rows),
        ("catalogue (\\dt)", TABLES, None),
    ];
    for (name, text, rows) in cases {
        let statements = vec![text.to_owned(); PER_SECOND as usize * seconds];
        let paced = pace::run(
            &bench.runtime,
            &mut clients,
            (&statements, rows),
            PER_SECOND,
        )?;
        let failed = paced.failed.as_ref().map_or(0, |(_, count)| *count);
        let times = &paced.times;
        table.toned_row([
            plain(name),
            plain(format!("{:.2}", times.below(0.5))),
            judged(times.below(0.99), LIMIT_MS),
            plain(format!("{:.1}", times.below(1.0))),
            judged(failed as f64, 1.0),
        ]);
        figures.insert(
            name.to_owned(),
            json!({"times": times.to_json(), "per_second": PER_SECOND, "seconds": seconds, "limit_p99_ms": LIMIT_MS, "failed": paced.failed}),
        );
    }
    table.print()?;
    Ok(Value::Object(figures))
}
