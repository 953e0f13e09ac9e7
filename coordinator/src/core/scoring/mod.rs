//! Predictions of a released model for made-up customers and segments: which inputs are taken, and what is read out of them.
//!
//! Post-processing of a release: knows a model's file and the caller's own values, and costs nothing.

mod input;
mod object;

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::{Predictor, Value};
use serde_json::{Map, Value as Json};

pub use input::{InputError, check, columns, is_unlisted};
pub use object::Pairs;

/// A model with all that a prediction needs.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The signed file.
    pub file: ModelFile,
    /// Ready to predict.
    pub predictor: Predictor,
    /// The model's contract; none where nobody was asked for it.
    pub contract: Option<Contract>,
}

/// The values of one input, each of a kind that its feature takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Input(Map<String, Json>);

impl Ready {
    /// Reads one JSON object of feature names and values.
    ///
    /// # Errors
    ///
    /// Another text, a column that is no feature or names customers, or a value of another kind.
    pub fn read(&self, text: &str) -> Result<Input, InputError> {
        let pairs = Pairs::parse(text).map_err(|error| InputError::NotAnObject {
            line: error.line(),
            column: error.column(),
        })?;
        columns(&pairs.keys(), &self.predictor, self.contract.as_ref())?;
        let input = Input(pairs.0.into_iter().collect());
        let (names, meanings) = (self.predictor.names(), self.predictor.meanings());
        for (name, meaning) in names.iter().zip(meanings) {
            if let Some(Json::Array(_) | Json::Object(_)) = input.0.get(name) {
                let (column, found) = (name.clone(), "a list or an object".to_owned());
                return Err(InputError::Kind { column, found });
            }
            check(input.value(name), meaning, name, None)?;
        }
        Ok(input)
    }

    /// What a person should know about how the values of an input were read.
    #[must_use]
    pub fn notes(&self, input: &Input) -> Vec<String> {
        let mut notes = self.predictor.notes(|name| input.value(name));
        notes.extend(absent(&self.predictor, |name| input.0.contains_key(name)));
        notes
    }
}

impl Input {
    /// The value of a feature.
    #[must_use]
    pub fn value(&self, name: &str) -> Value<'_> {
        match self.0.get(name) {
            Some(Json::String(text)) => Value::Text(text),
            Some(Json::Bool(true)) => Value::Text("true"),
            Some(Json::Bool(false)) => Value::Text("false"),
            Some(Json::Number(number)) => number.as_f64().map_or(Value::Missing, Value::Number),
            _ => Value::Missing,
        }
    }
}

/// A note on features that no column brings.
#[must_use]
pub fn absent(predictor: &Predictor, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let names = predictor.names().iter();
    let absent: Vec<&str> = names
        .map(String::as_str)
        .filter(|name| !is_there(name))
        .collect();
    (!absent.is_empty()).then(|| format!("not given, counts as missing: {}", absent.join(", ")))
}
