//! What a crash may leave behind: no image of the memory, and no value in the words of a panic.
//!
//! Libraries quote what they choke on; this product's programs hold customers and keys.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::report::note;

/// Keeps memory out of core files, and the text of panics out of logs; for the first line of every program.
///
/// # Privacy
///
/// A core file would hold every customer and every key of the process. What a panic says may quote a value, so that only its
/// place is told. Memory that the system swaps out is not covered: encrypt the swap space.
pub fn leave_nothing() {
    if forbid_core_files().is_err() {
        note(
            "warning: core files could not be forbidden: a crash may leave an image of this process's memory",
        );
    }
    set_hook(Box::new(|panic| note(&words(panic))));
}

/// One byte, not none: Linux takes it as "not even through a pipe" to a program that collects core files.
fn forbid_core_files() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Core)
        .maximum
        .map_or(1, |hard| hard.min(1));
    let (current, maximum) = (Some(limit), Some(limit));
    setrlimit(Resource::Core, Rlimit { current, maximum })
}

fn words(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(
        || "an unknown place".to_owned(),
        |place| format!("{}:{}", place.file(), place.line()),
    );
    let mut words = format!(
        "internal error at {place} (its text is withheld: it may quote data); please report this place"
    );
    // Names of functions only, and only where RUST_BACKTRACE asks for them.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        words += &format!("\n{trace}");
    }
    words
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, take_hook};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What the hook would say of a panic; the hook of the test program is put back.
    fn said(panics: fn()) -> String {
        let heard = Arc::new(Mutex::new(String::new()));
        let (before, hear) = (take_hook(), heard.clone());
        set_hook(Box::new(move |panic| *hear.lock().unwrap() = words(panic)));
        let caught = catch_unwind(panics);
        set_hook(before);
        assert!(caught.is_err());
        heard.lock().unwrap().clone()
    }

    #[test]
    fn a_panic_tells_its_place_and_no_value() {
        let said = said(|| {
            "CANARY".parse::<i32>().expect("CANARY");
        });
        assert!(
            said.contains("crash.rs:") && !said.contains("CANARY"),
            "{said}"
        );
    }

    #[test]
    fn core_files_are_forbidden_for_good() {
        forbid_core_files().unwrap();
        let limit = getrlimit(Resource::Core);
        assert!(
            limit.current.is_some_and(|current| current <= 1),
            "{limit:?}"
        );
        assert_eq!(limit.current, limit.maximum);
    }
}
