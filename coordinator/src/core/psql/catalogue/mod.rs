//! What clients ask about tables before anybody asks about customers: statements as `psql` 15 and SQLAlchemy 2 send them, answered
//! from contracts.
//!
//! Nothing here reaches a table of answers or a node: a statement that was not recorded is none of these. Sizes are never told.

use std::sync::LazyLock;

use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::written;
use aquifer_shared::base::hash::labelled;
use aquifer_shared::domain::contract::{NumberColumn, Published, PublishedColumn, PublishedKind};
use aquifer_shared::protocol::ask::{Answer, AnswerColumn, AnswerKind, AnswerValue};

use crate::core::sql::Parameter;

/// What an analyst may know of.
#[derive(Clone, Copy, Debug)]
pub struct Shelf<'a> {
    /// The analyst.
    pub user: &'a str,
    /// The database that the client asked for.
    pub database: &'a str,
    /// What `version()` says.
    pub version: &'a str,
    /// The published tables, each name once.
    pub tables: &'a [&'a Published],
}

/// The answer to a recorded statement with these values; none for any other.
#[must_use]
pub fn answer(text: &str, values: &[Parameter], shelf: &Shelf<'_>) -> Option<Answer> {
    let text = squeezed(text);
    let (recorded, hole) = RECORDED
        .iter()
        .find_map(|recorded| Some((recorded, recorded.hole(&text)?)))?;
    let value = |number: usize| match values.get(number.checked_sub(1)?)? {
        Parameter::Text(value) => Some(value.as_str()),
        Parameter::Null => None,
    };
    shelf.answer(recorded.name, value(recorded.named).unwrap_or(hole))
}

/// How many values a recorded statement takes; none for any other.
#[must_use]
pub fn values(text: &str) -> Option<usize> {
    let text = squeezed(text);
    let recorded = RECORDED
        .iter()
        .find(|recorded| recorded.hole(&text).is_some());
    recorded.map(|recorded| recorded.values)
}

/// A statement of a client, with at most one place that differs.
struct Recorded {
    name: &'static str,
    parts: Vec<String>,
    /// How many values it takes.
    values: usize,
    /// Which of them names a table; 0 for none.
    named: usize,
}

impl Recorded {
    /// What stands where this statement differs from one time to the next; none if the text is another statement.
    fn hole<'a>(&self, text: &'a str) -> Option<&'a str> {
        let first = self.parts.first()?;
        let rest = text.get(..first.len())?.eq_ignore_ascii_case(first);
        let mut rest = rest.then(|| &text[first.len()..])?;
        let mut hole = "";
        for part in &self.parts[1..] {
            let plain = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !plain(c)).unwrap_or(rest.len());
            if length == 0 || !hole.is_empty() && hole != &rest[..length] {
                return None;
            }
            hole = &rest[..length];
            rest = rest[length..].strip_prefix(part.as_str())?;
        }
        rest.is_empty().then_some(hole)
    }
}

static RECORDED: LazyLock<Vec<Recorded>> = LazyLock::new(|| {
    let statements = include_str!("recorded.sql").split("--- ").skip(1);
    let read = |statement: &'static str| {
        let (name, text) = statement.split_once('\n')?;
        let text = squeezed(text)
            .replace("{name}", "{}")
            .replace("{oid}", "{}");
        let numbers = text.split('$').skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse().ok()
        });
        let values = numbers.max().unwrap_or(0);
        Some(Recorded {
            name,
            parts: text.split("{}").map(str::to_owned).collect(),
            values,
            named: match name {
                "is_table" => 1,
                "columns_of" => values,
                _ => 0,
            },
        })
    };
    statements.filter_map(read).collect()
});

/// One space wherever there is room, and no semicolon at the end.
fn squeezed(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches([';', ' ']).to_owned()
}

impl Shelf<'_> {
    fn answer(&self, name: &str, hole: &str) -> Option<Answer> {
        let by_number = || hole.parse().ok().and_then(|number| self.numbered(number));
        Some(match name {
            "relations" | "tables" => self.relations("", false),
            "relations_more" | "tables_more" => self.relations("", true),
            "table_named" => self.relations(hole, false),
            "table_named_more" => self.relations(hole, true),
            "relation_named" => self.relation(hole),
            "relation_details" | "relation_details_more" => details(by_number()),
            "columns" => columns(by_number(), false),
            "columns_more" => columns(by_number(), true),
            "named_tables" => self.names(|_| true),
            "is_table" => self.names(|table| table.name == hole),
            "columns_of" => self.columns_of(hole),
            "schemas_shown" => one("nspname", SCHEMA),
            "databases" => self.databases(),
            "schemas" => rows(&["Name", "Owner"], vec![vec![text(SCHEMA), text(OWNER)]]),
            "version" => one("version", self.version),
            "current_schema" => one("current_schema", SCHEMA),
            "current_database" => one("current_database", self.database),
            "current_user" => one("current_user", self.user),
            "one" => of(
                vec![column("?column?", AnswerKind::Whole)],
                vec![vec![AnswerValue::Whole(1)]],
            ),
            other => rows(nothing_of(other)?, Vec::new()),
        })
    }

    fn numbered(&self, number: i64) -> Option<&Published> {
        let mut tables = self.tables.iter();
        tables.find(|table| oid(&table.name) == number).copied()
    }

    fn relations(&self, named: &str, more: bool) -> Answer {
        let mut tables: Vec<&Published> = self.tables.to_vec();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables.retain(|table| named.is_empty() || table.name == named);
        let row = |table: &&Published| {
            let mut row = vec![text(SCHEMA), text(&table.name), text("table"), text(OWNER)];
            if more {
                let comment = text(&table_comment(table));
                row.extend([
                    text("permanent"),
                    AnswerValue::Null,
                    AnswerValue::Null,
                    comment,
                ]);
            }
            row
        };
        let names = [
            "Schema",
            "Name",
            "Type",
            "Owner",
            "Persistence",
            "Access method",
            "Size",
            "Description",
        ];
        let names = if more { &names[..] } else { &names[..4] };
        rows(names, tables.iter().map(row).collect())
    }

    fn relation(&self, named: &str) -> Answer {
        let found = self.tables.iter().filter(|table| table.name == named);
        let row = |table: &&Published| {
            let number = AnswerValue::Whole(oid(&table.name));
            vec![number, text(SCHEMA), text(&table.name)]
        };
        let columns = vec![
            column("oid", AnswerKind::Whole),
            column("nspname", AnswerKind::Text),
            column("relname", AnswerKind::Text),
        ];
        of(columns, found.map(row).collect())
    }

    fn names(&self, kept: impl Fn(&Published) -> bool) -> Answer {
        let tables = self.tables.iter().filter(|table| kept(table));
        let tables = tables.map(|table| vec![text(&table.name)]);
        rows(&["relname"], tables.collect())
    }

    /// Columns as SQLAlchemy wants them.
    fn columns_of(&self, named: &str) -> Answer {
        let names = [
            "name",
            "format_type",
            "default",
            "not_null",
            "table_name",
            "comment",
            "generated",
            "identity_options",
            "collation",
        ];
        let kind = |name| match name {
            "not_null" => AnswerKind::Truth,
            _ => AnswerKind::Text,
        };
        let row = |table: &str, column: &PublishedColumn| {
            let none = || AnswerValue::Null;
            let (name, kind) = (text(&column.name), text(type_name(&column.kind)));
            let comment = text(&column_comment(column));
            let not_null = AnswerValue::Truth(false);
            let own = [name, kind, none(), not_null, text(table), comment];
            own.into_iter().chain([text(""), none(), none()]).collect()
        };
        let tables = self.tables.iter().filter(|table| table.name == named);
        let all = tables.flat_map(|table| table.columns.iter().map(|one| row(&table.name, one)));
        of(
            names.map(|name| column(name, kind(name))).to_vec(),
            all.collect(),
        )
    }

    fn databases(&self) -> Answer {
        let names = [
            "Name",
            "Owner",
            "Encoding",
            "Collate",
            "Ctype",
            "ICU Locale",
            "Locale Provider",
            "Access privileges",
        ];
        let row = [self.database, OWNER, "UTF8", "C.UTF-8", "C.UTF-8"].map(text);
        let row = [
            &row[..],
            &[AnswerValue::Null, text("libc"), AnswerValue::Null],
        ]
        .concat();
        rows(&names, vec![row])
    }
}

/// Columns of what no table here ever has.
fn nothing_of(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "policies" => &[
            "polname",
            "polpermissive",
            "case",
            "pg_get_expr",
            "pg_get_expr",
            "cmd",
        ],
        "statistics" => &[
            "oid",
            "stxrelid",
            "nsp",
            "stxname",
            "columns",
            "ndist_enabled",
            "deps_enabled",
            "mcv_enabled",
            "stxstattarget",
        ],
        "driver_type" => &["name", "oid", "array_oid", "regtype", "delimiter"],
        "publications" => &["pubname", "?column?", "?column?"],
        "parents" => &["oid"],
        "children" => &["oid", "relkind", "inhdetachpending", "pg_get_expr"],
        "functions" => &[
            "Schema",
            "Name",
            "Result data type",
            "Argument data types",
            "Type",
        ],
        _ => return None,
    })
}

fn details(table: Option<&Published>) -> Answer {
    let names = [
        "relchecks",
        "relkind",
        "relhasindex",
        "relhasrules",
        "relhastriggers",
        "relrowsecurity",
        "relforcerowsecurity",
        "relhasoids",
        "relispartition",
        "?column?",
        "reltablespace",
        "case",
        "relpersistence",
        "relreplident",
        "amname",
    ];
    let row = |_: &Published| {
        let mut row = [
            "0", "r", "f", "f", "f", "f", "f", "f", "f", "", "0", "", "p", "d",
        ]
        .map(text)
        .to_vec();
        row.push(AnswerValue::Null);
        row
    };
    rows(&names, table.iter().copied().map(row).collect())
}

fn columns(table: Option<&Published>, more: bool) -> Answer {
    let names = [
        "attname",
        "format_type",
        "pg_get_expr",
        "attnotnull",
        "attcollation",
        "attidentity",
        "attgenerated",
        "attstorage",
        "attcompression",
        "attstattarget",
        "col_description",
    ];
    let row = |column: &PublishedColumn| {
        let none = || AnswerValue::Null;
        let (name, kind) = (text(&column.name), text(type_name(&column.kind)));
        let mut row = vec![name, kind, none(), text("f"), none(), text(""), text("")];
        if more {
            let storage = match column.kind {
                PublishedKind::Key { .. } => "x",
                PublishedKind::Number(_) | PublishedKind::Date { .. } => "p",
            };
            let comment = text(&column_comment(column));
            row.extend([text(storage), text(""), none(), comment]);
        }
        row
    };
    let names = if more { &names[..] } else { &names[..7] };
    let columns = table.iter().flat_map(|table| &table.columns);
    rows(names, columns.map(row).collect())
}

fn type_name(kind: &PublishedKind) -> &'static str {
    match kind {
        PublishedKind::Number(NumberColumn { digits: 0, .. }) => "bigint",
        PublishedKind::Number(_) => "double precision",
        PublishedKind::Key { .. } => "text",
        PublishedKind::Date { .. } => "date",
    }
}

/// What `\dt+` says of a table: its bounds, as the contract publishes them.
fn table_comment(table: &Published) -> String {
    let bounds = format!(
        "privacy unit {}, {} rows in a group and {} groups count for one",
        table.privacy_unit, table.rows_per_group_max, table.groups_per_unit_max
    );
    joined(&table.description, bounds)
}

/// What `\d+` says of a column: its bounds, as the contract publishes them.
fn column_comment(column: &PublishedColumn) -> String {
    let bounds = match &column.kind {
        PublishedKind::Number(number) => {
            let shown = |units| written(units, number.digits);
            let (low, high) = (shown(number.low), shown(number.high));
            format!(
                "{low} to {high} in steps of {} {}",
                shown(number.step),
                number.unit
            )
        }
        PublishedKind::Key { levels, unknown } => {
            let shown: Vec<&str> = levels
                .iter()
                .take(LEVELS_SHOWN)
                .map(String::as_str)
                .collect();
            let more = levels.len().saturating_sub(LEVELS_SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!(
                "levels {}{more}; anything else is {unknown}",
                shown.join(", ")
            )
        }
        PublishedKind::Date { first, last } => {
            format!(
                "{} to {}",
                calendar::written(*first),
                calendar::written(*last)
            )
        }
    };
    joined(&column.description, bounds.trim_end().to_owned())
}

fn joined(description: &str, bounds: String) -> String {
    match description {
        "" => bounds,
        description => format!("{description} ({bounds})"),
    }
}

/// A number for a table that is the same tomorrow.
fn oid(name: &str) -> i64 {
    let hash = labelled("aquifer/oid/1", &[name.as_bytes()]);
    let number = u32::from_be_bytes([hash.0[0], hash.0[1], hash.0[2], hash.0[3]]);
    i64::from(FIRST_OID + number % (1 << 30))
}

fn one(name: &str, value: &str) -> Answer {
    rows(&[name], vec![vec![text(value)]])
}

fn text(value: &str) -> AnswerValue {
    AnswerValue::Text(value.to_owned())
}

fn column(name: &str, kind: AnswerKind) -> AnswerColumn {
    AnswerColumn {
        name: name.to_owned(),
        kind,
    }
}

fn rows(names: &[&str], rows: Vec<Vec<AnswerValue>>) -> Answer {
    let columns = names.iter().map(|name| column(name, AnswerKind::Text));
    of(columns.collect(), rows)
}

fn of(columns: Vec<AnswerColumn>, rows: Vec<Vec<AnswerValue>>) -> Answer {
    Answer {
        columns,
        rows,
        notices: Vec::new(),
        release: None,
    }
}

const SCHEMA: &str = "public";
const OWNER: &str = "aquifer";
const LEVELS_SHOWN: usize = 20;
/// Smaller numbers are PostgreSQL's own.
const FIRST_OID: u32 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn customers() -> Published {
        Published {
            name: "customers".into(),
            description: "everybody".into(),
            privacy_unit: "customer_id".into(),
            rows_per_group_max: 1,
            rows_per_unit_max: 1,
            groups_per_unit_max: 2,
            size_band: (1, 9),
            columns: vec![
                PublishedColumn {
                    name: "contract".into(),
                    description: String::new(),
                    kind: PublishedKind::Key {
                        levels: vec!["month".into()],
                        unknown: "other".into(),
                    },
                },
                PublishedColumn {
                    name: "charges".into(),
                    description: "a month".into(),
                    kind: PublishedKind::Number(NumberColumn {
                        digits: 1,
                        low: 0,
                        high: 1_000,
                        step: 5,
                        grid: 8,
                        unit: "EUR".into(),
                        on_null: None,
                    }),
                },
            ],
        }
    }

    fn ask(text: &str) -> Option<Answer> {
        ask_with(text, &[])
    }

    fn ask_with(text: &str, values: &[Parameter]) -> Option<Answer> {
        let table = customers();
        let shelf = Shelf {
            user: "ada",
            database: "aquifer",
            version: "PostgreSQL 15.0",
            tables: &[&table],
        };
        answer(text, values, &shelf)
    }

    /// The recorded statement of this name, with something in its place.
    fn recorded(name: &str, hole: &str) -> String {
        let all = include_str!("recorded.sql").split("--- ");
        let mut found = all.filter_map(|one| one.strip_prefix(&format!("{name}\n")));
        let text = found.next().unwrap();
        text.replace("{name}", hole).replace("{oid}", hole)
    }

    #[track_caller]
    fn check(statement: &str, expected: &[&[&str]]) {
        let answer = ask(statement).unwrap();
        let shown = |value: &AnswerValue| match value {
            AnswerValue::Text(text) => text.clone(),
            AnswerValue::Whole(number) => number.to_string(),
            _ => "-".to_owned(),
        };
        let found: Vec<Vec<String>> = answer
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect();
        assert_eq!(found, expected);
        let width = answer.columns.len();
        assert!(answer.rows.iter().all(|row| row.len() == width));
    }

    #[test]
    fn tables_are_listed() {
        check(
            &recorded("tables", ""),
            &[&["public", "customers", "table", "aquifer"]],
        );
        let comment =
            "everybody (privacy unit customer_id, 1 rows in a group and 2 groups count for one)";
        let more = [
            "public",
            "customers",
            "table",
            "aquifer",
            "permanent",
            "-",
            "-",
            comment,
        ];
        check(&recorded("table_named_more", "customers"), &[&more]);
        check(&recorded("table_named", "invoices"), &[]);
    }

    #[test]
    fn a_table_is_described() {
        let number = oid("customers").to_string();
        check(
            &recorded("relation_named", "customers"),
            &[&[&number, "public", "customers"]],
        );
        let contract = ["contract", "text", "-", "f", "-", "", ""];
        let charges = ["charges", "double precision", "-", "f", "-", "", ""];
        check(&recorded("columns", &number), &[&contract, &charges]);
        check(&recorded("columns", "1"), &[]);
        let comments: Vec<AnswerValue> = ask(&recorded("columns_more", &number))
            .unwrap()
            .rows
            .into_iter()
            .filter_map(|mut row| row.pop())
            .collect();
        let expected = [
            "levels month; anything else is other",
            "a month (0 to 100 in steps of 0.5 EUR)",
        ];
        assert_eq!(comments, expected.map(text));
    }

    #[test]
    fn values_name_tables() {
        let text = recorded("is_table", "");
        assert_eq!(values(&text), Some(7));
        let rows = |name: &str| {
            let named = [Parameter::Text(name.to_owned())];
            ask_with(&text, &named).unwrap().rows.len()
        };
        assert_eq!((rows("customers"), rows("invoices")), (1, 0));
        let text = recorded("columns_of", "");
        let mut named = vec![Parameter::Null; values(&text).unwrap() - 1];
        named.push(Parameter::Text("customers".into()));
        assert_eq!(ask_with(&text, &named).unwrap().rows.len(), 2);
        assert_eq!(values("SELECT 2"), None);
    }

    #[test]
    fn every_recorded_statement_has_an_answer() {
        for recorded in RECORDED.iter() {
            let text = recorded.parts.join("7");
            let answer = ask(&text);
            let answer = answer.unwrap_or_else(|| panic!("{}", recorded.name));
            assert!(!answer.columns.is_empty());
            assert!(
                answer
                    .rows
                    .iter()
                    .all(|row| row.len() == answer.columns.len())
            );
        }
    }

    #[test]
    fn anything_else_is_no_such_statement() {
        for other in [
            "SELECT * FROM customers",
            "SELECT version(), COUNT(*) FROM customers",
            "SELECT 1; SELECT 1",
            "SELECT c.oid FROM pg_catalog.pg_class c",
            "",
        ] {
            assert_eq!(ask(other), None, "{other}");
        }
        let injected = recorded("relation_named", "x)$' OR '1'='1");
        assert_eq!(ask(&injected), None);
        check("select  VERSION() ;", &[&["PostgreSQL 15.0"]]);
    }
}
