//! The certificate of an erasure: JSON with sorted keys and whole numbers, signed with the node's identity key.

use std::path::Path;

use aquifer_shared::base::hash::labelled;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::Succession;
use aquifer_shared::protocol::wire::ModelLife;
use aquifer_shared::shell::keys::Identity;
use aquifer_shared::shell::pack_folder::left;
use serde_json::{Value, json};

use super::models::Lives;
use super::plans::Plans;
use crate::core::rights::{Action, Assessed, Case, Inflight, Stage};
use crate::shell::audit::{MadePack, made_packs};
use crate::shell::consent::time::written;

/// The text of a certificate, and its digest.
///
/// # Privacy
///
/// Names the person nowhere; the number of the request ties it to what the desk knows.
pub(super) fn certificate(
    case: &Case,
    at: i64,
    (signer, told, packs): (&Identity, (&Lives, &Plans), &[MadePack]),
) -> (Hash32, String) {
    let body = body(case, at, told, packs);
    let digest = labelled(LABEL, &[body.to_string().as_bytes()]);
    let signature: String = signer
        .sign(&digest)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let text = json!({
        "body": body,
        "digest": digest.to_string(),
        "signature": signature,
        "signed_by": signer.public().to_string(),
    });
    (digest, text.to_string())
}

/// Packs of the history that may say something about the person: those for which it was read before it was rid of them.
///
/// # Errors
///
/// The notes of packs cannot be read.
pub(super) fn packs_before(case: &Case, directory: &Path) -> anyhow::Result<Vec<MadePack>> {
    let mut reached = case.reached.iter();
    let rid = reached.find(|(stage, _)| *stage == Stage::InflightResolved);
    let mut packs = made_packs(directory)?;
    packs.retain(|own| rid.is_none_or(|(_, at)| own.read_at <= *at));
    Ok(packs)
}

fn body(case: &Case, at: i64, (lives, plans): (&Lives, &Plans), packs: &[MadePack]) -> Value {
    let said = |study: &Hash32| {
        (
            lives.get(study),
            plans.get(study).copied().unwrap_or_default(),
        )
    };
    let tombstone = case.tombstone.as_ref().map(|mark| {
        json!({
            "expiry": written(mark.until), "ground": case.ground.word(), "key_id": mark.key_id,
        })
    });
    json!({
        "audit_packs": packs.iter().map(audit_pack).collect::<Vec<Value>>(),
        "backups": case.backups.iter().map(|own| json!({"expires_at": written(own.expires_at), "id": own.id})).collect::<Vec<Value>>(),
        "ground": case.ground.word(),
        "inflight": case.inflight.map(|Inflight::CompletedBefore(at)| json!({"completed_before": written(at)})),
        "issued_at": written(at),
        "kind": "aquifer/erasure-certificate/1",
        "models_and_answers": case.assessed.iter().map(|own| assessed(own, said(&own.run.study), at)).collect::<Vec<Value>>(),
        "node_actions": case.deleted.iter().map(|own| json!({"rows_deleted": own.rows_deleted, "store": own.store})).collect::<Vec<Value>>(),
        "reached": case.reached.iter().map(|(stage, at)| json!({"at": written(*at), "stage": stage.word()})).collect::<Vec<Value>>(),
        "request_id": case.request.to_string(),
        "residual": RESIDUAL,
        "tombstone": tombstone,
        "verified_by": case.verified_by,
    })
}

/// A copy of the history that only people can remove; the name of its folder, and not where that is.
fn audit_pack(own: &MadePack) -> Value {
    let name = own.folder.file_name().unwrap_or_default();
    json!({
        "action": "remove by hand",
        "folder": name.to_string_lossy(),
        "manifest": own.manifest,
        "quarter": own.quarter,
        "read_at": written(own.read_at),
        "there": !left(&own.folder).is_empty(),
    })
}

/// A run with its model as the coordinator tells of it; a date that has passed is one on which the model went out of use.
fn assessed(own: &Assessed, (life, planned): (Option<&ModelLife>, Succession), at: i64) -> Value {
    let now = Timestamp(u64::try_from(at).unwrap_or(0));
    let moment = |at: Timestamp| written(i64::try_from(at.0).unwrap_or(i64::MAX));
    let (action, by) = match own.action {
        Action::None => ("none", None),
        Action::RetrainScheduled(by) => ("retrain_scheduled", Some(by)),
        Action::RetireBy(by) => ("retire_by", Some(by)),
    };
    let superseded_by = match planned {
        Succession::Superseded { version, .. } => life.map(|own| format!("{}@{version}", own.name)),
        _ => None,
    };
    json!({
        "action": action,
        "by": by.map(written),
        "delta_pico": own.run.delta_pico,
        "eps_micro": own.run.eps_micro,
        "kind": own.run.kind,
        "model": life.map(|own| format!("{}@{}", own.name, own.version)),
        "model_retire_by": life.map(|own| moment(own.life.retire_by)),
        "model_state": life.map(|own| own.life.state(now)),
        "name": own.run.name,
        "reason": own.reason,
        "retraining": planned.word(),
        "retraining_at": planned.at().map(moment),
        "released_at": own.run.released_at.map(written),
        "rho_micro": own.run.rho_micro,
        "study": own.run.study.to_string(),
        "superseded_by": superseded_by,
        "superseded_at": own.superseded_at.map(written),
        "what": "may have contributed",
    })
}

const LABEL: &str = "aquifer/erasure-certificate/1";
/// What an erasure leaves.
const RESIDUAL: [&str; 5] = [
    "A keyed reference stays as a mark that keeps this person out until the expiry above.",
    "The budget ledger keeps what was spent; it names nobody, and no budget comes back.",
    "Sets of numbers of eligible persons keep a number that belongs to nobody any more.",
    "Models and answers that were released keep what they may have learned, within the bounds above, until they are out of use.",
    "The unit's own systems, files of scores, audit packs and backups are the unit's to erase; audit packs that it made before, and backups that it named, are listed.",
];
