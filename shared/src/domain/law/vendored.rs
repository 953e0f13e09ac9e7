//! The packs that come with the product. No lawyer has reviewed any of them: each value says so.

use super::pack::Pack;
use crate::base::document::DocumentError;

/// File names and texts of the packs.
pub const PACKS: [(&str, &str); 5] = [
    ("ccpa.toml", include_str!("../../../laws/ccpa.toml")),
    ("gdpr.toml", include_str!("../../../laws/gdpr.toml")),
    ("house.toml", include_str!("../../../laws/house.toml")),
    ("lgpd.toml", include_str!("../../../laws/lgpd.toml")),
    ("uk-gdpr.toml", include_str!("../../../laws/uk-gdpr.toml")),
];

/// Reads them.
///
/// # Errors
///
/// A pack that breaks a rule of the format; tests read them all.
pub fn packs() -> Result<Vec<Pack>, DocumentError> {
    PACKS.iter().map(|(_, text)| Pack::parse(text)).collect()
}
