//! Answers as JSON, in the shape of `aquifer query --json`.

use aquifer_shared::base::ids::Name;
use aquifer_shared::domain::sum::TrustMode;
use aquifer_shared::protocol::ask::{Answer, AnswerColumn, AnswerKind, AnswerValue, ReleaseLine};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Rows, and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AnswerBody {
    /// Names and types of the columns, in order.
    pub columns: Vec<ColumnBody>,
    /// One object for each row, with a value for each column.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<Map<String, Value>>,
    /// What the asker should know.
    pub notices: Vec<String>,
    /// The release behind the rows; none for a price.
    pub release: Option<ReleaseBody>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ColumnBody {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: KindBody,
}

/// Types of columns; a day is a text `YYYY-MM-DD`, and `json` an object.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KindBody {
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A text.
    Text,
    /// Yes or no.
    Truth,
    /// A day.
    Day,
    /// An object.
    Json,
}

/// What was paid for an answer, and by whom it was given.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReleaseBody {
    /// Names the release.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub release_id: String,
    /// The standing study.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub standing: String,
    /// Charged at each unit.
    pub rho_micro: u64,
    /// Epsilon of that at delta.
    pub epsilon: f64,
    /// Delta.
    pub delta: f64,
    /// It was there before, and nothing was charged for it now.
    pub cached: bool,
    /// Who must be honest.
    pub trust: TrustBody,
    /// Units that were asked.
    pub units: u32,
    /// Units in the sum.
    pub updates: u32,
    /// States of the tables that were asked, without repeats.
    #[schema(value_type = Vec<String>)]
    pub data_versions: Vec<Name>,
    /// When it was released, in milliseconds since 1970.
    pub created: u64,
}

/// Who must be honest for the stated rho.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustBody {
    /// Each unit adds the whole noise.
    NodeNoise,
    /// Each unit adds a share of the noise, and only the sum can be opened.
    SharedNoise,
}

impl From<TrustMode> for TrustBody {
    fn from(mode: TrustMode) -> Self {
        match mode {
            TrustMode::NodeNoise => Self::NodeNoise,
            TrustMode::SharedNoise => Self::SharedNoise,
        }
    }
}

impl From<&Answer> for AnswerBody {
    fn from(answer: &Answer) -> Self {
        let row = |row: &Vec<AnswerValue>| {
            let fields = answer.columns.iter().zip(row);
            let fields = fields.map(|(column, value)| (column.name.clone(), json(column, value)));
            fields.collect()
        };
        Self {
            columns: answer.columns.iter().map(ColumnBody::from).collect(),
            rows: answer.rows.iter().map(row).collect(),
            notices: answer.notices.clone(),
            release: answer.release.as_ref().map(ReleaseBody::from),
        }
    }
}

impl From<&AnswerColumn> for ColumnBody {
    fn from(column: &AnswerColumn) -> Self {
        Self {
            name: column.name.clone(),
            kind: match column.kind {
                AnswerKind::Whole => KindBody::Whole,
                AnswerKind::Number => KindBody::Number,
                AnswerKind::Text => KindBody::Text,
                AnswerKind::Truth => KindBody::Truth,
                AnswerKind::Day => KindBody::Day,
                AnswerKind::Json => KindBody::Json,
            },
        }
    }
}

impl From<&ReleaseLine> for ReleaseBody {
    fn from(release: &ReleaseLine) -> Self {
        Self {
            release_id: release.study.to_string(),
            standing: release.standing.to_string(),
            rho_micro: release.urho,
            epsilon: release.epsilon,
            delta: release.delta,
            cached: release.stored,
            trust: release.mode.into(),
            units: release.members,
            updates: release.updates,
            data_versions: release.data_versions.clone(),
            created: release.created.0,
        }
    }
}

fn json(column: &AnswerColumn, value: &AnswerValue) -> Value {
    match value {
        AnswerValue::Null => Value::Null,
        AnswerValue::Whole(number) => json!(number),
        AnswerValue::Number(number) => json!(number),
        AnswerValue::Text(text) if column.kind == AnswerKind::Json => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
        AnswerValue::Text(text) => json!(text),
        AnswerValue::Truth(truth) => json!(truth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_value(kind: AnswerKind, value: AnswerValue, expected: Value) {
        let column = AnswerColumn {
            name: "n".to_owned(),
            kind,
        };
        let answer = Answer {
            columns: vec![column],
            rows: vec![vec![value]],
            notices: Vec::new(),
            release: None,
        };
        let body = AnswerBody::from(&answer);
        assert_eq!(body.rows[0]["n"], expected);
    }

    #[test]
    fn values_keep_their_types() {
        check_value(AnswerKind::Whole, AnswerValue::Whole(-3), json!(-3));
        check_value(AnswerKind::Number, AnswerValue::Number(0.5), json!(0.5));
        check_value(AnswerKind::Number, AnswerValue::Null, Value::Null);
        check_value(AnswerKind::Truth, AnswerValue::Truth(true), json!(true));
        let text = |text: &str| AnswerValue::Text(text.to_owned());
        check_value(AnswerKind::Day, text("2026-11-25"), json!("2026-11-25"));
        check_value(AnswerKind::Text, text("{}"), json!("{}"));
        check_value(
            AnswerKind::Json,
            text(r#"{"value": 1}"#),
            json!({"value": 1}),
        );
        check_value(AnswerKind::Json, text("none"), json!("none"));
    }
}
