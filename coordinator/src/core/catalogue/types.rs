//! Types of PostgreSQL that clients look up: those that columns here have, those of catalogue columns, and their arrays.

use aquifer_shared::domain::contract::{NumberColumn, PublishedKind};
use aquifer_shared::protocol::ask::AnswerKind;

/// A type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Type {
    /// Its number.
    pub oid: i64,
    /// Its name.
    pub name: &'static str,
    /// Its name as `format_type` writes it.
    pub written: &'static str,
    /// Bytes of a value; -1 where they differ.
    pub length: i64,
    /// Its category, one letter.
    pub category: &'static str,
    /// Number of the type of its arrays; 0 if it has none.
    pub array: i64,
}

const fn of(
    oid: i64,
    name: &'static str,
    written: &'static str,
    length: i64,
    category: &'static str,
    array: i64,
) -> Type {
    Type {
        oid,
        name,
        written,
        length,
        category,
        array,
    }
}

/// Every type that is no array.
pub(super) const TYPES: [Type; 33] = [
    of(16, "bool", "boolean", 1, "B", 1000),
    of(17, "bytea", "bytea", -1, "U", 1001),
    of(18, "char", "\"char\"", 1, "Z", 1002),
    of(19, "name", "name", 64, "S", 1003),
    of(20, "int8", "bigint", 8, "N", 1016),
    of(21, "int2", "smallint", 2, "N", 1005),
    of(22, "int2vector", "int2vector", -1, "A", 1006),
    of(23, "int4", "integer", 4, "N", 1007),
    of(24, "regproc", "regproc", 4, "N", 1008),
    of(25, "text", "text", -1, "S", 1009),
    of(26, "oid", "oid", 4, "N", 1028),
    of(28, "xid", "xid", 4, "U", 1011),
    of(30, "oidvector", "oidvector", -1, "A", 1013),
    of(114, "json", "json", -1, "U", 199),
    of(142, "xml", "xml", -1, "U", 143),
    of(194, "pg_node_tree", "pg_node_tree", -1, "Z", 0),
    of(700, "float4", "real", 4, "N", 1021),
    of(701, "float8", "double precision", 8, "N", 1022),
    of(705, "unknown", "unknown", -2, "X", 0),
    of(1042, "bpchar", "character", -1, "S", 1014),
    of(1043, "varchar", "character varying", -1, "S", 1015),
    of(1082, "date", "date", 4, "D", 1182),
    of(1083, "time", "time without time zone", 8, "D", 1183),
    of(
        1114,
        "timestamp",
        "timestamp without time zone",
        8,
        "D",
        1115,
    ),
    of(
        1184,
        "timestamptz",
        "timestamp with time zone",
        8,
        "D",
        1185,
    ),
    of(1186, "interval", "interval", 16, "T", 1187),
    of(1700, "numeric", "numeric", -1, "N", 1231),
    of(2205, "regclass", "regclass", 4, "N", 2210),
    of(2206, "regtype", "regtype", 4, "N", 2211),
    of(2249, "record", "record", -1, "P", 2287),
    of(2278, "void", "void", 4, "P", 0),
    of(2950, "uuid", "uuid", 16, "U", 2951),
    of(3802, "jsonb", "jsonb", -1, "U", 3807),
];

/// A type by its number.
pub(super) fn numbered(oid: i64) -> Option<Type> {
    TYPES.into_iter().find(|own| own.oid == oid)
}

/// A type by any of its names.
pub(super) fn named(name: &str) -> Option<Type> {
    let name = name.trim().trim_start_matches("pg_catalog.");
    let is_it = |own: &Type| own.name == name || own.written == name;
    let short = match name {
        "int" => Some("int4"),
        "decimal" => Some("numeric"),
        _ => None,
    };
    TYPES
        .into_iter()
        .find(|own| is_it(own) || short == Some(own.name))
}

/// What `format_type` says.
pub(super) fn formatted(oid: i64) -> String {
    if let Some(own) = numbered(oid) {
        return own.written.to_owned();
    }
    let item = TYPES.iter().find(|own| own.array == oid && oid != 0);
    item.map_or_else(|| "???".to_owned(), |item| format!("{}[]", item.written))
}

/// The type of a column of a published table.
pub(super) fn of_published(kind: &PublishedKind) -> Type {
    let oid = match kind {
        PublishedKind::Number(NumberColumn { digits: 0, .. }) => 20,
        PublishedKind::Number(_) => 701,
        PublishedKind::Key { .. } => 25,
        PublishedKind::Date { .. } => 1082,
    };
    numbered(oid).unwrap_or(TYPES[9])
}

/// The type of a column of the catalogue.
pub(super) fn of_kind(kind: AnswerKind) -> Type {
    let oid = match kind {
        AnswerKind::Whole => 20,
        AnswerKind::Number => 701,
        AnswerKind::Text => 25,
        AnswerKind::Truth => 16,
        AnswerKind::Day => 1082,
        AnswerKind::Json => 114,
    };
    numbered(oid).unwrap_or(TYPES[9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_and_numbers() {
        assert_eq!(formatted(701), "double precision");
        assert_eq!(formatted(1009), "text[]");
        assert_eq!(formatted(1), "???");
        assert_eq!(named("pg_catalog.int8").map(|own| own.oid), Some(20));
        assert_eq!(named("hstore"), None);
        assert!(TYPES.windows(2).all(|pair| pair[0].oid < pair[1].oid));
    }
}
