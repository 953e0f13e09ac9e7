//! Customers as a round sees them: a small number per feature, a label and an id, column by column, never a raw value.
//!
//! Built once, row by row, and never changed afterwards.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use aquifer_shared::base::secret::Personal;

/// All customers of the unit that have a label, one row each.
///
/// # Privacy
///
/// Holds values about people: it has no `Serialize`, and its `Debug` shows sizes only.
pub struct Table {
    features: Vec<Cells>,
    cells: Vec<usize>,
    labels: Personal<Vec<u8>>,
    ids: Personal<Ids>,
    held_out: Option<HoldOutColumn>,
}

/// Cells of one feature, one number per customer.
#[derive(Clone, Debug)]
pub enum Cells {
    /// For features of at most 256 cells.
    Bytes(Personal<Vec<u8>>),
    /// For wider features.
    Words(Personal<Vec<u16>>),
}

/// The optional column that fixes the hold-out.
#[derive(Clone, Debug)]
pub struct HoldOutColumn {
    /// Its name in the mapped table.
    pub name: String,
    /// Rows that are held out.
    pub rows: Personal<Bits>,
}

/// One bit per row.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bits {
    words: Vec<u64>,
    rows: usize,
}

/// Customer ids one after the other.
#[derive(Clone, Default, PartialEq)]
struct Ids {
    text: Vec<u8>,
    ends: Vec<u32>,
}

/// Takes customers row by row.
pub struct TableBuilder {
    cells: Vec<usize>,
    bytes: Vec<Vec<u8>>,
    words: Vec<Vec<u16>>,
    labels: Vec<u8>,
    ids: Ids,
    held_out: Option<(String, Bits)>,
}

/// The ids together are longer than a table can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the customer ids together exceed 4 GiB")]
pub struct IdsTooLong;

impl Table {
    /// Number of customers.
    ///
    /// # Privacy
    ///
    /// An exact count: for the unit's own people, never for a message.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.expose().len()
    }

    /// Cells of every feature, the one for *missing* included.
    #[must_use]
    pub fn cells(&self) -> &[usize] {
        &self.cells
    }

    /// The encoded features.
    #[must_use]
    pub fn features(&self) -> &[Cells] {
        &self.features
    }

    /// 1 where the label is the positive one, else 0.
    ///
    /// # Privacy
    ///
    /// Labels of customers: stays in the node.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        self.labels.expose()
    }

    /// The column that fixes the hold-out, if the unit has one.
    #[must_use]
    pub fn held_out(&self) -> Option<&HoldOutColumn> {
        self.held_out.as_ref()
    }

    /// The customer of a row.
    ///
    /// # Privacy
    ///
    /// Names a person: for the keyed hold-out and for local scores only.
    #[must_use]
    pub fn customer(&self, row: usize) -> &str {
        self.ids.expose().get(row)
    }

    /// Pairs of rows (first seen, repeated) that name the same customer, in the order of the repetitions.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(usize, usize)> {
        self.ids.expose().duplicates()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<table of {} features>", self.cells.len())
    }
}

impl Cells {
    /// The cell of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> usize {
        match self {
            Self::Bytes(cells) => cells.expose()[row].into(),
            Self::Words(cells) => cells.expose()[row].into(),
        }
    }
}

impl Bits {
    /// Appends a bit.
    pub fn push(&mut self, bit: bool) {
        if self.rows.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.rows / 64] |= u64::from(bit) << (self.rows % 64);
        self.rows += 1;
    }

    /// So many bits, all alike.
    #[must_use]
    pub fn all(rows: usize, bit: bool) -> Self {
        let mut words = vec![if bit { u64::MAX } else { 0 }; rows.div_ceil(64)];
        if let (true, Some(last)) = (!rows.is_multiple_of(64), words.last_mut()) {
            *last &= (1 << (rows % 64)) - 1;
        }
        Self { words, rows }
    }

    /// Sets the bit of a row.
    pub fn set(&mut self, row: usize, bit: bool) {
        let word = &mut self.words[row / 64];
        *word = *word & !(1 << (row % 64)) | u64::from(bit) << (row % 64);
    }

    /// The bit of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of bits that are set.
    #[must_use]
    pub fn ones(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Self::default();
        bits.into_iter().for_each(|bit| all.push(bit));
        all
    }
}

impl Ids {
    fn get(&self, row: usize) -> &str {
        let start = if row == 0 {
            0
        } else {
            self.ends[row - 1] as usize
        };
        let bytes = &self.text[start..self.ends[row] as usize];
        str::from_utf8(bytes).expect("whole ids are text: see push")
    }

    fn push(&mut self, id: &str) -> Result<(), IdsTooLong> {
        let end = u32::try_from(self.text.len() + id.len()).map_err(|_| IdsTooLong)?;
        self.text.extend(id.as_bytes());
        self.ends.push(end);
        Ok(())
    }

    fn duplicates(&self) -> Vec<(usize, usize)> {
        // Sorting hashes keeps this at 16 bytes a row; equal hashes are compared as text.
        let rows = 0..self.ends.len();
        let mut hashed: Vec<(u64, usize)> = rows.map(|row| (hash_of(self.get(row)), row)).collect();
        hashed.sort_unstable();
        let mut found = Vec::new();
        for run in hashed.chunk_by(|a, b| a.0 == b.0) {
            let mut firsts: Vec<usize> = Vec::new();
            for &(_, row) in run {
                match firsts
                    .iter()
                    .find(|&&first| self.get(first) == self.get(row))
                {
                    Some(&first) => found.push((first, row)),
                    None => firsts.push(row),
                }
            }
        }
        found.sort_unstable_by_key(|pair| pair.1);
        found
    }
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.finish()
}

impl TableBuilder {
    /// An empty table whose features have these numbers of cells; `holdout_column` names the column of hold-out bits.
    #[must_use]
    pub fn new(cells: Vec<usize>, holdout_column: Option<&str>) -> Self {
        Self {
            bytes: vec![Vec::new(); cells.len()],
            words: vec![Vec::new(); cells.len()],
            cells,
            labels: Vec::new(),
            ids: Ids::default(),
            held_out: holdout_column.map(|name| (name.to_owned(), Bits::default())),
        }
    }

    /// Number of customers so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Adds a customer; `cells` gives one cell per feature.
    ///
    /// # Errors
    ///
    /// More ids than a table can hold.
    ///
    /// # Panics
    ///
    /// If a cell is outside its feature: the caller's encoder is wrong.
    pub fn push(
        &mut self,
        cells: impl IntoIterator<Item = usize>,
        label: bool,
        id: &str,
        held_out: bool,
    ) -> Result<(), IdsTooLong> {
        self.ids.push(id)?;
        self.labels.push(label.into());
        if let Some((_, bits)) = &mut self.held_out {
            bits.push(held_out);
        }
        let mut given = cells.into_iter();
        for (feature, &count) in self.cells.iter().enumerate() {
            let cell = given.next().filter(|&cell| cell < count);
            let cell = cell.expect("one cell per feature, below its number of cells");
            match u8::try_from(cell) {
                Ok(byte) if count <= 256 => self.bytes[feature].push(byte),
                _ => self.words[feature].push(cell as u16),
            }
        }
        Ok(())
    }

    /// The table, in no more memory than it needs.
    #[must_use]
    pub fn finish(self) -> Table {
        let columns = self.bytes.into_iter().zip(self.words).zip(&self.cells);
        let features = columns.map(|((mut bytes, mut words), &count)| {
            if count <= 256 {
                bytes.shrink_to_fit();
                return Cells::Bytes(Personal::new(bytes));
            }
            words.shrink_to_fit();
            Cells::Words(Personal::new(words))
        });
        let features = features.collect();
        let (mut labels, mut ids) = (self.labels, self.ids);
        labels.shrink_to_fit();
        ids.text.shrink_to_fit();
        ids.ends.shrink_to_fit();
        let held_out = self.held_out.map(|(name, rows)| HoldOutColumn {
            name,
            rows: Personal::new(rows),
        });
        Table {
            features,
            cells: self.cells,
            labels: Personal::new(labels),
            ids: Personal::new(ids),
            held_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: &[&str]) -> Table {
        let mut builder = TableBuilder::new(vec![3, 300], Some("split"));
        for (row, id) in ids.iter().enumerate() {
            builder
                .push([row % 3, 299], row % 2 == 1, id, row == 1)
                .unwrap();
        }
        builder.finish()
    }

    #[test]
    fn rows_read_back() {
        let table = table(&["a", "", "über"]);
        assert_eq!(table.rows(), 3);
        assert_eq!(table.labels(), [0, 1, 0]);
        assert_eq!([0, 1, 2].map(|row| table.customer(row)), ["a", "", "über"]);
        assert_eq!([0, 1, 2].map(|row| table.features()[0].get(row)), [0, 1, 2]);
        assert_eq!(table.features()[1].get(2), 299);
        let held_out = table.held_out().unwrap();
        assert_eq!(held_out.rows.expose().ones(), 1);
        assert!(held_out.rows.expose().get(1));
    }

    #[test]
    fn duplicates_name_first_and_repeated_row() {
        assert_eq!(table(&["a", "b", "c"]).duplicates(), []);
        let repeated = table(&["a", "b", "a", "b", "a"]).duplicates();
        assert_eq!(repeated, [(0, 2), (1, 3), (0, 4)]);
    }

    #[test]
    fn nothing_about_people_is_printed() {
        let table = table(&["canary"]);
        let shown = format!("{table:?} {:?} {:?}", table.features(), table.held_out());
        assert!(
            !shown.contains("canary") && !shown.contains("299"),
            "{shown}"
        );
    }

    #[test]
    #[should_panic(expected = "one cell per feature")]
    fn a_cell_outside_its_feature_is_a_bug() {
        let mut builder = TableBuilder::new(vec![3], None);
        builder.push([3], false, "a", false).unwrap();
    }
}
