//! What people's commands list of questions: tables, shares, past answers. From records alone; nothing is spent.

use std::sync::Arc;

use aquifer_shared::protocol::ask::{Answer, Look, Request, Response};

use super::catalogue::records::records;
use super::catalogue::{VERSION, offered};
use super::front::Front;
use super::requests::{barred, unanswered};
use super::store::Party;
use crate::core::catalogue::{Book, Shelf, looked_at};

/// The rows, or why this party does not see them.
pub(super) async fn look(front: &Arc<Front>, party: &Party, what: Look) -> Response {
    if let Some(no) = barred(party, &Request::Look(what)) {
        return no;
    }
    let open = front.open().await;
    let records = match records(front, &party.name, &open).await {
        Ok(records) => records,
        Err(error) => return unanswered(error),
    };
    let book = Book::new(Shelf {
        user: party.name.to_string(),
        database: party.name.to_string(),
        version: VERSION.to_owned(),
        tables: open.iter().flat_map(offered).collect(),
    });
    let grid = looked_at(what, &book, &records);
    Response::Answer(Box::new(Answer {
        columns: grid.columns,
        rows: grid.rows,
        notices: Vec::new(),
        release: None,
    }))
}
