//! A question as it is asked over HTTPS.

use aquifer_shared::base::ids::Name;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Problem;
use crate::core::asking::objection;
use crate::core::sql::{CacheUse, Intervals, Settings, set};

/// A question in SQL, and why it is asked.
#[derive(Clone, Debug, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionBody {
    /// One SELECT statement.
    #[schema(
        min_length = 1,
        max_length = 65536,
        example = "SELECT shop, COUNT(*) AS orders FROM orders GROUP BY shop"
    )]
    pub sql: String,
    /// Why it is asked; picks the standing study.
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 128,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$",
        example = "reporting"
    )]
    pub purpose: Name,
    /// Name or hash of the standing study, where several serve the purpose.
    #[schema(min_length = 1, max_length = 128)]
    pub standing: Option<String>,
    /// Price of a fresh answer in micro-rho; the standing study's usual price where neither price is given.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub rho_micro: Option<u32>,
    /// The price as part of what is left of your share.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0)]
    pub rho_share: Option<f64>,
    /// Your own name for it: the same name gives the same release, whatever was lost on the way.
    #[schema(min_length = 1, max_length = 128)]
    pub request_id: Option<String>,
    /// `only`: nothing that would cost.
    pub cache: Option<CacheBody>,
    /// How intervals are shown; `columns` where it is left out.
    pub intervals: Option<IntervalsBody>,
    /// Noisy counts below zero are shown as they are.
    pub negative_counts: Option<bool>,
}

/// What stored answers are good for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheBody {
    /// They are returned where there is one.
    Use,
    /// Nothing else is returned.
    Only,
}

/// How intervals are shown.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IntervalsBody {
    /// Beside each aggregate `n` its bounds `n_low` and `n_high`.
    Columns,
    /// One object for each aggregate.
    Json,
    /// Not at all.
    Off,
}

impl QuestionBody {
    /// What a session would have set.
    ///
    /// # Errors
    ///
    /// Values out of range, or two prices.
    pub fn settings(&self) -> Result<Settings, Problem> {
        if self.rho_micro.is_some() && self.rho_share.is_some() {
            let hint = "leave one of them out";
            return Err(Problem::state(
                "22023",
                "rho_micro and rho_share are two prices",
                hint,
            ));
        }
        let mut settings = Settings {
            intervals: match self.intervals {
                None | Some(IntervalsBody::Columns) => Intervals::Columns,
                Some(IntervalsBody::Json) => Intervals::Json,
                Some(IntervalsBody::Off) => Intervals::Off,
            },
            cache: match self.cache {
                Some(CacheBody::Only) => CacheUse::Only,
                None | Some(CacheBody::Use) => CacheUse::Use,
            },
            negative_counts: self.negative_counts.unwrap_or_default(),
            ..Settings::default()
        };
        let share = self.rho_share.map(|share| share.to_string());
        let texts = [
            ("aquifer.purpose", Some(self.purpose.as_str())),
            ("aquifer.rho_share", share.as_deref()),
            ("aquifer.request_id", self.request_id.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                let change = set(name, text);
                settings.apply(change.map_err(|no| Problem::objection(&objection(&no), 0))?);
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_settings(more: &str, expected: Result<Settings, u16>) {
        let text = format!(r#"{{"sql": "SELECT 1", "purpose": "reporting"{more}}}"#);
        let body = serde_json::from_str::<QuestionBody>(&text);
        let found = body
            .map_err(|_| 0)
            .and_then(|body| body.settings().map_err(|problem| problem.status));
        assert_eq!(found, expected, "{more}");
    }

    fn usual() -> Settings {
        Settings {
            purpose: Some("reporting".to_owned()),
            ..Settings::default()
        }
    }

    #[test]
    fn a_question_sets_what_a_session_would() {
        check_settings("", Ok(usual()));
        check_settings(r#", "rho_micro": 2000"#, Ok(usual()));
        let all = r#", "rho_share": 0.5, "request_id": "monday", "cache": "only", "intervals": "off", "negative_counts": true"#;
        let settings = Settings {
            rho_share: Some(0.5),
            request_id: Some("monday".to_owned()),
            intervals: Intervals::Off,
            cache: CacheUse::Only,
            negative_counts: true,
            ..usual()
        };
        check_settings(all, Ok(settings));
    }

    #[test]
    fn what_is_out_of_range_or_unknown_is_refused() {
        check_settings(r#", "rho_share": 1.5"#, Err(400));
        check_settings(r#", "rho_share": 0"#, Err(400));
        check_settings(r#", "rho_share": 0.5, "rho_micro": 10"#, Err(400));
        check_settings(r#", "request_id": "\n""#, Err(400));
        for bad in [
            r#", "rho_micro": -1"#,
            r#", "cache": "never""#,
            r#", "scale": 0"#,
            r#", "sql": "SELECT 2""#,
            r#", "purpose": "no purpose""#,
        ] {
            check_settings(bad, Err(0));
        }
    }
}
