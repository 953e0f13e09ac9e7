//! Statements of clients with their answers, client by client. `AQUIFER_WRITE_GOLDEN=1` writes what is answered now.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::protocol::ask::{Answer, AnswerValue, Objection};
use aquifer_shared::shell::platform::System;

use super::{Catalogue, Ready};
use crate::core::asking::objection;
use crate::core::catalogue::{
    Book, Offered, Records, Road, Session, Shelf, own_grids, rewrite, road,
};
use crate::core::sql::Parameter;

fn book() -> Book {
    let contract = Contract::parse(include_str!("../../../golden/contract.toml")).unwrap();
    let offered = |table: &_| Offered {
        purpose: "reporting".parse().unwrap(),
        contract: contract.name.clone(),
        version: contract.version,
        table: Clone::clone(table),
    };
    Book::new(Shelf {
        user: "ada".into(),
        database: "aquifer".into(),
        version: "PostgreSQL 15.0 (Aquifer)".into(),
        tables: contract.published.iter().map(offered).collect(),
    })
}

pub(super) fn ready() -> Arc<Ready> {
    Arc::new(Ready {
        book: Arc::new(book()),
        kept: Default::default(),
        open: Arc::default(),
        state: Default::default(),
    })
}

pub(super) fn engine() -> Catalogue {
    Catalogue::new(Arc::new(System))
}

/// The answer to a statement, or why there is none.
pub(super) async fn asked(
    engine: &Catalogue,
    ready: &Arc<Ready>,
    sql: &str,
    values: &[Parameter],
) -> Result<Answer, Box<Objection>> {
    let refused = |refusal: &_| Box::new(objection(refusal));
    let is_published = |table: &str| ["customers", "orders"].contains(&table);
    let Road::Catalogue(query) = road(sql, is_published).map_err(|no| refused(&no))? else {
        panic!("no catalogue statement: {sql}");
    };
    let session = Session {
        book: &ready.book,
        values,
        setting: &|name| (name != "no.such").then(|| format!("<{name}>")),
    };
    let rewritten = rewrite(*query, &session).map_err(|no| refused(&no))?;
    let own = match rewritten.reads_own {
        true => own_grids(&ready.book, &Records::default()),
        false => Vec::new(),
    };
    engine.answer(ready, rewritten.query, own).await
}

/// Numbers of relations in the place of their names.
fn numbered(text: &str, book: &Book) -> String {
    let mut text = text.to_owned();
    for own in &book.relations {
        let name = match own.schema {
            "public" => own.name.clone(),
            schema => format!("{schema}.{}", own.name),
        };
        text = text.replace(&format!("{{{name}}}"), &own.oid.to_string());
    }
    text
}

fn written(answer: Result<Answer, Box<Objection>>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(objection) => return format!("{} {}\n", objection.sqlstate, objection.message),
    };
    let columns = answer.columns.iter();
    let columns = columns.map(|column| format!("{} {:?}", column.name, column.kind));
    let value = |value: &AnswerValue| match value {
        AnswerValue::Null => String::new(),
        AnswerValue::Whole(number) => number.to_string(),
        AnswerValue::Number(number) => number.to_string(),
        AnswerValue::Text(text) => format!("{text:?}"),
        AnswerValue::Truth(truth) => truth.to_string(),
    };
    let mut text = columns.collect::<Vec<_>>().join(" | ") + "\n";
    for row in &answer.rows {
        text += &(row.iter().map(value).collect::<Vec<_>>().join(" | ") + "\n");
    }
    text
}

async fn check(client: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/catalogue/{client}.txt"));
    let golden = fs::read_to_string(&path).unwrap();
    let (engine, ready) = (engine(), ready());
    let mut blocks = golden.split("\n### ");
    let mut found = blocks.next().unwrap().trim_end().to_owned() + "\n";
    for block in blocks {
        let (asked_for, _) = block.split_once("\n=>\n").unwrap();
        let (name, statement) = asked_for.split_once('\n').unwrap();
        let (sql, values) = match statement.split_once("\n:values ") {
            Some((sql, values)) => (sql, serde_json::from_str(values).unwrap()),
            None => (statement, Vec::<Option<String>>::new()),
        };
        let bound = values.iter().map(|value| match value {
            Some(text) => Parameter::Text(numbered(text, &ready.book)),
            None => Parameter::Null,
        });
        let bound: Vec<Parameter> = bound.collect();
        let sql = numbered(sql, &ready.book);
        let answer = written(asked(&engine, &ready, &sql, &bound).await);
        found += &format!("\n### {name}\n{statement}\n=>\n{answer}");
    }
    if std::env::var_os("AQUIFER_WRITE_GOLDEN").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert!(
        found == golden,
        "{} is not what is answered now",
        path.display()
    );
}

#[tokio::test]
async fn psql_is_answered() {
    check("psql15").await;
}

#[tokio::test]
async fn sqlalchemy_is_answered() {
    check("sqlalchemy2").await;
}

#[tokio::test]
async fn jdbc_is_answered() {
    check("pgjdbc42").await;
}

#[tokio::test]
async fn statements_like_those_of_metabase_are_answered() {
    check("metabase").await;
}

#[tokio::test]
async fn statements_like_those_of_dbeaver_are_answered() {
    check("dbeaver").await;
}
