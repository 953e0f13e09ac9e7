//! Purposes: what data may be used for, by whom it is answered for, and what it does to people.

use super::read_values::{long_text, none_or, word};
use super::vocabulary::{Action, Effect, Overlap, ScreenedUse};
use super::words::Word;
use crate::base::calendar;
use crate::base::document::{DocumentError, Field, Read, Section, tables};
use crate::base::hash::labelled;
use crate::base::ids::{Hash32, Name};
use crate::base::limits::{FEATURES_MAX, PURPOSES_MAX};

/// A declared purpose. It has one action: what is learned, what is asked and who is scored are separate purposes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Purpose {
    /// Its name, by which studies and questions refer to it.
    pub id: Name,
    /// For people, short.
    pub title: String,
    /// For people, in plain words.
    pub description_plain: String,
    /// The purpose in the Data Privacy Vocabulary.
    pub dpv_purpose: String,
    /// The same as a fideslang data use.
    pub fides_data_use: String,
    /// What it does to people.
    pub decision_effect: Effect,
    /// What is done.
    pub action: Action,
    /// Whether results may leave the unit's tools.
    pub export: bool,
    /// Columns that may be used, sorted.
    pub features_allowed: Vec<String>,
    /// What is predicted or asked.
    pub target: String,
    /// Whether it is a sale or sharing in the sense of Californian law.
    pub sale_or_share: bool,
    /// Whether it is direct marketing.
    pub direct_marketing: bool,
    /// A screened use, if it is one.
    pub annex_iii: Option<ScreenedUse>,
    /// The assessment behind a legitimate interest.
    pub li_assessment_id: Option<String>,
    /// The assessment of its impact.
    pub dpia_ref: Option<String>,
    /// Notices before this version do not cover it.
    pub min_notice_version: u32,
    /// In how many places one person may be.
    pub subject_overlap: Overlap,
    /// Who answers for it.
    pub owner: String,
    /// Last day before it must be looked at again.
    pub review_by: i32,
}

impl Purpose {
    /// Whether a column may be used: as a feature, or as the target.
    #[must_use]
    pub fn allows(&self, column: &str) -> bool {
        if column == self.target {
            return true;
        }
        let order = |known: &String| known.as_str().cmp(column);
        self.features_allowed.binary_search_by(order).is_ok()
    }

    /// Stands for the whole declaration: label `aquifer/law/purpose/1` over all fields in their order, each behind its length.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let screened = self.annex_iii.map_or("none", Word::word);
        let (effect, action) = (self.decision_effect.word(), self.action.word());
        let mut fields = vec![
            self.id.to_string(),
            self.title.clone(),
            self.description_plain.clone(),
            self.dpv_purpose.clone(),
            self.fides_data_use.clone(),
            effect.to_owned(),
            action.to_owned(),
            self.export.to_string(),
            self.target.clone(),
            self.sale_or_share.to_string(),
            self.direct_marketing.to_string(),
            screened.to_owned(),
            or_none(&self.li_assessment_id),
            or_none(&self.dpia_ref),
            self.min_notice_version.to_string(),
            self.subject_overlap.word().to_owned(),
            self.owner.clone(),
            calendar::written(self.review_by),
        ];
        fields.extend(self.features_allowed.iter().cloned());
        let mut bytes = Vec::with_capacity(512);
        for field in &fields {
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field.as_bytes());
        }
        labelled("aquifer/law/purpose/1", &[&bytes])
    }
}

/// All declared purposes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Purposes {
    /// In order of their names.
    list: Vec<Purpose>,
    digest: Hash32,
}

impl Purposes {
    /// Reads a file of purposes (TOML, `[[purpose]]`).
    ///
    /// # Errors
    ///
    /// The first broken rule of the format, with its place in the file.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        Ok(Self {
            list: read_all(text)?,
            digest: labelled("aquifer/law/purposes/v1", &[text.as_bytes()]),
        })
    }

    /// In order of their names.
    #[must_use]
    pub fn list(&self) -> &[Purpose] {
        &self.list
    }

    /// SHA-256 of the text, labelled.
    #[must_use]
    pub fn digest(&self) -> Hash32 {
        self.digest
    }
}

fn read_all(text: &str) -> Read<Vec<Purpose>> {
    let document = tables(text)?;
    let mut root = Section::new(text, "the file", 0, document.get_ref());
    let list = root.required("purpose")?;
    root.finish(&["purpose"])?;
    let items = list.items()?;
    if items.len() > PURPOSES_MAX {
        let count = items.len();
        return Err(list.problem(format!("{count} purposes, expected at most {PURPOSES_MAX}")));
    }
    let mut purposes: Vec<Purpose> = Vec::with_capacity(items.len());
    for item in items {
        let purpose = read(&item)?;
        if purposes.iter().any(|other| other.id == purpose.id) {
            return Err(item.problem(format!("purpose {} is declared twice", purpose.id)));
        }
        purposes.push(purpose);
    }
    purposes.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(purposes)
}

fn read(item: &Field<'_>) -> Read<Purpose> {
    let mut section = item.section("[[purpose]]")?;
    let mut take = |key: &str| section.required(key);
    let id = take("id")?;
    let (effect, annex) = (take("decision_effect")?, take("annex_iii")?);
    let purpose = Purpose {
        id: id
            .text()?
            .parse()
            .map_err(|error| id.problem(format!("{error}")))?,
        title: long_text(&take("title")?)?,
        description_plain: long_text(&take("description_plain")?)?,
        dpv_purpose: take("dpv_purpose")?.name()?,
        fides_data_use: take("fides_data_use")?.name()?,
        decision_effect: word(&effect)?,
        action: word(&take("action")?)?,
        export: take("export")?.boolean()?,
        features_allowed: features(&take("features_allowed")?)?,
        target: take("target")?.name()?,
        sale_or_share: take("sale_or_share")?.boolean()?,
        direct_marketing: take("direct_marketing")?.boolean()?,
        annex_iii: none_or(&annex, word)?,
        li_assessment_id: none_or(&take("li_assessment_id")?, Field::name)?,
        dpia_ref: none_or(&take("dpia_ref")?, Field::name)?,
        min_notice_version: take("min_notice_version")?.integer(1, u32::MAX.into())? as u32,
        subject_overlap: word(&take("subject_overlap")?)?,
        owner: take("owner")?.name()?,
        review_by: take("review_by")?.date()?,
    };
    section.finish(&["the fields of a purpose"])?;
    if purpose.annex_iii.is_some() && purpose.decision_effect != Effect::SimilarlySignificant {
        let expected = "is not similarly_significant, expected that for a screened use";
        return Err(effect.problem_here(expected));
    }
    Ok(purpose)
}

fn features(field: &Field<'_>) -> Read<Vec<String>> {
    let items = field.items()?;
    if items.len() > FEATURES_MAX {
        let count = items.len();
        return Err(field.problem(format!("{count} columns, expected at most {FEATURES_MAX}")));
    }
    let names: Read<Vec<String>> = items.iter().map(Field::name).collect();
    let mut names = names?;
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(field.problem(format!("column {:?} is listed twice", pair[0])));
    }
    Ok(names)
}
