//! Bins in words: what a reader of a curve or an explanation sees.

use crate::base::cells::{LevelCells, NumericCells};

/// What a feature's cells mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A number with a unit (may be empty).
    Ordered {
        /// The cells.
        cells: NumericCells,
        /// Text for people.
        unit: String,
    },
    /// One of a list.
    Levels(LevelCells),
}

impl Meaning {
    /// Number of cells, the one for *missing* included.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Ordered { cells, .. } => cells.count(),
            Self::Levels(cells) => cells.count(),
        }
    }

    /// A bin in words: `4.5 to 6.75 months`, `Two year`, `other (…)`, `missing`.
    #[must_use]
    pub fn bin(&self, bin_of_cell: &[u16], bin: usize) -> String {
        let own = |(_, of): &(usize, &u16)| usize::from(**of) == bin;
        let cells: Vec<usize> = bin_of_cell
            .iter()
            .enumerate()
            .filter(own)
            .map(|(cell, _)| cell)
            .collect();
        match self {
            Self::Ordered { cells: grid, unit } => range(grid.edges(), unit, &cells),
            Self::Levels(list) => levels(list.levels(), &cells),
        }
    }
}

fn range(edges: &[f64], unit: &str, cells: &[usize]) -> String {
    let (Some(first), Some(last)) = (cells.first(), cells.last()) else {
        return "nothing".to_owned();
    };
    if *first > edges.len() {
        return "missing".to_owned();
    }
    let with_unit = |text: String| {
        if unit.is_empty() {
            return text;
        }
        format!("{text} {unit}")
    };
    match (first.checked_sub(1), edges.get(*last)) {
        (None, None) => "any value".to_owned(),
        (None, Some(high)) => with_unit(format!("below {}", number(*high))),
        (Some(low), None) => format!("{} or more", with_unit(number(edges[low]))),
        (Some(low), Some(high)) => {
            with_unit(format!("{} to {}", number(edges[low]), number(*high)))
        }
    }
}

fn levels(list: &[String], cells: &[usize]) -> String {
    let name = |cell: &usize| {
        list.get(*cell)
            .map_or("missing or not in the list", String::as_str)
    };
    match cells {
        [] => "nothing".to_owned(),
        [one] => name(one).to_owned(),
        several => {
            let names: Vec<&str> = several.iter().map(name).collect();
            format!("other ({})", names.join(", "))
        }
    }
}

/// A number to four significant digits, without trailing zeros.
fn number(value: f64) -> String {
    let size = value.abs().log10().floor();
    let decimals = if value == 0.0 {
        0.0
    } else {
        (3.0 - size).clamp(0.0, 12.0)
    };
    let text = format!("{value:.0$}", decimals as usize);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cells::Transform;

    #[track_caller]
    fn check_range(first: usize, last: usize, expected: &str) {
        let meaning = Meaning::Ordered {
            cells: NumericCells::between(0.0, 72.0, Transform::Linear).unwrap(),
            unit: "months".to_owned(),
        };
        let bins: Vec<u16> = (0..65)
            .map(|cell| (first..=last).contains(&cell).into())
            .collect();
        assert_eq!(meaning.bin(&bins, 1), expected);
    }

    #[test]
    fn ranges_in_units() {
        check_range(4, 5, "4.5 to 6.75 months");
        check_range(0, 0, "below 1.125 months");
        check_range(63, 63, "70.88 months or more");
        check_range(0, 63, "any value");
        check_range(64, 64, "missing");
    }

    #[test]
    fn levels_by_name() {
        let list = LevelCells::new(["One year", "Two year", "Never"].map(String::from).to_vec());
        let meaning = Meaning::Levels(list);
        assert_eq!(meaning.bin(&[0, 1, 2, 2], 1), "Two year");
        let other = "other (Never, missing or not in the list)";
        assert_eq!(meaning.bin(&[0, 1, 2, 2], 2), other);
        assert_eq!(meaning.bin(&[0, 1, 2, 3], 3), "missing or not in the list");
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (1_562.5, "1562"),
            (-0.123_456, "-0.1235"),
            (100_000.0, "100000"),
            (2.0, "2"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
