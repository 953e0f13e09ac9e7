//! What is simulated: everything about one history that its seed and the command line fix, before it begins.

use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::sum::{Thresholds, TrustMode, groups};
use aquifer_shared::protocol::aggregation::Guard;

use super::clock::START;
use super::faults::{Chosen, Profile};
use super::plant::Plant;
use crate::random::Seeded;

/// What the command line asks for; the seed fills in the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Members; drawn from 4 to 16 where none is given.
    pub nodes: Option<usize>,
    /// Sums of the study.
    pub rounds: u16,
    /// Cells; drawn where none are given.
    pub cells: Option<u32>,
    /// Trust mode.
    pub trust: TrustMode,
    /// The plan; drawn where none is given.
    pub plan: Option<Kind>,
    /// What is added to the exact sums.
    pub noise: NoiseChoice,
    /// Which faults strike.
    pub chosen: Chosen,
    /// A bug that is planted.
    pub plant: Option<Plant>,
    /// Which customers there are: histories that differ in this alone look alike from outside.
    pub customers: u64,
    /// Whether equal signature checks are made once.
    pub remember_signatures: bool,
}

/// What a study adds up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Sums of zeros of any length: what the nodes bring rides on their noise.
    Synthetic,
    /// The additive predictor: counts, residuals, evaluation.
    Additive,
}

/// What nodes add to their exact sums.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoiseChoice {
    /// Nothing (in synthetic sums: digits that tell the nodes apart).
    Zero,
    /// Draws from the seed.
    Seeded,
}

/// One history, before it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// What was asked for.
    pub wish: Wish,
    /// Members of the study.
    pub nodes: usize,
    /// Cells of each sum.
    pub cells: u32,
    /// The plan.
    pub kind: Kind,
    /// Members that may be absent; 0 in node-noise.
    pub absent_max: u16,
    /// Members that may collude; 0 in node-noise.
    pub colluders_max: u16,
    /// Attempts of each round.
    pub attempts_max: u16,
    /// Answers leave at multiples of this.
    pub slot_ms: u32,
    /// How long the coordinator waits for stragglers.
    pub phase_ms: u32,
    /// How long an attempt may live.
    pub attempt_ttl_ms: u32,
    /// At how many nodes a customer may be.
    pub multiplicity: u16,
    /// When the world begins to heal.
    pub heals: Timestamp,
    /// How often faults strike, against their usual rate.
    pub intensity: f64,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            nodes: None,
            rounds: 5,
            cells: None,
            trust: TrustMode::NodeNoise,
            plan: None,
            noise: NoiseChoice::Seeded,
            chosen: Chosen::ByRate(Profile::All, 1.0),
            plant: None,
            customers: 0,
            remember_signatures: true,
        }
    }
}

impl Wish {
    /// The profile whose rates decide, if any.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        match self.chosen {
            Chosen::ByRate(profile, _) => Some(profile),
            Chosen::Only(_) => None,
        }
    }
}

impl Scenario {
    /// The history of a seed.
    #[must_use]
    pub fn draw(seed: u64, wish: &Wish) -> Self {
        let mut random = Seeded::new(seed, 1);
        let mut below = |end: u64| random.next_u64() % end;
        // Small groups more often: they are where the bounds are tight.
        let drawn = 4 + below(13).min(below(13)) as usize;
        let nodes = wish.nodes.unwrap_or(drawn);
        let drawn = 1 + below(40) as u32;
        let cells = wish.cells.unwrap_or(drawn);
        let drawn = if below(4) == 0 {
            Kind::Additive
        } else {
            Kind::Synthetic
        };
        let kind = match (wish.plan, wish.rounds) {
            (Some(kind), _) => kind,
            // Counts, residuals and evaluation: three sums at least.
            (None, 0..3) => Kind::Synthetic,
            (None, _) => drawn,
        };
        let (absent_max, colluders_max) = match wish.trust {
            TrustMode::NodeNoise => (0, 0),
            TrustMode::SharedNoise => {
                let smallest = groups(nodes).into_iter().map(|group| group.len()).min();
                tolerances(smallest.unwrap_or(nodes), below(4), below(1 << 20))
            }
        };
        let attempts_max = 2 + below(3) as u16;
        let slot_ms = [0, 20, 100][below(3) as usize];
        let attempt_ttl_ms = [30_000, 120_000][below(2) as usize];
        let multiplicity = 1 + (below(4) / 3) as u16;
        let stormy_ms = 2_000 + below(60_000);
        let intensity = [0.3, 1.0, 1.0, 3.0][below(4) as usize];
        Self {
            seed,
            wish: wish.clone(),
            nodes,
            cells,
            kind,
            absent_max,
            colluders_max,
            attempts_max,
            slot_ms,
            phase_ms: 2_000,
            attempt_ttl_ms,
            multiplicity,
            heals: START.after_ms(stormy_ms),
            intensity,
        }
    }

    /// Honest noise shares in every released sum of a group.
    #[must_use]
    pub fn honest(&self) -> u16 {
        self.group_min() as u16 - self.absent_max - self.colluders_max
    }

    /// Members of the smallest group.
    #[must_use]
    pub fn group_min(&self) -> usize {
        let groups = groups(self.nodes).into_iter();
        groups.map(|group| group.len()).min().unwrap_or(self.nodes)
    }

    /// Tolerances of the smallest group.
    #[must_use]
    pub fn thresholds(&self) -> Option<Thresholds> {
        Thresholds::new(self.group_min(), self.absent_max, self.colluders_max).ok()
    }

    /// Members that show the adversary all they have: as many of each group as may collude, chosen by the seed.
    #[must_use]
    pub fn colluders(&self) -> Vec<bool> {
        let mut found = vec![false; self.nodes];
        let mut random = Seeded::new(self.seed, 2);
        for group in groups(self.nodes) {
            let shared = usize::from(self.colluders_max);
            let mut left = match self.wish.trust {
                TrustMode::SharedNoise => shared.min(group.len()),
                TrustMode::NodeNoise => group.len().div_ceil(8),
            };
            while left > 0 {
                let node = group.start + random.next_u64() as usize % group.len();
                left -= usize::from(!found[node]);
                found[node] = true;
            }
        }
        found
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn has(&self, plant: Plant) -> bool {
        self.wish.plant == Some(plant)
    }

    /// The rules that a planted bug takes out.
    #[must_use]
    pub fn missing(&self) -> &'static [Guard] {
        self.wish.plant.map_or(&[], Plant::missing)
    }

    /// The faults that may strike.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        match &self.wish.chosen {
            Chosen::ByRate(profile, factor) => Chosen::ByRate(*profile, factor * self.intensity),
            Chosen::Only(ids) => Chosen::Only(ids.clone()),
        }
    }
}

/// The usual tolerances, or in one of four histories any that fit the group.
fn tolerances(nodes: usize, unusual: u64, number: u64) -> (u16, u16) {
    let usual = (
        Thresholds::usual_absent(nodes),
        Thresholds::usual_colluders(nodes),
    );
    if unusual > 0 {
        return usual;
    }
    let nodes_max = nodes as u16;
    let all = (0..nodes_max).flat_map(|d| (1..nodes_max).map(move |c| (d, c)));
    let fitting: Vec<_> = all
        .filter(|(d, c)| Thresholds::new(nodes, *d, *c).is_ok())
        .collect();
    let chosen = fitting.get(number as usize % fitting.len().max(1));
    chosen.copied().unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_scenarios_are_possible_and_varied() {
        let wish = Wish {
            trust: TrustMode::SharedNoise,
            ..Wish::default()
        };
        let drawn: Vec<Scenario> = (0..500).map(|seed| Scenario::draw(seed, &wish)).collect();
        for scenario in &drawn {
            assert!((4..=16).contains(&scenario.nodes));
            assert!(scenario.thresholds().is_some(), "{scenario:?}");
        }
        for nodes in 4..=16 {
            assert!(
                drawn.iter().any(|scenario| scenario.nodes == nodes),
                "{nodes}"
            );
        }
        assert!(drawn.iter().any(|scenario| scenario.kind == Kind::Additive));
        assert_eq!(Scenario::draw(7, &wish), drawn[7]);
    }

    #[test]
    fn wishes_hold() {
        let wish = Wish {
            nodes: Some(9),
            cells: Some(3),
            rounds: 2,
            ..Wish::default()
        };
        let scenario = Scenario::draw(1, &wish);
        assert_eq!((scenario.nodes, scenario.cells), (9, 3));
        assert_eq!(scenario.kind, Kind::Synthetic);
    }
}
