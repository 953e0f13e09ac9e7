//! Statements about the catalogue, and predictions: answered from public tables and records. No node hears of them, and nothing is spent.

use std::sync::{Arc, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};

use aquifer_shared::protocol::ask::Answer;
use sqlparser::ast::Query;

use super::reply::{Rows, object};
use super::session::{Session, Stop};
use crate::core::catalogue::{self as core, Grid, Rewritten, Road, predict};
use crate::core::sql::{self, Parameter};
use crate::shell::catalogue::Ready;
use crate::shell::catalogue::records::{records, released};
use crate::shell::put::OpenStanding;
use crate::shell::store::StoreFault;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Where a statement belongs.
    pub(super) async fn road(&self, text: &str) -> Result<Road, Stop> {
        let open = self.standings().await;
        let published = |table: &str| {
            let tables = open.iter().flat_map(|standing| &standing.tables);
            tables.into_iter().any(|own| own == table)
        };
        Ok(core::road(text, published)?)
    }

    /// The catalogue as this analyst sees it, and the standing studies that it is made of.
    async fn shelf(&self) -> (Arc<Ready>, Arc<Vec<OpenStanding>>) {
        let open = self.standings().await;
        let user = self.party.name.as_str();
        let database = match self.options.database.as_str() {
            "" => user,
            named => named,
        };
        let engine = &self.called.place.shared.catalogue;
        (engine.ready(user, database, &open), open)
    }

    /// An answer that is kept from before.
    pub(super) async fn kept_answer(&self, text: &str, values: &[Parameter]) -> Option<Rows> {
        let (ready, _) = self.shelf().await;
        let kept = ready.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(text, values).map(|answer| rows(&answer))
    }

    /// The answer to a statement about the catalogue; what it sets is set only where it is carried out.
    pub(super) async fn catalogue(
        &mut self,
        text: &str,
        query: Query,
        values: &[Parameter],
        carried_out: bool,
    ) -> Result<Rows, Stop> {
        let (ready, open) = self.shelf().await;
        let rewritten = self.rewritten(&ready, query, values)?;
        for (name, value) in &rewritten.changes {
            if carried_out {
                self.change(sql::set(name, value)?).await?;
            }
        }
        let own = match rewritten.reads_own {
            true => self.own(&ready, &open).await?,
            false => Vec::new(),
        };
        let passing = rewritten.passing || rewritten.reads_own;
        let engine = self.called.place.shared.catalogue.clone();
        let answer = Arc::new(engine.answer(&ready, rewritten.query, own).await?);
        if !passing {
            let mut kept = ready.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.keep(text, values, &answer);
        }
        Ok(rows(&answer))
    }

    /// A prediction from a released model, as a table of one row.
    ///
    /// # Privacy
    ///
    /// Works on the analyst's own values, which go nowhere: only the declaration is noted.
    pub(super) async fn prediction(
        &mut self,
        mut query: Query,
        values: &[Parameter],
    ) -> Result<Rows, Stop> {
        let wish = predict::wish(&mut query, values)?;
        let front = self.called.place.shared.front.clone();
        let found = released(&front, &wish.model).await.map_err(failed)?;
        let found = found.map_err(|out| {
            let hint = "aquifer.models says until when each version is used";
            object("QP009", &out.to_string(), hint)
        })?;
        let Some((file, contract)) = found else {
            let model: String = wish.model.chars().take(80).collect();
            let text = format!("there is no released model {model:?}");
            return Err(object("42704", &text, "aquifer.models lists them").into());
        };
        let Some(contract) = contract else {
            return Err(
                object("58000", "the model's contract is lost", "tell the operator").into(),
            );
        };
        let allowed = front.law.score(&contract, front.platform.now());
        let allowed =
            allowed.map_err(|denied| object("QP009", &denied.to_string(), &denied.hint()))?;
        let grid = predict::prediction(&wish, &file, &contract, &allowed)?;
        let (input, party) = (wish.declared.name(), &self.party.name);
        tracing::info!(%party, model = %file.card().name, version = file.card().version, input, "a prediction");
        let (ready, open) = self.shelf().await;
        let rewritten = self.rewritten(&ready, query, values)?;
        let mut own = self.own(&ready, &open).await?;
        own.push(grid);
        let engine = self.called.place.shared.catalogue.clone();
        Ok(rows(&engine.answer(&ready, rewritten.query, own).await?))
    }

    fn rewritten(
        &self,
        ready: &Ready,
        query: Query,
        values: &[Parameter],
    ) -> Result<Rewritten, Stop> {
        let setting = |name: &str| self.options.setting(name);
        let session = core::Session {
            book: &ready.book,
            values,
            setting: &setting,
        };
        Ok(core::rewrite(query, &session)?)
    }

    /// Tables of schema `aquifer`, as they are now.
    async fn own(&self, ready: &Ready, open: &Arc<Vec<OpenStanding>>) -> Result<Vec<Grid>, Stop> {
        let front = &self.called.place.shared.front;
        let records = records(front, &self.party.name, open).await;
        let mut own = core::own_grids(&ready.book, &records.map_err(failed)?);
        let (columns, rows) = self.last.clone().unwrap_or_default();
        own.push(core::last_answer(columns, rows));
        Ok(own)
    }

    /// Keeps the rows of an answer for `aquifer.last_answer`, where they are few enough.
    pub(super) fn keep_last(&mut self, answer: &Answer) {
        let values = answer.columns.len() * answer.rows.len();
        let small = values <= aquifer_shared::base::limits::LAST_ANSWER_VALUES_MAX;
        self.last = small.then(|| (answer.columns.clone(), answer.rows.clone()));
    }
}

fn rows(answer: &Answer) -> Rows {
    Rows {
        command: "SELECT",
        columns: answer.columns.clone(),
        rows: answer.rows.clone(),
        notices: Vec::new(),
    }
}

fn failed(error: StoreFault) -> Stop {
    let error = anyhow::Error::from(error);
    tracing::error!(error = format!("{error:#}"), "the catalogue was not read");
    let text = "the coordinator's store does not work; its operator finds the reason in the log";
    object("58000", text, "").into()
}
