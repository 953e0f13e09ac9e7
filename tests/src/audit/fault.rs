//! What can be wrong with a training path: faults that are built in here to see them caught.

use std::str::FromStr;

use aquifer_shared::domain::predictor::arithmetic::Q;
use aquifer_shared::domain::sum::RoundTerms;
use aquifer_shared::shell::noise::{Noise, NoiseFault, OpenDpNoise};

use super::design::{BadDesign, Design};

/// A fault of the training path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Noise at a quarter of its scale.
    Quarter,
    /// Noise at a tenth of its scale.
    Tenth,
    /// Nothing bounds what one customer adds: not the clamp of residuals, and not one row for each customer.
    NoClipping,
    /// All nodes draw from the same stream.
    SharedNodes,
    /// Neighbouring cells get the same noise.
    SharedCells,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Quarter,
        Self::Tenth,
        Self::NoClipping,
        Self::SharedNodes,
        Self::SharedCells,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quarter => "quarter",
            Self::Tenth => "tenth",
            Self::NoClipping => "no-clipping",
            Self::SharedNodes => "shared-nodes",
            Self::SharedCells => "shared-cells",
        }
    }

    /// Whether a design can have it.
    ///
    /// # Errors
    ///
    /// Too few nodes to share a stream.
    pub fn check(self, design: &Design) -> Result<(), BadDesign> {
        if self == Self::SharedNodes && design.nodes < 2 {
            return Err(BadDesign::Outside {
                what: "the number of nodes that share a stream",
                got: design.nodes,
                least: 2,
                most: 128,
            });
        }
        Ok(())
    }

    /// Rows that one canary has in its node's table.
    #[must_use]
    pub fn rows_of_a_canary(self) -> usize {
        match self {
            Self::NoClipping => UNBOUNDED_ROWS,
            _ => 1,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|fault| fault.name() == text);
        found.ok_or_else(|| format!("{text:?} is no fault, expected one of {names}"))
    }
}

/// The terms that nodes work by, and the bound of residuals: the signed ones, or without any clamp.
#[must_use]
pub(super) fn worked_by(fault: Option<Fault>, terms: &RoundTerms, clip: u32) -> (RoundTerms, u32) {
    if fault != Some(Fault::NoClipping) {
        return (*terms, clip);
    }
    let features = terms.delta_sq / u64::from(terms.cell_abs_max).pow(2);
    let widest = Q as u32;
    let bypassed = RoundTerms {
        cell_abs_max: widest,
        delta_sq: features * u64::from(widest).pow(2),
        ..*terms
    };
    (bypassed, widest)
}

/// The noise of all nodes: the shipped sampler, or what a fault makes of it.
#[derive(Clone, Debug)]
pub struct Source {
    fault: Option<Fault>,
    /// The last draw of the first node.
    first: Vec<i64>,
}

impl Source {
    /// A source with this fault.
    #[must_use]
    pub fn new(fault: Option<Fault>) -> Self {
        Self {
            fault,
            first: Vec::new(),
        }
    }

    /// The fault, if any.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// A node's noise for one sum.
    ///
    /// # Errors
    ///
    /// As the shipped source.
    pub fn draw(&mut self, node: usize, sigma: u64, cells: usize) -> Result<Vec<i64>, NoiseFault> {
        match self.fault {
            Some(Fault::Quarter) => OpenDpNoise.draw(sigma / 4, cells),
            Some(Fault::Tenth) => OpenDpNoise.draw(sigma / 10, cells),
            Some(Fault::SharedNodes) if node > 0 => Ok(self.first.clone()),
            Some(Fault::SharedNodes) => {
                self.first = OpenDpNoise.draw(sigma, cells)?;
                Ok(self.first.clone())
            }
            Some(Fault::SharedCells) => {
                let drawn = OpenDpNoise.draw(sigma, cells.div_ceil(2))?;
                let twice = drawn.into_iter().flat_map(|draw| [draw, draw]);
                Ok(twice.take(cells).collect())
            }
            Some(Fault::NoClipping) | None => OpenDpNoise.draw(sigma, cells),
        }
    }
}

/// Rows of a customer that nothing bounds: a number for which detection is expected, not the worst case, which has no end.
const UNBOUNDED_ROWS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        let refused = "half".parse::<Fault>().unwrap_err();
        assert!(refused.contains("expected one of quarter, tenth"));
    }

    #[test]
    fn shared_streams_are_shared() {
        let mut nodes = Source::new(Some(Fault::SharedNodes));
        let first = nodes.draw(0, 100, 5).unwrap();
        assert_eq!(nodes.draw(1, 100, 5).unwrap(), first);
        let cells = Source::new(Some(Fault::SharedCells)).draw(0, 100, 5);
        let cells = cells.unwrap();
        assert_eq!((cells.len(), cells[0], cells[2]), (5, cells[1], cells[3]));
    }
}
