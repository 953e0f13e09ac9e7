//! An erasure, step by step. Every step is written down before the next is taken; a restart goes on where the last one ended.
//!
//! Pure: what was found and done arrives as a step. A refusal is possible for as long as nothing was deleted. Budget is never given back.

use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::units::MicroRho;
use serde::{Deserialize, Serialize};

use super::run::Kind;

/// Why a person asks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The data are not needed any more.
    NoLongerNeeded,
    /// The consent that it rested on was taken back.
    ConsentWithdrawn,
    /// An objection was upheld.
    ObjectionUpheld,
    /// There was no basis from the start.
    Unlawful,
    /// A law demands it.
    LegalObligation,
    /// A child's data.
    Child,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Asked for.
    Received,
    /// Who asks is the person.
    IdentityVerified,
    /// What there is was looked up.
    Scoped,
    /// It is gone from the node.
    NodeDeleted,
    /// What was under way is over for this person.
    InflightResolved,
    /// When backups run out is written down.
    BackupsScheduled,
    /// What becomes of models and answers is written down.
    ModelsAssessed,
    /// The certificate was made.
    CertificateIssued,
    /// Nothing more is due.
    Closed,
    /// Refused, before anything was deleted.
    Refused,
}

/// A run that the person may have been in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScopedRun {
    /// The study, by its hash.
    pub study: Hash32,
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// What the person was charged at its worst; none where that does not fit.
    pub rho_micro: Option<MicroRho>,
    /// The same as epsilon, in millionths, rounded up; none where there is no bound.
    pub eps_micro: Option<u64>,
    /// At which delta, in 10^-12.
    pub delta_pico: u64,
    /// Since when it is over, if a result of it was published.
    pub released_at: Option<i64>,
    /// It is over, and nothing of it was published.
    pub unreleased: bool,
}

/// What was taken out of a store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deleted {
    /// Which.
    pub store: String,
    /// Rows that are gone.
    pub rows_deleted: u64,
}

/// The mark that keeps the person out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tombstone {
    /// Under which key the reference was made.
    pub key_id: String,
    /// Until when it stands.
    pub until: i64,
}

/// What became of sums that were under way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Inflight {
    /// Sums that began before this moment may contain the person; none that began later does.
    CompletedBefore(i64),
}

/// A backup that may still hold the person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Backup {
    /// Which.
    pub id: String,
    /// When it is gone.
    pub expires_at: i64,
}

/// What is done about a model or an answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    None,
    /// A model trained without the person takes its place as soon as there is one; at the latest by this moment.
    RetrainScheduled(i64),
    /// A model trained without the person takes its place by this moment.
    RetireBy(i64),
}

/// A run, and what is done about its result.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Assessed {
    /// The run.
    pub run: ScopedRun,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// Since when it is not used any more, once it is not: superseded, retired, recalled, or past its date.
    pub superseded_at: Option<i64>,
}

/// One step, with what was found or done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Somebody of the unit has checked who asks.
    Verify(String),
    /// What there is.
    Scope(Vec<ScopedRun>),
    /// What was deleted, and the mark that was set.
    Delete(Vec<Deleted>, Tombstone),
    /// What was under way.
    Resolve(Inflight),
    /// Backups.
    Schedule(Vec<Backup>),
    /// Models: the longest that one may stay, in milliseconds, and the epsilon in millionths from which on one is trained anew at once.
    Assess {
        /// How long a model may stay.
        age_max_ms: i64,
        /// From which epsilon on it is not waited that long.
        eps_at_once_micro: u64,
    },
    /// The certificate, by its digest.
    Certify(Hash32),
    /// A run of this name was superseded.
    Supersede(Hash32),
    /// What the coordinator says of the model of a run.
    Learn(Learnt),
    /// Everything that was due has happened.
    Close,
    /// The unit refuses, and says why.
    Refuse(String),
}

/// What the coordinator says of a model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Learnt {
    /// Its study.
    pub study: Hash32,
    /// The last moment of its use.
    pub retire_by: i64,
    /// Since when it is not used any more, once it is not.
    pub ended: Option<i64>,
    /// A model that is trained anew is to take its place, or has taken it.
    pub replaced: bool,
}

/// One erasure.
///
/// # Privacy
///
/// Names the person nowhere: neither by an id nor by a reference.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Case {
    /// Drawn when it was asked for.
    pub request: Hash32,
    /// Why.
    pub ground: Ground,
    /// How far it is.
    pub stage: Stage,
    /// When each stage was reached.
    pub reached: Vec<(Stage, i64)>,
    /// Who checked who asks.
    pub verified_by: Option<String>,
    /// Runs that the person may have been in.
    pub scope: Vec<ScopedRun>,
    /// What was deleted.
    pub deleted: Vec<Deleted>,
    /// The mark.
    pub tombstone: Option<Tombstone>,
    /// What was under way.
    pub inflight: Option<Inflight>,
    /// Backups.
    pub backups: Vec<Backup>,
    /// Models and answers.
    pub assessed: Vec<Assessed>,
    /// Digests of its certificates, the last one last.
    pub certificates: Vec<Hash32>,
    /// Why it was refused.
    pub refused: Option<String>,
}

/// A step that is not the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the erasure is at {stage:?}: {step} is not what comes next")]
pub struct OutOfOrder {
    /// Where it is.
    pub stage: Stage,
    /// What was to be done.
    pub step: &'static str,
}

impl Case {
    /// A request that just came in.
    #[must_use]
    pub fn received(request: Hash32, ground: Ground, at: i64) -> Self {
        Self {
            request,
            ground,
            stage: Stage::Received,
            reached: vec![(Stage::Received, at)],
            verified_by: None,
            scope: Vec::new(),
            deleted: Vec::new(),
            tombstone: None,
            inflight: None,
            backups: Vec::new(),
            assessed: Vec::new(),
            certificates: Vec::new(),
            refused: None,
        }
    }

    /// Takes a step.
    ///
    /// # Errors
    ///
    /// It is not the next one; nothing changed.
    pub fn take(&mut self, at: i64, step: Step) -> Result<(), OutOfOrder> {
        let stage = self.stage;
        let wrong = |step| OutOfOrder { stage, step };
        let reached = match (stage, step) {
            (Stage::Received, Step::Verify(by)) => {
                self.verified_by = Some(by);
                Stage::IdentityVerified
            }
            (Stage::IdentityVerified, Step::Scope(runs)) => {
                self.scope = runs;
                Stage::Scoped
            }
            (Stage::Scoped, Step::Delete(deleted, tombstone)) => {
                (self.deleted, self.tombstone) = (deleted, Some(tombstone));
                Stage::NodeDeleted
            }
            (Stage::NodeDeleted, Step::Resolve(inflight)) => {
                self.inflight = Some(inflight);
                Stage::InflightResolved
            }
            (Stage::InflightResolved, Step::Schedule(backups)) => {
                self.backups = backups;
                Stage::BackupsScheduled
            }
            (
                Stage::BackupsScheduled,
                Step::Assess {
                    age_max_ms,
                    eps_at_once_micro,
                },
            ) => {
                let latest = at.saturating_add(age_max_ms);
                let assess = |run| assess(run, self.ground, latest, eps_at_once_micro);
                self.assessed = self.scope.iter().map(assess).collect();
                Stage::ModelsAssessed
            }
            (Stage::ModelsAssessed | Stage::CertificateIssued, Step::Certify(digest)) => {
                self.certificates.push(digest);
                Stage::CertificateIssued
            }
            (Stage::CertificateIssued, Step::Supersede(study)) => {
                let own = self.model_of(study);
                let own = own.filter(|own| own.action != Action::None);
                let own = own.ok_or(wrong("superseding a run that no model is due of"))?;
                own.superseded_at.get_or_insert(at);
                return Ok(());
            }
            (Stage::ModelsAssessed | Stage::CertificateIssued, Step::Learn(said)) => {
                let own = self.model_of(said.study);
                let own = own.ok_or(wrong("learning of a model that is none of this erasure"))?;
                own.learn(&said);
                return Ok(());
            }
            (Stage::CertificateIssued, Step::Close) if self.due(at).is_none() => Stage::Closed,
            (Stage::Received | Stage::IdentityVerified | Stage::Scoped, Step::Refuse(why)) => {
                self.refused = Some(why);
                Stage::Refused
            }
            (_, step) => return Err(wrong(step.word())),
        };
        self.reach(reached, at);
        Ok(())
    }

    fn reach(&mut self, stage: Stage, at: i64) {
        self.stage = stage;
        if self.reached.last().is_none_or(|(last, _)| *last != stage) {
            self.reached.push((stage, at));
        }
    }

    /// What is done about the model of a study.
    fn model_of(&mut self, study: Hash32) -> Option<&mut Assessed> {
        let mut models = self.assessed.iter_mut();
        models.find(|own| own.run.study == study && own.run.kind == Kind::Train)
    }

    /// Whether nothing more happens.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Closed | Stage::Refused)
    }

    /// When the last of what is still due comes due: backups that are there at this time, and models that were not superseded.
    #[must_use]
    pub fn due(&self, at: i64) -> Option<i64> {
        let backups = self.backups.iter().map(|backup| backup.expires_at);
        let backups = backups.filter(|expires| *expires > at);
        backups.chain(self.models_due()).max()
    }

    /// By when each model is out of use that still is in use.
    fn models_due(&self) -> impl Iterator<Item = i64> {
        let in_use = self.assessed.iter();
        let in_use = in_use.filter(|own| own.superseded_at.is_none());
        in_use.filter_map(Assessed::by)
    }

    /// Whether a certificate of `before` says something about models that does not hold any more: what is done, by when, or that one is in
    /// use still.
    #[must_use]
    pub fn outdates(&self, before: &Self) -> bool {
        let actions =
            |case: &Self| -> Vec<Action> { case.assessed.iter().map(|own| own.action).collect() };
        let over = |case: &Self| case.models_due().next().is_none();
        actions(self) != actions(before) || over(self) != over(before)
    }
}

impl Assessed {
    /// Takes the date that the model has; whoever asked for a model without them at once does not wait longer for that.
    fn learn(&mut self, said: &Learnt) {
        self.action = match self.action {
            Action::None | Action::RetireBy(_) if said.replaced => {
                "the model may have learned from this person, within this bound; one that is trained anew is to take its place"
                    .clone_into(&mut self.reason);
                Action::RetrainScheduled(said.retire_by)
            }
            Action::None => {
                "a model of it was released, and may have learned from this person"
                    .clone_into(&mut self.reason);
                Action::RetireBy(said.retire_by)
            }
            Action::RetireBy(_) => Action::RetireBy(said.retire_by),
            Action::RetrainScheduled(by) => Action::RetrainScheduled(by.min(said.retire_by)),
        };
        if let Some(ended) = said.ended {
            self.superseded_at.get_or_insert(ended);
        }
    }

    /// By when its model is not used any more, where there is one.
    #[must_use]
    pub fn by(&self) -> Option<i64> {
        match self.action {
            Action::None => None,
            Action::RetrainScheduled(by) | Action::RetireBy(by) => Some(by),
        }
    }
}

fn assess(run: &ScopedRun, ground: Ground, latest: i64, eps_at_once_micro: u64) -> Assessed {
    let at_once = matches!(ground, Ground::Unlawful | Ground::ObjectionUpheld);
    let dear = run.eps_micro.is_none_or(|eps| eps > eps_at_once_micro);
    let (action, reason) = match run.kind {
        Kind::Query => (
            Action::None,
            "answers that were released stay published, with this bound",
        ),
        Kind::Train if run.unreleased => (Action::None, "no model came of it"),
        Kind::Train if at_once => (
            Action::RetrainScheduled(latest),
            "the ground asks for a model without this person at once",
        ),
        Kind::Train if dear => (
            Action::RetrainScheduled(latest),
            "the bound is above what is waited for",
        ),
        Kind::Train => (
            Action::RetireBy(latest),
            "the model may have learned from this person, within this bound",
        ),
    };
    Assessed {
        run: run.clone(),
        action,
        reason: reason.to_owned(),
        superseded_at: None,
    }
}

impl Step {
    fn word(&self) -> &'static str {
        match self {
            Self::Verify(_) => "checking who asks",
            Self::Scope(_) => "looking up what there is",
            Self::Delete(..) => "deletion",
            Self::Resolve(_) => "resolving what is under way",
            Self::Schedule(_) => "writing down backups",
            Self::Assess { .. } => "assessing models",
            Self::Certify(_) => "the certificate",
            Self::Supersede(_) => "superseding a model",
            Self::Learn(_) => "learning of a model",
            Self::Close => "closing",
            Self::Refuse(_) => "a refusal",
        }
    }
}

impl Ground {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoLongerNeeded,
        Self::ConsentWithdrawn,
        Self::ObjectionUpheld,
        Self::Unlawful,
        Self::LegalObligation,
        Self::Child,
    ];

    /// The word in files and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoLongerNeeded => "no_longer_needed",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::ObjectionUpheld => "objection_upheld",
            Self::Unlawful => "unlawful",
            Self::LegalObligation => "legal_obligation",
            Self::Child => "child",
        }
    }

    /// The ground of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.word() == word)
    }
}

impl Stage {
    /// The word in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::IdentityVerified => "identity_verified",
            Self::Scoped => "scoped",
            Self::NodeDeleted => "node_deleted",
            Self::InflightResolved => "inflight_resolved",
            Self::BackupsScheduled => "backups_scheduled",
            Self::ModelsAssessed => "models_assessed",
            Self::CertificateIssued => "certificate_issued",
            Self::Closed => "closed",
            Self::Refused => "refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: Kind, eps_micro: Option<u64>, released: bool) -> ScopedRun {
        ScopedRun {
            study: Hash32([7; 32]),
            name: "churn".into(),
            kind,
            rho_micro: Some(MicroRho(1)),
            eps_micro,
            delta_pico: 1,
            released_at: released.then_some(3),
            unreleased: !released,
        }
    }

    fn steps(runs: Vec<ScopedRun>) -> Vec<Step> {
        let tombstone = Tombstone {
            key_id: "k".into(),
            until: 1_000,
        };
        vec![
            Step::Verify("desk".into()),
            Step::Scope(runs),
            Step::Delete(Vec::new(), tombstone),
            Step::Resolve(Inflight::CompletedBefore(4)),
            Step::Schedule(Vec::new()),
            Step::Assess {
                age_max_ms: 90,
                eps_at_once_micro: 1_000_000,
            },
            Step::Certify(Hash32([1; 32])),
            Step::Close,
        ]
    }

    fn case(ground: Ground) -> Case {
        Case::received(Hash32([9; 32]), ground, 0)
    }

    #[test]
    fn every_step_has_its_turn_and_no_other() {
        let all = steps(Vec::new());
        for turn in 0..all.len() {
            let mut own = case(Ground::Child);
            for step in &all[..turn] {
                own.take(5, step.clone()).unwrap();
            }
            for (other, step) in all.iter().enumerate() {
                let again = turn == 7 && other == 6;
                let mut tried = own.clone();
                let taken = tried.take(6, step.clone());
                assert_eq!(taken.is_ok(), other == turn || again, "{turn} {other}");
                assert!(taken.is_ok() || tried == own);
            }
        }
    }

    #[test]
    fn it_can_be_refused_until_something_is_deleted() {
        let all = steps(Vec::new());
        for turn in 0..all.len() {
            let mut own = case(Ground::NoLongerNeeded);
            for step in &all[..turn] {
                own.take(5, step.clone()).unwrap();
            }
            let refused = own.take(6, Step::Refuse("owed by tax law".into()));
            assert_eq!(refused.is_ok(), turn <= 2, "{turn}");
        }
    }

    #[track_caller]
    fn check_action(ground: Ground, run: ScopedRun, expected: Action) {
        let mut own = case(ground);
        for step in steps(vec![run]).into_iter().take(6) {
            own.take(10, step).unwrap();
        }
        assert_eq!(own.assessed[0].action, expected);
    }

    #[test]
    fn models_are_assessed_by_ground_and_bound() {
        let (cheap, ground) = (Some(1_000_000), Ground::ConsentWithdrawn);
        check_action(ground, run(Kind::Train, cheap, true), Action::RetireBy(100));
        let dear = run(Kind::Train, Some(1_000_001), true);
        check_action(ground, dear, Action::RetrainScheduled(100));
        check_action(
            ground,
            run(Kind::Train, None, true),
            Action::RetrainScheduled(100),
        );
        let other = run(Kind::Train, cheap, true);
        check_action(Ground::Unlawful, other, Action::RetrainScheduled(100));
        check_action(ground, run(Kind::Train, cheap, false), Action::None);
        check_action(Ground::Unlawful, run(Kind::Query, None, true), Action::None);
    }

    #[test]
    fn it_stays_open_until_models_and_backups_are_over() {
        let mut own = case(Ground::Child);
        let mut all = steps(vec![run(Kind::Train, Some(1), true)]);
        all[4] = Step::Schedule(vec![Backup {
            id: "tape".into(),
            expires_at: 50,
        }]);
        for step in all.into_iter().take(7) {
            own.take(10, step).unwrap();
        }
        assert_eq!(own.due(20), Some(100));
        assert!(own.take(20, Step::Close).is_err());
        assert!(own.take(20, Step::Supersede(Hash32([8; 32]))).is_err());
        own.take(20, Step::Supersede(Hash32([7; 32]))).unwrap();
        assert!(own.take(49, Step::Close).is_err());
        own.take(49, Step::Certify(Hash32([2; 32]))).unwrap();
        own.take(50, Step::Close).unwrap();
        assert!(own.is_over() && own.certificates.len() == 2);
    }

    fn learnt(study: u8, retire_by: i64, ended: Option<i64>) -> Step {
        Step::Learn(Learnt {
            study: Hash32([study; 32]),
            retire_by,
            ended,
            replaced: false,
        })
    }

    #[test]
    fn t2_a_model_that_is_trained_anew_is_due_when_the_other_comes() {
        for ground in [Ground::Child, Ground::Unlawful] {
            let mut own = case(ground);
            let all = steps(vec![run(Kind::Train, Some(1), true)]);
            for step in all.into_iter().take(7) {
                own.take(10, step).unwrap();
            }
            let before = own.clone();
            let said = |ended| {
                Step::Learn(Learnt {
                    study: Hash32([7; 32]),
                    retire_by: 90,
                    ended,
                    replaced: true,
                })
            };
            own.take(20, said(None)).unwrap();
            assert_eq!(own.assessed[0].action, Action::RetrainScheduled(90));
            assert!(own.outdates(&before));
            // What is planned once is not taken back by silence.
            let again = own.clone();
            own.take(21, learnt(7, 90, None)).unwrap();
            assert!(own == again && own.due(21) == Some(90));
            own.take(22, said(Some(22))).unwrap();
            assert!(own.outdates(&again) && own.due(22).is_none());
        }
    }

    #[track_caller]
    fn check_learnt(
        (ground, released): (Ground, bool),
        (retire_by, ended): (i64, Option<i64>),
        (expected, outdated): (Action, bool),
    ) {
        let mut own = case(ground);
        for step in steps(vec![run(Kind::Train, Some(1), released)])
            .into_iter()
            .take(7)
        {
            own.take(10, step).unwrap();
        }
        let before = own.clone();
        own.take(20, learnt(7, retire_by, ended)).unwrap();
        assert_eq!(own.assessed[0].action, expected);
        assert_eq!(own.assessed[0].superseded_at, ended);
        assert_eq!(own.outdates(&before), outdated);
        assert_eq!(own.due(20).is_none(), ended.is_some());
    }

    #[test]
    fn a_model_is_due_by_its_own_date() {
        let usual = (Ground::Child, true);
        check_learnt(usual, (100, None), (Action::RetireBy(100), false));
        check_learnt(usual, (60, None), (Action::RetireBy(60), true));
        check_learnt(usual, (120, None), (Action::RetireBy(120), true));
        check_learnt(usual, (100, Some(15)), (Action::RetireBy(100), true));
        let at_once = (Ground::Unlawful, true);
        check_learnt(at_once, (120, None), (Action::RetrainScheduled(100), false));
        check_learnt(at_once, (60, None), (Action::RetrainScheduled(60), true));
        // Held when it was assessed, and released later.
        check_learnt(
            (Ground::Child, false),
            (60, None),
            (Action::RetireBy(60), true),
        );
    }

    #[test]
    fn what_is_no_model_of_the_erasure_is_not_learnt() {
        let mut own = case(Ground::Child);
        let all = steps(vec![run(Kind::Query, Some(1), true)]);
        for step in all.into_iter().take(5) {
            assert!(own.take(10, learnt(7, 60, None)).is_err());
            own.take(10, step).unwrap();
        }
        let assess = Step::Assess {
            age_max_ms: 90,
            eps_at_once_micro: 1,
        };
        own.take(10, assess).unwrap();
        assert!(own.take(10, learnt(7, 60, None)).is_err());
        assert!(own.take(10, learnt(8, 60, None)).is_err());
    }

    #[test]
    fn of_two_models_the_last_ends_the_wait() {
        let mut second = run(Kind::Train, Some(1), true);
        second.study = Hash32([8; 32]);
        let mut own = case(Ground::Child);
        let all = steps(vec![run(Kind::Train, Some(1), true), second]);
        for step in all.into_iter().take(7) {
            own.take(10, step).unwrap();
        }
        let before = own.clone();
        own.take(20, learnt(7, 100, Some(20))).unwrap();
        assert!(!own.outdates(&before) && own.due(20) == Some(100));
        own.take(30, learnt(8, 100, Some(30))).unwrap();
        assert!(own.outdates(&before) && own.due(30).is_none());
    }
}
