//! Functions: aggregates, and those that make group keys.

use super::parser::{Parse, Parser};
use super::refusal::{Refusal, Rule};
use super::syntax::{Aggregate, BucketTerm, Column, Function, Term};
use super::token::Kind;
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::domain::question::Period;

impl Parser {
    /// A function with its arguments; the parser stands at its name.
    pub(super) fn call(&mut self, name: &str, position: usize) -> Parse<Term> {
        let aggregate = |function| {
            move |column| {
                Term::Aggregate(Aggregate {
                    function,
                    column: Some(column),
                    position,
                })
            }
        };
        let plain = match name {
            "sum" => Function::Sum,
            "avg" => Function::Avg,
            "variance" | "var_samp" => Function::Variance("variance"),
            "var_pop" => Function::Variance("var_pop"),
            "stddev" | "stddev_samp" => Function::Deviation("stddev"),
            "stddev_pop" => Function::Deviation("stddev_pop"),
            "median" => Function::Percentile(half(), "median"),
            "count" => return self.count(position),
            "percentile_cont" => return self.percentile(position),
            "date_trunc" => return self.trunc(position),
            "width_bucket" => return self.bucket(position),
            _ if self.is_construct() => return Err(self.unexpected("an output")),
            _ => return Err(self.unknown_function(name, position)),
        };
        self.advance();
        self.expect_symbol("(")?;
        let column = self.argument()?;
        self.expect_symbol(")")?;
        Ok(aggregate(plain)(column))
    }

    fn argument(&mut self) -> Parse<Column> {
        let column = self.column()?;
        if self.is_symbol("(") {
            return Err(self.nested());
        }
        self.refuse_operators()?;
        Ok(column)
    }

    fn nested(&self) -> Refusal {
        Refusal::at(
            self.position(),
            "0A000",
            Rule::Expressions,
            "computing on columns and values is not part of the grammar",
            "ask the owner of the contract for a derived column",
        )
    }

    fn count(&mut self, position: usize) -> Parse<Term> {
        self.advance();
        self.expect_symbol("(")?;
        let one = matches!(self.ahead(0), Kind::Number(_)) && self.is_symbol_ahead(1, ")");
        let (function, column) = if one || self.is_symbol("*") {
            self.advance();
            (Function::Count, None)
        } else if self.word("distinct") {
            (Function::CountDistinct, Some(self.argument()?))
        } else {
            (Function::Count, Some(self.argument()?))
        };
        self.expect_symbol(")")?;
        Ok(Term::Aggregate(Aggregate {
            function,
            column,
            position,
        }))
    }

    fn percentile(&mut self, position: usize) -> Parse<Term> {
        self.advance();
        self.expect_symbol("(")?;
        let place = self.position();
        let share = self.number()?;
        if !(0.0..=1.0).contains(&share.to_f64()) {
            return Err(Refusal::at(
                place,
                "22023",
                Rule::Literals,
                "the percentile is outside 0 to 1",
                "write a number from 0 to 1",
            ));
        }
        self.expect_symbol(")")?;
        self.expect_word("within")?;
        self.expect_word("group")?;
        self.expect_symbol("(")?;
        self.expect_word("order")?;
        self.expect_word("by")?;
        let column = self.argument()?;
        let share = match !self.word("asc") && self.word("desc") {
            true => share.from_one().ok_or_else(|| self.unexpected("ASC"))?,
            false => share,
        };
        self.expect_symbol(")")?;
        Ok(Term::Aggregate(Aggregate {
            function: Function::Percentile(share, "percentile_cont"),
            column: Some(column),
            position,
        }))
    }

    fn trunc(&mut self, position: usize) -> Parse<Term> {
        self.advance();
        self.expect_symbol("(")?;
        let place = self.position();
        let Kind::Text(name) = self.ahead(0).clone() else {
            return Err(self.unexpected("a period, such as 'month'"));
        };
        let named = |period: &Period| period.name().eq_ignore_ascii_case(&name);
        let period = Period::ALL.into_iter().find(named).ok_or_else(|| {
            let hint = "write 'year', 'quarter', 'month', 'week' or 'day'";
            Refusal::at(place, "22023", Rule::Literals, "no such period", hint)
        })?;
        self.advance();
        self.expect_symbol(",")?;
        let column = self.argument()?;
        self.expect_symbol(")")?;
        Ok(Term::Trunc(period, column, position))
    }

    fn bucket(&mut self, position: usize) -> Parse<Term> {
        self.advance();
        self.expect_symbol("(")?;
        let column = self.argument()?;
        self.expect_symbol(",")?;
        let low = self.literal()?;
        self.expect_symbol(",")?;
        let high = self.literal()?;
        self.expect_symbol(",")?;
        let count = self.literal()?;
        self.expect_symbol(")")?;
        Ok(Term::Bucket(Box::new(BucketTerm {
            column,
            low,
            high,
            count,
            position,
        })))
    }

    fn unknown_function(&self, name: &str, position: usize) -> Refusal {
        const EXTREMES: [&str; 14] = [
            "min",
            "max",
            "array_agg",
            "string_agg",
            "json_agg",
            "jsonb_agg",
            "json_object_agg",
            "first_value",
            "last_value",
            "any_value",
            "mode",
            "bool_and",
            "bool_or",
            "percentile_disc",
        ];
        const OWN: [&str; 9] = [
            "coalesce", "nullif", "greatest", "least", "round", "floor", "ceil", "abs", "random",
        ];
        if EXTREMES.contains(&name) {
            return Refusal::at(
                position,
                "0A000",
                Rule::Extremes,
                format!("{name} would show single customers"),
                "use PERCENTILE_CONT(0.05) or PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY column)",
            );
        }
        if OWN.contains(&name) || matches!(name, "lower" | "upper" | "substring" | "length") {
            return Refusal {
                position: Some(position),
                ..self.nested()
            };
        }
        Refusal::at(
            position,
            "42883",
            Rule::Names,
            format!("there is no function {name:?}"),
            format!(
                "perhaps {}; see the list of aggregates",
                super::names::nearest(name, FUNCTIONS)
            ),
        )
    }
}

/// Every function of the grammar.
pub(super) const FUNCTIONS: &[&str] = &[
    "count",
    "sum",
    "avg",
    "variance",
    "var_pop",
    "var_samp",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "median",
    "percentile_cont",
    "date_trunc",
    "width_bucket",
];

fn half() -> Decimal {
    Decimal::parse("0.5").expect("a decimal number")
}
