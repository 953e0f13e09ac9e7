//! The card of a released model, made of the log alone.

use super::declared::{lines as purpose_lines, purposes};
use super::lines::{Line, Section, guesses, millionths};
use super::log::{Fact, Log, NoDocument};
use super::words::forbidden;
use super::{cyclonedx, html, programs};
use crate::base::calendar::civil_of;
use crate::domain::history::{Json, Kind};
use crate::domain::pack::{Figures, Spend, epsilon_micro};

/// Everything that a card says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Card {
    pub(super) model: String,
    pub(super) version: u64,
    pub(super) file_sha256: String,
    /// When it was released, as the log says.
    pub(super) released_ms: u64,
    pub(super) released_index: u64,
    sections: Vec<Section>,
}

impl Card {
    /// The card of a model; of its newest version where none is asked for.
    ///
    /// # Errors
    ///
    /// The log has no such model, lacks a field of the card or of the privacy block, or contradicts itself.
    pub fn of(log: &Log, model: &str, version: Option<u64>) -> Result<Self, NoDocument> {
        let released = released(log, model, version)?;
        let study = proposal(log, &released.needed_text("study")?)?;
        let purpose = study.needed_text("purpose")?;
        let declared = purposes(log)?;
        let declared = declared.get(&purpose).ok_or_else(|| NoDocument::Missing {
            what: format!("declaration of purpose {purpose}"),
            kind: Kind::PackLoaded,
        })?;
        let version = released.needed_number("version")?;
        let sections = vec![
            model_lines(log, released, study)?,
            Section {
                title: "Purpose, effect and legal bases",
                lines: purpose_lines(declared.fact)?,
            },
            privacy(log, released, study)?,
            assessment(log, model, version)?,
            programs::section(log, released, study)?,
            limits(log, released)?,
            source(log),
        ];
        let card = Self {
            model: model.to_owned(),
            version,
            file_sha256: released.needed_text("file_sha256")?,
            released_ms: released.at.0,
            released_index: released.index,
            sections,
        };
        match forbidden(&card.to_html()) {
            Some(word) => Err(NoDocument::Word(word)),
            None => Ok(card),
        }
    }

    /// What it says.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// CycloneDX 1.6 with a model card, canonical JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        cyclonedx::bom(self)
    }

    /// One page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("Model card of {}, version {}", self.model, self.version);
        let lead = "Made of a verified log alone. Each line names the log entries that say it. This is no legal advice.";
        html::page(&title, lead, &self.sections)
    }
}

pub(super) fn released<'a>(
    log: &'a Log,
    model: &str,
    version: Option<u64>,
) -> Result<&'a Fact, NoDocument> {
    let fits = |fact: &&Fact| {
        let own = fact.payload.get("version").and_then(Json::as_u64);
        fact.text("model") == Some(model) && (version.is_none() || own == version)
    };
    let mut all = log.of_kind(Kind::ModelReleased).rev();
    all.find(fits).ok_or_else(|| NoDocument::Missing {
        what: format!("release of model {model}"),
        kind: Kind::ModelReleased,
    })
}

/// The proposal of a study; it may be in the pack of an earlier quarter.
pub(super) fn proposal<'a>(log: &'a Log, study: &str) -> Result<&'a Fact, NoDocument> {
    let mut all = log.of_kind(Kind::StudyProposed);
    let found = all.find(|fact| fact.text("study") == Some(study));
    found.ok_or_else(|| NoDocument::Missing {
        what: format!("study {study}"),
        kind: Kind::StudyProposed,
    })
}

fn model_lines(log: &Log, released: &Fact, study: &Fact) -> Result<Section, NoDocument> {
    let (own, from) = ([released.index], [study.index]);
    let mut lines = vec![
        Line::of("model", "Model", released.needed_text("model")?, &own),
        Line::of(
            "version",
            "Version",
            released.needed_number("version")?,
            &own,
        ),
        Line::of("released", "Released on (UTC)", day(released.at.0), &own),
        Line::of(
            "file_sha256",
            "SHA-256 of its file",
            released.needed_text("file_sha256")?,
            &own,
        ),
        Line::of("study", "Study", released.needed_text("study")?, &own),
        Line::of(
            "contract",
            "Data contract",
            study.needed_text("contract")?,
            &from,
        ),
        Line::of(
            "members",
            "Units in the study",
            study.needed_number("members")?,
            &from,
        ),
        Line::of(
            "population",
            "Declared population",
            study.needed_number("population")?,
            &from,
        ),
        Line::of("rounds", "Rounds", study.needed_number("rounds")?, &from),
    ];
    let id = released.needed_text("study")?;
    let sums = log.of_kind(Kind::RoundAggregated);
    let sums: Vec<u64> = sums
        .filter(|fact| fact.text("study") == Some(&id))
        .map(|fact| fact.index)
        .collect();
    if !sums.is_empty() {
        lines.push(Line::of("sums", "Sums released for it", sums.len(), &sums));
    }
    Ok(Section {
        title: "Model",
        lines,
    })
}

/// The disclosure block of a release.
pub(super) struct Block<'a> {
    released: &'a Fact,
    fields: &'a Json,
}

impl<'a> Block<'a> {
    pub(super) fn of(released: &'a Fact) -> Result<Self, NoDocument> {
        let fields = released.needed(released.payload.get("disclosure"), "disclosure")?;
        Ok(Self { released, fields })
    }

    fn field(&self, key: &str) -> Result<(&'a Json, String), NoDocument> {
        let name = format!("disclosure.{key}");
        let found = self.released.needed(self.fields.get(key), &name)?;
        Ok((found, name))
    }

    pub(super) fn text(&self, key: &str) -> Result<String, NoDocument> {
        let (found, name) = self.field(key)?;
        let found = found.as_text().map(str::to_owned);
        found.ok_or_else(|| self.released.contradicted(&name, "a text"))
    }

    fn number(&self, key: &str) -> Result<u64, NoDocument> {
        let (found, name) = self.field(key)?;
        let found = found.as_u64();
        found.ok_or_else(|| self.released.contradicted(&name, "a number from 0"))
    }
}

/// Numbers of the disclosure block.
///
/// # Privacy
///
/// Epsilon is computed from rho and delta of the log, rounded up; a release that states less than the log spent is refused.
pub(super) fn figures(log: &Log, released: &Fact, study: &Fact) -> Result<Vec<Line>, NoDocument> {
    let block = Block::of(released)?;
    let (rho, tuning) = (
        block.number("rho_micro")?,
        block.number("tuning_rho_micro")?,
    );
    let delta = study.needed_number("delta_pico")?;
    if rho == 0 || delta == 0 {
        return Err(released.contradicted("disclosure.rho_micro", "rho and delta above 0"));
    }
    spent_at_most(log, released, rho)?;
    tuned_at_most(log, released, study, tuning)?;
    let (own, from, both) = (
        [released.index],
        [study.index],
        [study.index, released.index],
    );
    let eps = epsilon_micro(rho, delta);
    Ok(vec![
        Line::of(
            "eps_micro",
            "Epsilon, in millionths, rounded up",
            eps,
            &both,
        ),
        Line::of("epsilon", "Epsilon", millionths(eps), &both),
        Line::of(
            "delta_pico",
            "Delta, in millionths of a millionth",
            delta,
            &from,
        ),
        Line::of("rho_micro", "Rho (zCDP), in millionths", rho, &own),
        Line::of(
            "tuning_rho_micro",
            "Spent on earlier studies of its family, which may have guided choices, rho in millionths",
            tuning,
            &own,
        ),
        Line::of(
            "guesses",
            "Right guesses at most whether a person took part, with an even chance before",
            guesses(eps, delta),
            &both,
        ),
    ])
}

/// The disclosure block: all of it, or no card.
fn privacy(log: &Log, released: &Fact, study: &Fact) -> Result<Section, NoDocument> {
    let block = Block::of(released)?;
    let (own, from) = ([released.index], [study.index]);
    let line =
        |key: &str, label: &str| Ok::<_, NoDocument>(Line::of(key, label, block.text(key)?, &own));
    let mut lines = vec![
        line("unit", "Unit of privacy")?,
        line("neighbours", "Neighbouring relation")?,
    ];
    lines.extend(figures(log, released, study)?);
    lines.extend([
        line("accountant", "Accountant")?,
        line("mechanism", "Mechanism")?,
        line("sampling", "Sampling")?,
        Line::of(
            "trust_mode",
            "Trust mode",
            study.needed_text("trust_mode")?,
            &from,
        ),
        line("trust_model", "Trust model")?,
        line("horizon", "Horizon")?,
        line("floating_point", "Floating point")?,
    ]);
    Ok(Section {
        title: "Privacy disclosure",
        lines,
    })
}

/// Spends of the study, where the log has them in the form of an audit pack.
fn spent_at_most(log: &Log, released: &Fact, rho_micro: u64) -> Result<(), NoDocument> {
    let study = released.needed_text("study")?;
    let expected = "no less than what the log spent on the study";
    match spent(log, &[study.as_str()], u64::MAX) {
        Some(spent) if spent <= rho_micro => Ok(()),
        _ => Err(released.contradicted("disclosure.rho_micro", expected)),
    }
}

/// Spends of earlier studies of its family, up to the release.
fn tuned_at_most(
    log: &Log,
    released: &Fact,
    study: &Fact,
    rho_micro: u64,
) -> Result<(), NoDocument> {
    let Some(family) = study.text("family") else {
        return Ok(());
    };
    let earlier = log.of_kind(Kind::StudyProposed);
    let earlier = earlier
        .filter(|fact| fact.index < study.index && fact.text("family") == Some(family))
        .filter_map(|fact| fact.text("study"));
    let expected = "no less than what the log spent on earlier studies of the family";
    match spent(log, &earlier.collect::<Vec<&str>>(), released.index) {
        Some(spent) if spent <= rho_micro => Ok(()),
        _ => Err(released.contradicted("disclosure.tuning_rho_micro", expected)),
    }
}

/// Rho of all spends of these studies in entries before one; none where it is beyond all prices.
fn spent(log: &Log, studies: &[&str], before: u64) -> Option<u64> {
    let is_theirs = |fact: &&Fact| {
        let own = fact.text("study");
        fact.index < before && own.is_some_and(|study| studies.contains(&study))
    };
    let spends = log.of_kind(Kind::BudgetSpent).filter(is_theirs);
    let spends: Vec<Spend> = spends
        .filter_map(|fact| Spend::of(&fact.payload).ok())
        .collect();
    let year = Figures::of(&spends)?.year;
    Some(year.map_or(0, |year| year.rho_micro))
}

pub(super) fn assessment(log: &Log, model: &str, version: u64) -> Result<Section, NoDocument> {
    let is_own = |fact: &&Fact| {
        let own = fact.payload.get("version").and_then(Json::as_u64);
        fact.text("model") == Some(model) && own == Some(version)
    };
    let mut lines = vec![Line::of("anonymity", "anonymity", "not_claimed", &[])];
    let audits: Vec<&Fact> = log.of_kind(Kind::CanaryResult).filter(is_own).collect();
    if audits.is_empty() {
        lines.push(Line::of(
            "empirical_audit",
            "empirical audit",
            "not run",
            &[],
        ));
    }
    for audit in audits {
        let from = [audit.index];
        lines.push(Line::of(
            "empirical_audit",
            "empirical audit",
            audit.needed_text("outcome")?,
            &from,
        ));
        lines.push(Line::of(
            "audit_guesses",
            "Guesses of the audit",
            audit.needed_number("guesses")?,
            &from,
        ));
        lines.push(Line::of(
            "audit_correct",
            "Right guesses of the audit",
            audit.needed_number("correct")?,
            &from,
        ));
        let ceiling = audit.needed_number("eps_ceiling_micro")?;
        lines.push(Line::of(
            "audit_eps_ceiling_micro",
            "Largest epsilon that it could have falsified, in millionths",
            ceiling,
            &from,
        ));
    }
    for retired in log
        .of_kind(Kind::ModelRetired)
        .chain(log.of_kind(Kind::ModelRecalled))
        .filter(is_own)
    {
        let label = match retired.kind {
            Kind::ModelRecalled => "Recalled on (UTC)",
            _ => "Retired on (UTC)",
        };
        lines.push(Line::of(
            "ended",
            label,
            day(retired.at.0),
            &[retired.index],
        ));
    }
    Ok(Section {
        title: "Assessment",
        lines,
    })
}

/// When another version is to take the model's place, and what was proposed for it.
fn retraining(log: &Log, study: &str) -> Result<Vec<Line>, NoDocument> {
    let mut lines = Vec::new();
    let scheduled = log.of_kind(Kind::ModelRetrainScheduled);
    for fact in scheduled.filter(|fact| fact.text("study") == Some(study)) {
        let on = fact.needed_text("retrain_on")?;
        let label = "Its study is proposed again, for another version, on";
        lines.push(Line::of("retrain_scheduled", label, on, &[fact.index]));
    }
    let proposed = log.of_kind(Kind::StudyProposed);
    for fact in proposed.filter(|fact| fact.text("succeeds") == Some(study)) {
        let (on, label) = (
            day(fact.at.0),
            "Study for another version proposed on (UTC)",
        );
        lines.push(Line::of("retrain_proposed", label, on, &[fact.index]));
        let own = fact.text("study").map(str::to_owned);
        let released = log.of_kind(Kind::ModelReleased);
        let released =
            released.filter(|made| own.is_some() && made.text("study") == own.as_deref());
        for made in released {
            let version = made.needed_number("version")?;
            let label = "Superseded by version";
            lines.push(Line::of("superseded_by", label, version, &[made.index]));
        }
    }
    Ok(lines)
}

pub(super) fn limits(log: &Log, released: &Fact) -> Result<Section, NoDocument> {
    let own = [released.index];
    let retire_by = released.needed_text("retire_by")?;
    let mut lines = vec![Line::of("retire_by", "Retire by", retire_by, &own)];
    lines.extend(retraining(log, &released.needed_text("study")?)?);
    let limits = released.texts("limits")?;
    if limits.is_empty() {
        return Err(NoDocument::Missing {
            what: format!("limits (entry {})", released.index),
            kind: Kind::ModelReleased,
        });
    }
    lines.extend(
        limits
            .iter()
            .map(|limit| Line::of("limit", "Limit", limit, &own)),
    );
    if let Some(Json::Object(quality)) = released.payload.get("quality_micro") {
        for (key, value) in quality {
            let value = value
                .as_u64()
                .ok_or_else(|| released.contradicted("quality_micro", "numbers from 0"))?;
            let (key, label) = (
                format!("quality:{key}"),
                format!("Quality, {key}, in millionths"),
            );
            lines.push(Line::of(&key, &label, value, &own));
        }
    }
    Ok(Section {
        title: "Limits",
        lines,
    })
}

/// What everything was checked against.
pub(super) fn source(log: &Log) -> Section {
    let (origin, size, root) = log.named();
    let last = [size.saturating_sub(1)];
    Section {
        title: "The log",
        lines: vec![
            Line::of("log", "Log", origin, &last),
            Line::of("log_size", "Entries under its checkpoint", size, &last),
            Line::of("log_root", "Root of its checkpoint", root, &last),
        ],
    }
}

/// `2026-11-25`.
pub(super) fn day(ms: u64) -> String {
    let day = i32::try_from(ms / 86_400_000).unwrap_or(i32::MAX / 2);
    let (year, month, day) = civil_of(day);
    format!("{year:04}-{month:02}-{day:02}")
}
