//! Checkpoints: which log, how many leaves, and their root (C2SP tlog-checkpoint).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::ids::Hash32;

/// The state of a log, as its note says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log: its name for good.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root of them.
    pub root: Hash32,
    /// Further lines, none of them empty.
    pub extensions: Vec<String>,
}

/// A text that is no checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub struct BadCheckpoint {
    /// From 1.
    pub line: usize,
    /// What belongs there.
    pub expected: &'static str,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    ///
    /// Another form, with its line.
    pub fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let bad = |line, expected| BadCheckpoint { line, expected };
        let body = text.strip_suffix('\n');
        let body = body.ok_or(bad(text.matches('\n').count() + 1, "the end of the line"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty());
        let size = lines.next().and_then(number);
        let root = lines.next().and_then(hash);
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if let Some(place) = extensions.iter().position(String::is_empty) {
            return Err(bad(4 + place, "no empty line"));
        }
        Ok(Self {
            origin: origin.ok_or(bad(1, "the name of a log"))?.to_owned(),
            size: size.ok_or(bad(2, "a number of leaves"))?,
            root: root.ok_or(bad(3, "a root hash of 32 bytes in base64"))?,
            extensions,
        })
    }

    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let root = STANDARD.encode(self.root.0);
        let more = self.extensions.iter().map(|line| format!("{line}\n"));
        format!(
            "{}\n{}\n{root}\n{}",
            self.origin,
            self.size,
            more.collect::<String>()
        )
    }
}

/// Without sign and leading zeros: one text for each number.
fn number(text: &str) -> Option<u64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn hash(text: &str) -> Option<Hash32> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn a_checkpoint_is_read_and_written() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(
            (&*checkpoint.origin, checkpoint.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.to_text(), TEXT);
        let more = format!("{TEXT}extension\n");
        let read = Checkpoint::parse(&more).unwrap();
        assert_eq!(read.extensions, ["extension"]);
        assert_eq!(read.to_text(), more);
    }

    #[track_caller]
    fn check_refused(text: &str, line: usize) {
        assert_eq!(Checkpoint::parse(text).unwrap_err().line, line, "{text:?}");
    }

    #[test]
    fn other_forms_are_refused_with_their_line() {
        check_refused("", 1);
        check_refused("\n1\n", 1);
        check_refused("log\n", 2);
        for number in ["", "-1", "+1", "01", "1.0", "18446744073709551616"] {
            check_refused(&TEXT.replace("20852163", number), 2);
        }
        check_refused("log\n1\n", 3);
        check_refused("log\n1\nCsUYapGGPo4dkMgIAUqom\n", 3);
        check_refused(&format!("{TEXT}a\n\nb\n"), 5);
        check_refused(TEXT.trim_end(), 3);
    }
}
