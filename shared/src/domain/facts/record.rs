//! The record of processing activities: of a controller (GDPR 30(1)) or of a processor (30(2)), as a table and as linked data.

use std::collections::BTreeMap;

use super::card::day;
use super::declared::{
    Declared, Measure, bases, basis_term, measures, newest, purposes, retention_days,
};
use super::lines::entries;
use super::log::{Fact, Log, NoDocument};
use super::notice::or_none;
use super::processing::{Uses, uses};
use super::terms::{NAMESPACE, known};
use super::words::forbidden;
use crate::domain::history::{Json, Kind};

/// For whom the record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A unit.
    Controller,
    /// The coordinator's operator.
    Processor,
}

/// A record: one activity for each purpose, declared or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    form: Form,
    activities: Vec<Activity>,
    measures: Vec<Measure>,
    alarms: Vec<String>,
    parties: BTreeMap<&'static str, String>,
    log: (String, u64, String),
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Activity {
    fields: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<String>>,
    bases: Vec<&'static str>,
    from: Vec<u64>,
}

impl Record {
    /// The record of a log.
    ///
    /// # Errors
    ///
    /// The log lacks parties or measures, or a purpose has a term that is not known.
    pub fn of(log: &Log, form: Form) -> Result<Self, NoDocument> {
        let (parties, protection) = (newest(log, "parties")?, newest(log, "measures")?);
        let (activities, alarms) = activities(log, form, [parties.index, protection.index])?;
        let mut names = BTreeMap::new();
        for key in PARTIES {
            names.insert(key, parties.needed_text(key)?);
        }
        if form == Form::Processor {
            names.insert("controller", controllers(log));
        }
        let measures = measures(protection)?;
        for measure in &measures {
            known(&measure.dpv)?;
        }
        let (origin, size, root) = log.named();
        let record = Self {
            form,
            activities,
            measures,
            alarms,
            parties: names,
            log: (origin, size, root.to_string()),
        };
        match forbidden(&record.to_csv()).or_else(|| forbidden(&record.to_json_ld())) {
            Some(word) => Err(NoDocument::Word(word)),
            None => Ok(record),
        }
    }

    /// Processing that no declaration covers; any makes the command end with 1.
    #[must_use]
    pub fn alarms(&self) -> &[String] {
        &self.alarms
    }

    /// One line for each activity (RFC 4180); cells that a spreadsheet would compute are quoted by an apostrophe.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let columns = match self.form {
            Form::Controller => &CONTROLLER[..],
            Form::Processor => &PROCESSOR[..],
        };
        let head: Vec<String> = columns.iter().map(|column| cell(column)).collect();
        let mut out = head.join(",") + "\r\n";
        for activity in &self.activities {
            let row: Vec<String> = columns
                .iter()
                .map(|column| cell(&self.value(activity, column)))
                .collect();
            out.push_str(&(row.join(",") + "\r\n"));
        }
        out
    }

    fn value(&self, activity: &Activity, column: &str) -> String {
        match column {
            "measures" => {
                let texts: Vec<&str> = self.measures.iter().map(|one| one.text.as_str()).collect();
                texts.join("; ")
            }
            "log" => self.log.0.clone(),
            "log_entries" => entries(&activity.from),
            _ => {
                let list = activity.lists.get(column).map(|list| list.join("; "));
                let found = list.or_else(|| activity.fields.get(column).cloned());
                let found = found.or_else(|| self.parties.get(column).cloned());
                found.unwrap_or_default()
            }
        }
    }

    /// JSON-LD with terms of the Data Privacy Vocabulary, canonical JSON with its context inside.
    #[must_use]
    pub fn to_json_ld(&self) -> String {
        let own = |kind: &str, name: &str, contact: Option<&str>| {
            let mut fields = vec![("@type", Json::from(kind)), ("aq:name", self.party(name))];
            fields.extend(contact.map(|contact| ("dpv:hasContact", self.party(contact))));
            object(fields)
        };
        let alarms = self.alarms.iter().map(|text| Json::from(text.as_str()));
        let measures = self.measures.iter().map(|one| {
            object(vec![
                ("@type", Json::from(one.dpv.as_str())),
                ("aq:text", one.text.as_str().into()),
            ])
        });
        let form = match self.form {
            Form::Controller => "controller",
            Form::Processor => "processor",
        };
        let context = object(vec![("aq", Json::from(OWN)), ("dpv", NAMESPACE.into())]);
        let json = object(vec![
            ("@context", context),
            ("@type", "aq:RecordOfProcessing".into()),
            ("aq:alarms", Json::List(alarms.collect())),
            ("aq:form", form.into()),
            ("aq:log", self.log.0.as_str().into()),
            ("aq:logRoot", self.log.2.as_str().into()),
            ("aq:logSize", self.log.1.into()),
            (
                "dpv:hasDataController",
                own(
                    "dpv:DataController",
                    "controller",
                    Some("controller_contact"),
                ),
            ),
            (
                "dpv:hasDataProcessor",
                own("dpv:DataProcessor", "processor", Some("processor_contact")),
            ),
            (
                "dpv:hasDataProtectionOfficer",
                own("dpv:DataProtectionOfficer", "dpo", None),
            ),
            (
                "dpv:hasProcess",
                Json::List(self.activities.iter().map(Activity::to_json).collect()),
            ),
            (
                "dpv:hasTechnicalOrganisationalMeasure",
                Json::List(measures.collect()),
            ),
        ]);
        json.to_text() + "\n"
    }

    fn party(&self, key: &str) -> Json {
        Json::from(self.parties.get(key).map_or("", String::as_str))
    }
}

impl Activity {
    fn add_uses(&mut self, log: &Log, uses: &Uses) {
        let at = |index: &u64| {
            let found = log
                .facts()
                .binary_search_by_key(index, |fact| fact.index)
                .ok()?;
            Some(day(log.facts()[found].at.0))
        };
        let seen = |index: Option<&u64>| index.and_then(at).unwrap_or_else(|| "never".to_owned());
        self.fields.insert("uses", uses.entries.len().to_string());
        self.fields.insert("first_seen", seen(uses.entries.first()));
        self.fields.insert("last_seen", seen(uses.entries.last()));
        self.from.extend(&uses.entries);
    }

    fn close(&mut self, state: &str) {
        self.fields.insert("state", state.to_owned());
        self.from.sort_unstable();
        self.from.dedup();
    }

    fn to_json(&self) -> Json {
        let texts = |key: &str| {
            let list = self.lists.get(key).map_or(&[][..], Vec::as_slice);
            Json::List(list.iter().map(|text| Json::from(text.as_str())).collect())
        };
        let field = |key: &str| Json::from(self.fields.get(key).map_or("", String::as_str));
        let from = self.from.iter().map(|index| Json::from(*index));
        let mut purpose = vec![(
            "@id",
            Json::from(format!("aq:purpose-{}", self.fields["purpose"])),
        )];
        if let Some(term) = self.fields.get("dpv_purpose") {
            purpose.push(("@type", term.as_str().into()));
        }
        let bases = self.bases.iter().map(|basis| Json::from(*basis));
        object(vec![
            ("@type", "dpv:Process".into()),
            ("aq:automatedDecision", field("automated_decision")),
            ("aq:description", field("description")),
            ("aq:dpiaReference", field("dpia_ref")),
            ("aq:firstSeen", field("first_seen")),
            ("aq:lastSeen", field("last_seen")),
            ("aq:logEntries", Json::List(from.collect())),
            ("aq:source", field("source")),
            ("aq:state", field("state")),
            ("aq:title", field("title")),
            ("aq:transfers", texts("transfers")),
            ("aq:uses", field("uses")),
            ("dpv:hasDataSubject", texts("subjects")),
            ("dpv:hasLegalBasis", Json::List(bases.collect())),
            ("dpv:hasPersonalData", texts("categories")),
            ("dpv:hasPurpose", object(purpose)),
            ("dpv:hasRecipient", texts("recipients")),
            ("dpv:hasStorageCondition", field("retention_days")),
        ])
    }
}

/// One activity for each purpose that was declared or used, and what no declaration covers; `shared` are entries that all rest on.
fn activities(
    log: &Log,
    form: Form,
    shared: [u64; 2],
) -> Result<(Vec<Activity>, Vec<String>), NoDocument> {
    let (declared, mut used) = (purposes(log)?, uses(log));
    let (mut activities, mut alarms) = (Vec::new(), Vec::new());
    for (id, own) in &declared {
        let uses = used.remove(id).unwrap_or_default();
        let (state, more) = judged(id, own, &uses)?;
        alarms.extend(more);
        let mut activity = declared_activity(own.fact, form)?;
        activity.add_uses(log, &uses);
        activity.from.extend(shared);
        activity.from.extend(own.until());
        activity.close(&state);
        activities.push(activity);
    }
    for (id, uses) in used {
        alarms.push(format!(
            "processing for purpose {id}, which is not declared: entries {}",
            entries(&uses.entries)
        ));
        let mut activity = Activity::default();
        activity.fields.insert("purpose", id);
        activity.add_uses(log, &uses);
        activity.close("ALARM: not declared");
        activities.push(activity);
    }
    Ok((activities, alarms))
}

/// How a purpose is declared, and what is wrong about it.
fn judged(id: &str, own: &Declared<'_>, uses: &Uses) -> Result<(String, Vec<String>), NoDocument> {
    let mut alarms = Vec::new();
    let indexes = uses.entries.iter().copied();
    let (early, later): (Vec<u64>, Vec<u64>) = indexes.partition(|index| *index < own.first);
    if !early.is_empty() {
        let early = entries(&early);
        alarms.push(format!(
            "processing before purpose {id} was declared: entries {early}"
        ));
    }
    let uncovered = later.into_iter().filter(|index| !own.covers(*index));
    let uncovered: Vec<u64> = uncovered.collect();
    if !uncovered.is_empty() {
        let uncovered = entries(&uncovered);
        alarms.push(format!(
            "processing for purpose {id} while its declaration was withdrawn: entries {uncovered}"
        ));
    }
    if own.until().is_none() && retention_days(own.fact)?.is_none() {
        let at = own.fact.index;
        alarms.push(format!(
            "no rule in force says how long results for purpose {id} are kept: entry {at}"
        ));
    }
    let state = match own.until() {
        _ if !early.is_empty() => "ALARM: declared late".to_owned(),
        _ if !uncovered.is_empty() => "ALARM: withdrawn and used".to_owned(),
        Some(until) => format!("declared until entry {until}"),
        None => "declared".to_owned(),
    };
    Ok((state, alarms))
}

fn declared_activity(fact: &Fact, form: Form) -> Result<Activity, NoDocument> {
    let mut activity = Activity {
        from: vec![fact.index],
        ..Activity::default()
    };
    for key in [
        "purpose",
        "title",
        "description",
        "effect",
        "action",
        "source",
    ] {
        activity.fields.insert(key, fact.needed_text(key)?);
    }
    let term = fact.needed_text("dpv_purpose")?;
    known(&term)?;
    activity.fields.insert("dpv_purpose", term);
    activity
        .fields
        .insert("dpia_ref", or_none(fact, "dpia_ref"));
    let days = retention_days(fact)?.map(|days| days.to_string());
    let days = days.unwrap_or_else(|| "none in force".to_owned());
    activity.fields.insert("retention_days", days);
    let automated = match fact.text("effect") {
        Some("none") => "no",
        Some("support") => "support of decisions of people",
        _ => "yes, with human review",
    };
    activity
        .fields
        .insert("automated_decision", automated.to_owned());
    for key in ["subjects", "categories", "recipients", "transfers"] {
        activity.lists.insert(key, fact.texts(key)?);
    }
    // The processor does not know bases: they are the controllers' business.
    if form == Form::Controller {
        let mut texts = Vec::new();
        for one in bases(fact)? {
            let term = basis_term(fact, &one.basis)?;
            known(term)?;
            activity.bases.push(term);
            texts.push(format!("{}: {}", one.place, one.basis));
        }
        activity.lists.insert("legal_bases", texts);
    }
    Ok(activity)
}

/// Units that were enrolled, and not revoked since.
fn controllers(log: &Log) -> String {
    let mut names: BTreeMap<&str, bool> = BTreeMap::new();
    for fact in log.facts() {
        let is_in = match fact.kind {
            Kind::NodeEnrolled => true,
            Kind::NodeRevoked => false,
            _ => continue,
        };
        if let Some(name) = fact.text("name") {
            names.insert(name, is_in);
        }
    }
    let names: Vec<&str> = names
        .into_iter()
        .filter(|(_, is_in)| *is_in)
        .map(|(name, _)| name)
        .collect();
    names.join("; ")
}

fn object(fields: Vec<(&str, Json)>) -> Json {
    let fields = fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Json::Object(fields.collect())
}

fn cell(text: &str) -> String {
    let computed = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quote = if computed { "'" } else { "" };
    format!("\"{quote}{}\"", text.replace('"', "\"\""))
}

/// Own terms: the vocabulary has none for these.
const OWN: &str = "urn:aquifer:terms:";
const PARTIES: [&str; 7] = [
    "controller",
    "controller_contact",
    "processor",
    "processor_contact",
    "dpo",
    "role",
    "authority",
];
const CONTROLLER: [&str; 25] = [
    "controller",
    "controller_contact",
    "dpo",
    "role",
    "purpose",
    "title",
    "description",
    "action",
    "dpv_purpose",
    "legal_bases",
    "subjects",
    "categories",
    "recipients",
    "transfers",
    "retention_days",
    "measures",
    "source",
    "automated_decision",
    "dpia_ref",
    "uses",
    "first_seen",
    "last_seen",
    "state",
    "log",
    "log_entries",
];
const PROCESSOR: [&str; 18] = [
    "processor",
    "processor_contact",
    "controller",
    "dpo",
    "purpose",
    "title",
    "action",
    "dpv_purpose",
    "categories",
    "recipients",
    "transfers",
    "measures",
    "uses",
    "first_seen",
    "last_seen",
    "state",
    "log",
    "log_entries",
];
