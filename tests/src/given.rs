//! The folder beside the repository that holds real data and golden vectors: used where it is, and never missed in silence.

use std::path::{Path, PathBuf};

/// The folder `shared`, from `AQUIFER_SHARED` or above this repository; `None` with a word on standard error where it is not there.
///
/// # Panics
///
/// In continuous integration, where it must be there.
#[must_use]
pub fn shared() -> Option<PathBuf> {
    let stated = std::env::var_os("AQUIFER_SHARED").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut places = stated
        .into_iter()
        .chain(above.map(|place| place.join("shared")));
    let found = places.find(|place| place.join("reference/golden").is_dir());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "../shared holds no golden vectors"
        );
        eprintln!("SKIPPED: ../shared holds no golden vectors, this was NOT checked");
    }
    found
}
