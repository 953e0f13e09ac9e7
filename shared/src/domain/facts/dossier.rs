//! What there is to judge by whether a released model is personal data: evidence that the log holds, and what is missing of it.
//!
//! Made of the log alone, like a card; but where a card is refused, a dossier says which evidence is missing. It judges nothing.

use super::assessment::{Assessment, NotAssessed};
use super::card::{Block, assessment, figures, limits, proposal, released, source};
use super::html;
use super::lines::{Line, Section};
use super::log::{Fact, Log, NoDocument};
use super::words::{forbidden, without_judgement};
use crate::base::ids::{Hash32, IdentityKey};
use crate::domain::history::{Json, Kind};

/// A dossier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dossier {
    model: String,
    version: u64,
    sections: Vec<Section>,
}

/// Why there is no dossier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoDossier {
    /// The log does not hold the model, or would make it say what no log can show.
    #[error(transparent)]
    Document(#[from] NoDocument),
    /// The assessment does not count.
    #[error(transparent)]
    Assessment(#[from] NotAssessed),
}

impl Dossier {
    /// The dossier of a model, with an assessment and the keys that verifiably signed it, where there is one.
    ///
    /// # Errors
    ///
    /// The log has no such model, the assessment does not count, or a text claims what it may not.
    pub fn of(
        log: &Log,
        (model, version): (&str, Option<u64>),
        assessed: Option<(&Assessment, &[IdentityKey])>,
    ) -> Result<Self, NoDossier> {
        let released = released(log, model, version)?;
        let version = released.needed_number("version")?;
        let study = released
            .needed_text("study")
            .and_then(|study| proposal(log, &study));
        let study = study.as_ref().map_err(NoDocument::clone);
        let bound = study.and_then(|study| figures(log, released, study));
        let mut sections = vec![
            named(released),
            whole("Bound", bound),
            disclosed(released),
            access(log),
            attacks(log, model, version),
            section("Use and limits", limits(log, released)),
        ];
        let conclusion = match assessed {
            None => conclusion(&[], "not_claimed", None),
            Some((text, signers)) => {
                let from = text.signed(log, released, signers)?;
                conclusion(&from, "assessed", Some(text))
            }
        };
        sections.push(residual(&sections));
        sections.push(source(log));
        let title = title(model, version);
        let words = [
            forbidden(&html::page(&title, LEAD, &sections)),
            assessed.and_then(|(text, _)| claimed(text)),
        ];
        if let Some(word) = words.into_iter().flatten().next() {
            return Err(NoDocument::Word(word).into());
        }
        sections.insert(sections.len() - 1, conclusion);
        Ok(Self {
            model: model.to_owned(),
            version,
            sections,
        })
    }

    /// What it says.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// How many pieces of evidence are missing or contradicted.
    #[must_use]
    pub fn open(&self) -> usize {
        open(&self.sections).len()
    }

    /// One page.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(&title(&self.model, self.version), LEAD, &self.sections)
    }

    /// Canonical JSON: sections with their lines, each with its entries.
    #[must_use]
    pub fn to_json(&self) -> String {
        let line = |line: &Line| {
            let from = line.from.iter().map(|index| Json::from(*index));
            Json::object([
                ("entries", Json::List(from.collect())),
                ("key", line.key.as_str().into()),
                ("value", line.value.as_str().into()),
            ])
        };
        let section = |own: &Section| {
            Json::object([
                ("lines", Json::List(own.lines.iter().map(line).collect())),
                ("title", own.title.into()),
            ])
        };
        let text = Json::object([
            ("kind", "aquifer/model-dossier/1".into()),
            ("model", self.model.as_str().into()),
            (
                "sections",
                Json::List(self.sections.iter().map(section).collect()),
            ),
            ("version", self.version.into()),
        ]);
        text.to_text() + "\n"
    }
}

fn title(model: &str, version: u64) -> String {
    format!("Dossier of {model}, version {version}")
}

fn named(released: &Fact) -> Section {
    let texts = ["model", "file_sha256", "study"];
    let lines = texts.map(|key| given(released.needed_text(key), key, &[released.index]));
    let version = released.needed_number("version").map(|own| own.to_string());
    let version = given(version, "version", &[released.index]);
    Section {
        title: "Model",
        lines: lines.into_iter().chain([version]).collect(),
    }
}

/// Texts of the disclosure block, one by one.
fn disclosed(released: &Fact) -> Section {
    let block = Block::of(released);
    let text = |key: &str| {
        let block = block.as_ref().map_err(NoDocument::clone);
        given(
            block.and_then(|block| block.text(key)),
            key,
            &[released.index],
        )
    };
    Section {
        title: "Unit, accounting and trust",
        lines: DISCLOSED.map(text).into(),
    }
}

/// Who can ask the model, and who can have its file.
fn access(log: &Log) -> Section {
    let registered: Vec<u64> = [Kind::RoleGranted, Kind::NodeEnrolled]
        .into_iter()
        .flat_map(|kind| log.of_kind(kind))
        .map(|fact| fact.index)
        .collect();
    let parties = match registered.is_empty() {
        false => Ok(registered.len().to_string()),
        true => Err(NoDocument::Missing {
            what: "parties that may use the model (they may be in packs of earlier quarters)"
                .to_owned(),
            kind: Kind::RoleGranted,
        }),
    };
    Section {
        title: "Access",
        lines: vec![
            Line::of("access", "Access model", ACCESS, &[]),
            given(parties, "parties", &registered),
        ],
    }
}

fn attacks(log: &Log, model: &str, version: u64) -> Section {
    let ran = log.of_kind(Kind::CanaryResult).any(|fact| {
        let own = fact.payload.get("version").and_then(Json::as_u64);
        fact.text("model") == Some(model) && own == Some(version)
    });
    let mut made = section("Results of attacks", assessment(log, model, version));
    made.lines.retain(|line| line.key != "anonymity");
    if !ran {
        let what = "empirical audit: not run".to_owned();
        let kind = Kind::CanaryResult;
        made.lines = vec![given(
            Err(NoDocument::Missing { what, kind }),
            "empirical_audit",
            &[],
        )];
    }
    made
}

/// What is left to people, with the bound that they have to go by.
fn residual(before: &[Section]) -> Section {
    let lines = before.iter().flat_map(|own| &own.lines);
    let guesses = lines.clone().find(|line| line.key == "guesses");
    let bound = match guesses {
        Some(line) => Line::of(
            "residual_bound",
            "What the bound leaves",
            format!(
                "somebody who knows everything else guesses right whether a person took part in at most {} of cases, with an even chance \
                 before",
                line.value
            ),
            &line.from,
        ),
        None => Line::of("residual_bound", "What the bound leaves", MISSING, &[]),
    };
    let open = match open(before).is_empty() {
        true => PRESENT.to_owned(),
        false => format!("{MISSING}: {}", open(before).join(", ")),
    };
    Section {
        title: "Residual risk",
        lines: vec![
            bound,
            Line::of(
                "judgement",
                "Means likely to be used to single somebody out",
                JUDGEMENT,
                &[],
            ),
            Line::of("evidence", "Evidence", open, &[]),
        ],
    }
}

fn conclusion(from: &[u64], status: &str, text: Option<&Assessment>) -> Section {
    let mut lines = vec![Line::of("anonymity", "anonymity", status, from)];
    if let Some(text) = text {
        let more = [
            (
                "conclusion",
                "Conclusion of the dpo",
                text.conclusion.clone(),
            ),
            ("reference", "Reasons", text.reference.clone()),
            (
                "assessment",
                "Signed text",
                Hash32::to_string(&text.digest()),
            ),
        ];
        lines.extend(more.map(|(key, label, value)| Line::of(key, label, value, from)));
    }
    Section {
        title: "Conclusion",
        lines,
    }
}

/// Words that an officer may not use either; the judgement about persons is theirs to make.
fn claimed(text: &Assessment) -> Option<&'static str> {
    let own = format!("{} {}", text.conclusion, text.reference).to_lowercase();
    forbidden(&without_judgement(&own))
}

/// A section that the log gives, or what it lacks.
fn section(title: &'static str, made: Result<Section, NoDocument>) -> Section {
    whole(title, made.map(|made| made.lines))
}

fn whole(title: &'static str, made: Result<Vec<Line>, NoDocument>) -> Section {
    let lines = made.unwrap_or_else(|no| vec![given(Err(no), &title.to_lowercase(), &[])]);
    Section { title, lines }
}

fn given(found: Result<String, NoDocument>, key: &str, from: &[u64]) -> Line {
    match found {
        Ok(value) => Line::of(key, key, value, from),
        Err(NoDocument::Contradicted {
            index,
            what,
            expected,
        }) => {
            let value = format!("{CONTRADICTED}: {what}, expected {expected}");
            Line::of(key, key, value, &[index])
        }
        Err(NoDocument::Missing { what, kind }) => {
            // The number of an entry in the text is one of the log.
            Line::of(key, key, format!("{MISSING}: {what}, in {kind}"), from)
        }
        Err(other) => Line::of(key, key, format!("{MISSING}: {other}"), from),
    }
}

/// Names of lines without evidence.
fn open(sections: &[Section]) -> Vec<&str> {
    let lines = sections.iter().flat_map(|own| &own.lines);
    let lines = lines
        .filter(|line| line.value.starts_with(MISSING) || line.value.starts_with(CONTRADICTED));
    let lines = lines.map(|line| line.key.as_str());
    lines.filter(|key| *key != "evidence").collect()
}

const LEAD: &str = "Made of a verified log alone. Each line names the log entries that say it. Whether a model is personal data is judged by \
                    people, case by case. This is no legal advice.";
const PRESENT: &str = "evidence present";
const MISSING: &str = "evidence missing";
const CONTRADICTED: &str = "evidence contradicted";
const JUDGEMENT: &str = "needs human judgement";
const ACCESS: &str = "Curves, card and statement are one signed file, which every registered party may have and query as often as it likes; \
                      released sums are for those who check. Nothing of the model depends on customers but through the bound above.";
const DISCLOSED: [&str; 8] = [
    "unit",
    "neighbours",
    "accountant",
    "mechanism",
    "sampling",
    "trust_model",
    "horizon",
    "floating_point",
];
