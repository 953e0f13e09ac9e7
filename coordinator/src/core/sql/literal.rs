//! Values of a statement in contract form: units of a step inside the bounds, places of levels, days; bound parameters too.

use super::refusal::{Refusal, Rule};
use super::syntax::{Literal, LiteralValue};
use aquifer_shared::base::calendar;
use aquifer_shared::base::decimal::{Decimal, written};
use aquifer_shared::domain::contract::NumberColumn;

/// A bound parameter, as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Parameter {
    /// No value.
    Null,
    /// A value in the text form of its type.
    Text(String),
}

/// What a parameter is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParameterKind {
    /// A level of a key.
    Text,
    /// A day.
    Date,
    /// A number.
    Number,
    /// A whole number.
    Whole,
}

/// The parameters of a statement: their values, or only what they are taken for.
pub(super) struct Parameters<'a> {
    bound: Option<&'a [Parameter]>,
    /// By number; `None` for one that the text leaves out.
    pub kinds: Vec<Option<ParameterKind>>,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(bound: Option<&'a [Parameter]>) -> Self {
        Self {
            bound,
            kinds: Vec::new(),
        }
    }

    /// Whether this is a parameter without a value yet.
    pub(super) fn is_unbound(&self, literal: &Literal) -> bool {
        self.bound.is_none() && is_parameter(literal)
    }

    /// Units of a number column: a multiple of the step inside the bounds.
    pub(super) fn units(
        &mut self,
        literal: &Literal,
        name: &str,
        column: &NumberColumn,
    ) -> Result<i64, Refusal> {
        let value = self.value(literal, ParameterKind::Number)?;
        let decimal = match value {
            Some(LiteralValue::Number(decimal)) => Some(decimal),
            Some(LiteralValue::Text(text)) if is_parameter(literal) => Some(
                Decimal::parse(text.trim()).ok_or_else(|| wrong_type(literal, name, "a number"))?,
            ),
            Some(_) => return Err(wrong_type(literal, name, "a number")),
            None => None,
        };
        let Some(decimal) = decimal else {
            // Unbound: any value that will do.
            return Ok(column.low + (-column.low).rem_euclid(column.step));
        };
        let units = decimal.units_at(column.digits);
        let inside = units.filter(|units| (column.low..=column.high).contains(units));
        let on_step = inside.filter(|units| units % column.step == 0);
        on_step.ok_or_else(|| {
            let shown = |units| written(units, column.digits);
            let (low, high, step) = (shown(column.low), shown(column.high), shown(column.step));
            let what = match inside {
                Some(_) => "is finer than the step of the contract",
                None => "is outside the bounds of the contract, or finer than its numbers",
            };
            Refusal::at(
                literal.position,
                "22023",
                Rule::Literals,
                format!("this value of column {name:?} {what}"),
                format!("write a multiple of {step} from {low} to {high}"),
            )
        })
    }

    /// A day of a date column.
    pub(super) fn day(
        &mut self,
        literal: &Literal,
        name: &str,
        first: i32,
        last: i32,
    ) -> Result<i64, Refusal> {
        let text = match self.value(literal, ParameterKind::Date)? {
            Some(LiteralValue::Date(text) | LiteralValue::Text(text)) => text,
            Some(_) => return Err(wrong_type(literal, name, "a date")),
            None => return Ok(first.into()),
        };
        let day = calendar::parse(text.trim());
        let inside = day.filter(|day| (first..=last).contains(day));
        let day = inside.ok_or_else(|| {
            let (first, last) = (calendar::written(first), calendar::written(last));
            Refusal::at(
                literal.position,
                "22023",
                Rule::Literals,
                format!(
                    "this value of column {name:?} is no day inside the bounds of the contract"
                ),
                format!("write DATE '{first}' to DATE '{last}'"),
            )
        })?;
        Ok(day.into())
    }

    /// The place of a level; the one for everything else comes last.
    pub(super) fn level(
        &mut self,
        literal: &Literal,
        name: &str,
        levels: &[String],
        unknown: &str,
    ) -> Result<u16, Refusal> {
        let text = match self.value(literal, ParameterKind::Text)? {
            Some(LiteralValue::Text(text)) => text,
            Some(_) => return Err(wrong_type(literal, name, "a text in single quotes")),
            None => return Ok(0),
        };
        let known = levels.iter().map(String::as_str).chain([unknown]);
        let place = known.clone().position(|level| level == text);
        let place = place.and_then(|place| u16::try_from(place).ok());
        place.ok_or_else(|| {
            let shown: Vec<String> = known.take(LEVELS_SHOWN).map(|l| format!("'{l}'")).collect();
            let more = (levels.len() + 1).saturating_sub(LEVELS_SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            Refusal::at(
                literal.position,
                "22023",
                Rule::Literals,
                format!("this value of column {name:?} is not one of its levels"),
                format!("write one of {}{more}", shown.join(", ")),
            )
        })
    }

    /// A whole number.
    pub(super) fn whole(
        &mut self,
        literal: &Literal,
        what: &str,
        least: u64,
        most: u64,
    ) -> Result<u64, Refusal> {
        let decimal = match self.value(literal, ParameterKind::Whole)? {
            Some(LiteralValue::Number(decimal)) => Some(decimal),
            Some(LiteralValue::Text(text)) if is_parameter(literal) => Decimal::parse(text.trim()),
            Some(_) => None,
            None => return Ok(least),
        };
        let whole = decimal.and_then(|decimal| decimal.units_at(0));
        let whole = whole.and_then(|whole| u64::try_from(whole).ok());
        let inside = whole.filter(|whole| (least..=most).contains(whole));
        inside.ok_or_else(|| {
            Refusal::at(
                literal.position,
                "22023",
                Rule::Literals,
                format!("{what} is out of range"),
                format!("write a whole number from {least} to {most}"),
            )
        })
    }

    /// What a literal stands for in `HAVING`; `None` where it is not bound yet.
    pub(super) fn value(
        &mut self,
        literal: &Literal,
        kind: ParameterKind,
    ) -> Result<Option<LiteralValue>, Refusal> {
        let value = match &literal.value {
            LiteralValue::Parameter(number) => {
                if self.kinds.len() < *number {
                    self.kinds.resize(*number, None);
                }
                self.kinds[*number - 1] = Some(kind);
                let Some(bound) = self.bound else {
                    return Ok(None);
                };
                match bound.get(*number - 1) {
                    Some(Parameter::Text(text)) => LiteralValue::Text(text.clone()),
                    Some(Parameter::Null) => LiteralValue::Null,
                    None => return Err(unbound(literal, *number)),
                }
            }
            other => other.clone(),
        };
        if value == LiteralValue::Null {
            return Err(Refusal::at(
                literal.position,
                "22023",
                Rule::Literals,
                "nothing is equal to NULL, or less or greater",
                "write IS NULL or IS NOT NULL",
            ));
        }
        Ok(Some(value))
    }
}

/// Levels that a hint lists.
const LEVELS_SHOWN: usize = 20;

/// Whether a value came as a bound parameter, so that it is text whatever its type.
pub(super) fn is_parameter(literal: &Literal) -> bool {
    matches!(literal.value, LiteralValue::Parameter(_))
}

fn unbound(literal: &Literal, number: usize) -> Refusal {
    Refusal::at(
        literal.position,
        "08P01",
        Rule::Grammar,
        format!("no value is bound to ${number}"),
        "bind a value to every parameter",
    )
}

pub(super) fn wrong_type(literal: &Literal, name: &str, expected: &str) -> Refusal {
    Refusal::at(
        literal.position,
        "42804",
        Rule::Types,
        format!("column {name:?} is compared with a value of another type"),
        format!("write {expected}"),
    )
}
