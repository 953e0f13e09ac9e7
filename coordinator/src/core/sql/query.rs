//! Queries: select list, table, keys, order, and what is wrapped around them.

use super::parser::{Parse, Parser, huge};
use super::refusal::{Refusal, Rule};
use super::syntax::{
    Column, Item, Name, Order, Outer, Select, Slice, Term, Wish, WishValue, Wrapped,
};
use super::token::Kind;
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::base::limits::OUTPUTS_MAX;

/// Queries around queries.
const WRAPPINGS_MAX: usize = 4;

impl Parser {
    /// A query, with what is wrapped around it.
    pub(super) fn wrapped(&mut self) -> Parse<Wrapped> {
        self.wrapped_in(0)
    }

    fn wrapped_in(&mut self, around: usize) -> Parse<Wrapped> {
        let position = self.position();
        self.expect_word("select")?;
        let options = self.options()?;
        if !self.word("all") && self.is_word("distinct") {
            return Err(self.unexpected("an output"));
        }
        let star = self.is_symbol("*").then(|| self.star());
        let items = match star {
            Some(_) => {
                self.advance();
                Vec::new()
            }
            None => self.short_list("outputs", Self::item)?,
        };
        if self.is_word("into") {
            return Err(read_only(self.position()));
        }
        self.expect_word("from")?;
        if self.is_symbol("(") {
            if !options.is_empty() || around >= WRAPPINGS_MAX {
                return Err(self.unexpected("a table"));
            }
            return self.outer(star.is_none().then_some(items), around);
        }
        if let Some(refusal) = star {
            return Err(refusal);
        }
        let select = self.select(options, items, position)?;
        Ok(Wrapped {
            select,
            outer: Vec::new(),
        })
    }

    fn select(&mut self, options: Vec<Wish>, items: Vec<Item>, position: usize) -> Parse<Select> {
        let mut table = vec![self.name("a table")?];
        while self.symbol(".") {
            table.push(self.name("a table")?);
        }
        if self.is_symbol("(") {
            return Err(Refusal::at(
                self.position(),
                "0A000",
                Rule::Relations,
                "functions that return tables are not part of the grammar",
                "name a published table",
            ));
        }
        let alias = self.alias()?;
        self.refuse_more_tables()?;
        let filter = self.word("where").then(|| self.condition()).transpose()?;
        let keys = match self.word("group") {
            true => {
                self.expect_word("by")?;
                self.list(|parser| {
                    let position = parser.position();
                    Ok((parser.term()?, position))
                })?
            }
            false => Vec::new(),
        };
        let having = self.word("having").then(|| self.condition()).transpose()?;
        let (order, slice) = self.tail()?;
        Ok(Select {
            options,
            items,
            table,
            alias,
            filter,
            keys,
            having,
            order,
            slice,
            position,
        })
    }

    fn outer(&mut self, items: Option<Vec<Item>>, around: usize) -> Parse<Wrapped> {
        let items = items.map(|items| items.into_iter().map(output).collect());
        let items = items.transpose()?;
        self.expect_symbol("(")?;
        let mut inner = self.wrapped_in(around + 1)?;
        self.expect_symbol(")")?;
        let alias = self.alias()?;
        self.refuse_more_tables()?;
        let (order, slice) = self.tail()?;
        inner.outer.push(Outer {
            items,
            alias,
            order,
            slice,
        });
        Ok(inner)
    }

    fn refuse_more_tables(&self) -> Parse<()> {
        if !self.is_symbol(",") {
            return Ok(());
        }
        Err(Refusal::at(
            self.position(),
            "0A000",
            Rule::Relations,
            "joins are not part of the grammar",
            "ask the owner of the contract for a table that holds this",
        ))
    }

    /// `ORDER BY`, `LIMIT`, `OFFSET`.
    fn tail(&mut self) -> Parse<(Vec<Order>, Slice)> {
        let mut order = Vec::new();
        if self.word("order") {
            self.expect_word("by")?;
            order = self.short_list("sort criteria", Self::order)?;
        }
        let mut slice = Slice::default();
        loop {
            if slice.limit.is_none() && self.word("limit") {
                if !self.word("all") {
                    slice.limit = Some(self.literal()?);
                }
            } else if slice.offset.is_none() && self.word("offset") {
                slice.offset = Some(self.literal()?);
                let _ = self.word("rows") || self.word("row");
            } else {
                return Ok((order, slice));
            }
        }
    }

    fn order(&mut self) -> Parse<Order> {
        let position = self.position();
        let term = self.term()?;
        let descending = !self.word("asc") && self.word("desc");
        let mut nulls_first = descending;
        if self.word("nulls") {
            nulls_first = self.word("first");
            if !nulls_first {
                self.expect_word("last")?;
            }
        }
        Ok(Order {
            term,
            descending,
            nulls_first,
            position,
        })
    }

    /// `WITH DIFFERENTIAL_PRIVACY OPTIONS (name = value, ...)`.
    fn options(&mut self) -> Parse<Vec<Wish>> {
        if !self.is_word("with") || !self.is_word_ahead(1, "differential_privacy") {
            return Ok(Vec::new());
        }
        self.advance();
        self.advance();
        if !self.word("options") {
            return Ok(Vec::new());
        }
        self.expect_symbol("(")?;
        let wishes = self.list(|parser| {
            let name = parser.name("an option")?;
            parser.expect_symbol("=")?;
            let position = parser.position();
            let value = match parser.ahead(0) {
                Kind::Word(_) | Kind::Quoted(_) => WishValue::Name(parser.name("a column")?),
                _ => WishValue::Number(parser.number()?, position),
            };
            Ok(Wish { name, value })
        })?;
        self.expect_symbol(")")?;
        Ok(wishes)
    }

    pub(super) fn number(&mut self) -> Parse<Decimal> {
        let Kind::Number(digits) = self.ahead(0) else {
            return Err(self.unexpected("a number"));
        };
        let number = Decimal::parse(digits).ok_or_else(|| huge(self.position()))?;
        self.advance();
        Ok(number)
    }

    /// A list whose every entry costs work for every row.
    fn short_list<T>(
        &mut self,
        what: &str,
        one: impl FnMut(&mut Self) -> Parse<T>,
    ) -> Parse<Vec<T>> {
        let position = self.position();
        let found = self.list(one)?;
        if found.len() <= OUTPUTS_MAX {
            return Ok(found);
        }
        Err(Refusal::at(
            position,
            "54001",
            Rule::Limits,
            format!("{} {what}", found.len()),
            format!("write at most {OUTPUTS_MAX}"),
        ))
    }

    pub(super) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let mut found = vec![one(self)?];
        while self.symbol(",") {
            found.push(one(self)?);
        }
        Ok(found)
    }

    fn item(&mut self) -> Parse<Item> {
        let position = self.position();
        if self.is_symbol("*") {
            return Err(self.star());
        }
        let value = matches!(
            self.ahead(0),
            Kind::Number(_) | Kind::Text(_) | Kind::Parameter(_)
        );
        if value || self.is_word("null") || self.is_word("true") || self.is_word("false") {
            return Err(Refusal::at(
                position,
                "42803",
                Rule::Grouping,
                "a plain value is no output",
                "select group keys and aggregates, such as COUNT(*)",
            ));
        }
        let term = self.term()?;
        let alias = self.alias()?;
        Ok(Item {
            term,
            alias,
            position,
        })
    }

    /// A column, the place of an output, a function of a key, or an aggregate.
    pub(super) fn term(&mut self) -> Parse<Term> {
        let position = self.position();
        if self.is_symbol("(") {
            self.advance();
            let inner = self.deeper(Self::term)?;
            self.expect_symbol(")")?;
            self.refuse_operators()?;
            return Ok(inner);
        }
        let term = match self.ahead(0).clone() {
            Kind::Number(digits) => {
                let place = digits
                    .parse()
                    .map_err(|_| self.unexpected("the place of an output"))?;
                self.advance();
                Term::Place(place, position)
            }
            Kind::Word(word) if self.is_symbol_ahead(1, "(") => {
                self.call(&word.to_ascii_lowercase(), position)?
            }
            _ => Term::Column(self.column()?),
        };
        if self.is_word("filter") && self.is_symbol_ahead(1, "(") || self.is_word("over") {
            return Err(self.unexpected(""));
        }
        self.refuse_operators()?;
        Ok(term)
    }
}

/// An output that a wrapping query names.
fn output(item: Item) -> Parse<(Column, Option<Name>)> {
    match item.term {
        Term::Column(column) => Ok((column, item.alias)),
        _ => Err(Refusal::at(
            item.position,
            "0A000",
            Rule::Relations,
            "a query around another one can only pass outputs on",
            "name outputs of the inner query, or write *",
        )),
    }
}

/// A statement that would write.
pub(super) fn read_only(position: usize) -> Refusal {
    Refusal::at(
        position,
        "25006",
        Rule::ReadOnly,
        "nothing can be written here",
        "this service answers SELECT",
    )
}
