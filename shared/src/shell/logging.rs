//! Logs of programs: to standard error, as text or JSON, filtered by the environment.
//!
//! Sets the process's one subscriber and writes no line itself. Lines carry ids, counts and durations only.

use std::io;

use tracing_subscriber::EnvFilter;

use super::report::colours_on_stderr;

/// The environment asks for something that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum LoggingFault {
    /// The filter does not parse.
    #[error(
        "{FILTER_VARIABLE} is {got:?}, expected a filter such as \"info\" or \"warn,aquifer=debug\""
    )]
    Filter {
        /// Found.
        got: String,
    },
    /// Another format.
    #[error("{FORMAT_VARIABLE} is {got:?}, expected \"text\" or \"json\"")]
    Format {
        /// Found.
        got: String,
    },
    /// Logs were set up before.
    #[error("logs were set up twice")]
    Twice,
}

/// Sets up logs from `AQUIFER_LOG` (default: warnings, and this product's information) and `AQUIFER_LOG_FORMAT`.
///
/// # Errors
///
/// Variables that say something else, or a second call.
pub fn init() -> Result<(), LoggingFault> {
    let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let filter = filter(read(FILTER_VARIABLE).as_deref().unwrap_or(FILTER_DEFAULT))?;
    let json = is_json(read(FORMAT_VARIABLE).as_deref().unwrap_or("text"))?;
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter);
    let set = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(colours_on_stderr()).try_init()
    };
    set.map_err(|_| LoggingFault::Twice)
}

fn filter(text: &str) -> Result<EnvFilter, LoggingFault> {
    EnvFilter::try_new(text).map_err(|_| LoggingFault::Filter {
        got: text.chars().take(80).collect(),
    })
}

fn is_json(text: &str) -> Result<bool, LoggingFault> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        other => Err(LoggingFault::Format {
            got: other.chars().take(80).collect(),
        }),
    }
}

const FILTER_VARIABLE: &str = "AQUIFER_LOG";
const FORMAT_VARIABLE: &str = "AQUIFER_LOG_FORMAT";
const FILTER_DEFAULT: &str = "warn,aquifer=info";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        for good in [FILTER_DEFAULT, "info", "warn,aquifer_node=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        assert!(matches!(
            filter("aquifer=loud"),
            Err(LoggingFault::Filter { .. })
        ));
    }

    #[test]
    fn there_are_two_formats() {
        assert!(matches!(
            (is_json("json"), is_json("text")),
            (Ok(true), Ok(false))
        ));
        assert!(matches!(is_json("xml"), Err(LoggingFault::Format { .. })));
    }
}
