//! The extended protocol: prepare, bind, describe, execute. Only executing spends; fetching in parts is free.

use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use tokio::io::{AsyncRead, AsyncWrite};

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::protocol::ask::{AnswerColumn, Objection};

use super::kept::{Portal, Prepared};
use super::reply::{self, Reply, Rows, is_binary, object};
use super::session::{End, Session, Stop};
use super::statements::shown_columns;
use crate::core::asking;
use crate::core::catalogue::{Road, placeholders};
use crate::core::psql::frontend::{Bind, Frontend, Target};
use crate::core::psql::values::{NoValue, parameter, parameter_type};
use crate::core::purposes;
use crate::core::sql::{self, Statement};

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// One message of the extended protocol. After one that is refused, none is read until the group ends.
    pub(super) async fn extended(&mut self, message: Frontend) -> Result<(), End> {
        if message == Frontend::Sync {
            self.skipping = false;
            self.close_portals_outside();
            return self.ready().await;
        }
        let done = match message {
            Frontend::Parse { name, text, types } => self.parse(name, text, types).await,
            Frontend::Bind(bind) => self.bind(bind),
            Frontend::Describe(target) => self.describe(&target).await,
            Frontend::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Frontend::Close(target) => self.close(&target),
            _ => self.send().await.map_err(Stop::End),
        };
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Refused(objection)) => {
                self.skipping = true;
                self.refuse(&objection, 0)?;
                self.send().await
            }
            Err(Stop::End(end)) => Err(end),
        }
    }

    async fn parse(&mut self, name: String, text: String, types: Vec<u32>) -> Result<(), Stop> {
        let prepared = self.understand(text, types).await?;
        self.kept.prepare(name, prepared)?;
        let done = Message::ParseComplete(ParseComplete::new());
        Ok(self.line.put(done)?)
    }

    /// What a statement's parameters and columns are. Nothing is asked of anybody but the contract.
    async fn understand(&mut self, text: String, types: Vec<u32>) -> Result<Prepared, Stop> {
        match self.road(&text).await? {
            Road::Question => {}
            Road::Catalogue(query) => {
                let kinds = placeholders(&query);
                let rows = self.catalogue(&text, *query, &[], false).await?;
                return Ok(self.described(text, &types, kinds, rows));
            }
            Road::Predict(query) => {
                let kinds = placeholders(&query);
                let rows = self.prediction(*query, &[]).await?;
                return Ok(self.described(text, &types, kinds, rows));
            }
        }
        let columns = match sql::plain(&text)? {
            Some(Statement::Show(name)) => Some(shown_columns(&name)),
            Some(_) => None,
            None => return self.understand_question(text, types).await,
        };
        Ok(Prepared {
            text,
            types: Vec::new(),
            columns,
            intervals: self.options.own.intervals,
        })
    }

    /// A statement that reads public tables.
    fn described(&self, text: String, types: &[u32], kinds: Vec<u32>, rows: Rows) -> Prepared {
        Prepared {
            text,
            types: declared(types, kinds),
            columns: Some(rows.columns),
            intervals: self.options.own.intervals,
        }
    }

    async fn understand_question(&self, text: String, types: Vec<u32>) -> Result<Prepared, Stop> {
        let contract = self.contract().await?;
        let settings = &self.options.own;
        let (query, explained) = match sql::compile(&text, settings, &contract, None)? {
            Statement::Query(query) => (query, false),
            Statement::Explain { query, .. } => (query, true),
            _ => return Err(object("0A000", "the statement asks nothing", "write SELECT").into()),
        };
        if explained && !query.parameters.is_empty() {
            let hint = "write the values into the statement";
            return Err(object("0A000", "EXPLAIN takes no bound parameters", hint).into());
        }
        let kinds = query.parameters.iter().map(|kind| parameter_type(*kind));
        Ok(Prepared {
            types: declared(&types, kinds.collect()),
            // A price tag has the columns that it turns out to have.
            columns: (!explained).then(|| asking::columns(sql::columns(&query))),
            intervals: settings.intervals,
            text,
        })
    }

    /// The contract that the session's questions are checked against.
    async fn contract(&self) -> Result<Arc<Contract>, Stop> {
        let purpose = self.purpose().await?;
        let open = self.standings().await;
        let found = open.iter().find(|standing| standing.purpose == purpose);
        let names = open.iter().map(|standing| &standing.purpose);
        let missing = || purposes::not_open(purpose.as_str(), names);
        Ok(found.ok_or_else(missing)?.contract.clone())
    }

    fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let prepared = self.kept.prepared(&bind.statement)?.clone();
        if bind.values.len() != prepared.types.len() {
            let (found, expected) = (bind.values.len(), prepared.types.len());
            let text =
                format!("{found} values are bound to a statement with {expected} parameters");
            return Err(object("08P01", &text, "bind as many").into());
        }
        check_formats(&bind.formats, bind.values.len())?;
        let columns = prepared.columns.as_ref();
        if let Some(columns) = columns {
            check_formats(&bind.result_formats, columns.len())?;
        }
        let values = bind.values.iter().zip(&prepared.types).enumerate();
        let values = values.map(|(place, (value, kind))| {
            parameter(value.as_deref(), *kind, is_binary(&bind.formats, place))
        });
        let portal = Portal {
            text: prepared.text,
            parameters: values.collect::<Result<_, _>>().map_err(unreadable)?,
            formats: bind.result_formats,
            columns: prepared.columns,
            intervals: prepared.intervals,
            running: None,
        };
        self.kept.bind(bind.portal, portal)?;
        Ok(self.line.put(Message::BindComplete(BindComplete::new()))?)
    }

    async fn describe(&mut self, target: &Target) -> Result<(), Stop> {
        let (text, columns, formats) = match target {
            Target::Statement(name) => {
                let prepared = self.kept.prepared(name)?.clone();
                let types = ParameterDescription::new(prepared.types);
                self.line.put(Message::ParameterDescription(types))?;
                (prepared.text, prepared.columns, Vec::new())
            }
            Target::Portal(name) => {
                let portal = self.kept.portal(name)?;
                (
                    portal.text.clone(),
                    portal.columns.clone(),
                    portal.formats.clone(),
                )
            }
        };
        let columns = match columns {
            Some(columns) => Some(columns),
            None => self.explained_columns(&text).await?,
        };
        let described = match columns {
            Some(columns) => reply::description(&columns, &formats),
            None => Message::NoData(NoData::new()),
        };
        Ok(self.line.put(described)?)
    }

    /// A price tag costs nothing: its columns are those that it has.
    async fn explained_columns(&mut self, text: &str) -> Result<Option<Vec<AnswerColumn>>, Stop> {
        if sql::plain(text)?.is_some() {
            return Ok(None);
        }
        let intervals = self.options.own.intervals;
        match self.statement(text, &[], intervals).await? {
            Reply::Rows(rows) => Ok(Some(rows.columns)),
            Reply::Empty | Reply::Done(_) => Ok(None),
        }
    }

    async fn execute(&mut self, name: &str, rows_max: u32) -> Result<(), Stop> {
        let portal = self.kept.portal(name)?;
        let running = portal.running.take();
        let (text, parameters) = (portal.text.clone(), portal.parameters.clone());
        let (formats, intervals) = (portal.formats.clone(), portal.intervals);
        let (rows, sent) = match running {
            Some(running) => running,
            None => match self.statement(&text, &parameters, intervals).await? {
                Reply::Rows(rows) => {
                    self.note(&rows.notices)?;
                    (rows, 0)
                }
                Reply::Done(tag) => return Ok(self.complete(tag)?),
                Reply::Empty => {
                    let empty = Message::EmptyQueryResponse(EmptyQueryResponse::new());
                    return Ok(self.line.put(empty)?);
                }
            },
        };
        let left = rows.rows.len() - sent;
        let count = match rows_max {
            0 => left,
            most => left.min(most as usize),
        };
        self.some_rows(&rows, sent, count, &formats).await?;
        if count < left {
            self.line
                .put(Message::PortalSuspended(PortalSuspended::new()))?;
        } else {
            self.complete(rows.tag(count))?;
        }
        Ok(self.kept.go_on(name, rows, sent + count)?)
    }

    async fn some_rows(
        &mut self,
        rows: &Rows,
        sent: usize,
        count: usize,
        formats: &[bool],
    ) -> Result<(), End> {
        for values in &rows.rows[sent..sent + count] {
            self.row(&rows.columns, values, formats).await?;
        }
        Ok(())
    }

    fn close(&mut self, target: &Target) -> Result<(), Stop> {
        match target {
            Target::Statement(name) => self.kept.close_prepared(name),
            Target::Portal(name) => self.kept.close_portal(name),
        }
        Ok(self
            .line
            .put(Message::CloseComplete(CloseComplete::new()))?)
    }
}

/// The types that the client declares, and those that the statement makes of the others.
fn declared(declared: &[u32], inferred: Vec<u32>) -> Vec<u32> {
    let both = inferred.into_iter().enumerate();
    both.map(|(place, inferred)| match declared.get(place) {
        Some(declared) if *declared != 0 => *declared,
        _ => inferred,
    })
    .collect()
}

fn check_formats(formats: &[bool], count: usize) -> Result<(), Box<Objection>> {
    if formats.len() <= 1 || formats.len() == count {
        return Ok(());
    }
    let text = format!("{} formats for {count} values", formats.len());
    Err(object(
        "08P01",
        &text,
        "send none, one for all, or one for each",
    ))
}

fn unreadable(no: NoValue) -> Box<Objection> {
    let state = match no {
        NoValue::Bytes => "22P03",
        NoValue::Type(_) => "0A000",
    };
    object(
        state,
        &no.to_string(),
        "bind it as text, or as a number or date",
    )
}
