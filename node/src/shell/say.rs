//! What the participant wants sent, as frames, and what the log says of it.
//!
//! # Privacy
//!
//! The log holds ids, codes, rules and sizes; nothing of what a frame says about customers.

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::domain::law::{Cause, Word};
use aquifer_shared::protocol::wire::{RefusalCode, Verdict};

use super::link::bytes_of;
use crate::core::participant::{Outgoing, Refused};
use crate::core::policy::Rules;

/// The frame of a message.
pub(super) fn frame_of(rules: &Rules, message: Outgoing) -> Vec<u8> {
    match message {
        Outgoing::Decision(decision) => {
            let study = decision.study.short();
            match &decision.verdict {
                Verdict::Refused(RefusalCode::Law, cause) => {
                    tracing::warn!(%study, why = explained(rules, *cause), "refused by the rules of law");
                }
                verdict => tracing::info!(%study, ?verdict, "decision"),
            }
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
        Outgoing::Left(left) => bytes_of(&left),
        Outgoing::Copy(copy) => {
            tracing::debug!(entries = copy.links.len(), "copy for the mirror");
            bytes_of(&copy)
        }
    }
}

/// A refusal by law in full: the cause, the rules that it rests on with their references, what to do and whom to ask.
fn explained(rules: &Rules, cause: u64) -> String {
    let place = cause
        .checked_sub(1)
        .and_then(|place| usize::try_from(place).ok());
    let cause = place.and_then(|place| Cause::ALL.get(place));
    let (Some(gatekeeper), Some(cause)) = (&rules.gatekeeper, cause) else {
        return "node.toml has no [people]: nothing is declared of customers".to_owned();
    };
    let here = gatekeeper.people().place;
    let packs = gatekeeper.book().packs().iter();
    let packs = packs.filter(|pack| pack.applies_at(here));
    let grounds = packs.flat_map(|pack| {
        let rules = pack.rules().iter();
        let rules = rules.filter(|rule| cause.keys().contains(&rule.key) && rule.place.is_none());
        rules.map(|rule| {
            format!(
                "{}: {}",
                rule.id(pack.id().as_str()),
                rule.provenance.reference
            )
        })
    });
    let grounds: Vec<String> = grounds.collect();
    let (found, remedy, ask) = (cause.found(), cause.remedy(), cause.ask());
    format!(
        "{cause}: {found} ({}); {remedy}; ask the {ask}",
        grounds.join("; ")
    )
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
pub(super) fn name_of(rules: &Rules, key: &IdentityKey) -> String {
    let pin = rules.policy.trust.pins.get(key);
    pin.map_or_else(
        || key.to_string()[..12].to_owned(),
        |pin| pin.name.to_string(),
    )
}
