//! What a client is told: rows, notices, refusals.

use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::{ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus};

use aquifer_shared::protocol::ask::{AnswerColumn, AnswerValue, Objection};

use crate::core::psql::values::{column_type, written};

/// What a statement came to.
#[derive(Debug)]
pub(super) enum Reply {
    /// There was nothing to do.
    Empty,
    /// It was done; the command's name.
    Done(String),
    /// Rows.
    Rows(Rows),
}

/// Rows for a client.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// The command's name; the number of rows follows it for `SELECT`.
    pub command: &'static str,
    /// Columns.
    pub columns: Vec<AnswerColumn>,
    /// One value for each column.
    pub rows: Vec<Vec<AnswerValue>>,
    /// What the client should know.
    pub notices: Vec<String>,
}

impl Rows {
    /// What its rows take in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let text = |value: &AnswerValue| match value {
            AnswerValue::Text(text) => text.len(),
            _ => 0,
        };
        let row = |row: &Vec<AnswerValue>| {
            size_of_val(&row[..]) + size_of_val(row) + row.iter().map(text).sum::<usize>()
        };
        self.rows.iter().map(row).sum()
    }

    /// What the client is told at the end.
    pub(super) fn tag(&self, count: usize) -> String {
        match self.command {
            "SELECT" => format!("SELECT {count}"),
            other => other.to_owned(),
        }
    }
}

/// Whether a column is sent in binary.
pub(super) fn is_binary(formats: &[bool], column: usize) -> bool {
    match formats {
        [all] => *all,
        each => each.get(column).copied().unwrap_or(false),
    }
}

/// Names, types and formats of columns.
pub(super) fn description(columns: &[AnswerColumn], formats: &[bool]) -> Message {
    let field = |(place, column): (usize, &AnswerColumn)| {
        let (kind, width) = column_type(column.kind);
        let format = i16::from(is_binary(formats, place));
        FieldDescription::new(column.name.clone(), 0, 0, kind, width, -1, format)
    };
    let fields = columns.iter().enumerate().map(field).collect();
    Message::RowDescription(RowDescription::new(fields))
}

/// One row.
pub(super) fn row(columns: &[AnswerColumn], values: &[AnswerValue], formats: &[bool]) -> Message {
    let mut data = BytesMut::new();
    for (place, (column, value)) in columns.iter().zip(values).enumerate() {
        match written(value, column.kind, is_binary(formats, place)) {
            Some(bytes) => {
                data.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                data.put_slice(&bytes);
            }
            None => data.put_i32(-1),
        }
    }
    let count = i16::try_from(columns.len()).unwrap_or(i16::MAX);
    Message::DataRow(DataRow::new(data, count))
}

/// Something that a client should know.
pub(super) fn notice(text: &str) -> Message {
    let fields = [
        (b'S', "NOTICE"),
        (b'V', "NOTICE"),
        (b'C', "00000"),
        (b'M', text),
    ];
    let fields = fields.map(|(code, text)| (code, plain(text)));
    Message::NoticeResponse(NoticeResponse::new(fields.to_vec()))
}

/// A refused statement; `before` is the number of characters in front of it in what the client sent.
pub(super) fn refusal(objection: &Objection, before: usize) -> Message {
    let mut fields = severe("ERROR", &objection.sqlstate, &objection.message);
    if let Some(rule) = &objection.rule {
        fields.push((b'D', format!("rule {}", plain(rule))));
    }
    if !objection.hint.is_empty() {
        fields.push((b'H', plain(&objection.hint)));
    }
    if let Some(position) = objection.position {
        fields.push((b'P', (position as usize + before).to_string()));
    }
    Message::ErrorResponse(ErrorResponse::new(fields))
}

/// The next statement may come; says whether a transaction is open or has failed.
pub(super) fn ready(state: Option<TransactionStatus>) -> Message {
    let state = state.unwrap_or(TransactionStatus::Idle);
    Message::ReadyForQuery(ReadyForQuery::new(state))
}

/// The end of a connection.
pub(super) fn fatal(state: &str, text: &str) -> Message {
    Message::ErrorResponse(ErrorResponse::new(severe("FATAL", state, text)))
}

/// A refusal that no rule of statements is behind.
pub(super) fn object(state: &str, message: &str, hint: &str) -> Box<Objection> {
    Box::new(Objection {
        sqlstate: state.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        position: None,
        rule: None,
    })
}

fn severe(severity: &str, state: &str, text: &str) -> Vec<(u8, String)> {
    let fields = [
        (b'S', severity),
        (b'V', severity),
        (b'C', state),
        (b'M', text),
    ];
    fields.map(|(code, text)| (code, plain(text))).to_vec()
}

/// A text that ends where it ends: the wire marks ends with zeros.
fn plain(text: &str) -> String {
    text.replace('\0', " ")
}
