//! Words that no generated text may say: they promise what neither mathematics nor a log can keep.

/// The first such word in a text, in any case.
#[must_use]
pub fn forbidden(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    FORBIDDEN.iter().copied().find(|word| has(&text, word))
}

/// A text in small letters without the words that a person may use who has judged and signed it: nobody and nothing else may.
pub(super) fn without_judgement(text: &str) -> String {
    JUDGEMENT
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, " "))
}

fn has(text: &str, word: &str) -> bool {
    let part = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    text.match_indices(word).any(|(at, found)| {
        let (before, after) = (&text[..at], &text[at + found.len()..]);
        !part(before.chars().next_back()) && !part(after.chars().next())
    })
}

const JUDGEMENT: [&str; 3] = ["anonymous", "anonymised", "anonymized"];
const FORBIDDEN: [&str; 18] = [
    "compliant",
    "non-compliant",
    "anonymous",
    "anonymised",
    "anonymized",
    "gdpr-certified",
    "certified",
    "forgotten",
    "removed from the model",
    "unlearned",
    "unlearnt",
    "guaranteed",
    "fully protected",
    "zero risk",
    "zero-risk",
    "deleted",
    "proves",
    "proven",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(forbidden(text), expected);
    }

    #[test]
    fn a_claim_is_found_in_any_case() {
        check("This is GUARANTEED.", Some("guaranteed"));
    }

    #[test]
    fn both_spellings_are_found() {
        check("anonymized data", Some("anonymized"));
        check("anonymised data", Some("anonymised"));
    }

    #[test]
    fn field_names_and_longer_words_are_left_alone() {
        check("anonymity: not_claimed; a certificate was issued", None);
    }
}
