//! What statements of a session come to: settings, transactions, the catalogue, and questions, which go to the hub.

use std::sync::Arc;

use pgwire::messages::response::TransactionStatus;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use aquifer_shared::base::ids::Name;
use aquifer_shared::protocol::ask::{
    Answer, AnswerColumn, AnswerKind, AnswerValue, Objection, Response,
};

use super::reply::{Reply, Rows, object};
use super::session::{End, Session, Stop};
use crate::core::catalogue::Road;
use crate::core::purposes;
use crate::core::sql::{self, CLIENT, Change, Intervals, OWN, Parameter, Settings, Statement};
use crate::shell::front::Command;
use crate::shell::put::{OpenStanding, Put};

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Carries out one statement, with intervals as its asker was told that they are shown.
    pub(super) async fn statement(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        intervals: Intervals,
    ) -> Result<Reply, Stop> {
        if let Some(rows) = self.kept_answer(text, parameters).await {
            self.check_state(false)?;
            return Ok(Reply::Rows(rows));
        }
        match self.road(text).await? {
            Road::Question => {}
            Road::Catalogue(query) => {
                self.check_state(false)?;
                let rows = self.catalogue(text, *query, parameters, true).await?;
                return Ok(Reply::Rows(rows));
            }
            Road::Predict(query) => {
                self.check_state(false)?;
                return Ok(Reply::Rows(self.prediction(*query, parameters).await?));
            }
        }
        let plain = sql::plain(text)?;
        let ends = matches!(plain, Some(Statement::Transaction("ROLLBACK" | "COMMIT")));
        self.check_state(ends)?;
        match plain {
            Some(Statement::Transaction("DEALLOCATE")) => {
                match deallocated(text) {
                    Some(name) => self.kept.close_prepared(&name),
                    None => self.kept.close_all_prepared(),
                }
                Ok(Reply::Done("DEALLOCATE".to_owned()))
            }
            Some(statement) => self.plain(statement).await,
            None => {
                let answer = self.ask(text, parameters, intervals).await?;
                if answer.release.is_some() {
                    self.keep_last(&answer);
                }
                let command = if answer.release.is_none() && is_explain(text) {
                    "EXPLAIN"
                } else {
                    "SELECT"
                };
                Ok(Reply::Rows(Rows {
                    command,
                    columns: answer.columns,
                    rows: answer.rows,
                    notices: answer.notices,
                }))
            }
        }
    }

    /// In a transaction that has failed, nothing is done but its end.
    fn check_state(&self, ends: bool) -> Result<(), Stop> {
        if self.state == Some(TransactionStatus::Error) && !ends {
            let text = "the transaction has failed: nothing more is done in it";
            return Err(object("25P02", text, "ROLLBACK").into());
        }
        Ok(())
    }

    /// The standing studies that are open, the newest first.
    pub(super) async fn standings(&self) -> Arc<Vec<OpenStanding>> {
        self.called.place.shared.front.open().await
    }

    /// A statement that asks nothing.
    async fn plain(&mut self, statement: Statement) -> Result<Reply, Stop> {
        Ok(match statement {
            Statement::Set(change) => {
                let tag = if matches!(change, Change::ResetAll) {
                    "RESET"
                } else {
                    "SET"
                };
                self.change(change).await?;
                Reply::Done(tag.to_owned())
            }
            Statement::Show(name) => Reply::Rows(self.show(&name)),
            Statement::Transaction(tag) => Reply::Done(self.transaction(tag).to_owned()),
            Statement::Empty | Statement::Query(_) | Statement::Explain { .. } => Reply::Empty,
        })
    }

    /// Carries out a change of a setting. A purpose for which nothing may be asked is refused here, not at the first question.
    pub(super) async fn change(&mut self, change: Change) -> Result<(), Stop> {
        if let Change::Purpose(Some(purpose)) = &change {
            check_purpose(purpose, &self.standings().await)?;
        }
        Ok(self.options.set(change)?)
    }

    /// Transactions change nothing but what clients believe about them.
    fn transaction(&mut self, tag: &'static str) -> &'static str {
        let failed = self.state == Some(TransactionStatus::Error);
        match tag {
            "BEGIN" => self.state = Some(TransactionStatus::Transaction),
            "COMMIT" | "ROLLBACK" => self.state = None,
            "DISCARD ALL" => {
                self.options.reset();
                self.kept.clear();
            }
            _ => {}
        }
        if failed && tag == "COMMIT" {
            "ROLLBACK"
        } else {
            tag
        }
    }

    /// Outside of a transaction nothing outlasts the group of messages that it came with.
    pub(super) fn close_portals_outside(&mut self) {
        if self.state.is_none() {
            self.kept.close_portals();
        }
    }

    fn show(&self, name: &str) -> Rows {
        let value = |name: &str| AnswerValue::Text(self.options.shown(name));
        let row = |name: &&str| vec![AnswerValue::Text((*name).to_owned()), value(name)];
        let rows = match name {
            "all" => OWN.iter().chain(&CLIENT).map(row).collect(),
            name => vec![vec![value(name)]],
        };
        Rows {
            command: "SHOW",
            columns: shown_columns(name),
            rows,
            notices: Vec::new(),
        }
    }

    /// Asks the hub, and waits for the answer unless the client gives up or leaves; the question goes on without it.
    async fn ask(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        intervals: Intervals,
    ) -> Result<Answer, Stop> {
        let purpose = self.purpose().await?;
        let wake = self.called.wake.clone();
        let given_up = wake.notified();
        tokio::pin!(given_up);
        // From here on it hears whoever wakes it.
        given_up.as_mut().enable();
        let (answers, mut replies) = mpsc::channel(1);
        let command = Command::Put {
            party: Box::new(self.party.clone()),
            put: Box::new(Put {
                sql: text.to_owned(),
                purpose,
                standing: None,
                urho: None,
                settings: Settings {
                    intervals,
                    ..self.options.own.clone()
                },
                parameters: parameters.to_vec(),
            }),
            answers,
        };
        let hub = self.called.place.shared.front.hub.clone();
        hub.send(command).await.map_err(|_| stopping())?;
        loop {
            let room = self.line.has_room();
            tokio::select! {
                response = replies.recv() => return answered(response.ok_or_else(stopping)?),
                () = &mut given_up => return Err(given_up_waiting().into()),
                filled = self.line.fill(), if room => if filled? == 0 {
                    return Err(End::Gone.into());
                },
                _ = self.looks.changed() => self.look().await?,
            }
        }
    }

    /// Why the session asks.
    pub(super) async fn purpose(&self) -> Result<Name, Stop> {
        let open = self.standings().await;
        let names = open.iter().map(|standing| &standing.purpose);
        let Some(purpose) = &self.options.own.purpose else {
            return Err(purposes::not_stated(names).into());
        };
        let named = purpose.parse();
        named.map_err(|_| purposes::not_open(purpose, names).into())
    }
}

/// Whether anything may be asked for a purpose.
///
/// # Errors
///
/// No standing study is open for it.
pub(super) fn check_purpose(purpose: &str, open: &[OpenStanding]) -> Result<(), Box<Objection>> {
    let names = || open.iter().map(|standing| &standing.purpose);
    if names().any(|name| name.as_str() == purpose) {
        return Ok(());
    }
    Err(purposes::not_open(purpose, names()))
}

/// Columns of `SHOW`.
pub(super) fn shown_columns(name: &str) -> Vec<AnswerColumn> {
    let names = match name {
        "all" => vec!["name", "setting"],
        name => vec![name],
    };
    let text = |name: &str| AnswerColumn {
        name: name.to_owned(),
        kind: AnswerKind::Text,
    };
    names.into_iter().map(text).collect()
}

fn stopping() -> End {
    End::Away("57P01", "the coordinator stops".to_owned())
}

fn answered(response: Response) -> Result<Answer, Stop> {
    match response {
        Response::Answer(answer) => Ok(*answer),
        Response::Objection(objection) => Err(objection.into()),
        Response::Refused { message, .. } => Err(object("58000", &message, "").into()),
        _ => Err(object("XX000", "the coordinator answered something else", "").into()),
    }
}

fn given_up_waiting() -> Box<Objection> {
    let hint = "the question goes on and its answer is kept: asked again, it is free, and what was charged stays charged";
    object("57014", "the wait for the answer was given up", hint)
}

fn is_explain(text: &str) -> bool {
    let start = text.trim_start().get(..7);
    start.is_some_and(|word| word.eq_ignore_ascii_case("explain"))
}

/// Which statement is given up; none for all of them.
fn deallocated(text: &str) -> Option<String> {
    let words = text.trim().trim_end_matches(';').split_whitespace().skip(1);
    let mut words = words.skip_while(|word| word.eq_ignore_ascii_case("prepare"));
    let name = words.next()?;
    match name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(quoted) => Some(quoted.replace("\"\"", "\"")),
        None if name.eq_ignore_ascii_case("all") => None,
        None => Some(name.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::deallocated;

    #[test]
    fn statements_are_given_up_by_name() {
        let name = |text| deallocated(text);
        assert_eq!(name("DEALLOCATE \"_pg3_0\""), Some("_pg3_0".to_owned()));
        assert_eq!(name("deallocate prepare Mine;"), Some("mine".to_owned()));
        assert_eq!(name("DEALLOCATE ALL"), None);
    }
}
