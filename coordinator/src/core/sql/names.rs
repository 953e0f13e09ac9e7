//! Names: which published one is meant, and which one is nearest where none is.

use super::syntax::Name;

/// The place of a name: as written where it is quoted, else also where only upper and lower case differ and one name fits.
pub(super) fn find<'a>(name: &Name, known: impl Iterator<Item = &'a str>) -> Option<usize> {
    let known: Vec<&str> = known.collect();
    let exact = known.iter().position(|other| *other == name.text);
    if exact.is_some() || name.quoted {
        return exact;
    }
    let same = |other: &&str| other.eq_ignore_ascii_case(&name.text);
    let mut places = known.iter().enumerate().filter(|(_, other)| same(other));
    let first = places.next()?;
    places.next().is_none().then_some(first.0)
}

/// The name with the fewest changes.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> &'a str {
    let name = name.to_lowercase();
    let found = known
        .iter()
        .min_by_key(|other| distance(&name, &other.to_lowercase()));
    found.copied().unwrap_or("none")
}

/// Letters that must be put in, left out or replaced (Levenshtein), over the first 64.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().take(64).enumerate() {
        let mut before = row[0];
        row[0] = index + 1;
        for place in 1..=other.len() {
            let replaced = before + usize::from(other[place - 1] != letter);
            before = row[place];
            row[place] = replaced.min(before + 1).min(row[place - 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_found(text: &str, quoted: bool, expected: Option<usize>) {
        let name = Name {
            text: text.to_owned(),
            quoted,
            position: 1,
        };
        let known = ["tenure", "MonthlyCharges", "Plan", "plan"];
        assert_eq!(find(&name, known.into_iter()), expected, "{text}");
    }

    #[test]
    fn case_counts_only_where_it_must() {
        check_found("monthlycharges", false, Some(1));
        check_found("monthlycharges", true, None);
        check_found("MonthlyCharges", true, Some(1));
        check_found("plan", false, Some(3));
        check_found("PLAN", false, None);
        check_found("ages", false, None);
    }

    #[test]
    fn the_nearest_name_has_the_fewest_changes() {
        assert_eq!(nearest("tenur", &["plan", "tenure"]), "tenure");
        assert_eq!(nearest("x", &[]), "none");
        assert_eq!((distance("kitten", "sitting"), distance("", "abc")), (3, 3));
    }
}
