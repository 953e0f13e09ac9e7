//! What the participant wants sent, as frames, and what the log says of it.
//!
//! # Privacy
//!
//! The log holds ids, codes, rules and sizes; nothing of what a frame says about customers.

use aquifer_shared::base::ids::IdentityKey;

use super::link::bytes_of;
use crate::core::participant::{Outgoing, Refused};
use crate::core::policy::Rules;

/// The frame of a message.
pub(super) fn frame_of(rules: &Rules, message: Outgoing) -> Vec<u8> {
    match message {
        Outgoing::Decision(decision) => {
            let study = decision.study.short();
            tracing::info!(%study, verdict = ?decision.verdict, "decision");
            bytes_of(&decision)
        }
        Outgoing::Refusal(refused) => {
            log_refusal(rules, &refused);
            bytes_of(&refused.refusal)
        }
        Outgoing::Update(released) => {
            tracing::debug!(bytes = released.frame().len(), "update");
            released.into_frame()
        }
        Outgoing::Shares(released) => {
            tracing::debug!(bytes = released.frame().len(), "shares");
            released.into_frame()
        }
        Outgoing::Opening(released) => {
            tracing::debug!(bytes = released.frame().len(), "opening");
            released.into_frame()
        }
        Outgoing::Advert(advert) => bytes_of(&advert),
        Outgoing::Confirm(confirm) => bytes_of(&confirm),
        Outgoing::Cannot(cannot) => {
            let dealers: Vec<u16> = cannot.dealers.iter().collect();
            tracing::warn!(attempt = %cannot.attempt, ?dealers, rule = "records-open", "records do not open");
            bytes_of(&cannot)
        }
        Outgoing::Copy(copy) => {
            tracing::debug!(entries = copy.links.len(), "copy for the mirror");
            bytes_of(&copy)
        }
    }
}

fn log_refusal(rules: &Rules, refused: &Refused) {
    let refusal = &refused.refusal;
    let study = refusal.study.short();
    let rule = refused.broken.map(|broken| broken.to_string());
    let rule = rule.unwrap_or_else(|| format!("{:?}", refusal.code));
    let (code, detail) = (refusal.code, refusal.detail);
    match refused.peer {
        Some(peer) => {
            let name = name_of(rules, &peer.key);
            tracing::warn!(%study, ?code, detail, rule, peer = peer.index, name, "refusal");
        }
        None => tracing::warn!(%study, ?code, detail, rule, "refusal"),
    }
}

/// Under which name the unit pinned a member; a start of its key where it has none.
pub(super) fn name_of(_rules: &Rules, key: &IdentityKey) -> String {
    key.to_string()[..12].to_owned()
}
