//! Answers to questions, each after a look at the asker's role: least rights, and a refusal says whom to ask.

use aquifer_shared::base::ids::{IdentityKey, Name, Role, StudyHash};
use aquifer_shared::base::limits::LEDGER_COPY_BYTES_MAX;
use aquifer_shared::protocol::ask::{Look, NodeEntry, Request, Response, StudyStatus};
use aquifer_shared::protocol::wire::Approval;
use aquifer_shared::shell::noise;
use tokio::sync::mpsc;

use super::clock::now;
use super::hub::Hub;
use super::lawful::denied_response;
use super::live::{Agreed, Live};
use super::objections::refusal_response;
use super::put::Put;
use super::store::{Party, StoreFault, StoredStudy};
use crate::core::event::{Event, Record};
use crate::core::expand::Accountant;
use crate::core::gates::Permit;
use crate::core::resume::Durables;
use crate::core::update::is_approval;

/// How rho and (epsilon, delta) convert: OpenDP's way.
pub(super) const ACCOUNTANT: Accountant = Accountant {
    largest_urho: noise::largest_urho,
    epsilon: noise::epsilon,
};

const READERS: &[Role] = &[
    Role::Operator,
    Role::Approver,
    Role::Analyst,
    Role::Auditor,
    Role::Dpo,
];
const NODES: &[Role] = &[Role::Node];
const ANALYSTS: &[Role] = &[Role::Analyst];
const OPERATORS: &[Role] = &[Role::Operator];
const APPROVERS: &[Role] = &[Role::Approver];
const RECALLERS: &[Role] = &[Role::Operator, Role::Approver, Role::Dpo];
const AUDITORS: &[Role] = &[Role::Auditor, Role::Dpo];
pub(super) const MODEL_READERS: &[Role] = &[
    Role::Node,
    Role::Operator,
    Role::Approver,
    Role::Analyst,
    Role::Auditor,
    Role::Dpo,
];

/// Who may ask what.
fn allowed(request: &Request) -> &'static [Role] {
    match request {
        Request::StudySubmit { .. } | Request::StudyAbort(_) | Request::ModelRetrain { .. } => {
            OPERATORS
        }
        Request::StudyApprove { .. }
        | Request::ModelRelease { .. }
        | Request::ModelEnd { recall: false, .. } => APPROVERS,
        Request::ModelEnd { recall: true, .. } => RECALLERS,
        Request::ModelAudited { .. } => AUDITORS,
        Request::StudyList
        | Request::StudyShow(_)
        | Request::StudyWatch(_)
        | Request::Nodes
        | Request::TokenIssue { .. }
        | Request::TokenList
        | Request::TokenRevoke { .. } => READERS,
        Request::ModelList
        | Request::ModelLives
        | Request::ModelPlans
        | Request::ModelFetch(_)
        | Request::ModelUse(_)
        | Request::ModelSums(_)
        | Request::ContractShow(_)
        | Request::Renew { .. } => MODEL_READERS,
        Request::Ledger { .. } => NODES,
        Request::Ask(_) | Request::Look(Look::Budget) => ANALYSTS,
        Request::Look(_) | Request::History(_) => READERS,
    }
}

/// The refusal of who has not the role for a request.
pub(super) fn barred(party: &Party, request: &Request) -> Option<Response> {
    let roles = allowed(request);
    if roles.contains(&party.role) {
        return None;
    }
    let list: Vec<String> = roles.iter().map(Role::to_string).collect();
    let text = format!(
        "role {} may not do this; ask someone with role {}",
        party.role,
        list.join(" or ")
    );
    Some(refused("role", text))
}

impl Hub {
    /// The answer to a question; none where a watcher was added instead.
    pub(super) async fn respond(
        &mut self,
        party: &Party,
        request: Request,
        answers: &mpsc::Sender<Response>,
    ) -> Option<Response> {
        if let Some(no) = barred(party, &request) {
            return Some(no);
        }
        let result = match request {
            Request::StudySubmit {
                study,
                contract,
                dry_run,
            } => self.submit(party, &study, &contract, dry_run).await,
            Request::StudyApprove { study, signature } => {
                self.approve(party, study, signature).await
            }
            Request::StudyList => Ok(Response::Studies(self.statuses(party))),
            Request::StudyShow(which) => Ok(self
                .find(party, &which)
                .map_or_else(|no| no, |hash| self.detail(&hash))),
            Request::StudyWatch(which) => match self.find(party, &which) {
                Ok(hash) => match self.watch(hash, &party.name, answers.clone()) {
                    Ok(()) => return None,
                    Err(many) => Ok(refused("busy", many.to_string())),
                },
                Err(no) => Ok(no),
            },
            Request::StudyAbort(which) => self.abort(party, &which).await,
            Request::ModelList => self.models().await,
            Request::ModelFetch(which) => self.model(party.role, &which).await,
            Request::ModelSums(which) => self.sums(party.role, &which).await,
            Request::ModelRelease { model, publish } => self.decide(party, &model, publish).await,
            Request::ModelLives => self.lives().await,
            Request::ModelPlans => self.plans().await,
            Request::ModelRetrain { model, why } => self.retrain_now(party, &model, &why).await,
            Request::ModelUse(which) => self.model_to_use(&which).await,
            Request::ModelEnd { model, recall, why } => {
                self.end_model(party, &model, (recall, &why)).await
            }
            Request::ModelAudited { model, result } => self.audited(party, &model, &result).await,
            Request::Nodes => self.nodes().await,
            Request::ContractShow(which) => self.contract(&which).await,
            Request::Ledger { from } => self.ledger(party, from).await,
            asked @ (Request::TokenIssue { .. }
            | Request::TokenList
            | Request::TokenRevoke { .. }) => self.tokens(party, asked).await,
            Request::Ask(ask) => match Put::try_from(*ask) {
                Err(refusal) => Ok(refusal_response(&refusal)),
                Ok(put) => match self.question(party, &put, answers).await {
                    Ok(Some(response)) => Ok(response),
                    Ok(None) => return None,
                    Err(error) => Err(error),
                },
            },
            Request::Renew { .. } | Request::Look(_) | Request::History(_) => Ok(refused(
                "request",
                "the connection itself answers this".into(),
            )),
        };
        Some(result.unwrap_or_else(unanswered))
    }

    /// A statement of a session: its answer follows at once, or when its study has ended.
    pub(super) async fn put(&mut self, party: &Party, put: &Put, answers: &mpsc::Sender<Response>) {
        let result = self.question(party, put, answers).await;
        if let Some(response) = result.unwrap_or_else(|error| Some(unanswered(error))) {
            let _ = answers.try_send(response);
        }
    }

    /// Starts a study that is stored with these records and that a decision permits, and tells it who is there.
    pub(super) async fn take_up(
        &mut self,
        stored: StoredStudy,
        agreed: Agreed,
        members: Vec<(IdentityKey, Name)>,
        (records, permit): (Vec<Record>, Permit),
    ) -> anyhow::Result<()> {
        let name_of = |key: &IdentityKey| {
            members
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, name)| name.clone())
        };
        let durable = Durables {
            records,
            ..Durables::default()
        };
        let live = Live::resume(stored, agreed, durable, now(), name_of, |_, _| Ok(permit))?;
        let hash = live.hash;
        let said = self.proposal_said(&live).await;
        self.studies.insert(hash, live);
        self.note_history(Some(said)).await;
        for (member, (key, _)) in members.iter().enumerate() {
            if self.is_connected(key) {
                self.handle(hash, Event::Connected(member)).await;
            }
        }
        self.drive(hash).await;
        Ok(())
    }

    async fn approve(
        &mut self,
        party: &Party,
        study: StudyHash,
        signature: Vec<u8>,
    ) -> Result<Response, StoreFault> {
        let approval = Approval {
            key: party.identity,
            signature,
        };
        if !self.studies.contains_key(&study) {
            return Ok(unknown("study", &study.short()));
        }
        if self
            .studies
            .get(&study)
            .is_none_or(|live| !live.is_running())
        {
            let text = format!(
                "study {} has ended already: an approval would change nothing; submit it again",
                study.short()
            );
            return Ok(refused("ended", text));
        }
        // A registration may have had another role when the study, or the one whose file has it proposed again, was submitted.
        if self.store.has_submitted(&party.name, &study).await? {
            let text = format!(
                "study {} rests on the word of {}: two people decide on a study; ask another approver",
                study.short(),
                party.name
            );
            return Ok(refused("own-study", text));
        }
        if !is_approval(&study, &approval) {
            return Ok(refused(
                "signature",
                "the signature is not of this study by your identity key".into(),
            ));
        }
        // Packs may have expired, or purposes been changed, since it was submitted.
        if let Some(live) = self.studies.get_mut(&study) {
            match self.front.law.study(&live.terms, &live.contract, now()) {
                Ok(permit) => live.stand_on(permit),
                Err(denied) => return Ok(denied_response(&denied)),
            }
        }
        self.store
            .audit(now(), party.name.as_str(), "approve", &study.to_string())
            .await?;
        self.handle(study, Event::Approved(approval)).await;
        Ok(Response::Done(format!("study {} approved", study.short())))
    }

    async fn abort(&mut self, party: &Party, which: &str) -> Result<Response, StoreFault> {
        let hash = match self.find(party, which) {
            Ok(hash) => hash,
            Err(no) => return Ok(no),
        };
        if self
            .studies
            .get(&hash)
            .is_none_or(|live| !live.is_running())
        {
            return Ok(refused(
                "ended",
                format!("study {} has ended already", hash.short()),
            ));
        }
        self.store
            .audit(now(), party.name.as_str(), "abort", &hash.to_string())
            .await?;
        self.handle(hash, Event::Abort(format!("by {}", party.name)))
            .await;
        Ok(Response::Done(format!("study {} stopped", hash.short())))
    }

    fn statuses(&self, party: &Party) -> Vec<StudyStatus> {
        let damaged = self.damaged.values().cloned();
        let visible = self
            .studies
            .values()
            .filter(|live| self.is_visible(party, live));
        let mut all: Vec<_> = visible.map(Live::status).collect();
        all.extend(damaged);
        all.sort_by_key(|status| std::cmp::Reverse(status.submitted));
        all
    }

    fn detail(&self, hash: &StudyHash) -> Response {
        let Some(live) = self.studies.get(hash) else {
            return unknown("study", &hash.short());
        };
        Response::Study(Box::new(live.detail()))
    }

    async fn nodes(&self) -> Result<Response, StoreFault> {
        let connected = self.front.connected();
        let entry = |party: Party| NodeEntry {
            connected: match party.role {
                Role::Node => self.is_connected(&party.identity),
                _ => connected.contains(&party.name),
            },
            name: party.name,
            role: party.role,
            key: party.identity,
            revoked: party.revoked,
            certificate_until: party.certificate_until,
            last_seen: party.last_seen,
            ledger_seq: party.ledger_seq,
            software: party.software,
        };
        Ok(Response::Nodes(
            self.store.parties().await?.into_iter().map(entry).collect(),
        ))
    }

    /// What is held of the asking node's own ledger.
    async fn ledger(&self, party: &Party, from: u64) -> Result<Response, StoreFault> {
        let key = &party.identity;
        let held = self.store.mirror_held(key).await?;
        let links = self
            .store
            .mirror_links(key, from, LEDGER_COPY_BYTES_MAX)
            .await?;
        Ok(Response::Ledger {
            links,
            head: held.head,
            signature: held.signature,
        })
    }

    async fn contract(&self, which: &str) -> Result<Response, StoreFault> {
        let (name, version) = match which.split_once('@') {
            Some((name, version)) => (name, version.parse().ok()),
            None => (which, None),
        };
        let by_hash = match which.parse() {
            Ok(hash) => self.store.contract(&hash).await?,
            Err(_) => None,
        };
        let found = match by_hash {
            Some(text) => Some(text),
            None => self.store.contract_by_name(name, version).await?,
        };
        Ok(found.map_or_else(|| unknown("contract", which), Response::Contract))
    }
}

/// The store failed: the log says why, the asker whom to ask.
pub(super) fn unanswered(error: StoreFault) -> Response {
    let error = anyhow::Error::from(error);
    tracing::error!(error = format!("{error:#}"), "a question was not answered");
    let text = "the coordinator's store does not work; its operator finds the reason in the log";
    refused("store", text.into())
}

/// A refusal by a rule.
pub(super) fn refused(code: &str, message: String) -> Response {
    Response::Refused {
        code: code.to_owned(),
        message,
    }
}

pub(super) fn unknown(what: &str, which: &str) -> Response {
    let which: String = which.chars().take(80).collect();
    refused("unknown", format!("there is no {what} {which:?}"))
}
