//! Tokens of HTTPS clients: their text, and what a coordinator knows of them.
//!
//! Whoever wants a token makes it and sends its hash alone, so that nobody else has ever had it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::hash::labelled;
use crate::base::ids::Hash32;
use crate::base::secret::Secret;

/// The text of a token made of 256 random bits.
#[must_use]
pub fn token_text(random: &[u8; 32]) -> Secret<String> {
    Secret::new(format!("{START}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// What a coordinator keeps of a token, and knows it by; none where the text is no token.
#[must_use]
pub fn token_hash(text: &str) -> Option<Hash32> {
    let random = URL_SAFE_NO_PAD.decode(text.strip_prefix(START)?).ok()?;
    (random.len() == 32).then(|| labelled("aquifer/token/1", &[&random]))
}

/// What every token begins with, so that programs which look for leaked secrets find it.
const START: &str = "aqt_";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_hash(text: &str, is_token: bool) {
        assert_eq!(token_hash(text).is_some(), is_token, "{text}");
    }

    #[test]
    fn a_token_is_known_by_its_hash() {
        let text = token_text(&[7; 32]);
        check_hash(text.expose(), true);
        assert_ne!(
            token_hash(text.expose()),
            token_hash(token_text(&[8; 32]).expose())
        );
        assert_eq!(format!("{text:?}"), "<secret>");
    }

    #[test]
    fn other_texts_are_none() {
        let text = token_text(&[7; 32]);
        let longer = format!("{}A", text.expose());
        for bad in [
            "",
            "aqt_",
            "aq_AAAA",
            "aqt_\u{e9}",
            &longer,
            &text.expose()[1..],
        ] {
            check_hash(bad, false);
        }
    }
}
