//! What a log declares: parties, purposes with their bases, measures. The payloads of `pack.loaded` that documents read, and their reading.

use std::collections::BTreeMap;

use super::lines::Line;
use super::log::{Fact, Log, NoDocument};
use crate::domain::history::{Event, Json, Kind};
use crate::domain::law::{Basis as LegalBasis, Purpose, Rulebook, Word};

/// Who answers for the processing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parties {
    /// Controller, with contact.
    pub controller: (String, String),
    /// Processor, with contact.
    pub processor: (String, String),
    /// Contact of the data protection officer.
    pub dpo: String,
    /// What the parties say to be: the product records it and does not decide it.
    pub role: String,
    /// Where complaints go.
    pub authority: String,
}

/// A legal basis in a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Basis {
    /// Place of a rule pack, as `DE`.
    pub place: String,
    /// A word of the rule packs, as `consent` or `legitimate_interests`.
    pub basis: String,
}

/// What a declaration of a purpose says beside the purpose itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Declaration {
    /// Bases by place.
    pub bases: Vec<Basis>,
    /// Categories of data.
    pub categories: Vec<String>,
    /// Whose data.
    pub subjects: Vec<String>,
    /// Who receives results.
    pub recipients: Vec<String>,
    /// Places outside, each with its tool.
    pub transfers: Vec<String>,
    /// Where the data come from.
    pub source: String,
    /// How long results about persons are kept; none where no rule in force says.
    pub retention_days: Option<u32>,
}

/// A measure of protection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Measure {
    /// In words.
    pub text: String,
    /// As `dpv:Encryption`.
    pub dpv: String,
}

impl Parties {
    /// The event that enters them.
    #[must_use]
    pub fn event(&self) -> Event {
        let payload = Json::object([
            ("authority", self.authority.as_str().into()),
            ("controller", self.controller.0.as_str().into()),
            ("controller_contact", self.controller.1.as_str().into()),
            ("declares", "parties".into()),
            ("dpo", self.dpo.as_str().into()),
            ("processor", self.processor.0.as_str().into()),
            ("processor_contact", self.processor.1.as_str().into()),
            ("role", self.role.as_str().into()),
        ]);
        Event::of_program(Kind::PackLoaded, payload)
    }
}

impl Declaration {
    /// The event that enters a purpose.
    #[must_use]
    pub fn event(&self, purpose: &Purpose) -> Event {
        let bases = self.bases.iter().map(|one| {
            Json::object([
                ("basis", one.basis.as_str().into()),
                ("place", one.place.as_str().into()),
            ])
        });
        let or_none = |text: &Option<String>| Json::from(text.as_deref().unwrap_or("none"));
        let payload = Json::object([
            ("action", purpose.action.word().into()),
            ("bases", Json::List(bases.collect())),
            ("categories", texts(&self.categories)),
            ("declares", "purpose".into()),
            ("description", purpose.description_plain.as_str().into()),
            ("dpia_ref", or_none(&purpose.dpia_ref)),
            ("dpv_purpose", purpose.dpv_purpose.as_str().into()),
            ("effect", purpose.decision_effect.word().into()),
            ("purpose", purpose.id.as_str().into()),
            ("recipients", texts(&self.recipients)),
            (
                "retention_days",
                self.retention_days.map_or(Json::Null, Json::from),
            ),
            ("source", self.source.as_str().into()),
            ("subjects", texts(&self.subjects)),
            ("title", purpose.title.as_str().into()),
            ("transfers", texts(&self.transfers)),
        ]);
        Event::of_program(Kind::PackLoaded, payload)
    }
}

/// The event that enters measures of protection.
#[must_use]
pub fn declares_measures(measures: &[Measure]) -> Event {
    let measures = measures.iter().map(|one| {
        Json::object([
            ("dpv", one.dpv.as_str().into()),
            ("text", one.text.as_str().into()),
        ])
    });
    let payload = Json::object([
        ("declares", "measures".into()),
        ("measures", Json::List(measures.collect())),
    ]);
    Event::of_program(Kind::PackLoaded, payload)
}

/// The event that enters the rules in force: their digest, which decisions name, and the packs in it.
#[must_use]
pub fn declares_rules(book: &Rulebook) -> Event {
    let packs = book.packs().iter().map(|pack| {
        Json::object([
            ("pack", pack.id().as_str().into()),
            ("sha256", pack.digest().to_string().into()),
        ])
    });
    let payload = Json::object([
        ("book", book.digest().to_string().into()),
        ("declares", "rules".into()),
        ("packs", Json::List(packs.collect())),
        ("purposes", (book.purposes().len() as u64).into()),
    ]);
    Event {
        policy: book.digest(),
        ..Event::of_program(Kind::PackLoaded, payload)
    }
}

/// The event that enters that a site declares nothing any more.
#[must_use]
pub fn declares_nothing() -> Event {
    let payload = Json::object([("declares", "nothing".into())]);
    Event::of_program(Kind::PackLoaded, payload)
}

fn texts(list: &[String]) -> Json {
    Json::List(list.iter().map(|text| Json::from(text.as_str())).collect())
}

/// The newest declaration of a kind.
pub(super) fn newest<'a>(log: &'a Log, what: &str) -> Result<&'a Fact, NoDocument> {
    let mut all = log.of_kind(Kind::PackLoaded).rev();
    let found = all.find(|fact| fact.text("declares") == Some(what));
    found.ok_or_else(|| NoDocument::Missing {
        what: format!("declaration of {what}"),
        kind: Kind::PackLoaded,
    })
}

/// A purpose as it was declared.
pub(super) struct Declared<'a> {
    /// The newest declaration.
    pub(super) fact: &'a Fact,
    /// The entry of the first one.
    pub(super) first: u64,
    /// Entries from which on it was in force, each with the one that ended that.
    spans: Vec<(u64, Option<u64>)>,
}

impl Declared<'_> {
    /// The entry that withdrew it; none where it is in force.
    pub(super) fn until(&self) -> Option<u64> {
        self.spans.last().and_then(|(_, until)| *until)
    }

    /// Whether it was in force at an entry.
    pub(super) fn covers(&self, index: u64) -> bool {
        let mut spans = self.spans.iter();
        spans.any(|(from, until)| *from < index && until.is_none_or(|until| index < until))
    }
}

/// Each purpose that was declared. What a site declares is entered together and begins with its rules: a purpose that is not among what
/// came with the newest rules is declared no longer.
pub(super) fn purposes(log: &Log) -> Result<BTreeMap<String, Declared<'_>>, NoDocument> {
    let mut all: BTreeMap<String, Declared<'_>> = BTreeMap::new();
    let mut rules = None;
    for fact in log.of_kind(Kind::PackLoaded) {
        match fact.text("declares") {
            Some("rules" | "nothing") => {
                rules = Some(fact.index);
                let spans = all.values_mut().filter_map(|own| own.spans.last_mut());
                spans.for_each(|(_, until)| *until = until.or(rules));
            }
            Some("purpose") => {
                let own = all.entry(fact.needed_text("purpose")?).or_insert(Declared {
                    fact,
                    first: fact.index,
                    spans: Vec::new(),
                });
                own.fact = fact;
                match own.spans.last_mut() {
                    // Again, with the rules that follow those of before.
                    Some((_, until)) if until.is_none() || *until == rules => *until = None,
                    _ => own.spans.push((fact.index, None)),
                }
            }
            _ => {}
        }
    }
    Ok(all)
}

/// For how many days results about persons are kept; none where no rule in force said so.
pub(super) fn retention_days(fact: &Fact) -> Result<Option<u64>, NoDocument> {
    match fact.payload.get("retention_days") {
        Some(Json::Null) => Ok(None),
        _ => fact.needed_number("retention_days").map(Some),
    }
}

/// Bases of a purpose.
pub(super) fn bases(fact: &Fact) -> Result<Vec<Basis>, NoDocument> {
    let Json::List(list) = fact.needed(fact.payload.get("bases"), "bases")? else {
        return Err(fact.contradicted("bases", "a list"));
    };
    let one = |json: &Json| {
        let text = |key| Some(json.get(key)?.as_text()?.to_owned());
        Some(Basis {
            place: text("place")?,
            basis: text("basis")?,
        })
    };
    let all: Option<Vec<Basis>> = list.iter().map(one).collect();
    let all = all.filter(|all| !all.is_empty());
    all.ok_or_else(|| fact.contradicted("bases", "place and basis, at least one"))
}

/// The term of a basis; the vocabulary has none of its own for some.
pub(super) fn basis_term(fact: &Fact, basis: &str) -> Result<&'static str, NoDocument> {
    let known = LegalBasis::from_word(basis);
    let known = known.ok_or_else(|| fact.contradicted("basis", &LegalBasis::expected()))?;
    Ok(match known {
        LegalBasis::Consent => "dpv:Consent",
        LegalBasis::Contract => "dpv:Contract",
        LegalBasis::LegalObligation => "dpv:LegalObligation",
        LegalBasis::VitalInterests => "dpv:VitalInterest",
        LegalBasis::PublicTask => "dpv:PublicInterest",
        LegalBasis::LegitimateInterests | LegalBasis::RecognisedLegitimateInterests => {
            "dpv:LegitimateInterest"
        }
        LegalBasis::Research
        | LegalBasis::LegalClaims
        | LegalBasis::HealthProtection
        | LegalBasis::CreditProtection
        | LegalBasis::Notice => "dpv:LegalBasis",
    })
}

/// Measures, with their terms.
pub(super) fn measures(fact: &Fact) -> Result<Vec<Measure>, NoDocument> {
    let Json::List(list) = fact.needed(fact.payload.get("measures"), "measures")? else {
        return Err(fact.contradicted("measures", "a list"));
    };
    let one = |json: &Json| {
        let text = |key| Some(json.get(key)?.as_text()?.to_owned());
        Some(Measure {
            text: text("text")?,
            dpv: text("dpv")?,
        })
    };
    let all: Option<Vec<Measure>> = list.iter().map(one).collect();
    all.ok_or_else(|| fact.contradicted("measures", "dpv and text of each"))
}

/// Lines about a purpose that card and notice share.
pub(super) fn lines(fact: &Fact) -> Result<Vec<Line>, NoDocument> {
    let from = [fact.index];
    let line = |key: &str, label: &str| {
        Ok::<_, NoDocument>(Line::of(key, label, fact.needed_text(key)?, &from))
    };
    let mut lines = vec![
        line("purpose", "Purpose")?,
        line("title", "In short")?,
        line("description", "In plain words")?,
        line("action", "What is done")?,
        line("effect", "Effect on people")?,
        line("dpv_purpose", "Term of the Data Privacy Vocabulary")?,
    ];
    for one in bases(fact)? {
        basis_term(fact, &one.basis)?;
        let (key, label) = (
            format!("basis:{}", one.place),
            format!("Legal basis in {}", one.place),
        );
        lines.push(Line::of(&key, &label, one.basis.replace('_', " "), &from));
    }
    Ok(lines)
}
