//! Law in deployments and simulations: purposes that cover a contract, packs that allow what tests do, cohorts of everybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::Result;
use aquifer_node::core::cohort::Cohort;
use aquifer_node::core::gatekeeper::{Figures, Gatekeeper, People};
use aquifer_node::core::table::Bits;
use aquifer_shared::base::time::Timestamp;
use aquifer_shared::domain::contract::Contract;
use aquifer_shared::domain::law::witness::GateKind;
use aquifer_shared::domain::law::{
    Action, Basis, Category, Gate, Pack, Purposes, Rulebook, Set, Spend, Transfer, proxy, vendored,
};

/// A purpose for a file.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub action: Action,
}

impl Declared {
    /// As its name says: what ends in `.score` scores, what ends in `.train` or is called `churn` trains, all others ask.
    #[must_use]
    pub fn of_name(id: &str) -> Self {
        let action = match id {
            id if id.ends_with(".score") => Action::Score,
            id if id.ends_with(".train") => Action::Train,
            _ => Action::Query,
        };
        let id = id.to_owned();
        Self { id, action }
    }
}

/// A file of purposes that may use all columns of a contract.
#[must_use]
pub fn purposes(contract: &Contract, declared: &[Declared]) -> String {
    let columns = columns(contract);
    text(&columns, &contract.label.column, declared)
}

/// All columns but the label, each once.
fn columns(contract: &Contract) -> Vec<&str> {
    let mut columns: Vec<&str> = contract
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    for table in &contract.published {
        columns.push(&table.privacy_unit);
        columns.extend(table.columns.iter().map(|column| column.name.as_str()));
    }
    columns.retain(|column| *column != contract.label.column);
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn text(columns: &[&str], target: &str, declared: &[Declared]) -> String {
    let mut text = String::from("# Purposes of a deployment for tests and demonstrations.\n");
    for Declared { id, action } in declared {
        let _ = write!(
            text,
            "\n[[purpose]]\nid = {id:?}\ntitle = \"For tests\"\ndescription_plain = \"Made-up customers, made-up purposes.\"\n\
             dpv_purpose = \"dpv:CustomerRelationshipManagement\"\nfides_data_use = \"improve\"\ndecision_effect = \"none\"\n\
             action = \"{action}\"\nexport = true\nfeatures_allowed = {columns:?}\ntarget = {target:?}\nsale_or_share = false\n\
             direct_marketing = false\nannex_iii = \"none\"\nli_assessment_id = \"none\"\ndpia_ref = \"none\"\n\
             min_notice_version = 1\nsubject_overlap = \"disjoint\"\nowner = \"tests\"\nreview_by = 2099-12-31\n"
        );
    }
    text
}

/// The policy of the house with limits that leave room for what tests and measurements spend.
#[must_use]
pub fn house() -> String {
    let (_, house) = vendored::PACKS
        .into_iter()
        .find(|(name, _)| name.contains("house"))
        .expect("a policy of the house comes along");
    let mut text = house.to_owned();
    for (from, to) in [
        ("value = 3_000_000", "value = 1_000_000_000"),
        ("value = 200\n", "value = 1\n"),
        ("value = 50\n", "value = 1\n"),
    ] {
        assert!(text.contains(from), "the house pack says {from}");
        text = text.replace(from, to);
    }
    text
}

/// Writes purposes and packs into a node's directory; returns the section for node.toml.
///
/// # Errors
///
/// A file could not be written.
pub fn write(folder: &Path, contract: &Contract, names: &[String], basis: Basis) -> Result<String> {
    let mut names = names.to_vec();
    // Units score their own customers, whatever studies are about.
    if !names.iter().any(|name| name.ends_with(".score")) {
        names.push("churn.score".to_owned());
    }
    let declared: Vec<Declared> = names.iter().map(|name| Declared::of_name(name)).collect();
    fs::write(folder.join("purposes.toml"), purposes(contract, &declared))?;
    fs::create_dir_all(folder.join("packs"))?;
    fs::write(folder.join("packs").join("house.toml"), house())?;
    let mut section = String::from(
        "[people]\ncontroller = \"DE\"\nplace = \"DE\"\nage = \"adult\"\ntransfer = \"within\"\npurposes = \"purposes.toml\"\n\
         packs = \"packs\"\ncategories = [\"contract\"]\n[people.basis]\n",
    );
    for name in names {
        let _ = writeln!(section, "{name:?} = \"{basis}\"");
    }
    let _ = write!(section, "[people.columns]\n{}", tags(contract));
    Ok(section)
}

/// Writes purposes and packs into the coordinator's directory; returns the section for coordinator.toml. A purpose of scoring comes
/// along for predictions.
///
/// # Errors
///
/// A file could not be written.
pub fn write_central(folder: &Path, contract: &Contract, names: &[String]) -> Result<String> {
    let mut declared: Vec<Declared> = names.iter().map(|name| Declared::of_name(name)).collect();
    if declared.iter().all(|one| one.action != Action::Score) {
        declared.push(Declared::of_name("predictions.score"));
    }
    // Declared here and served by no unit.
    declared.push(Declared::of_name("marketing.train"));
    fs::write(folder.join("purposes.toml"), purposes(contract, &declared))?;
    fs::create_dir_all(folder.join("packs"))?;
    fs::write(folder.join("packs").join("house.toml"), house())?;
    Ok(format!(
        "[law]\ncontroller = \"DE\"\nplaces = [\"DE\"]\ntransfer = \"within\"\npurposes = \"purposes.toml\"\npacks = \"packs\"\n\
         categories = [\"contract\"]\n[law.columns]\n{}{}",
        tags(contract),
        facts(&declared)
    ))
}

/// What documents say of a deployment for tests.
fn facts(declared: &[Declared]) -> String {
    let mut section = String::from(
        "[facts]\ncontroller = \"Units of a made-up company, each for its own customers\"\n\
         controller_contact = \"privacy@units.example\"\nprocessor = \"Head office of a made-up company\"\n\
         processor_contact = \"data@head-office.example\"\ndpo = \"dpo@units.example\"\nrole = \"controller\"\n\
         authority = \"an authority that is made up\"\n[facts.basis]\n",
    );
    for Declared { id, .. } in declared {
        let _ = writeln!(section, "{id:?} = \"contract\"");
    }
    section
}

/// Columns whose names suggest something sensitive; data sets for tests have a few.
fn tags(contract: &Contract) -> String {
    let mut columns: Vec<&str> = columns(contract);
    columns.push(&contract.label.column);
    let own = BTreeMap::new();
    let suspected = proxy::untagged(&columns, &own).into_iter();
    suspected
        .map(|(column, _)| format!("{column:?} = [\"demographic\"]\n"))
        .collect()
}

/// Rules for studies of simulations, whose customers have no columns.
///
/// # Panics
///
/// Never: the texts are constants.
#[must_use]
pub fn gatekeeper() -> Gatekeeper {
    gatekeeper_on(Basis::Contract)
}

/// The same, with all purposes on this basis.
///
/// # Panics
///
/// Never: the texts are constants.
#[must_use]
pub fn gatekeeper_on(basis: Basis) -> Gatekeeper {
    let names = ["churn.train", "churn.query", "simulate"];
    let mut declared = names.map(Declared::of_name);
    declared[2].action = Action::Train;
    let purposes = Purposes::parse(&text(&["value"], LABEL, &declared)).expect("constant");
    let packs = vendored::PACKS.into_iter().map(|(name, text)| {
        let text = if name.contains("house") {
            house()
        } else {
            text.to_owned()
        };
        Pack::parse(&text).expect("constant")
    });
    let book = Rulebook::new(packs.collect(), purposes).expect("constant");
    let basis = names.map(|name| (name.parse().expect("constant"), basis));
    let people = People {
        controller: "DE".parse().expect("constant"),
        place: "DE".parse().expect("constant"),
        adult: true,
        transfer: Transfer::Within,
        basis: basis.into(),
        categories: Set::of(&[Category::Contract]),
        columns: BTreeMap::new(),
        dpia_current: Vec::new(),
        reviewers: BTreeMap::new(),
    };
    Gatekeeper::new(book, people)
}

/// A cohort of all rows of a table.
///
/// # Panics
///
/// Never: the rules are constants.
#[must_use]
pub fn everybody<G: GateKind>(rows: usize) -> Cohort<G> {
    eligible(Bits::all(rows, true))
}

/// A cohort of these rows of a table.
///
/// # Panics
///
/// Never: the rules are constants.
#[must_use]
pub fn eligible<G: GateKind>(rows: Bits) -> Cohort<G> {
    let purpose = match G::GATE {
        Gate::Query => "churn.query",
        _ => "churn.train",
    };
    let figures = Figures {
        population: 10_000,
        spend: Spend {
            epsilon_micro: 1,
            delta_pico: 1,
        },
    };
    let decision = GATEKEEPER.run(G::GATE, purpose, &[LABEL], figures, AT);
    let allowed = decision.allowed().expect("constant rules allow it");
    Cohort::new(allowed, Arc::new(rows))
}

/// Read once: packs take longer to read than most sums to add up.
static GATEKEEPER: LazyLock<Gatekeeper> = LazyLock::new(gatekeeper);
/// The column that simulated customers have.
pub const LABEL: &str = "label";
/// 2026-11-25.
const AT: Timestamp = Timestamp(20_782 * 24 * 3_600 * 1_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_write_is_what_the_product_reads() {
        let rows = everybody::<aquifer_shared::domain::law::witness::Train>(70).rows();
        assert_eq!(rows, 70);
        assert!(Pack::parse(&house()).is_ok());
    }
}
