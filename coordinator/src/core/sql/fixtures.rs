//! A contract, short ways to compile, and a source of chance for tests.

use super::{PublicTerms, Query, Refusal, Settings, Statement, compile};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::sum::{NoiseShare, TrustMode};

/// `customers` (R = G = 1) and `orders` (R = 20, G = 12).
pub(super) fn contract() -> Contract {
    Contract::parse(include_str!("../../../golden/contract.toml")).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        purpose: Some("contracts.reporting".to_owned()),
        ..Settings::default()
    }
}

pub(super) fn statement(text: &str) -> Result<Statement, Refusal> {
    compile(text, &settings(), &contract(), Some(&[]))
}

/// The question of a text that must be one.
#[track_caller]
pub(super) fn query(text: &str) -> Query {
    match statement(text) {
        Ok(Statement::Query(query)) => *query,
        other => panic!("{text}: {other:?}"),
    }
}

/// One noise in total, and the prices of the specification.
pub(super) fn standing() -> PublicTerms {
    PublicTerms {
        mode: TrustMode::SharedNoise,
        // One noise in total: as if a single node added all of it.
        share: NoiseShare::OWN,
        nodes: 1,
        customers_max: 2_000,
        price_usual: MicroRho(1_000),
        price_max: MicroRho(5_000),
        delta: 1e-5.try_into().unwrap(),
        cohort_floor: 50,
        slot_ms: 1_000,
        data_version: "2026-11-01".to_owned(),
    }
}

/// Splitmix64 with Box and Muller's transform.
pub(super) struct Chance(pub u64);

impl Chance {
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
