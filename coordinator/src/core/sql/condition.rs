//! Conditions of `WHERE` and `HAVING`.

use super::parser::{Parse, Parser};
use super::syntax::{Comparison, Condition, Term};
use super::token::Kind;

impl Parser {
    /// Parts that are joined by `OR`.
    pub(super) fn condition(&mut self) -> Parse<Condition> {
        self.deeper(|parser| {
            let mut parts = vec![parser.conjunction()?];
            while parser.word("or") {
                parts.push(parser.conjunction()?);
            }
            Ok(joined(parts, Condition::Or))
        })
    }

    fn conjunction(&mut self) -> Parse<Condition> {
        let mut parts = vec![self.negation()?];
        while self.word("and") {
            parts.push(self.negation()?);
        }
        Ok(joined(parts, Condition::And))
    }

    fn negation(&mut self) -> Parse<Condition> {
        if self.word("not") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        // A parenthesis opens a condition, unless it only surrounds a column.
        if self.is_symbol("(") && !self.closes_a_term() {
            if self.is_word_ahead(1, "select") {
                self.advance();
                return Err(self.unexpected("a condition"));
            }
            self.advance();
            let inner = self.condition()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        self.leaf()
    }

    /// Whether the parenthesis that is next closes after a single column, as some tools write.
    fn closes_a_term(&self) -> bool {
        let mut more = 1;
        while self.is_symbol_ahead(more, "(") {
            more += 1;
        }
        let opened = more;
        while matches!(self.ahead(more), Kind::Word(_) | Kind::Quoted(_)) {
            more += 1;
            if !self.is_symbol_ahead(more, ".") {
                break;
            }
            more += 1;
        }
        more > opened && self.is_symbol_ahead(more, ")")
    }

    fn leaf(&mut self) -> Parse<Condition> {
        let position = self.position();
        self.count_term(position)?;
        if self.starts_with_value() {
            let value = self.literal()?;
            let comparison = self.comparison()?;
            let term = self.condition_term()?;
            return Ok(Condition::Compare(term, flipped(comparison), value));
        }
        let term = self.condition_term()?;
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.unexpected("NULL"));
            }
            return Ok(negated_if(negated, Condition::IsNull(term)));
        }
        let negated = self.word("not");
        if self.word("between") {
            let symmetric = self.is_word("symmetric");
            if symmetric {
                return Err(self.unexpected("a value"));
            }
            let low = self.literal()?;
            self.expect_word("and")?;
            let high = self.literal()?;
            return Ok(negated_if(negated, Condition::Between(term, low, high)));
        }
        if self.word("in") {
            self.expect_symbol("(")?;
            let values = self.list(Self::literal)?;
            self.expect_symbol(")")?;
            return Ok(negated_if(negated, Condition::In(term, values)));
        }
        if negated {
            return Err(self.unexpected("BETWEEN or IN"));
        }
        let comparison = self.comparison()?;
        let value = self.literal()?;
        Ok(Condition::Compare(term, comparison, value))
    }

    fn starts_with_value(&self) -> bool {
        let sign = self.is_symbol("-") || self.is_symbol("+");
        let value = matches!(
            self.ahead(0),
            Kind::Number(_) | Kind::Text(_) | Kind::Parameter(_)
        );
        let date = self.is_word("date") && matches!(self.ahead(1), Kind::Text(_));
        sign || value || date
    }

    fn condition_term(&mut self) -> Parse<Term> {
        let plain = ["case", "cast", "exists", "true", "false", "null"];
        if plain.iter().any(|word| self.is_word(word)) {
            return Err(self.unexpected("a column"));
        }
        self.term()
    }

    fn comparison(&mut self) -> Parse<Comparison> {
        let Kind::Symbol(symbol) = self.ahead(0) else {
            return Err(self.unexpected("a comparison"));
        };
        let found = match symbol.as_str() {
            "=" => Comparison::Equal,
            "<>" | "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return Err(self.unexpected("a comparison")),
        };
        self.advance();
        Ok(found)
    }
}

fn joined(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    join(parts)
}

fn negated_if(negated: bool, condition: Condition) -> Condition {
    if negated {
        return Condition::Not(Box::new(condition));
    }
    condition
}

/// `5 < x` is `x > 5`.
fn flipped(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        other => other,
    }
}
