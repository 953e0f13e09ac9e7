//! The digest that stands for the policy of a configuration's text.

use std::fmt;

use crate::base::hash::labelled;
use crate::base::ids::Hash32;

/// The text that a configuration was read from: what is in force, and what its digest stands for, are one reading. How it is written makes
/// no two configurations differ, and `Debug` shows none of it.
#[derive(Clone, Default, Eq)]
pub struct Written(String);

impl Written {
    /// Of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// [`digest`] of it.
    ///
    /// # Errors
    ///
    /// It is not TOML.
    pub fn digest(&self, but: &[&str], book: Hash32) -> anyhow::Result<Hash32> {
        digest(&self.0, but, book)
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<written>")
    }
}

/// Stands for everything in a configuration but these settings (`table` or `table.key`), and for purposes and packs.
///
/// # Errors
///
/// The text is not TOML.
pub fn digest(text: &str, but: &[&str], book: Hash32) -> anyhow::Result<Hash32> {
    let mut table: toml::Table = toml::from_str(text)?;
    for place in but {
        let (outer, inner) = match place.split_once('.') {
            None => (Some(&mut table), *place),
            Some((outer, inner)) => (
                table.get_mut(outer).and_then(toml::Value::as_table_mut),
                inner,
            ),
        };
        if let Some(outer) = outer {
            outer.remove(inner);
        }
    }
    // Keys are in order: the same settings in another order are the same policy.
    let text = toml::to_string(&table)?;
    Ok(labelled("aquifer/policy/2", &[text.as_bytes(), &book.0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "a = 1\n[data]\nquery = \"SELECT\"\nepoch = \"one\"\n[ledger]\nfile = \"x\"\n";

    #[track_caller]
    fn check(from: &str, to: &str, same: bool) {
        assert!(TEXT.contains(from), "{from}");
        let but = ["ledger", "data.epoch", "none", "none.inner", "a.inner"];
        let digest = |text: &str| digest(text, &but, Hash32([7; 32])).unwrap();
        let other = digest(&TEXT.replacen(from, to, 1));
        assert_eq!(other == digest(TEXT), same, "{to}");
    }

    #[test]
    fn a_digest_is_of_settings_and_not_of_how_they_are_written() {
        check("a = 1\n", "# why\na    = 1\n", true);
        check("\"x\"", "\"elsewhere\"", true);
        check("\"one\"", "\"two\"", true);
        check("\"SELECT\"", "\"SELECT *\"", false);
        check("a = 1\n", "a = 2\n", false);
        check("[data]\n", "[data]\nbasis = \"x\"\n", false);
        let book = |byte| digest(TEXT, &[], Hash32([byte; 32])).unwrap();
        assert_ne!(book(1), book(2));
        assert!(digest("a = ", &[], Hash32::default()).is_err());
    }

    #[test]
    fn a_text_is_not_printed_and_makes_no_difference() {
        let written = Written::new(TEXT);
        assert_eq!(format!("{written:?}"), "<written>");
        assert_eq!(written, Written::default());
        let own = written.digest(&[], Hash32::default()).unwrap();
        assert_eq!(own, digest(TEXT, &[], Hash32::default()).unwrap());
    }
}
