//! Which door a statement belongs to: questions, the catalogue, or predictions.
//!
//! A wrong guess is harmless: the catalogue holds no customer data, and a question names published tables only.

use super::refusal::Refusal;
use super::token::{Kind, Token, tokens};
use aquifer_shared::domain::contract::Contract;

/// Where a statement goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// [`super::compile`].
    Question,
    /// Static tables about the contract, models and releases; also `SELECT` without a table.
    Catalogue,
    /// `SELECT ... FROM predict(...)`.
    Predict,
}

/// Looks at the tables of a statement.
///
/// # Errors
///
/// The text is too long, or cannot be cut into tokens.
pub fn route(text: &str, contract: &Contract) -> Result<Route, Refusal> {
    let tokens = tokens(text)?;
    let Some(Kind::Word(first)) = tokens.first().map(|token| &token.kind) else {
        return Ok(Route::Question);
    };
    if !first.eq_ignore_ascii_case("select") && !first.eq_ignore_ascii_case("with") {
        return Ok(Route::Question);
    }
    let named: Vec<usize> = (0..tokens.len())
        .filter(|index| is_word(&tokens[*index], "from") || is_word(&tokens[*index], "join"))
        .collect();
    if named.is_empty() {
        return Ok(Route::Catalogue);
    }
    let mut catalogue = false;
    for index in named {
        let (name, qualified) = table(&tokens, index + 1);
        let called =
            matches!(tokens.get(index + 2), Some(Token { kind: Kind::Symbol(s), .. }) if s == "(");
        if name.eq_ignore_ascii_case("predict") && called {
            return Ok(Route::Predict);
        }
        let published = contract.published.iter();
        if !qualified
            && published
                .clone()
                .any(|table| table.name.eq_ignore_ascii_case(&name))
        {
            return Ok(Route::Question);
        }
        let lower = name.to_ascii_lowercase();
        let schema = ["pg_catalog", "information_schema", "aquifer"].contains(&lower.as_str());
        catalogue |= qualified && schema || !qualified && lower.starts_with("pg_");
    }
    Ok(if catalogue {
        Route::Catalogue
    } else {
        Route::Question
    })
}

/// The first name at a place, and whether more of it follows after a point.
fn table(tokens: &[Token], at: usize) -> (String, bool) {
    let name = match tokens.get(at).map(|token| &token.kind) {
        Some(Kind::Word(name) | Kind::Quoted(name)) => name.clone(),
        _ => return (String::new(), false),
    };
    let point = tokens.get(at + 1).map(|token| &token.kind);
    (
        name,
        matches!(point, Some(Kind::Symbol(symbol)) if symbol == "."),
    )
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(&token.kind, Kind::Word(found) if found.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::contract;
    use super::*;

    #[track_caller]
    fn check_route(text: &str, expected: Route) {
        assert_eq!(route(text, &contract()), Ok(expected), "{text}");
    }

    #[test]
    fn questions_name_published_tables() {
        check_route("SELECT COUNT(*) FROM orders", Route::Question);
        check_route(
            "SELECT * FROM (SELECT COUNT(*) FROM ORDERS) t",
            Route::Question,
        );
        check_route(
            "SELECT COUNT(*) FROM pg_class JOIN orders ON true",
            Route::Question,
        );
        check_route("SELECT COUNT(*) FROM sales", Route::Question);
        check_route("SELECT COUNT(*) FROM public.orders", Route::Question);
        check_route("INSERT INTO pg_class VALUES (1)", Route::Question);
        check_route("SET aquifer.purpose = 'x'", Route::Question);
        check_route("", Route::Question);
    }

    #[test]
    fn the_catalogue_has_schemas_of_its_own() {
        check_route("SELECT version()", Route::Catalogue);
        check_route(
            "SELECT c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_namespace n ON true",
            Route::Catalogue,
        );
        check_route("select * from information_schema.columns", Route::Catalogue);
        check_route(
            "SELECT * FROM aquifer.releases WHERE release_id = 'x'",
            Route::Catalogue,
        );
        check_route(
            "WITH a AS (SELECT oid FROM pg_type) SELECT * FROM a",
            Route::Catalogue,
        );
    }

    #[test]
    fn predictions_are_called() {
        check_route(
            "SELECT * FROM predict('churn', tenure => 5)",
            Route::Predict,
        );
        check_route("SELECT * FROM predict", Route::Question);
    }

    #[test]
    fn texts_that_are_too_long_are_refused() {
        assert_eq!(
            route(&"x".repeat(1 << 17), &contract()).unwrap_err().state,
            "54001"
        );
    }
}
