//! `FROM predict('model', feature => value, ...)`: what is asked of which model, and its answer as a table of one row.
//!
//! Works on released models and the caller's own values: reads no customer, and costs nothing.

use std::ops::ControlFlow;

use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::Allowed;
use aquifer_shared::domain::law::witness::{Run, Score};
use aquifer_shared::domain::predictor::model::ModelFile;
use aquifer_shared::domain::predictor::prediction::{Predictor, Value as Given};
use aquifer_shared::protocol::ask::{AnswerKind, AnswerValue};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, TableAlias, TableFactor,
    UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::grid::{Grid, column, text, whole};
use super::rewrite::{parts, plain};
use crate::core::prediction::{Declared, InputError, Predicted, Wanted, predict};
use crate::core::sql::{Parameter, Refusal, Rule};

/// What is asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Its name, perhaps with a version.
    pub model: String,
    /// What the values stand for.
    pub declared: Declared,
    /// Features and their values: name, whether the name was quoted, value.
    given: Vec<(String, bool, AnswerValue)>,
}

/// Takes the call out of a statement, and leaves a table in its place.
///
/// # Errors
///
/// It is called twice, or with something else than a model and named values.
pub fn wish(query: &mut Query, values: &[Parameter]) -> Result<Wish, Refusal> {
    let mut found = Calls {
        values,
        wishes: Vec::new(),
    };
    if let ControlFlow::Break(refusal) = query.visit(&mut found) {
        return Err(*refusal);
    }
    match (found.wishes.pop(), found.wishes.is_empty()) {
        (Some(wish), true) => Ok(wish),
        _ => Err(*refusal(
            "0A000",
            "predict is called once in a statement".into(),
        )),
    }
}

/// The prediction as a table, for a decision that allows scores.
///
/// # Errors
///
/// An input that the model does not take.
pub fn prediction(
    wish: &Wish,
    file: &ModelFile,
    contract: &Contract,
    _: &Allowed<Score, Run>,
) -> Result<Grid, Refusal> {
    let predictor =
        Predictor::of(file).map_err(|_| *refusal("58000", "the model's file is damaged".into()))?;
    let given: Vec<(String, Given<'_>)> = wish
        .given
        .iter()
        .map(|(name, quoted, value)| (feature(name, *quoted, &predictor), given(value)))
        .collect();
    let predicted = predict(&predictor, Some(contract), &given, Wanted::default());
    let predicted = predicted.map_err(|error| input_refusal(&error))?;
    Ok(table(wish, file, &predicted))
}

fn table(wish: &Wish, file: &ModelFile, predicted: &Predicted) -> Grid {
    let card = file.card();
    let mut cells = vec![
        (
            "score",
            AnswerKind::Number,
            AnswerValue::Number(predicted.prediction.score),
        ),
        (
            "probability",
            AnswerKind::Number,
            AnswerValue::Number(predicted.prediction.probability),
        ),
        ("model", AnswerKind::Text, text(card.name.as_str())),
        ("version", AnswerKind::Whole, whole(card.version)),
        (
            "clipped",
            AnswerKind::Text,
            text(predicted.clipped.join(", ")),
        ),
        ("input", AnswerKind::Text, text(wish.declared.name())),
        ("notes", AnswerKind::Text, text(predicted.notes.join("; "))),
        (
            "base",
            AnswerKind::Number,
            AnswerValue::Number(predicted.explanation.base),
        ),
    ];
    let taken: Vec<&str> = cells.iter().map(|(name, ..)| *name).collect();
    let features: Vec<(String, f64)> = predicted
        .explanation
        .contributions
        .iter()
        .map(|own| match taken.contains(&&*own.feature) {
            true => (format!("{}_contribution", own.feature), own.log_odds),
            false => (own.feature.clone(), own.log_odds),
        })
        .collect();
    let features = features.iter();
    cells.extend(
        features
            .map(|(name, log_odds)| (&**name, AnswerKind::Number, AnswerValue::Number(*log_odds))),
    );
    Grid {
        schema: "aquifer",
        name: PREDICTION,
        columns: cells
            .iter()
            .map(|(name, kind, _)| column(name, *kind))
            .collect(),
        rows: vec![cells.into_iter().map(|(_, _, value)| value).collect()],
    }
}

/// The feature that a name means: without quotes, capitals do not matter where only one feature fits.
fn feature(name: &str, quoted: bool, predictor: &Predictor) -> String {
    let names = predictor.names();
    if quoted || names.iter().any(|own| own == name) {
        return name.to_owned();
    }
    let mut fit = names.iter().filter(|own| own.eq_ignore_ascii_case(name));
    match (fit.next(), fit.next()) {
        (Some(own), None) => own.clone(),
        _ => name.to_owned(),
    }
}

fn given(value: &AnswerValue) -> Given<'_> {
    match value {
        AnswerValue::Null => Given::Missing,
        AnswerValue::Whole(number) => Given::Number(*number as f64),
        AnswerValue::Number(number) => Given::Number(*number),
        AnswerValue::Text(text) => Given::Text(text),
        AnswerValue::Truth(true) => Given::Text("true"),
        AnswerValue::Truth(false) => Given::Text("false"),
    }
}

fn input_refusal(error: &InputError) -> Refusal {
    let state = match error {
        InputError::Real | InputError::Identifies { .. } => "QP004",
        InputError::Unknown { .. } | InputError::NoFeature { .. } | InputError::Twice { .. } => {
            "42703"
        }
        _ => "22023",
    };
    *refusal(state, error.to_string())
}

struct Calls<'a> {
    values: &'a [Parameter],
    wishes: Vec<Wish>,
}

impl VisitorMut for Calls<'_> {
    type Break = Box<Refusal>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Refusal>> {
        let TableFactor::Table {
            name, args, alias, ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let is_call = parts(name).last().is_some_and(|name| name == "predict");
        let Some(called) = args.as_ref().filter(|_| is_call) else {
            return ControlFlow::Continue(());
        };
        match self.read(&called.args) {
            Ok(wish) => self.wishes.push(wish),
            Err(refusal) => return ControlFlow::Break(refusal),
        }
        let quoted = ["aquifer", PREDICTION].map(|part| Ident::with_quote('"', part));
        *name = ObjectName::from(quoted.to_vec());
        *args = None;
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::new("predict"),
            columns: Vec::new(),
            at: None,
        });
        ControlFlow::Continue(())
    }
}

impl Calls<'_> {
    fn read(&self, args: &[FunctionArg]) -> Result<Wish, Box<Refusal>> {
        let (mut model, mut declared, mut given) = (None, Declared::default(), Vec::new());
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
                    if model.is_none() && given.is_empty() =>
                {
                    let AnswerValue::Text(name) = self.value(expr)? else {
                        return Err(shape());
                    };
                    model = Some(name);
                }
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                }
                | FunctionArg::ExprNamed {
                    name: Expr::Identifier(name),
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => {
                    let (quoted, value) = (name.quote_style.is_some(), self.value(expr)?);
                    match (&*plain(name), value) {
                        ("input", AnswerValue::Text(text)) => {
                            let read = text
                                .parse()
                                .map_err(|error| Box::new(input_refusal(&error)));
                            declared = read?;
                        }
                        (_, value) => given.push((name.value.clone(), quoted, value)),
                    }
                }
                _ => return Err(shape()),
            }
        }
        Ok(Wish {
            model: model.ok_or_else(shape)?,
            declared,
            given,
        })
    }

    fn value(&self, expr: &Expr) -> Result<AnswerValue, Box<Refusal>> {
        match expr {
            Expr::Nested(inner) => self.value(inner),
            Expr::Cast { expr, .. } => self.value(expr),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => match self.value(expr)? {
                AnswerValue::Number(number) => Ok(AnswerValue::Number(-number)),
                _ => Err(shape()),
            },
            Expr::Value(value) => match &value.value {
                Value::Null => Ok(AnswerValue::Null),
                Value::Boolean(truth) => Ok(AnswerValue::Truth(*truth)),
                Value::Number(digits, _) => {
                    digits.parse().map(AnswerValue::Number).map_err(|_| shape())
                }
                Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                    Ok(AnswerValue::Text(text.clone()))
                }
                Value::Placeholder(name) => {
                    let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
                    let value = number.and_then(|n| self.values.get(n.checked_sub(1)?));
                    Ok(match value {
                        Some(Parameter::Text(text)) => AnswerValue::Text(text.clone()),
                        Some(Parameter::Null) | None => AnswerValue::Null,
                    })
                }
                _ => Err(shape()),
            },
            _ => Err(shape()),
        }
    }
}

fn shape() -> Box<Refusal> {
    refusal(
        "42601",
        "predict takes the name of a model, then values by the names of features".into(),
    )
}

fn refusal(state: &'static str, message: String) -> Box<Refusal> {
    Box::new(Refusal {
        state,
        position: None,
        message,
        hint: "SELECT * FROM predict('model', feature => value, input => 'hypothetical')".into(),
        rule: Rule::Names,
    })
}

/// The table that stands in the place of the call.
const PREDICTION: &str = "prediction of this statement";

#[cfg(test)]
mod tests {
    use super::super::road::{Road, road};
    use super::*;
    use crate::core::finished::finished;
    use crate::core::gates_fixtures::allowed_to_score;

    fn asked(text: &str, values: &[Parameter]) -> Result<Grid, Refusal> {
        let Ok(Road::Predict(mut query)) = road(text, |_| false) else {
            panic!("{text} is no prediction");
        };
        let wish = wish(&mut query, values)?;
        let (file, bundle) = finished();
        let contract = Contract::parse(&bundle.contract).unwrap();
        prediction(&wish, &file, &contract, &allowed_to_score())
    }

    fn cell(grid: &Grid, name: &str) -> AnswerValue {
        let place = grid.columns.iter().position(|column| column.name == name);
        grid.rows[0][place.unwrap()].clone()
    }

    #[test]
    fn predictions_come_with_contributions_that_add_up() {
        let text =
            "SELECT * FROM predict('churn', tenure => 5, plan => 'gold', input => 'segment')";
        let grid = asked(text, &[]).unwrap();
        let number = |name: &str| match cell(&grid, name) {
            AnswerValue::Number(number) => number,
            other => panic!("{name} is {other:?}"),
        };
        let sum = number("base") + number("tenure") + number("plan");
        assert!((sum - number("score")).abs() < 1e-12);
        assert_eq!(cell(&grid, "clipped"), AnswerValue::Text(String::new()));
        assert_eq!(cell(&grid, "input"), AnswerValue::Text("segment".into()));
        let AnswerValue::Text(notes) = cell(&grid, "notes") else {
            panic!("no notes")
        };
        assert!(
            notes.contains("plan: the value is not one of its levels"),
            "{notes}"
        );
    }

    #[test]
    fn numbers_are_clipped_and_flagged_and_values_may_be_bound() {
        let text = "SELECT score FROM predict($1, Tenure => $2) AS p";
        let values = ["churn", "1e9"].map(|text| Parameter::Text(text.into()));
        let grid = asked(text, &values).unwrap();
        assert_eq!(cell(&grid, "clipped"), AnswerValue::Text("tenure".into()));
        let negative = asked("SELECT score FROM predict('churn', tenure => -1)", &[]).unwrap();
        assert_eq!(
            cell(&negative, "clipped"),
            AnswerValue::Text("tenure".into())
        );
    }

    #[track_caller]
    fn check_refused(text: &str, state: &str) {
        assert_eq!(asked(text, &[]).unwrap_err().state, state, "{text}");
    }

    #[test]
    fn c3_coordinator_refuses_real_customers_in_sql() {
        check_refused("SELECT * FROM predict('churn', input => 'real')", "QP004");
        check_refused(
            "SELECT * FROM predict('churn', customer_no => 'c1')",
            "QP004",
        );
        check_refused("SELECT * FROM predict('churn', input => 'mine')", "22023");
        check_refused(
            "SELECT * FROM predict('churn', left => 1, tenure => 2)",
            "42703",
        );
        check_refused("SELECT * FROM predict('churn', tenure => 'five')", "22023");
        check_refused("SELECT * FROM predict('churn', 5)", "42601");
        check_refused("SELECT * FROM predict(tenure => 5)", "42601");
        check_refused(
            "SELECT * FROM predict('churn'), predict('churn') AS b",
            "0A000",
        );
    }
}
