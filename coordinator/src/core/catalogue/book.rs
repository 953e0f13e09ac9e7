//! Everything that has a number in the catalogue: relations with their columns, schemas, roles.

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::contract::Published;

use super::own::{self, OWN_TABLES};
use super::{comments, types};

/// A published table, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// Purpose of the standing study under which it may be asked about.
    pub purpose: Name,
    /// Name of its contract.
    pub contract: Name,
    /// Version of its contract.
    pub version: u32,
    /// The table.
    pub table: Published,
}

/// What an analyst may know of tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Shelf {
    /// The analyst.
    pub user: String,
    /// The database that the client asked for.
    pub database: String,
    /// What `version()` says.
    pub version: String,
    /// Published tables; one may be there for several purposes.
    pub tables: Vec<Offered>,
}

/// A table or view of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Its number.
    pub oid: i64,
    /// Its schema.
    pub schema: &'static str,
    /// Its name.
    pub name: String,
    /// Whether its rows can be read: views of ours are, published tables are only asked about.
    pub is_view: bool,
    /// For people.
    pub comment: String,
    /// Name, number of the type, comment.
    pub columns: Vec<(String, i64, String)>,
}

/// Numbers and names of a shelf.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// What it is made of.
    pub shelf: Shelf,
    /// Published tables, each name once, and views of ours.
    pub relations: Vec<Relation>,
}

impl Book {
    /// Numbers everything.
    #[must_use]
    pub fn new(shelf: Shelf) -> Self {
        let mut relations: Vec<Relation> = Vec::new();
        for offered in &shelf.tables {
            if relations.iter().all(|own| own.name != offered.table.name) {
                relations.push(published(&offered.table));
            }
        }
        relations.extend(OWN_TABLES.iter().map(|(name, comment)| view(name, comment)));
        Self { shelf, relations }
    }

    /// Name of a schema by its number.
    pub(super) fn schema(&self, oid: i64) -> Option<&'static str> {
        let found = SCHEMAS.iter().find(|(own, _)| *own == oid);
        found.map(|(_, name)| *name)
    }

    /// Number of a schema; 0 if there is none.
    pub(super) fn schema_oid(name: &str) -> i64 {
        let found = SCHEMAS.iter().find(|(_, own)| *own == name);
        found.map_or(0, |(oid, _)| *oid)
    }

    /// Roles: number and name.
    pub(super) fn roles(&self) -> [(i64, String); 2] {
        let user = &self.shelf.user;
        [
            (OWNER_OID, OWNER.to_owned()),
            (oid("role", user), user.clone()),
        ]
    }

    /// Number of a relation by its name, with or without a schema; 0 if there is none.
    pub(super) fn relation_oid(&self, name: &str) -> i64 {
        let plain = name.replace('"', "");
        let (schema, name) = match plain.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, &*plain),
        };
        let visible = |own: &str| schema.map_or(own != "aquifer", |wanted| wanted == own);
        let mut relations = self.relations.iter();
        if let Some(found) = relations.find(|own| own.name == name && visible(own.schema)) {
            return found.oid;
        }
        let system = SYSTEM.iter().find(|(_, own)| *own == name);
        system
            .filter(|_| visible("pg_catalog"))
            .map_or(0, |(oid, _)| *oid)
    }

    /// Name of a relation by its number, with its schema where it would not be found without.
    pub(super) fn relation_name(&self, oid: i64) -> Option<String> {
        let system = SYSTEM.iter().find(|(own, _)| *own == oid);
        let own = self.relation(oid).map(|own| match own.schema {
            "public" => own.name.clone(),
            schema => format!("{schema}.{}", own.name),
        });
        own.or_else(|| system.map(|(_, name)| (*name).to_owned()))
    }

    /// A relation by its number.
    pub(super) fn relation(&self, oid: i64) -> Option<&Relation> {
        self.relations.iter().find(|own| own.oid == oid)
    }
}

fn published(table: &Published) -> Relation {
    let column = |column: &aquifer_shared::domain::contract::PublishedColumn| {
        let oid = types::of_published(&column.kind).oid;
        (column.name.clone(), oid, comments::of_column(column))
    };
    Relation {
        oid: oid("public", &table.name),
        schema: "public",
        name: table.name.clone(),
        is_view: false,
        comment: comments::of_table(table),
        columns: table.columns.iter().map(column).collect(),
    }
}

fn view(name: &str, comment: &str) -> Relation {
    let columns = own::columns(name).iter();
    let column = |(name, kind): &(&str, _)| {
        let oid = types::of_kind(*kind).oid;
        ((*name).to_owned(), oid, String::new())
    };
    Relation {
        oid: oid("aquifer", name),
        schema: "aquifer",
        name: name.to_owned(),
        is_view: true,
        comment: comment.to_owned(),
        columns: columns.map(column).collect(),
    }
}

/// A number for a thing that is the same tomorrow.
fn oid(kind: &str, name: &str) -> i64 {
    let hash = labelled("aquifer/oid/2", &[kind.as_bytes(), name.as_bytes()]);
    let number = u32::from_be_bytes([hash.0[0], hash.0[1], hash.0[2], hash.0[3]]);
    i64::from(FIRST_OID + number % (1 << 30))
}

/// Who owns everything.
pub(super) const OWNER: &str = "aquifer";
/// The owner's number.
pub(super) const OWNER_OID: i64 = 10;
/// Smaller numbers are PostgreSQL's own.
const FIRST_OID: u32 = 16_384;
/// Schemas: number and name.
pub(super) const SCHEMAS: [(i64, &str); 4] = [
    (11, "pg_catalog"),
    (2200, "public"),
    (13_000, "information_schema"),
    (16_000, "aquifer"),
];
/// Catalogue tables that other catalogue tables name by number.
pub(super) const SYSTEM: [(i64, &str); 12] = [
    (1247, "pg_type"),
    (1249, "pg_attribute"),
    (1255, "pg_proc"),
    (1259, "pg_class"),
    (1260, "pg_authid"),
    (1262, "pg_database"),
    (2604, "pg_attrdef"),
    (2606, "pg_constraint"),
    (2609, "pg_description"),
    (2610, "pg_index"),
    (2615, "pg_namespace"),
    (3079, "pg_extension"),
];
