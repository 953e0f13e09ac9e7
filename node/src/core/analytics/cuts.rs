//! Cuts the codes of a column into ranges: calendar periods, buckets, cells of a grid.

/// From a code to the range that it is in.
pub(super) enum Cuts {
    /// One range per code.
    Each,
    /// Looked up.
    Table(Vec<u16>),
    /// First code of every range but the first, strictly rising.
    Starts(Vec<u64>),
}

impl Cuts {
    /// Cuts the codes below `codes` where `starts` (rising, none of them 0) say.
    pub(super) fn at(starts: Vec<u64>, codes: u64) -> Self {
        if codes > TABLE_CODES_MAX || starts.len() > usize::from(u16::MAX) {
            return Self::Starts(starts);
        }
        let range_of = |code| starts.partition_point(|start| *start <= code) as u16;
        Self::Table((0..codes).map(range_of).collect())
    }

    /// The range of a code.
    #[inline]
    pub(super) fn range_of(&self, code: u64) -> u32 {
        match self {
            Self::Each => code as u32,
            Self::Table(ranges) => ranges[code as usize].into(),
            Self::Starts(starts) => starts.partition_point(|start| *start <= code) as u32,
        }
    }
}

/// Larger columns are searched: the table shall stay in the processor's cache.
const TABLE_CODES_MAX: u64 = 1 << 16;
