//! How long models are used: who asks to predict with one, who ends its use, and what nodes hear of it.

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::limits::{MODEL_WHY_CHARS_MAX, MODELS_TOLD_MAX, RECALL_WISH_DAYS};
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::predictor::model::{Fate, ModelFile, day, last_use};
use aquifer_shared::protocol::ask::{CanaryRecord, Response};
use aquifer_shared::protocol::wire::{CloseReason, ModelLife, ModelLives, frame};
use aquifer_shared::shell::quic::close;

use super::clock::now;
use super::front::SharedFrame;
use super::hub::Hub;
use super::model_requests::split;
use super::requests::{refused, unknown};
use super::store::{Party, Recall, StoreFault, StoredModel};
use crate::core::chronicle::{Keyed, audited, ended_use};

/// Code of the refusal to predict with a model that is not used any more.
pub const OUT_OF_USE: &str = "out-of-use";

impl Hub {
    /// How long each model is used.
    pub(super) async fn lives(&self) -> Result<Response, StoreFault> {
        let models = self.store.models().await?;
        Ok(Response::ModelLives(
            models.iter().filter_map(life).collect(),
        ))
    }

    /// The file of a released model to predict with: the one that is named, or the newest that is used.
    pub(super) async fn model_to_use(&self, which: &str) -> Result<Response, StoreFault> {
        let (name, version) = match split(which) {
            Ok(which) => which,
            Err(no) => return Ok(no),
        };
        let now = self.front.law.present(now());
        let models = self.store.models().await?.into_iter();
        let own = models.filter(|own| {
            own.published
                && own.name.as_str() == name
                && version.is_none_or(|wanted| own.version == wanted)
        });
        let mut own: Vec<StoredModel> = own.collect();
        own.sort_by_key(|own| std::cmp::Reverse(own.version));
        let mut first = None;
        for model in own {
            let Some((_, life)) = model.life() else {
                continue;
            };
            match life.allows(&model.named(), now) {
                Ok(()) => return Ok(Response::Model(model.file)),
                Err(out) => first = first.or(Some(out)),
            }
        }
        Ok(first.map_or_else(
            || unknown("published model", which),
            |out| refused(OUT_OF_USE, out.to_string()),
        ))
    }

    /// Retires a model, or takes a step towards its recall.
    pub(super) async fn end_model(
        &mut self,
        party: &Party,
        which: &str,
        (recall, why): (bool, &str),
    ) -> Result<Response, StoreFault> {
        let why = match reason(why) {
            Ok(why) => why,
            Err(no) => return Ok(no),
        };
        let model = match self.find_version(which).await? {
            Ok(model) => model,
            Err(no) => return Ok(no),
        };
        let at = self.front.law.present(now());
        let what = if recall { "recall" } else { "retire" };
        self.store
            .audit(at, party.name.as_str(), what, &model.named())
            .await?;
        let own = (&model.name, model.version);
        let by = (&party.name, &party.identity);
        let done = match recall {
            true => self.store.recall_model(own, by, at).await?,
            false => match self.store.retire_model(own, at).await? {
                true => Recall::Done,
                false => Recall::NotReleased,
            },
        };
        let which = model.named();
        if let Some(undone) = undone(&which, done, at) {
            return Ok(undone);
        }
        let fate = if recall {
            Fate::Recalled
        } else {
            Fate::Retired
        };
        let said = ended_use(
            (&model.name, model.version),
            &model.study,
            recall,
            Some((party.role, why)),
        );
        self.note_history(Some(said)).await;
        self.tell_lives().await;
        Ok(Response::Done(format!("{which}: {}", fate.word())))
    }

    /// Enters what an audit came to, for a released model that it covers.
    pub(super) async fn audited(
        &self,
        party: &Party,
        which: &str,
        found: &CanaryRecord,
    ) -> Result<Response, StoreFault> {
        let model = match self.find_version(which).await? {
            Ok(model) => model,
            Err(no) => return Ok(no),
        };
        if let Some(fault) = found.fault() {
            let text = format!(
                "the record has {fault}: give it as scripts/audit-privacy --json prints it"
            );
            return Ok(refused("record", text));
        }
        let Ok(file) = ModelFile::parse(&model.file) else {
            return Ok(unknown("published model", which));
        };
        if let Some(no) = uncovered(&file, found) {
            return Ok(no);
        }
        if self.front.chronicle().is_none() {
            return Ok(refused(
                "history",
                "this coordinator keeps no history".into(),
            ));
        }
        self.store
            .audit(now(), party.name.as_str(), "audit", &model.named())
            .await?;
        let said = audited((&model.name, model.version), party.role, found);
        if !self.enter_history(said).await {
            let text = "the record is not in the history, which could not be written: look into the coordinator's log, then enter it again";
            return Ok(refused("history", text.into()));
        }
        Ok(Response::Done(format!(
            "{}: {}",
            model.named(),
            found.outcome()
        )))
    }

    /// Tells every node with a session how long models are used that it has trained, after something of it changed.
    pub(super) async fn tell_lives(&mut self) {
        self.lives = None;
        self.agenda.forget();
        let nodes: Vec<IdentityKey> = self.sessions.keys().copied().collect();
        for node in nodes {
            self.tell_lives_to(&node).await;
        }
    }

    /// The same for one node.
    pub(super) async fn tell_lives_to(&mut self, node: &IdentityKey) {
        if self.lives.is_none() {
            // Files are large, and nodes come and go: they are read once.
            match self.store.models().await {
                Ok(models) => {
                    let released = models.iter().filter(|own| own.published);
                    self.lives = Some(released.filter_map(life).collect());
                }
                Err(error) => return tracing::error!(%error, "a node was not told of models"),
            }
        }
        let is_member = |own: &&ModelLife| {
            let live = self.studies.get(&own.study);
            live.is_some_and(|live| live.terms.member(node).is_some())
        };
        let own = self.lives.iter().flatten().filter(is_member);
        let models: Vec<ModelLife> = own.take(MODELS_TOLD_MAX).cloned().collect();
        let Some(session) = self.sessions.get(node).filter(|_| !models.is_empty()) else {
            return;
        };
        let frame: SharedFrame = frame(&ModelLives { models }).into();
        if !session.line.outbox.put(frame) {
            return close(&session.line.connection, CloseReason::Busy);
        }
        self.tell_plans_to(node).await;
    }
}

fn life(model: &StoredModel) -> Option<ModelLife> {
    let (_, life) = model.life()?;
    Some(ModelLife {
        study: model.study,
        name: model.name.clone(),
        version: model.version,
        life,
    })
}

/// The answer where the use of a model has not ended by this step.
fn undone(which: &str, done: Recall, now: Timestamp) -> Option<Response> {
    match done {
        Recall::Done => None,
        Recall::Asked => {
            let until = day(last_use(now, RECALL_WISH_DAYS));
            let text = format!(
                "{which}: recall waits until {until} for a second person (operator, approver or dpo), who enters the same command; until \
                 then it predicts: an approver may retire it at once. The wish lapses on that day, and with your role"
            );
            Some(Response::Done(text))
        }
        Recall::SamePerson => {
            let text = format!(
                "{which}: you have asked for its recall less than {RECALL_WISH_DAYS} days ago; a recall takes two people: ask another \
                 operator, approver or dpo"
            );
            Some(refused("two-people", text))
        }
        Recall::NotReleased => {
            let text = format!("{which} is not in use: see `aquifer model list`");
            Some(refused("not-in-use", text))
        }
    }
}

/// What the history says of a stored model whose use people ended, for where a crash lost it.
pub(super) fn ended(model: &StoredModel) -> Option<Keyed> {
    let recalled = match model.fate {
        Fate::InUse => return None,
        Fate::Retired => false,
        Fate::Recalled => true,
    };
    let own = (&model.name, model.version);
    Some(ended_use(own, &model.study, recalled, None))
}

/// An audit is of a path at one noise: it says nothing about a model with another claim.
fn uncovered(file: &ModelFile, found: &CanaryRecord) -> Option<Response> {
    let (epsilon, delta) = (file.privacy().epsilon(), file.privacy().delta());
    let near =
        |found: u64, own: f64, unit: f64| (found as f64 - own * unit).abs() <= 1e-4 * own * unit;
    if near(found.claim_micro, epsilon, 1e6) && near(found.delta_pico, delta, 1e12) {
        return None;
    }
    let text = format!(
        "the record is about epsilon {:.4} at delta {:e}, and the model claims epsilon {epsilon:.4} at delta {delta:e}: run \
         scripts/audit-privacy --claims {epsilon:.4} --delta {delta:e} --json",
        found.claim_micro as f64 / 1e6,
        found.delta_pico as f64 / 1e12,
    );
    Some(refused("claim", text))
}

/// A reason as the history takes it.
pub(super) fn reason(why: &str) -> Result<&str, Response> {
    let why = why.trim();
    let length = why.chars().count();
    let fits = (1..=MODEL_WHY_CHARS_MAX).contains(&length) && !why.chars().any(char::is_control);
    if fits {
        return Ok(why);
    }
    let text = format!(
        "--why has {length} characters, expected 1 to {MODEL_WHY_CHARS_MAX} without control characters"
    );
    Err(refused("why", text))
}

#[cfg(test)]
mod tests {
    use aquifer_shared::domain::audit_bound::{Claim, ceiling, falsified_up_to, threshold};

    use super::*;
    use crate::core::finished::finished;

    /// What an audit of the sample model's claim comes to.
    fn record() -> CanaryRecord {
        let (file, _) = finished();
        let claim = Claim {
            epsilon: file.privacy().epsilon(),
            delta: file.privacy().delta(),
            canaries: 4_000,
        };
        let claim = claim.rounded();
        CanaryRecord {
            canaries: 4_000,
            ceiling_micro: (ceiling(claim, 500) * 1e6) as u64,
            claim_micro: (claim.epsilon * 1e6).round() as u64,
            correct: 250,
            delta_pico: (claim.delta * 1e12).round() as u64,
            falsified: 0,
            falsified_up_to_micro: 0,
            guesses: 500,
            noise_shared: 0,
            tested: 1,
            threshold: threshold(claim, 500).unwrap() as u64,
        }
    }

    /// The same with so many right guesses.
    fn with_right(own: &mut CanaryRecord, correct: u64) {
        let claim = Claim::of_integers(own.claim_micro, own.delta_pico, 4_000);
        let largest = falsified_up_to(claim, 500, correct as usize);
        own.correct = correct;
        own.falsified_up_to_micro = (largest * 1e6) as u64;
        own.falsified = u8::from(correct >= own.threshold);
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut CanaryRecord), expected: Option<&str>) {
        let mut found = record();
        change(&mut found);
        let no = match found.fault() {
            Some(fault) => Some(fault),
            None => uncovered(&finished().0, &found).map(|no| format!("{no:?}")),
        };
        match (no, expected) {
            (None, None) => {}
            (Some(no), Some(expected)) => assert!(no.contains(expected), "{no}"),
            other => panic!("{other:?}"),
        }
    }

    /// Whole records of another claim are held against the model's.
    #[track_caller]
    fn check_claim(epsilon: f64, delta: f64, expected: &str) {
        let claim = Claim {
            epsilon,
            delta,
            canaries: 4_000,
        };
        let own = claim.rounded();
        let bound = threshold(own, 500);
        let change = |record: &mut CanaryRecord| {
            record.claim_micro = (own.epsilon * 1e6).round() as u64;
            record.delta_pico = (own.delta * 1e12).round() as u64;
            record.ceiling_micro = (ceiling(own, 500) * 1e6) as u64;
            record.threshold = bound.map_or(0, |found| found as u64);
            record.tested = u8::from(bound.is_some());
        };
        check(change, Some(expected));
    }

    #[test]
    fn r3_a_record_counts_for_the_claim_that_it_tested() {
        let own = finished().0;
        let (epsilon, delta) = (own.privacy().epsilon(), own.privacy().delta());
        check(|_| {}, None);
        check_claim(epsilon * 1.01, delta, "--claims");
        check_claim(epsilon, delta * 10.0, "--delta");
        check(|own| own.correct = 501, Some("more right guesses"));
        check(|own| own.correct = 499, Some("does not follow"));
        check(|own| with_right(own, 500), None);
        check(|own| own.falsified = 1, Some("does not follow"));
        check(|own| own.falsified = 2, Some("neither 0 nor 1"));
        check(|own| own.guesses = 5_000, Some("more guesses"));
        check(|own| own.canaries = 1 << 53, Some("above 10^12"));
        check(|own| own.canaries = 100_001, Some("more than 100000"));
        check(|own| own.ceiling_micro = 1, Some("above its ceiling"));
        check(|own| own.threshold = 0, Some("without a threshold"));
    }

    /// Whoever enters a record does not say what it is held to.
    #[test]
    fn r3_a_record_is_held_to_the_threshold_of_its_claim() {
        check(|own| own.threshold += 1, Some("is falsified from"));
        check(|own| own.threshold -= 1, Some("is falsified from"));
        check(
            |own| {
                let due = own.threshold;
                own.threshold = 500;
                with_right(own, due);
            },
            Some("is falsified from"),
        );
        check(
            |own| (own.tested, own.threshold) = (0, 0),
            Some("a threshold of 0"),
        );
        // Nor does another run's bound do.
        check(|own| own.guesses = 400, Some("is falsified from"));
        check(|own| own.ceiling_micro += 10, Some("a ceiling"));
        check(
            |own| own.falsified_up_to_micro = 10,
            Some("a largest falsified epsilon"),
        );
    }

    #[test]
    fn what_an_audit_cannot_tell_is_told_so() {
        let outcome = |tested, shared| {
            let record = CanaryRecord {
                tested,
                noise_shared: shared,
                ..record()
            };
            record.outcome()
        };
        assert_eq!(outcome(1, 0), "not falsified at this sample size");
        assert_eq!(outcome(1, 1), "falsified: noise is shared");
        assert_eq!(outcome(0, 0), "too few guesses to falsify the claim");
    }

    #[test]
    fn a_reason_is_short_and_plain() {
        assert_eq!(reason(" drift ").unwrap(), "drift");
        assert!(reason(" ").is_err() && reason("a\nb").is_err());
        assert!(reason(&"x".repeat(MODEL_WHY_CHARS_MAX + 1)).is_err());
    }
}
