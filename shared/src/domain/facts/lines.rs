//! What a document says, before it has a form: lines with their entries.

/// One statement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Its name for programs.
    pub key: String,
    /// Its name for people.
    pub label: String,
    /// What is said.
    pub value: String,
    /// Entries of the log that say it; none where it is the product's own text, which then holds no number.
    pub from: Vec<u64>,
}

/// Lines under a heading.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// What is under it.
    pub lines: Vec<Line>,
}

impl Line {
    pub(super) fn of(key: &str, label: &str, value: impl ToString, from: &[u64]) -> Self {
        Self {
            key: key.to_owned(),
            label: label.to_owned(),
            value: value.to_string(),
            from: from.to_vec(),
        }
    }

    /// Entries as a text: `3 17`.
    #[must_use]
    pub fn entries(&self) -> String {
        entries(&self.from)
    }
}

/// Indexes as a text: `3 17`.
pub(super) fn entries(from: &[u64]) -> String {
    let from: Vec<String> = from.iter().map(u64::to_string).collect();
    from.join(" ")
}

/// An integer of millionths as a decimal number.
pub(super) fn millionths(micro: u64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// Right guesses of a hundred that somebody who knows all others makes at most, with an even chance before: rounded up to tenths.
///
/// # Privacy
///
/// Under (epsilon, delta) at most `(e^epsilon + delta) / (1 + e^epsilon)` (Kairouz, Oh, Viswanath 2015).
pub(super) fn guesses(eps_micro: u64, delta_pico: u64) -> String {
    let odds = (eps_micro as f64 / 1e6).min(700.0).exp();
    let share = (odds + delta_pico as f64 / 1e12) / (1.0 + odds);
    let tenths = ((share * 1_000.0).ceil() as u64).min(1_000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}
