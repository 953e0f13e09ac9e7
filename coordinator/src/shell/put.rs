//! A statement on its way to the hub, whichever door it came through.

use std::sync::Arc;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::StudyTerms;
use aquifer_shared::protocol::ask::{Ask, StudyState};

use super::hub::Hub;
use super::live::Live;
use super::store::{Party, StoreFault};
use crate::core::sql::{self, CacheUse, Parameter, Refusal, Settings};

/// A statement with everything that is said about it.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its text.
    pub sql: String,
    /// Why it is asked; picks the standing study.
    pub purpose: Name,
    /// Name or hash of the standing study, where several serve the purpose.
    pub standing: Option<String>,
    /// Price of a fresh answer, where it is named beside the statement.
    pub urho: Option<MicroRho>,
    /// What the session has set.
    pub settings: Settings,
    /// Values of bound parameters.
    pub parameters: Vec<Parameter>,
}

/// A standing study that may be asked under.
#[derive(Clone, Debug)]
pub struct OpenStanding {
    /// Its purpose.
    pub purpose: Name,
    /// What it publishes.
    pub contract: Arc<Contract>,
    /// Its terms.
    pub terms: StudyTerms,
    /// When it was submitted.
    pub submitted: Timestamp,
}

/// A unit as everybody may see it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name.
    pub name: Name,
    /// Its node is connected now.
    pub connected: bool,
    /// The state of the tables that it serves now.
    pub data_version: Option<Name>,
}

impl TryFrom<Ask> for Put {
    type Error = Refusal;

    /// # Errors
    ///
    /// A request id that a session could not set.
    fn try_from(ask: Ask) -> Result<Self, Refusal> {
        if let Some(id) = &ask.request_id {
            sql::check_request_id(id)?;
        }
        let cache = match ask.only_stored {
            true => CacheUse::Only,
            false => CacheUse::Use,
        };
        Ok(Self {
            settings: Settings {
                purpose: Some(ask.purpose.to_string()),
                request_id: ask.request_id,
                cache,
                ..Settings::default()
            },
            sql: ask.sql,
            purpose: ask.purpose,
            standing: ask.standing,
            urho: ask.urho.map(MicroRho),
            parameters: Vec::new(),
        })
    }
}

impl Hub {
    /// Standing studies that are open, the newest first.
    pub(super) fn open_standings(&self) -> Vec<OpenStanding> {
        let open = self
            .studies
            .values()
            .filter(|live| live.machine.state() == StudyState::Open);
        let mut open: Vec<&Live> = open.collect();
        open.sort_by_key(|live| std::cmp::Reverse((live.submitted, live.hash)));
        let shown = |live: &Live| OpenStanding {
            purpose: live.terms.purpose.clone(),
            contract: live.contract.clone(),
            terms: live.terms.clone(),
            submitted: live.submitted,
        };
        open.into_iter().map(shown).collect()
    }

    /// Units that have joined.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(super) async fn units(&self) -> Result<Vec<Unit>, StoreFault> {
        let nodes = self.front.registry.nodes().await?;
        let unit = |node: Party| {
            let connected = self.is_connected(&node.identity);
            let serves = self.data_versions.get(&node.identity).cloned();
            Unit {
                name: node.name,
                connected,
                data_version: serves.filter(|_| self.serving.contains(&node.identity)),
            }
        };
        Ok(nodes.into_iter().map(unit).collect())
    }
}
