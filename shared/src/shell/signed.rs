//! Lines of signatures beside what is signed: a key and a signature, in hexadecimal digits. Others are passed over.

use super::keys::{Identity, verify};
use crate::base::ids::{Hash32, IdentityKey};

/// The line of a signer.
#[must_use]
pub fn line(identity: &Identity, digest: &Hash32) -> String {
    format!("{} {}\n", identity.public(), digits(&identity.sign(digest)))
}

/// A signature as it is written.
#[must_use]
pub fn digits(signature: &[u8]) -> String {
    signature.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys whose signatures over a digest hold.
#[must_use]
pub fn signers(lines: &str, digest: &Hash32) -> Vec<IdentityKey> {
    let signer = |line: &str| {
        let (key, signature) = line.trim().split_once(' ')?;
        let key: IdentityKey = key.parse().ok()?;
        let signature = bytes_of(signature.trim())?;
        verify(&key, digest, &signature).then_some(key)
    };
    lines.lines().filter_map(signer).collect()
}

/// Lines with signatures over a digest that hold, each with its key.
#[must_use]
pub fn signed_lines(lines: &str, digest: &Hash32) -> Vec<(IdentityKey, String)> {
    let each = lines.lines().map(str::trim);
    let held = |line: &str| Some((*signers(line, digest).first()?, line.to_owned()));
    each.filter_map(held).collect()
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 128 || !digits.is_ascii() {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_hold_count() {
        let (ada, bob) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (own, other) = (Hash32([1; 32]), Hash32([2; 32]));
        let lines = format!(
            "# officers\n{}{}\n{}x y\n",
            line(&ada, &own),
            line(&bob, &other),
            line(&bob, &own).trim().get(..100).unwrap()
        );
        assert_eq!(signers(&lines, &own), [ada.public()]);
        assert_eq!(signers(&lines, &other), [bob.public()]);
    }
}
