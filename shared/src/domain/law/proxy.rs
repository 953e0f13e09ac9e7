//! Names of columns that suggest a sensitive category: whoever knows such a column must say what it is about.
//!
//! Looks at names alone. It cannot find a column that stands for something sensitive under another name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::vocabulary::Category;
use super::words::{Set, Word};

/// What columns are about: by their own tags, else by those of all; a name that suggests something sensitive and has no tag of its
/// own is unknown as well, which is denied.
#[must_use]
pub fn categories_of(
    columns: &[&str],
    all: Set<Category>,
    own: &BTreeMap<String, Set<Category>>,
) -> Set<Category> {
    let mut found = Set::EMPTY;
    for column in columns {
        let tags = own.get(*column).copied().unwrap_or(all);
        tags.iter().for_each(|category| found.insert(category));
        if !own.contains_key(*column) && !suggested_by(column).is_empty() {
            found.insert(Category::Unknown);
        }
    }
    found
}

/// Columns without a tag of their own whose names suggest a sensitive category, each with what is suggested.
#[must_use]
pub fn untagged<'a>(
    columns: &[&'a str],
    own: &BTreeMap<String, Set<Category>>,
) -> Vec<(&'a str, Set<Category>)> {
    let columns = columns.iter().filter(|column| !own.contains_key(**column));
    let suggested = columns.map(|column| (*column, suggested_by(column)));
    suggested.filter(|(_, found)| !found.is_empty()).collect()
}

/// Sensitive categories that a name suggests.
#[must_use]
pub fn suggested_by(column: &str) -> Set<Category> {
    let tokens = tokens(column);
    let whole: String = tokens.concat();
    let mut found = Set::EMPTY;
    for (category, words) in LISTS.iter() {
        let fits = |word: &&str| {
            let inside = word.len() >= INSIDE_LETTERS_MIN && whole.contains(word);
            inside || whole == *word || tokens.iter().any(|token| token == word)
        };
        if words.iter().any(fits) {
            found.insert(*category);
        }
    }
    found
}

/// The lists, read once: names are held against them with every decision.
static LISTS: LazyLock<Vec<(Category, Vec<&str>)>> = LazyLock::new(|| {
    let lines = NAMES.lines().filter(|line| !line.starts_with('#'));
    let lists = lines.filter_map(|line| {
        let (category, words) = line.split_once(": ")?;
        let words = words.split_whitespace().collect();
        Some((Category::from_word(category)?, words))
    });
    lists.collect()
});

/// Words of a name in small letters: `HealthStatus`, `health_status` and `health-status` have the same two.
fn tokens(name: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let starts = letter.is_uppercase() && before.is_lowercase();
        if starts || !letter.is_alphanumeric() {
            tokens.push(String::new());
        }
        if let Some(last) = tokens.last_mut().filter(|_| letter.is_alphanumeric()) {
            last.extend(letter.to_lowercase());
        }
        before = letter;
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

const NAMES: &str = include_str!("../../../laws/sensitive-names.txt");
/// Shorter words count only where they stand alone.
const INSIDE_LETTERS_MIN: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(column: &str, expected: &[Category]) {
        assert_eq!(suggested_by(column), Set::of(expected), "{column}");
    }

    #[test]
    fn names_suggest_what_they_say() {
        check("religion", &[Category::Religion]);
        check("ReligiousGroup", &[Category::Religion]);
        check("health_status", &[Category::Health]);
        check("isdisabled", &[Category::Health]);
        check("race", &[Category::Ethnicity]);
        check("GPS", &[Category::PreciseLocation]);
        check("customer-SSN", &[Category::GovernmentId]);
    }

    #[test]
    fn short_words_count_alone_only() {
        for plain in [
            "trace",
            "genre",
            "tenure",
            "plan",
            "MonthlyCharges",
            "gender",
            "SeniorCitizen",
            "votes",
            "",
            "_",
        ] {
            check(plain, &[]);
        }
    }

    #[test]
    fn a_tag_of_its_own_settles_what_a_name_suggests() {
        let all = Set::of(&[Category::Contract]);
        let tagged = BTreeMap::from([("race".to_owned(), Set::of(&[Category::Usage]))]);
        let columns = ["plan", "race"];
        let found = categories_of(&columns, all, &tagged);
        assert_eq!(found, Set::of(&[Category::Contract, Category::Usage]));
        let found = categories_of(&columns, all, &BTreeMap::new());
        assert_eq!(found, Set::of(&[Category::Contract, Category::Unknown]));
        assert_eq!(untagged(&columns, &tagged), []);
        let suspected = [("race", Set::of(&[Category::Ethnicity]))];
        assert_eq!(untagged(&columns, &BTreeMap::new()), suspected);
    }

    #[test]
    fn every_line_of_the_list_is_read() {
        let lines = NAMES.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(LISTS.len(), lines);
        let words = LISTS.iter().flat_map(|(_, words)| words);
        let upper = |word: &&str| word.chars().any(char::is_uppercase);
        assert_eq!(words.copied().find(upper), None);
    }
}
