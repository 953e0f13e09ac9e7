//! Spends as the log has them, and the figures that follow: rho adds up, and is converted once.

use std::collections::BTreeMap;

use super::epsilon::epsilon_micro;
use crate::base::limits::{MULTIPLICITY_MAX, NAME_BYTES_MAX, URHO_MAX};
use crate::domain::history::Json;

/// One spend: what one customer at one node was charged at most, by one sum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spend {
    /// Why the data were used.
    pub purpose: String,
    /// Hash of the study's terms.
    pub study: String,
    /// `training`, `holdout` or `everyone`.
    pub part: String,
    /// `node-noise` or `shared-noise`.
    pub mode: String,
    /// At how many nodes one customer may be.
    pub multiplicity: u64,
    /// Price of one attempt.
    pub rho_micro: u64,
    /// Attempts that nodes may have charged.
    pub times: u64,
    /// Delta of the study's statement.
    pub delta_pico: u64,
}

/// A payload that is no spend.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("field {field}: expected {expected}")]
pub struct BadSpend {
    /// Which.
    pub field: &'static str,
    /// What belongs there.
    pub expected: &'static str,
}

impl Spend {
    /// The payload of `budget.spent`; further fields may be added to it.
    #[must_use]
    pub fn to_payload(&self) -> Json {
        Json::object([
            ("delta_pico", self.delta_pico.into()),
            ("mode", self.mode.as_str().into()),
            ("multiplicity", self.multiplicity.into()),
            ("part", self.part.as_str().into()),
            ("purpose", self.purpose.as_str().into()),
            ("rho_micro", self.rho_micro.into()),
            ("study", self.study.as_str().into()),
            ("times", self.times.into()),
        ])
    }

    /// Reads such a payload.
    ///
    /// # Errors
    ///
    /// The field that is not as it must be.
    pub fn of(payload: &Json) -> Result<Self, BadSpend> {
        let text = |field, expected, fits: fn(&str) -> bool| {
            let found = payload.get(field).and_then(Json::as_text);
            let found = found.filter(|text| fits(text));
            found.map(str::to_owned).ok_or(BadSpend { field, expected })
        };
        let number = |field, expected, max: u64| {
            let found = match payload.get(field) {
                Some(Json::Number(number)) => u64::try_from(*number).ok(),
                _ => None,
            };
            let found = found.filter(|number| (1..=max).contains(number));
            found.ok_or(BadSpend { field, expected })
        };
        Ok(Self {
            purpose: text("purpose", "a name", is_name)?,
            study: text("study", "64 hexadecimal digits", |text| {
                super::layout::hash(text.as_bytes()).is_some()
            })?,
            part: text("part", "training, holdout or everyone", |text| {
                ["training", "holdout", "everyone"].contains(&text)
            })?,
            mode: text("mode", "node-noise or shared-noise", |text| {
                ["node-noise", "shared-noise"].contains(&text)
            })?,
            multiplicity: number("multiplicity", "1 to 64", MULTIPLICITY_MAX.into())?,
            rho_micro: number("rho_micro", "1 to 2^40", URHO_MAX)?,
            times: number("times", "1 to 65536", TIMES_MAX)?,
            delta_pico: number("delta_pico", "1 to 10^10", DELTA_PICO_MAX)?,
        })
    }

    /// Price of all attempts at all nodes that may hold one customer.
    ///
    /// # Privacy
    ///
    /// With noise of each node's own, copies add up; with shared noise the price covers all copies.
    fn quoted(&self) -> u128 {
        let copies = match &*self.mode {
            "node-noise" => self.multiplicity,
            _ => 1,
        };
        u128::from(self.rho_micro) * u128::from(self.times) * u128::from(copies)
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// A total.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Figure {
    /// Spends in it.
    pub spends: u64,
    /// Their prices together, as one customer meets them at most.
    pub rho_micro: u64,
    /// The smallest of their deltas.
    pub delta_pico: u64,
    /// Epsilon at that delta.
    pub eps_micro: u64,
}

/// Totals of one calendar year.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// By study.
    pub studies: BTreeMap<(String, String), Figure>,
    /// By purpose.
    pub purposes: BTreeMap<String, Figure>,
    /// All of it; none where nothing was spent.
    pub year: Option<Figure>,
}

#[derive(Default)]
struct Study {
    spends: u64,
    training: u128,
    holdout: u128,
    everyone: u128,
    is_multiple: bool,
    delta_pico: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Total {
    spends: u64,
    rho: u128,
    delta_pico: Option<u64>,
}

impl Figures {
    /// Adds spends up; none where the total is beyond all prices of this product.
    #[must_use]
    pub fn of<'a>(spends: impl IntoIterator<Item = &'a Spend>) -> Option<Self> {
        let mut studies: BTreeMap<(String, String), Study> = BTreeMap::new();
        for spend in spends {
            let key = (spend.purpose.clone(), spend.study.clone());
            studies.entry(key).or_default().add(spend);
        }
        let mut figures = Self::default();
        let (mut purposes, mut year) = (BTreeMap::<String, Total>::new(), Total::default());
        for (key, study) in studies {
            let total = study.total();
            purposes.entry(key.0.clone()).or_default().add(total);
            year.add(total);
            figures.studies.insert(key, total.figure()?);
        }
        for (purpose, total) in purposes {
            figures.purposes.insert(purpose, total.figure()?);
        }
        if year.spends > 0 {
            figures.year = Some(year.figure()?);
        }
        Some(figures)
    }

    pub(super) fn to_json(&self) -> Json {
        let studies = self.studies.iter().map(|((purpose, study), figure)| {
            figure.named(&[("purpose", purpose), ("study", study)])
        });
        let purposes = self.purposes.iter();
        let purposes = purposes.map(|(purpose, figure)| figure.named(&[("purpose", purpose)]));
        Json::object([
            ("purposes", Json::List(purposes.collect())),
            ("studies", Json::List(studies.collect())),
            (
                "year",
                self.year.map_or(Json::Null, |figure| figure.named(&[])),
            ),
        ])
    }
}

impl Study {
    fn add(&mut self, spend: &Spend) {
        self.spends += 1;
        self.is_multiple |= spend.multiplicity > 1;
        self.delta_pico = smaller(self.delta_pico, Some(spend.delta_pico));
        let part = match &*spend.part {
            "training" => &mut self.training,
            "holdout" => &mut self.holdout,
            _ => &mut self.everyone,
        };
        *part += spend.quoted();
    }

    /// A customer is in one of two parts of a study, or in both where they may be at several nodes.
    fn total(&self) -> Total {
        let parts = match self.is_multiple {
            true => self.training + self.holdout,
            false => self.training.max(self.holdout),
        };
        Total {
            spends: self.spends,
            rho: parts + self.everyone,
            delta_pico: self.delta_pico,
        }
    }
}

impl Total {
    fn add(&mut self, other: Self) {
        self.spends += other.spends;
        self.rho += other.rho;
        self.delta_pico = smaller(self.delta_pico, other.delta_pico);
    }

    fn figure(self) -> Option<Figure> {
        let rho_micro = u64::try_from(self.rho)
            .ok()
            .filter(|rho| *rho <= URHO_MAX)?;
        let delta_pico = self.delta_pico?;
        Some(Figure {
            spends: self.spends,
            rho_micro,
            delta_pico,
            eps_micro: epsilon_micro(rho_micro, delta_pico),
        })
    }
}

impl Figure {
    fn named(&self, names: &[(&str, &str)]) -> Json {
        let numbers = [
            ("delta_pico", self.delta_pico),
            ("eps_micro", self.eps_micro),
            ("rho_micro", self.rho_micro),
            ("spends", self.spends),
        ];
        let numbers = numbers
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()));
        let names = names
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()));
        Json::Object(numbers.chain(names).collect())
    }
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

const TIMES_MAX: u64 = 1 << 16;
const DELTA_PICO_MAX: u64 = 10_000_000_000;
