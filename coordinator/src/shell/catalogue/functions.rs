//! Functions of the catalogue as the engine calls them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use aquifer_shared::protocol::ask::{AnswerKind, AnswerValue};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::tables::{array, type_of, values};
use crate::core::catalogue::{Book, call};

/// A function of the catalogue.
pub(super) fn of(name: &'static str, kind: AnswerKind, book: Arc<Book>) -> Arc<ScalarUDF> {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    Arc::new(ScalarUDF::new_from_impl(Own {
        name,
        kind,
        book,
        signature: Signature::one_of(any, Volatility::Immutable),
    }))
}

struct Own {
    name: &'static str,
    kind: AnswerKind,
    book: Arc<Book>,
    signature: Signature,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.book, &other.book)
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Own {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(type_of(self.kind))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let constant = args.args.iter().all(scalar);
        let count = if constant { 1 } else { args.number_rows };
        let mut columns = Vec::with_capacity(args.args.len());
        for value in &args.args {
            columns.push(match value {
                ColumnarValue::Scalar(value) => values(&value.to_array()?)?,
                ColumnarValue::Array(array) => values(array)?,
            });
        }
        let mut results = Vec::with_capacity(count);
        for row in 0..count {
            let at = |column: &Vec<AnswerValue>| {
                let place = if column.len() == 1 { 0 } else { row };
                column.get(place).cloned().unwrap_or(AnswerValue::Null)
            };
            let values: Vec<AnswerValue> = columns.iter().map(at).collect();
            let result = call(self.name, &values, &self.book);
            results.push(result.map_err(|no| DataFusionError::External(Box::new(no)))?);
        }
        let results = array(self.kind, results.iter());
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &results, 0,
            )?));
        }
        Ok(ColumnarValue::Array(results))
    }
}
