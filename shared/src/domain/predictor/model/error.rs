//! Why a model file is refused.

use std::fmt::Display;

/// A model file that breaks a rule of its format.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Too large to be one.
    #[error("the model file has {got} bytes, expected at most {limit}")]
    TooLong {
        /// Found.
        got: usize,
        /// Limit.
        limit: usize,
    },
    /// Not JSON of this format: unknown, missing or repeated keys included.
    #[error("the model file does not read as {}", super::FORMAT)]
    Json(#[source] serde_json::Error),
    /// A value is not what the format says.
    #[error("in the model file, {what} is {got}, expected {expected}")]
    Value {
        /// The place.
        what: String,
        /// Found.
        got: String,
        /// Expected.
        expected: &'static str,
    },
}

/// Refuses unless `holds`.
pub(super) fn check(
    holds: bool,
    what: impl Into<String>,
    got: impl Display,
    expected: &'static str,
) -> Result<(), ModelError> {
    if holds {
        return Ok(());
    }
    let got = got.to_string().chars().take(80).collect();
    Err(ModelError::Value {
        what: what.into(),
        got,
        expected,
    })
}
