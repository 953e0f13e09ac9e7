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
}
