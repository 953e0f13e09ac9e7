//! From a study file to a study that waits for an approver, whoever proposes it.

use std::sync::Arc;

use aquifer_shared::base::ids::Name;
use aquifer_shared::base::limits::MODEL_AGE_DAYS;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::Key;
use aquifer_shared::protocol::ask::Response;
use aquifer_shared::shell::keys::random_bytes32;
use aquifer_shared::shell::noise;

use super::clock::now;
use super::hub::Hub;
use super::lawful::denied_response;
use super::requests::{ACCOUNTANT, refused};
use super::store::{Party, Retraining, StoreFault, StoredStudy};
use crate::core::expand::{Expanded, expand};
use crate::core::gates::Permit;
use crate::core::retrain;
use crate::core::study_file::StudyFile;

/// A study of the nodes that there are, which the rules of law permit.
pub(super) struct Proposal {
    pub(super) expanded: Expanded,
    contract: Contract,
    permit: Permit,
}

/// What a study is proposed with: the texts of contract and study file, and days before the date of its model, as the file says.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) contract: &'a str,
    pub(super) file: &'a str,
    pub(super) lead_days: Option<u32>,
}

impl Hub {
    /// A study that an operator submits.
    pub(super) async fn submit(
        &mut self,
        party: &Party,
        study: &str,
        contract: &str,
        dry_run: bool,
    ) -> Result<Response, StoreFault> {
        let file = match parsed(study) {
            Ok(file) => file,
            Err(no) => return Ok(no),
        };
        let proposal = match self.judged(&file, contract).await? {
            Ok(proposal) => proposal,
            Err(no) => return Ok(no),
        };
        let mut notes = proposal.expanded.notes.clone();
        notes.extend(retrain::note(&file));
        let response = Response::Submitted {
            terms: proposal.expanded.bytes.clone(),
            study: proposal.expanded.hash,
            notes,
        };
        if dry_run {
            return Ok(response);
        }
        let texts = Texts {
            contract,
            file: study,
            lead_days: file.retrain.map(|choice| choice.lead_days),
        };
        let by = party.name.as_str();
        let put = self.put_forward(proposal, texts, (by, None)).await?;
        Ok(put.err().unwrap_or(response))
    }

    /// The study of a file, held against the nodes that there are, the rules of law and the limits; nothing is kept.
    pub(super) async fn judged(
        &self,
        file: &StudyFile,
        contract: &str,
    ) -> Result<Result<Proposal, Response>, StoreFault> {
        let nodes = self.front.registry.nodes().await?;
        let (expanded, contract) = match expanded(file, contract, nodes) {
            Ok(expanded) => expanded,
            Err(no) => return Ok(Err(no)),
        };
        let days_max = self.model_days(now());
        if let Err(error) = retrain::check(file, days_max) {
            return Ok(Err(refused(error.code(), error.to_string())));
        }
        let decided = self.front.law.study(&expanded.terms, &contract, now());
        Ok(decided
            .map(|permit| Proposal {
                expanded,
                contract,
                permit,
            })
            .map_err(|denied| denied_response(&denied)))
    }

    /// Days for which a model that is made now is used.
    fn model_days(&self, now: Timestamp) -> u64 {
        let days = self.front.law.limit(Key::ModelAgeAfterErasureMaxDays, now);
        days.unwrap_or(MODEL_AGE_DAYS)
    }

    /// Keeps a study, and offers it to whoever approves; `by` is who does so, for the audit, and the place that it is to take.
    pub(super) async fn put_forward(
        &mut self,
        proposal: Proposal,
        texts: Texts<'_>,
        (by, place): (&str, Option<&Retraining>),
    ) -> Result<Result<(), Response>, StoreFault> {
        let Proposal {
            expanded,
            contract,
            permit,
        } = proposal;
        let stored = StoredStudy {
            hash: expanded.hash,
            name: expanded.terms.name.clone(),
            terms: expanded.bytes,
            contract_hash: contract.hash(),
            submitted: now(),
            ended: Timestamp::default(),
            question: false,
        };
        let own: (&Name, u32, &str) = (&contract.name, contract.version, texts.contract);
        let file = (texts.file, texts.lead_days);
        // Written down before the study is kept: none is without the person who may not approve it.
        let subject = stored.hash.to_string();
        self.store.audit(now(), by, "submit", &subject).await?;
        if !self.store.propose(&stored, own, file, place).await? {
            let text =
                "another study was proposed in the same place meanwhile: see `aquifer study list`";
            return Ok(Err(refused("proposed", text.into())));
        }
        let members = expanded.terms.roster.into_iter().zip(expanded.members);
        let (members, new) = (members.collect(), (Vec::new(), permit));
        let agreed = (Arc::new(contract), texts.contract.into());
        let taken = self.take_up(stored, agreed, members, new).await;
        Ok(taken.map_err(|error| refused("study", format!("{error:#}"))))
    }
}

/// A study file, or what is wrong with it.
pub(super) fn parsed(text: &str) -> Result<StudyFile, Response> {
    StudyFile::parse(text).map_err(|error| refused("study-file", format!("study file: {error}")))
}

/// A study file and a contract file as a study of these nodes, or what is wrong with them.
fn expanded(
    file: &StudyFile,
    contract: &str,
    nodes: Vec<Party>,
) -> Result<(Expanded, Contract), Response> {
    let contract = Contract::parse(contract)
        .map_err(|error| refused("contract", format!("contract file: {error}")))?;
    let registry: Vec<_> = nodes
        .into_iter()
        .map(|node| (node.name, node.identity))
        .collect();
    let random = random_bytes32().map_err(|error| refused("random", error.to_string()))?;
    let mut id = [0; 16];
    id.copy_from_slice(&random[..16]);
    let expanded = expand(file, &contract, &registry, id, now(), ACCOUNTANT)
        .map_err(|error| refused(error.code(), error.to_string()))?;
    noise::check_charge(&expanded.terms).map_err(|error| refused("price", error.to_string()))?;
    Ok((expanded, contract))
}
