//! Parity with the reference: the real files, through the query engine, must add up to the published sums of every round.
//!
//! The public data sets are too large for this repository: without `../shared` beside it, these tests say so and pass,
//! except where `CI` is set.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use aquifer_shared::base::units::MicroRho;
    use aquifer_shared::domain::contract::Contract;
    use aquifer_shared::domain::predictor::ModelState;
    use aquifer_shared::domain::sum::{HoldOut, Part, RoundTerms};
    use aquifer_shared::protocol::wire::TaskBody;
    use serde::Deserialize;

    use crate::core::contribution::contribution;
    use crate::core::fixtures::{everybody, let_in};
    use crate::core::holdout::Split;
    use crate::shell::encode::encode;
    use crate::shell::source::DataConfig;

    #[derive(Deserialize)]
    struct Golden {
        released_sums: Vec<Vec<i64>>,
        bin_of_cell: Vec<Vec<u16>>,
        after_round: Vec<Round>,
        features: Vec<Feature>,
    }

    #[derive(Deserialize)]
    struct Round {
        base: i32,
        curves: Vec<i32>,
    }

    #[derive(Deserialize)]
    struct Feature {
        name: String,
        cells: usize,
    }

    fn shared() -> Option<PathBuf> {
        let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let found = above.find_map(|folder| {
            let shared = folder.join("shared");
            shared.join("reference/golden").is_dir().then_some(shared)
        });
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "../shared is missing");
            eprintln!("SKIPPED: ../shared is missing, parity with the reference was not checked");
        }
        found
    }

    fn terms(part: Part, cells: usize, bound: u32, features: usize) -> RoundTerms {
        RoundTerms {
            part,
            cells_max: cells as u32,
            cell_abs_max: bound,
            delta_sq: features as u64 * u64::from(bound).pow(2),
            urho: MicroRho(1),
            sigma_share: 16,
        }
    }

    fn check_parity(dataset: &str, file: &str, query: &str) {
        let Some(shared) = shared() else { return };
        let schema =
            fs::read_to_string(shared.join(format!("data/{dataset}.schema.json"))).unwrap();
        let golden =
            fs::read_to_string(shared.join(format!("reference/golden/{file}.json"))).unwrap();
        let golden: Golden = serde_json::from_str(&golden).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let contract = Contract::from_schema(&schema, None, None).unwrap();
        fs::write(directory.path().join("contract.toml"), contract.to_toml()).unwrap();
        let data = shared.join(format!("data/{dataset}.csv"));
        let config = DataConfig {
            contract: "contract.toml".into(),
            query: query.to_owned(),
            basis: "public".to_owned(),
            customers_max: 100_000,
            holdout_column: Some("split".to_owned()),
            epoch: None,
            published: BTreeMap::new(),
            tables: BTreeMap::from([("t".to_owned(), data.into())]),
        };
        let (contract, table) = encode(&config, directory.path(), &let_in(&contract)).unwrap();
        let rule = HoldOut::Column("split".to_owned());
        let split = Split::of(&table, &[0; 32], &"f".parse().unwrap(), &rule).unwrap();
        for (column, feature) in contract.columns.iter().zip(&golden.features) {
            assert_eq!(
                (&column.name, column.shape().1),
                (&feature.name, feature.cells)
            );
        }

        let features = contract.columns.len();
        let bins = golden.after_round[0].curves.len();
        let model = |base, curves| ModelState {
            base,
            bin_of_cell: golden.bin_of_cell.concat(),
            curves,
        };
        let zero = model(0, vec![0; bins]);
        let after = golden.after_round.iter();
        let models: Vec<ModelState> = std::iter::once(zero)
            .chain(after.map(|round| model(round.base, round.curves.clone())))
            .collect();
        for (round, expected) in golden.released_sums.iter().enumerate() {
            let cells = expected.len();
            let (body, terms) = match round {
                0 => (
                    TaskBody::Counts,
                    terms(Part::Training, cells, 256, features),
                ),
                9 => {
                    let body = TaskBody::Evaluation(models[8].clone());
                    (body, terms(Part::HoldOut, cells, 256, 1))
                }
                _ => {
                    let body = TaskBody::Residuals(models[round - 1].clone());
                    let bound = if round == 1 { 2_048 } else { 4_096 };
                    (body, terms(Part::Training, cells, bound, features))
                }
            };
            let found = contribution(
                &table,
                &split,
                &everybody(table.rows()),
                &body,
                &terms,
                4_096,
            )
            .unwrap();
            assert_eq!(found.expose(), expected, "{file}, round {round}");
        }
    }

    #[test]
    fn telco_adds_up_to_the_published_sums() {
        check_parity("telco", "telco-exact", "SELECT * FROM t");
    }

    #[test]
    fn adult_adds_up_to_the_published_sums() {
        let query = "SELECT * FROM t \
        WHERE (split = 'train' AND row_id < 4000) OR (split = 'test' AND row_id < 33561)";
        check_parity("adult", "adult4000-exact", query);
    }
}
