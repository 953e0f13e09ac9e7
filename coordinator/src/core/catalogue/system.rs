//! Rows of `pg_catalog`. Tables that are not named here are empty: there are no indexes, constraints, triggers or sequences.

use aquifer_shared::protocol::ask::AnswerValue;

use super::book::{Book, OWNER_OID, Relation, SCHEMAS, SYSTEM};
use super::grid::{Grid, Some, text, truth, whole};
use super::types::{TYPES, numbered};

/// Number, result, arguments and comment of the one function of ours.
pub(super) const PREDICT: (i64, &str, &str, &str) = (
    16_001,
    "TABLE(score double precision, probability double precision, model text, version bigint, clipped text, input text)",
    "model text, input text DEFAULT 'hypothetical'::text, VARIADIC features \"any\"",
    "a released model's prediction for made-up values: FROM predict('churn', tenure => 5)",
);

/// Tables of `pg_catalog` that hold something.
#[must_use]
pub fn system_grids(book: &Book) -> Vec<Grid> {
    let of = |name, rows| Grid::of("pg_catalog", name, rows);
    vec![
        of("pg_namespace", namespaces()),
        of("pg_class", classes(book)),
        of("pg_attribute", attributes(book)),
        of("pg_type", types()),
        of("pg_description", descriptions(book)),
        of("pg_database", vec![database(book)]),
        of("pg_roles", roles(book)),
        of("pg_user", users(book)),
        of("pg_tables", tables(book)),
        of("pg_views", views(book)),
        of("pg_settings", settings()),
        of("pg_am", vec![am(2, "heap", "t"), am(403, "btree", "i")]),
        of("pg_tablespace", vec![tablespace()]),
        of("pg_proc", vec![predict()]),
        of("pg_language", vec![language()]),
        of("pg_get_keywords", keywords()),
    ]
}

/// What is said of a schema.
pub(super) fn schema_comment(oid: i64) -> Option<&'static str> {
    match oid {
        2200 => Some("tables to ask about"),
        16_000 => Some("bounds, purposes, models, budgets and past answers"),
        _ => None,
    }
}

fn namespaces() -> Vec<Some<'static>> {
    let row = |(oid, name): (i64, &str)| {
        vec![
            ("oid", whole(oid)),
            ("nspname", text(name)),
            ("nspowner", whole(OWNER_OID)),
        ]
    };
    SCHEMAS.map(row).into()
}

fn classes(book: &Book) -> Vec<Some<'static>> {
    let own = book.relations.iter().map(|own| {
        let kind = if own.is_view { "v" } else { "r" };
        let schema = Book::schema_oid(own.schema);
        class(own.oid, &own.name, schema, kind, own.columns.len())
    });
    let system = SYSTEM.iter();
    let system = system.map(|(oid, name)| class(*oid, name, 11, "r", 0));
    own.chain(system).collect()
}

fn class(oid: i64, name: &str, schema: i64, kind: &str, columns: usize) -> Some<'static> {
    vec![
        ("oid", whole(oid)),
        ("relname", text(name)),
        ("relnamespace", whole(schema)),
        ("relowner", whole(OWNER_OID)),
        ("reltuples", AnswerValue::Number(-1.0)),
        ("relpersistence", text("p")),
        ("relkind", text(kind)),
        ("relnatts", whole(columns)),
        ("relispopulated", truth(true)),
        ("relreplident", text("d")),
    ]
}

fn attributes(book: &Book) -> Vec<Some<'static>> {
    let of = |own: &Relation| {
        let oid = own.oid;
        let columns = own.columns.iter().enumerate();
        let row = move |(place, (name, kind, _)): (usize, &(String, i64, String))| {
            attribute(oid, place + 1, name, *kind)
        };
        columns.map(row).collect::<Vec<_>>()
    };
    book.relations.iter().flat_map(of).collect()
}

fn attribute(relation: i64, place: usize, name: &str, kind: i64) -> Some<'static> {
    let length = numbered(kind).map_or(-1, |own| own.length);
    vec![
        ("attrelid", whole(relation)),
        ("attname", text(name)),
        ("atttypid", whole(kind)),
        ("attstattarget", whole(-1)),
        ("attlen", whole(length)),
        ("attnum", whole(place)),
        ("attcacheoff", whole(-1)),
        ("atttypmod", whole(-1)),
        ("attbyval", truth(length > 0)),
        ("attalign", text("d")),
        ("attstorage", text(if length < 0 { "x" } else { "p" })),
        ("attcompression", text("")),
        ("attidentity", text("")),
        ("attgenerated", text("")),
        ("attislocal", truth(true)),
    ]
}

fn types() -> Vec<Some<'static>> {
    let mut rows = Vec::new();
    for own in TYPES {
        let kind = if own.category == "P" { "p" } else { "b" };
        rows.push(kind_row(own.oid, own.name, own.length, own.category, kind));
        rows.last_mut().into_iter().for_each(|row| {
            row.push(("typarray", whole(own.array)));
            row.push(("typinput", text(format!("{}in", own.name))));
        });
        if own.array != 0 {
            let mut array = kind_row(own.array, &format!("_{}", own.name), -1, "A", "b");
            array.push(("typelem", whole(own.oid)));
            array.push(("typinput", text("array_in")));
            rows.push(array);
        }
    }
    rows
}

fn kind_row(oid: i64, name: &str, length: i64, category: &str, kind: &str) -> Some<'static> {
    vec![
        ("oid", whole(oid)),
        ("typname", text(name)),
        ("typnamespace", whole(11)),
        ("typowner", whole(OWNER_OID)),
        ("typlen", whole(length)),
        ("typbyval", truth(length > 0 && length <= 8)),
        ("typtype", text(kind)),
        ("typcategory", text(category)),
        ("typisdefined", truth(true)),
        ("typdelim", text(",")),
        ("typalign", text("i")),
        ("typstorage", text(if length < 0 { "x" } else { "p" })),
        ("typtypmod", whole(-1)),
    ]
}

fn descriptions(book: &Book) -> Vec<Some<'static>> {
    let row = |class: i64, oid: i64, column: usize, comment: &str| {
        vec![
            ("objoid", whole(oid)),
            ("classoid", whole(class)),
            ("objsubid", whole(column)),
            ("description", text(comment)),
        ]
    };
    let mut rows = Vec::new();
    for own in &book.relations {
        rows.push(row(1259, own.oid, 0, &own.comment));
        let columns = own.columns.iter().enumerate();
        for (place, (_, _, comment)) in columns.filter(|(_, own)| !own.2.is_empty()) {
            rows.push(row(1259, own.oid, place + 1, comment));
        }
    }
    for (oid, _) in SCHEMAS {
        rows.extend(schema_comment(oid).map(|comment| row(2615, oid, 0, comment)));
    }
    rows.push(row(1255, PREDICT.0, 0, PREDICT.3));
    rows
}

fn database(book: &Book) -> Some<'static> {
    vec![
        ("oid", whole(5)),
        ("datname", text(&*book.shelf.database)),
        ("datdba", whole(OWNER_OID)),
        ("encoding", whole(6)),
        ("datlocprovider", text("c")),
        ("datallowconn", truth(true)),
        ("datconnlimit", whole(-1)),
        ("dattablespace", whole(1663)),
        ("datcollate", text("C.UTF-8")),
        ("datctype", text("C.UTF-8")),
    ]
}

fn roles(book: &Book) -> Vec<Some<'static>> {
    let row = |(oid, name): (i64, String)| {
        vec![
            ("oid", whole(oid)),
            ("rolname", text(name)),
            ("rolinherit", truth(true)),
            ("rolcanlogin", truth(oid != OWNER_OID)),
            ("rolconnlimit", whole(-1)),
        ]
    };
    book.roles().map(row).into()
}

fn users(book: &Book) -> Vec<Some<'static>> {
    let [_, (oid, name)] = book.roles();
    vec![vec![("usename", text(name)), ("usesysid", whole(oid))]]
}

fn tables(book: &Book) -> Vec<Some<'static>> {
    let own = book.relations.iter().filter(|own| !own.is_view);
    let row = |own: &Relation| {
        vec![
            ("schemaname", text(own.schema)),
            ("tablename", text(&*own.name)),
            ("tableowner", text(super::book::OWNER)),
        ]
    };
    own.map(row).collect()
}

fn views(book: &Book) -> Vec<Some<'static>> {
    let own = book.relations.iter().filter(|own| own.is_view);
    let row = |own: &Relation| {
        vec![
            ("schemaname", text(own.schema)),
            ("viewname", text(&*own.name)),
            ("viewowner", text(super::book::OWNER)),
            ("definition", text("")),
        ]
    };
    own.map(row).collect()
}

/// Settings that no client changes.
pub(super) const SETTINGS: [(&str, &str); 12] = [
    ("default_table_access_method", "heap"),
    ("integer_datetimes", "on"),
    ("is_superuser", "off"),
    ("lc_collate", "C.UTF-8"),
    ("lc_ctype", "C.UTF-8"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.0"),
    ("server_version_num", "150000"),
    ("session_authorization", "aquifer"),
    ("transaction_read_only", "on"),
];

/// The value of such a setting.
#[must_use]
pub fn fixed_setting(name: &str) -> Option<&'static str> {
    let found = SETTINGS.iter().find(|(own, _)| *own == name);
    found.map(|(_, value)| *value)
}

fn settings() -> Vec<Some<'static>> {
    let row = |(name, value): (&str, &str)| {
        vec![
            ("name", text(name)),
            ("setting", text(value)),
            ("context", text("internal")),
            ("vartype", text("string")),
            ("source", text("default")),
        ]
    };
    SETTINGS.map(row).into()
}

fn am(oid: i64, name: &str, kind: &str) -> Some<'static> {
    vec![
        ("oid", whole(oid)),
        ("amname", text(name)),
        ("amtype", text(kind)),
    ]
}

fn tablespace() -> Some<'static> {
    vec![
        ("oid", whole(1663)),
        ("spcname", text("pg_default")),
        ("spcowner", whole(OWNER_OID)),
    ]
}

fn language() -> Some<'static> {
    vec![
        ("oid", whole(12)),
        ("lanname", text("internal")),
        ("lanowner", whole(OWNER_OID)),
    ]
}

fn predict() -> Some<'static> {
    vec![
        ("oid", whole(PREDICT.0)),
        ("proname", text("predict")),
        ("pronamespace", whole(2200)),
        ("proowner", whole(OWNER_OID)),
        ("prolang", whole(12)),
        ("prorows", AnswerValue::Number(1.0)),
        ("provariadic", whole(2276)),
        ("prokind", text("f")),
        ("proretset", truth(true)),
        ("provolatile", text("s")),
        ("proparallel", text("r")),
        ("pronargs", whole(3)),
        ("prorettype", whole(2249)),
        ("prosrc", text("")),
    ]
}

/// Words with a meaning of their own in statements here.
fn keywords() -> Vec<Some<'static>> {
    let words = ["explain", "limit", "offset", "show"];
    words.map(|word| vec![("word", text(word))]).into()
}
