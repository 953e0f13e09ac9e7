//! Terms of the Data Privacy Vocabulary that documents may name.

use super::log::NoDocument;

/// One name in each line, after lines of comment.
const TERMS: &str = include_str!("../../../laws/dpv-terms.txt");
pub(super) const PREFIX: &str = "dpv:";
/// What the prefix stands for.
pub(super) const NAMESPACE: &str = "https://w3id.org/dpv#";

/// Whether a name, as `dpv:Purpose`, is in the list that comes along.
#[must_use]
pub fn is_known(name: &str) -> bool {
    let lines = TERMS.lines().filter(|line| !line.starts_with('#'));
    name.starts_with(PREFIX) && lines.into_iter().any(|line| line == name)
}

/// The IRI of a name.
///
/// # Errors
///
/// The list does not have it.
pub fn expanded(name: &str) -> Result<String, NoDocument> {
    let own = known(name)?.strip_prefix(PREFIX).unwrap_or_default();
    Ok(format!("{NAMESPACE}{own}"))
}

pub(super) fn known(name: &str) -> Result<&str, NoDocument> {
    match is_known(name) {
        true => Ok(name),
        false => Err(NoDocument::UnknownTerm(name.chars().take(80).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_list_expand_and_others_do_not() {
        assert_eq!(
            expanded("dpv:hasPurpose").unwrap(),
            "https://w3id.org/dpv#hasPurpose"
        );
        assert!(expanded("dpv:FederatedLearning").is_err());
        assert!(expanded("hasPurpose").is_err());
    }

    #[test]
    fn the_list_is_sorted_and_holds_names_alone() {
        let names: Vec<&str> = TERMS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(names.len() > 200 && names.is_sorted_by(|a, b| a < b));
        let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(
            names
                .iter()
                .all(|name| name.strip_prefix(PREFIX).is_some_and(|name| plain(&name)))
        );
    }

    #[test]
    fn purposes_that_come_along_name_terms_of_the_list() {
        for text in [
            include_str!("../../../laws/examples/purposes.toml"),
            include_str!("../../../laws/examples/start.toml"),
        ] {
            let purposes = crate::domain::law::Purposes::parse(text).unwrap();
            for purpose in purposes.list() {
                assert!(is_known(&purpose.dpv_purpose), "{}", purpose.dpv_purpose);
            }
        }
    }
}
