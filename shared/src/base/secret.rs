//! What must not leak cannot be printed: customer values, keys, exact sums and noise.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value about one person. It has no `Serialize`, and its `Debug` hides it.
///
/// # Privacy
///
/// Nothing but the node's own code can reach what is inside, and nothing can print it.
#[derive(Clone, Default, PartialEq)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Wraps a value about a person.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for computing; never for showing.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, for changing it and wrapping it again.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

/// Key material, an exact sum or noise: wiped when dropped, hidden when printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret, for computing; never for showing.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The secret, for changing in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_can_be_printed() {
        assert_eq!(
            format!("{:?} {:?}", Personal::new("Ada"), Secret::new(vec![7_i64])),
            "<personal> <secret>"
        );
    }
}
