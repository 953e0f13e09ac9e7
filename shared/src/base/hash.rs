//! SHA-256 with a label in front, so that a hash made for one purpose means nothing for another.

use aws_lc_rs::digest;

use super::ids::Hash32;

/// SHA-256 of the bytes as they are.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash32 {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Hash32(out)
}

/// `SHA-256(u8(len label) ‖ label ‖ parts…)`.
///
/// # Panics
///
/// If the label is longer than 255 bytes; labels are constants of the product.
#[must_use]
pub fn labelled(label: &str, parts: &[&[u8]]) -> Hash32 {
    let mut context = digest::Context::new(&digest::SHA256);
    let length = u8::try_from(label.len()).expect("a label is a short constant");
    context.update(&[length]);
    context.update(label.as_bytes());
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Hash32(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_and_its_length_enter() {
        assert_ne!(labelled("ab", &[b"c"]), labelled("a", &[b"bc"]));
        assert_eq!(labelled("a", &[b"b", b"c"]), labelled("a", &[b"bc"]));
    }
}
