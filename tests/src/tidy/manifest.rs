//! Every dependency that the product is not fixed to has a reason beside it; versions stand in one place.

use super::{Finding, Source};

const FIXED: [&str; 11] = [
    "tokio",
    "quinn",
    "rustls",
    "serde",
    "bincode",
    "opendp",
    "ndarray",
    "aquifer-shared",
    "aquifer-node",
    "aquifer-coordinator",
    "aquifer-tests",
];

/// Findings about a `Cargo.toml`.
pub(super) fn check(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let (mut section, mut reasoned) = ("", false);
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('[') {
            reasoned = false;
            section = if line.is_empty() { section } else { line };
            continue;
        }
        if line.starts_with('#') {
            reasoned = true;
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        let message = match section {
            "[workspace.dependencies]" if !reasoned && !FIXED.contains(&name) => {
                format!("dependency: {name} has no reason, expected a comment above it")
            }
            "[dependencies]" | "[dev-dependencies]"
                if !line.replace(' ', "").contains("workspace=true") =>
            {
                format!(
                    "dependency: {name} has a version of its own, expected `{name}.workspace = true`"
                )
            }
            _ => continue,
        };
        found.push(Finding {
            file: file.path.clone(),
            line: index + 1,
            message,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_lines(text: &str, expected: &[usize]) {
        let found = check(&Source::new("Cargo.toml", text));
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_dependency_has_a_reason() {
        check_lines(
            "[workspace.dependencies]\ntokio = \"1\"\nleft-pad = \"1\"\n",
            &[3],
        );
        check_lines(
            "[workspace.dependencies]\n# Pads.\nleft-pad = \"1\"\n\nright-pad = \"1\"\n",
            &[5],
        );
        check_lines(
            "[workspace.dependencies]\n# Pads.\nleft-pad = \"1\"\nright-pad = \"1\"\n",
            &[],
        );
    }

    #[test]
    fn versions_stand_at_the_top() {
        check_lines(
            "[dependencies]\nserde = \"1\"\nclap.workspace = true\n",
            &[2],
        );
        check_lines(
            "[dependencies]\nserde = { workspace = true, features = [\"rc\"] }\n",
            &[],
        );
    }
}
