//! Who lets tables in: asks the rules of law before a table is read, and tells the history what was decided and what was read.

use std::path::Path;
use std::sync::Arc;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::history::Event;
use aquifer_shared::shell::history::History;

use super::encode::{encode, nobody};
use super::mapped::read_contract;
use super::source::DataConfig;
use super::source_error::SourceError;
use crate::core::gatekeeper::Gatekeeper;
use crate::core::intake::{Intake, Shut, Wanted};
use crate::core::table::Table;

/// Asks, and tells. Copies ask and tell the same.
#[derive(Clone)]
pub struct Doorman {
    gatekeeper: Option<Gatekeeper>,
    told: Arc<dyn Fn(Event) + Send + Sync>,
    clock: fn() -> Timestamp,
    /// What was written down last, before which it is not: a clock that is set back brings no rule back.
    floor: Timestamp,
}

/// The training table, and leave to learn from it; without leave nobody is in it.
pub type Training = (Contract, Table, Option<Intake>);

impl Doorman {
    /// Under these rules; `told` hears of decisions and of tables that were read.
    #[must_use]
    pub fn new(
        gatekeeper: Option<Gatekeeper>,
        told: impl Fn(Event) + Send + Sync + 'static,
        (clock, floor): (fn() -> Timestamp, Timestamp),
    ) -> Self {
        Self {
            gatekeeper,
            told: Arc::new(told),
            clock,
            floor,
        }
    }

    /// Of a node: the history is told.
    #[must_use]
    pub fn of_node(
        gatekeeper: Option<Gatekeeper>,
        history: &History,
        time: (fn() -> Timestamp, Timestamp),
    ) -> Self {
        let history = history.clone();
        Self::new(gatekeeper, move |event| history.tell(None, event), time)
    }

    /// Decides whether a table may be read.
    ///
    /// # Errors
    ///
    /// It may not, and why.
    pub fn admit(&self, wanted: &Wanted<'_>) -> Result<Intake, Shut> {
        let Some(gatekeeper) = &self.gatekeeper else {
            let table = wanted.table().to_owned();
            return Err(Shut::Undeclared { table });
        };
        let now = (self.clock)().max(self.floor);
        match gatekeeper.admit(wanted, now) {
            Ok(intake) => {
                let purposes: Vec<&str> = intake.purposes().map(Name::as_str).collect();
                let purposes = purposes.join(" ");
                tracing::info!(
                    table = wanted.table(),
                    purposes,
                    "a table may be read for these purposes"
                );
                intake.decided().for_each(|event| (self.told)(event));
                Ok(intake)
            }
            Err(shut) => {
                tracing::warn!(reasons = %shut, "the rules of law let a table not be read");
                shut.decided()
                    .into_iter()
                    .for_each(|event| (self.told)(event));
                Err(shut)
            }
        }
    }

    /// A table was read.
    pub fn registered(&self, intake: &Intake, contract: &Contract, epoch: Option<&Name>) {
        (self.told)(intake.registered(contract, epoch));
    }

    /// The training table, read where the rules let it be. Blocks.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with files, mapping or rows, without a value of a customer.
    pub fn training(&self, config: &DataConfig, directory: &Path) -> Result<Training, SourceError> {
        let contract = read_contract(&directory.join(&config.contract))?;
        let Ok(intake) = self.admit(&Wanted::training(&contract)) else {
            let (contract, table) = nobody(config, directory)?;
            return Ok((contract, table, None));
        };
        let (contract, table) = encode(config, directory, &intake)?;
        self.registered(&intake, &contract, None);
        Ok((contract, table, Some(intake)))
    }
}
