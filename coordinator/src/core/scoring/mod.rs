//! One JSON object of feature names and values, and a released model: a prediction. What may come is said by [`super::prediction`].

mod object;

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::{Predictor, Value};
use serde_json::Value as Json;

pub use object::Pairs;

use super::prediction::{InputError, Predicted, Wanted, columns, predict};

/// A released model with all that a prediction needs.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The signed file.
    pub file: ModelFile,
    /// Ready to predict.
    pub predictor: Predictor,
    /// The model's contract.
    pub contract: Contract,
}

impl Ready {
    /// The prediction for a text that holds one object.
    ///
    /// # Errors
    ///
    /// Another text, or as [`predict_object`].
    pub fn predict(&self, text: &str, wanted: Wanted) -> Result<Predicted, InputError> {
        predict_object(
            &read_object(text)?,
            &self.predictor,
            Some(&self.contract),
            wanted,
        )
    }
}

/// Reads a text that holds one object.
///
/// # Errors
///
/// It holds something else.
pub fn read_object(text: &str) -> Result<Pairs, InputError> {
    Pairs::parse(text).map_err(|error| InputError::NotAnObject {
        line: error.line(),
        column: error.column(),
    })
}

/// The prediction for the values of one object.
///
/// # Errors
///
/// As [`predict`], and values that are lists or objects.
pub fn predict_object(
    pairs: &Pairs,
    predictor: &Predictor,
    contract: Option<&Contract>,
    wanted: Wanted,
) -> Result<Predicted, InputError> {
    // What is wrong with a name is said before what is wrong with a value.
    columns(&pairs.keys(), predictor, contract)?;
    let given: Vec<_> = pairs.0.iter().map(value_of).collect::<Result<_, _>>()?;
    predict(predictor, contract, &given, wanted)
}

fn value_of((name, value): &(String, Json)) -> Result<(String, Value<'_>), InputError> {
    let value = match value {
        Json::String(text) => Value::Text(text),
        Json::Bool(true) => Value::Text("true"),
        Json::Bool(false) => Value::Text("false"),
        Json::Number(number) => number.as_f64().map_or(Value::Missing, Value::Number),
        Json::Null => Value::Missing,
        Json::Array(_) | Json::Object(_) => {
            let (column, found) = (name.clone(), "a list or an object".to_owned());
            return Err(InputError::Kind { column, found });
        }
    };
    Ok((name.clone(), value))
}
