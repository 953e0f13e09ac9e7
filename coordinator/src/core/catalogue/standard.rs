//! Rows of `information_schema`: tables, columns and views. There are no constraints and no keys.

use aquifer_shared::protocol::ask::AnswerValue;

use super::book::{Book, OWNER, Relation, SCHEMAS};
use super::grid::{Grid, Some, text, whole};
use super::types::numbered;

/// Tables of `information_schema` that hold something.
#[must_use]
pub fn standard_grids(book: &Book) -> Vec<Grid> {
    let of = |name, rows| Grid::of("information_schema", name, rows);
    vec![
        of("schemata", schemata(book)),
        of("tables", tables(book)),
        of("columns", columns(book)),
        of("views", views(book)),
        of("table_privileges", privileges(book)),
        of("role_table_grants", privileges(book)),
        of("enabled_roles", vec![vec![("role_name", user(book))]]),
    ]
}

fn database(book: &Book) -> AnswerValue {
    text(&*book.shelf.database)
}

fn user(book: &Book) -> AnswerValue {
    text(&*book.shelf.user)
}

fn schemata(book: &Book) -> Vec<Some<'static>> {
    let row = |(_, name): (i64, &str)| {
        vec![
            ("catalog_name", database(book)),
            ("schema_name", text(name)),
            ("schema_owner", text(OWNER)),
        ]
    };
    SCHEMAS.map(row).into()
}

fn named(book: &Book, own: &Relation) -> Some<'static> {
    vec![
        ("table_catalog", database(book)),
        ("table_schema", text(own.schema)),
        ("table_name", text(&*own.name)),
    ]
}

fn tables(book: &Book) -> Vec<Some<'static>> {
    let row = |own: &Relation| {
        let kind = if own.is_view { "VIEW" } else { "BASE TABLE" };
        let more = [
            ("table_type", text(kind)),
            ("is_insertable_into", text("NO")),
            ("is_typed", text("NO")),
        ];
        [named(book, own), more.to_vec()].concat()
    };
    book.relations.iter().map(row).collect()
}

fn views(book: &Book) -> Vec<Some<'static>> {
    let row = |own: &Relation| {
        let more = [
            ("check_option", text("NONE")),
            ("is_updatable", text("NO")),
            ("is_insertable_into", text("NO")),
        ];
        [named(book, own), more.to_vec()].concat()
    };
    let own = book.relations.iter().filter(|own| own.is_view);
    own.map(row).collect()
}

fn privileges(book: &Book) -> Vec<Some<'static>> {
    let row = |own: &Relation| {
        let more = [
            ("grantor", text(OWNER)),
            ("grantee", user(book)),
            ("privilege_type", text("SELECT")),
            ("is_grantable", text("NO")),
        ];
        [named(book, own), more.to_vec()].concat()
    };
    book.relations.iter().map(row).collect()
}

fn columns(book: &Book) -> Vec<Some<'static>> {
    let of = |own: &Relation| {
        let named = named(book, own);
        let row = |(place, (name, kind, _)): (usize, &(String, i64, String))| {
            let own = numbered(*kind);
            let mut row = named.clone();
            row.extend([
                ("column_name", text(&**name)),
                ("ordinal_position", whole(place + 1)),
                ("is_nullable", text("YES")),
                ("data_type", text(own.map_or("", |own| own.written))),
                ("udt_catalog", database(book)),
                ("udt_schema", text("pg_catalog")),
                ("udt_name", text(own.map_or("", |own| own.name))),
                ("dtd_identifier", text((place + 1).to_string())),
                ("is_self_referencing", text("NO")),
                ("is_identity", text("NO")),
                ("identity_cycle", text("NO")),
                ("is_generated", text("NEVER")),
                ("is_updatable", text("NO")),
            ]);
            row.extend(widths(*kind));
            row
        };
        own.columns.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    book.relations.iter().flat_map(of).collect()
}

/// Precision of numbers and dates; what a type does not have is without a value.
fn widths(kind: i64) -> Some<'static> {
    let (digits, radix, scale) = match kind {
        20 => (whole(64), whole(2), whole(0)),
        701 => (whole(53), whole(2), AnswerValue::Null),
        _ => (AnswerValue::Null, AnswerValue::Null, AnswerValue::Null),
    };
    let day = if kind == 1082 {
        whole(0)
    } else {
        AnswerValue::Null
    };
    let none = [
        "character_maximum_length",
        "character_octet_length",
        "interval_precision",
        "maximum_cardinality",
    ];
    let mut row: Some<'static> = none.map(|name| (name, AnswerValue::Null)).to_vec();
    row.extend([
        ("numeric_precision", digits),
        ("numeric_precision_radix", radix),
        ("numeric_scale", scale),
        ("datetime_precision", day),
    ]);
    row
}
