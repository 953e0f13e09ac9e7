//! What a person is told: plain data, the same for JSON, HTML and CSV. Made from what was looked up; nothing is read here.

use aquifer_shared::base::ids::IdentityKey;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::base::units::{Delta, MicroRho};
use aquifer_shared::domain::law::{Key, Place, Rulebook};
use aquifer_shared::domain::predictor::model::Life;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::wire::ModelLife;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

use super::scores::ScoreLine;
use crate::core::rights::{Kind, compose, meaning, nodes_of, worst};
use crate::shell::consent::time::written;
use crate::shell::usage::{Lost, UsedRun};

/// The access pack of one person.
///
/// # Privacy
///
/// About one person, and about nobody else. Neither the id nor the reference is in it; it has no `Debug`.
#[derive(Serialize)]
pub struct Pack {
    /// When it was made.
    pub made_at: String,
    /// Where the unit is.
    pub controller: String,
    /// What the unit does with customers' records, and how the person stands to it.
    pub purposes: Vec<PurposeLine>,
    /// What the person said, as it is written down.
    pub events: Vec<Value>,
    /// Studies and answers that the record may have contributed to.
    pub runs: Vec<Run>,
    /// What all of them add up to.
    pub bound: Bounds,
    /// Scores that the unit holds, where a file of them was looked through.
    pub scores: Option<Vec<ScoreLine>>,
    /// How long what is kept.
    pub retention: Vec<String>,
    /// What the person may ask for.
    pub rights: Vec<String>,
}

/// One purpose.
#[derive(Serialize)]
pub struct PurposeLine {
    /// Its name.
    pub id: String,
    /// In a few words.
    pub title: String,
    /// In plain words.
    pub description: String,
    /// `train`, `query` or `score`.
    pub action: String,
    /// On which basis it rests; none where none is declared.
    pub basis: Option<String>,
    /// State of the person's consent.
    pub consent: String,
    /// Whether the person objected or opted out.
    pub blocked: String,
    /// Whether the record may be used from now on.
    pub eligible: bool,
    /// Who answers for it.
    pub owner: String,
}

/// One study, or the answers under one standing study.
#[derive(Serialize)]
pub struct Run {
    /// The study, by its hash.
    pub study: String,
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// What it does.
    pub kind: Kind,
    /// The record was eligible; whether it was used is not kept.
    pub may_have_contributed: bool,
    /// `recorded`, or `not recorded, so everybody counts`.
    pub eligibility: &'static str,
    /// First charged sum.
    pub first_at: String,
    /// Last charged sum.
    pub last_at: String,
    /// Charged sums.
    pub sums: u64,
    /// What it cost the person at most, in micro-rho; none where it does not fit.
    pub rho_micro: Option<MicroRho>,
    /// The same as epsilon at the study's delta; none where there is no bound.
    pub epsilon: Option<f64>,
    /// The study's delta.
    pub delta: f64,
    /// Who must be honest for it.
    pub trust: TrustMode,
    /// At how many units one person is taken to be.
    pub units_assumed: u16,
    /// Who got a noisy sum: the units that took part, and who leads them.
    pub recipients: Vec<String>,
    /// `published`, `not published` or `open`.
    pub result: &'static str,
    /// The last moment at which its model is used, as the coordinator says; where it was ended, since when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_used_until: Option<String>,
}

/// What all runs add up to, at its worst.
#[derive(Serialize)]
pub struct Bounds {
    /// At this delta.
    pub delta: f64,
    /// Of the last 365 days.
    pub year: Bound,
    /// Of all time.
    pub all_time: Bound,
    /// What is assumed.
    pub assumptions: Vec<String>,
}

/// One bound.
#[derive(Serialize)]
pub struct Bound {
    /// In micro-rho; none where it does not fit.
    pub rho_micro: Option<MicroRho>,
    /// As epsilon; none where there is no bound.
    pub epsilon: Option<f64>,
    /// What it means.
    pub meaning: String,
}

/// What the rules of the unit say, for a pack.
pub(in crate::shell) struct House<'a> {
    pub(in crate::shell) book: &'a Rulebook,
    pub(in crate::shell) place: Place,
    /// Units by their keys.
    pub(in crate::shell) names: &'a BTreeMap<IdentityKey, String>,
    pub(in crate::shell) epsilon: fn(MicroRho, Delta) -> f64,
}

impl House<'_> {
    /// The strictest value at the unit's place on a day.
    pub(super) fn value(&self, key: Key, at: i64) -> Option<u64> {
        let day = i32::try_from(at.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
        self.book.strictest(&[self.place], key, day)
    }

    /// Epsilon of a price; none where there is no bound.
    pub(super) fn epsilon(&self, rho: Option<MicroRho>, delta: Delta) -> Option<f64> {
        let found = (self.epsilon)(rho?, delta);
        found.is_finite().then_some(found)
    }

    /// At how many units a person is taken to be, for a run.
    pub(super) fn units(&self, run: &UsedRun) -> u16 {
        let purpose = self.book.purpose(run.facts.purpose.as_str());
        nodes_of(&run.facts, purpose.map(|purpose| purpose.subject_overlap))
    }
}

/// One run, as the person is told.
pub(super) fn run_line(house: &House<'_>, own: &UsedRun, life: Option<&ModelLife>) -> Run {
    let (facts, units) = (&own.facts, house.units(own));
    let rho = worst(facts, own.spent.all, units);
    let known = |key| house.names.get(key).cloned();
    let members = facts.members.iter();
    let members = members.map(|key| known(key).unwrap_or_else(|| format!("unit {key}")));
    Run {
        study: own.run.to_string(),
        name: facts.name.to_string(),
        purpose: facts.purpose.to_string(),
        kind: facts.kind,
        may_have_contributed: true,
        eligibility: match own.everybody {
            true => "not recorded, so everybody counts",
            false => "recorded",
        },
        first_at: written(own.first_at),
        last_at: written(own.last_at),
        sums: own.attempts,
        rho_micro: rho,
        epsilon: house.epsilon(rho, facts.delta),
        delta: facts.delta.get(),
        trust: facts.trust,
        units_assumed: units,
        recipients: [COORDINATOR.to_owned()]
            .into_iter()
            .chain(members)
            .collect(),
        result: match (own.published, facts.kind) {
            (Some(true), _) | (None, Kind::Query) => "published",
            (Some(false), _) => "not published",
            (None, Kind::Train) => "open",
        },
        model_used_until: life.map(|own| used_until(&own.life)),
    }
}

fn used_until(life: &Life) -> String {
    let last = life.ended(Timestamp(0)).unwrap_or(life.retire_by);
    written(i64::try_from(last.0).unwrap_or(i64::MAX))
}

/// What runs and losses add up to.
pub(super) fn bounds(house: &House<'_>, runs: &[UsedRun], lost: Lost) -> Bounds {
    let parts = runs
        .iter()
        .map(|own| (&own.facts, own.spent, house.units(own)));
    let composed = compose(parts).with_lost(lost.year, lost.all);
    let shown = Delta::try_from(SHOWN_DELTA).expect("1e-5 is a delta");
    // The table of meanings holds at this delta and below.
    let delta = composed
        .delta
        .map_or(shown, |own| match own.get() < shown.get() {
            true => own,
            false => shown,
        });
    let bound = |rho| {
        let epsilon = house.epsilon(rho, delta);
        Bound {
            rho_micro: rho,
            epsilon,
            meaning: in_words(epsilon),
        }
    };
    let mut assumptions = vec![
        "Worst case: wherever the record was eligible it counts as used, with the whole price of the study, repeated tries included."
            .to_owned(),
        "Repeating a published answer costs nothing.".to_owned(),
    ];
    let most = runs.iter().map(|own| house.units(own)).max().unwrap_or(1);
    assumptions.push(match most {
        1 => "One person is a customer of one unit only, as declared.".to_owned(),
        most => format!("One person may be a customer of up to {most} units."),
    });
    if runs
        .iter()
        .any(|own| own.facts.trust == TrustMode::SharedNoise)
    {
        assumptions.push(
            "Where units share their noise, the bound holds as long as enough of them are honest, as each study states."
                .to_owned(),
        );
    }
    Bounds {
        delta: delta.get(),
        year: bound(composed.year),
        all_time: bound(composed.all),
        assumptions,
    }
}

fn in_words(epsilon: Option<f64>) -> String {
    let Some(found) = epsilon.and_then(meaning) else {
        return "There is no useful bound on what could be learned about this record.".to_owned();
    };
    format!(
        "Somebody who sees everything that was released, knows all other customers, and finds it as likely as not that this record \
         was in, guesses right in at most {} of cases. With 1 % false alarms, at most {} of such records would be found.",
        found.right_at_most, found.hits_at_most
    )
}

/// How long what is kept.
pub(in crate::shell) fn retention(house: &House<'_>, at: i64) -> Vec<String> {
    let days = |key, what: &str| {
        let days = house.value(key, at)?;
        Some(format!("{what}: at most {days} days."))
    };
    let limits = [
        days(Key::RetentionMaxDays, "Records of customers"),
        days(Key::ScoreRetentionMaxDays, "Scores"),
        days(
            Key::ConsentMaxAgeDays,
            "A consent counts, unless it is given again",
        ),
    ];
    let fixed = [
        "What you said about consent: until you ask for its erasure.",
        "For which studies your record was eligible: a number of yours, until you ask for its erasure.",
        "Sums and answers that were released hold noise and name nobody; they stay.",
    ];
    let fixed = fixed.map(str::to_owned);
    limits.into_iter().flatten().chain(fixed).collect()
}

/// What the person may ask for.
pub(in crate::shell) fn rights() -> Vec<String> {
    [
        "You can object or take your consent back at any time; it counts from the next sum on.",
        "You can ask for a correction at the unit that holds your contract.",
        "You can ask for erasure: what the unit keeps for studies is taken out, and you are kept out of all later ones.",
        "Models that your record may have contributed to are then superseded by a model trained without your data, by a date that you are told.",
        "You can complain to the authority where you live.",
    ]
    .map(str::to_owned)
    .to_vec()
}

const COORDINATOR: &str = "the coordinator (noisy sums over many customers, no record)";
const SHOWN_DELTA: f64 = 1e-5;
pub(super) const DAY_MS: i64 = 24 * 3_600 * 1_000;
