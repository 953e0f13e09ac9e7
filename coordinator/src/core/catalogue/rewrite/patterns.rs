//! `LIKE` with an escape character of the statement's own.

/// Whether a text is like a pattern: `%` stands for anything, `_` for one character, whatever follows `escape` for itself.
pub(in crate::core::catalogue) fn is_like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = pieces(pattern, escape);
    let (mut at, mut place) = (0, 0);
    // Where to go on if what follows the last `%` does not fit here.
    let mut again: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(place) {
            Some(Piece::Any) => {
                again = Some((place + 1, at));
                place += 1;
            }
            Some(piece) if piece.fits(text[at]) => {
                at += 1;
                place += 1;
            }
            _ => match again {
                Some((after, from)) => {
                    again = Some((after, from + 1));
                    (place, at) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[place..].iter().all(|piece| *piece == Piece::Any)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Piece {
    Any,
    One,
    Itself(char),
}

impl Piece {
    fn fits(self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Itself(own) => own == c,
        }
    }
}

fn pieces(pattern: &str, escape: Option<char>) -> Vec<Piece> {
    let mut rest = pattern.chars();
    let mut pieces = Vec::new();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            c if Some(c) == escape => Piece::Itself(rest.next().unwrap_or(c)),
            '%' => Piece::Any,
            '_' => Piece::One,
            c => Piece::Itself(c),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: bool) {
        assert_eq!(
            is_like(text, pattern, Some('/')),
            expected,
            "{text} like {pattern}"
        );
    }

    #[test]
    fn patterns_fit_or_not() {
        check("pg_class", "pg/_%", true);
        check("pgxclass", "pg/_%", false);
        check("abcabd", "%ab_", true);
        check("abc", "ab", false);
        check("", "%", true);
        check("", "_", false);
        check("a%", "a/%", true);
        check("aaaaaaaaaaaaaaaaaaaa", "%a%a%a%a%b", false);
    }
}
