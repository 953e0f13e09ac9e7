//! What a session says besides questions: several statements in one text, settings, transactions. No contract is needed for it.

use super::Statement;
use super::refusal::Refusal;
use super::settings::{self, CLIENT, OWN};
use super::statement::{self, Written};
use super::token::{Kind, tokens};

/// One statement of a text that may hold several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece<'a> {
    /// Characters before it.
    pub before: usize,
    /// Its text.
    pub text: &'a str,
}

/// The statements of a text, in order; none that says nothing.
///
/// # Errors
///
/// The text is too long, or cannot be cut into tokens.
pub fn split(text: &str) -> Result<Vec<Piece<'_>>, Refusal> {
    let ends = tokens(text)?.into_iter().filter_map(|token| {
        let ends = token.kind == Kind::End || token.kind == Kind::Symbol(";".to_owned());
        ends.then_some(token.position - 1)
    });
    let (mut pieces, mut before, mut rest) = (Vec::new(), 0, text);
    for end in ends {
        let length = rest
            .char_indices()
            .nth(end - before)
            .map_or(rest.len(), |(at, _)| at);
        let piece = &rest[..length];
        if tokens(piece)?.len() > 1 {
            pieces.push(Piece {
                before,
                text: piece,
            });
        }
        rest = rest.get(length + 1..).unwrap_or_default();
        before = end + 1;
    }
    Ok(pieces)
}

/// A statement that needs no contract; none for a question and its price.
///
/// # Errors
///
/// Whatever is not in the grammar.
pub fn plain(text: &str) -> Result<Option<Statement>, Refusal> {
    Ok(match statement::read(text)? {
        Written::Query(_) | Written::Explain(..) => None,
        other => Some(without_contract(other)?),
    })
}

/// What a statement asks for that is no question; a question says nothing here.
pub(super) fn without_contract(written: Written) -> Result<Statement, Refusal> {
    Ok(match written {
        Written::Empty | Written::Query(_) | Written::Explain(..) => Statement::Empty,
        Written::Set(setting) => Statement::Set(settings::change(setting)?),
        Written::Show(name, position) => {
            let known = OWN.contains(&name.as_str()) || CLIENT.contains(&name.as_str());
            if name != "all" && !known {
                return Err(settings::unknown(&name, position));
            }
            Statement::Show(name)
        }
        Written::Transaction(tag) => Statement::Transaction(tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_split(text: &str, expected: &[(usize, &str)]) {
        let pieces = split(text).unwrap();
        let found: Vec<_> = pieces.iter().map(|p| (p.before, p.text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn statements_are_cut_where_they_end() {
        check_split("a", &[(0, "a")]);
        check_split("a; b ;", &[(0, "a"), (2, " b ")]);
        check_split(" ; -- c;\n;", &[]);
        check_split("'ä;';b", &[(0, "'ä;'"), (5, "b")]);
        check_split(
            "/* ; */ a\n; $$x;y$$",
            &[(0, "/* ; */ a\n"), (11, " $$x;y$$")],
        );
        assert!(split("a; 'b").is_err());
    }

    #[test]
    fn what_is_no_question_needs_no_contract() {
        assert_eq!(plain(" "), Ok(Some(Statement::Empty)));
        assert_eq!(plain("BEGIN"), Ok(Some(Statement::Transaction("BEGIN"))));
        assert_eq!(plain("SELECT COUNT(*) FROM t"), Ok(None));
        assert_eq!(plain("EXPLAIN SELECT COUNT(*) FROM t"), Ok(None));
        assert_eq!(plain("SHOW no.such").unwrap_err().state, "42704");
        assert_eq!(plain("DROP TABLE t").unwrap_err().state, "25006");
    }
}
